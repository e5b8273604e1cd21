//! Others that compress the bodies of pages while their maker goes on.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tidegate_codec::CompressError;
use tidegate_codec::PipeCompression;
use tidegate_codec::PipeCompressor;

/// The one that makes pages, and whoever helps it.
///
/// The maker hands bodies in and asks for each of them later. When it has to wait, or when too many
/// bodies do, it compresses, too: how long making and compressing take does not matter then, and
/// without a single helper all would still come to its end.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    /// The maker's own.
    compressor: PipeCompressor,
    next: u64,
}

/// A body that was handed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

struct Shared {
    by: PipeCompression,
    work: Mutex<Work>,
    /// There is another body, or none will come.
    arrived: Condvar,
    /// There is another one that is compressed.
    finished: Condvar,
}

#[derive(Default)]
struct Work {
    /// Bodies that nobody has taken up yet, in the order of their numbers.
    bodies: VecDeque<(u64, Vec<u8>)>,
    waiting_bytes: usize,
    packed: BTreeMap<u64, Result<Vec<u8>, CompressError>>,
    /// Memory to be used again.
    spare: Vec<Vec<u8>>,
    is_over: bool,
}

impl Work {
    fn take_up(&mut self) -> Option<(u64, Vec<u8>)> {
        let (number, body) = self.bodies.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(body.len());
        Some((number, body))
    }

    fn keep(&mut self, mut spare: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            spare.clear();
            self.spare.push(spare);
        }
    }
}

/// Bodies beyond these are compressed by their maker, so that they do not fill the memory.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Enough for the pages of a wide device, and a bound of what is kept for nothing.
const SPARE_MAX: usize = 64;

impl Crew {
    pub(crate) fn new(by: PipeCompression) -> Result<Self, CompressError> {
        let shared = Arc::new(Shared {
            by,
            work: Mutex::default(),
            arrived: Condvar::new(),
            finished: Condvar::new(),
        });
        Ok(Self { shared, compressor: PipeCompressor::new(by)?, next: 0 })
    }

    pub(crate) fn helper(&self) -> PageHelper {
        PageHelper { shared: Arc::clone(&self.shared) }
    }

    /// Memory for a body.
    pub(crate) fn spare(&self) -> Vec<u8> {
        self.shared.work().spare.pop().unwrap_or_default()
    }

    /// Hands a body in.
    pub(crate) fn hand_in(&mut self, body: Vec<u8>) -> Ticket {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let mut work = self.shared.work();
        work.waiting_bytes = work.waiting_bytes.saturating_add(body.len());
        work.bodies.push_back((number, body));
        let is_much = work.waiting_bytes > WAITING_BYTES_MAX;
        let taken = if is_much { work.take_up() } else { None };
        drop(work);
        self.shared.arrived.notify_one();
        if let Some((number, body)) = taken {
            self.shared.compress(&mut self.compressor, number, body);
        }
        Ticket(number)
    }

    /// What became of a body, of which this is asked once.
    pub(crate) fn ask_for(&mut self, ticket: Ticket) -> Result<Vec<u8>, CompressError> {
        let mut work = self.shared.work();
        loop {
            if let Some(packed) = work.packed.remove(&ticket.0) {
                return packed;
            }
            if let Some((number, body)) = work.take_up() {
                drop(work);
                self.shared.compress(&mut self.compressor, number, body);
                work = self.shared.work();
                continue;
            }
            work = self.shared.finished.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives memory back to be used again.
    pub(crate) fn keep(&self, spare: Vec<u8>) {
        self.shared.work().keep(spare);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.work().is_over = true;
        self.shared.arrived.notify_all();
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Compresses pages of a writer beside it.
///
/// Threads are the caller's: whoever has one to spare lets it [run](Self::run) one of these.
pub struct PageHelper {
    shared: Arc<Shared>,
}

impl PageHelper {
    /// Helps until the writer is finished or dropped.
    pub fn run(self) {
        self.shared.serve();
    }
}

impl fmt::Debug for PageHelper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageHelper").finish_non_exhaustive()
    }
}

impl Shared {
    /// What is guarded is whole between any two calls, so a panic elsewhere spoils nothing.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a helper.
    fn serve(&self) {
        let Ok(mut compressor) = PipeCompressor::new(self.by) else { return };
        let mut work = self.work();
        while !work.is_over {
            let Some((number, body)) = work.take_up() else {
                work = self.arrived.wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(work);
            if !self.compress(&mut compressor, number, body) {
                return;
            }
            work = self.work();
        }
    }

    /// Compresses a body; whether the compressor can be used again.
    fn compress(&self, compressor: &mut PipeCompressor, number: u64, body: Vec<u8>) -> bool {
        let mut packed = self.work().spare.pop().unwrap_or_default();
        // Whoever waits for this body would wait forever after a panic.
        let done = catch_unwind(AssertUnwindSafe(|| {
            compressor.compress(&body).map(|bytes| packed.extend_from_slice(bytes))
        }));
        let is_sound = done.is_ok();
        let done = done.unwrap_or(Err(CompressError::Failed { by: self.by }));
        let mut work = self.work();
        work.keep(body);
        work.packed.insert(number, done.map(|()| packed));
        drop(work);
        self.finished.notify_one();
        is_sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_in_any_order_and_as_if_they_had_been_alone() {
        let by = PipeCompression::Lz4;
        let mut random = fastrand::Rng::with_seed(5);
        for n_helpers in 0..4 {
            let mut crew = Crew::new(by).unwrap();
            for _ in 0..n_helpers {
                let helper = crew.helper();
                std::thread::spawn(|| helper.run());
            }
            let mut waiting = Vec::new();
            // More than may wait.
            for _ in 0..100 {
                let length = random.usize(..200_000);
                let mut body = crew.spare();
                assert!(body.is_empty());
                body.extend(core::iter::repeat_with(|| random.u8(..7)).take(length));
                waiting.push((body.clone(), crew.hand_in(body)));
                assert!(crew.shared.work().waiting_bytes <= WAITING_BYTES_MAX);
                if waiting.len() > 40 {
                    let (body, ticket) = waiting.swap_remove(random.usize(..waiting.len()));
                    let packed = crew.ask_for(ticket).unwrap();
                    assert_eq!(packed, by.compress(&body).unwrap());
                    crew.keep(packed);
                }
            }
            random.shuffle(&mut waiting);
            for (body, ticket) in waiting {
                assert_eq!(crew.ask_for(ticket).unwrap(), by.compress(&body).unwrap());
            }
        }
    }
}
