//! Threads that must not die unnoticed.
//!
//! A writer that has failed must stop the whole daemon with a non-zero exit: it could otherwise go
//! on and acknowledge what nobody writes. Each thread is named; a panic or an error at its end
//! becomes a [`Fatal`] on one channel, and if the daemon does not end by itself, it is ended.

use core::fmt;
use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::exit;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SendError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::thread::JoinHandle;
use std::thread::sleep;
use std::time::Duration;

/// Exit status of a daemon that ended because of a [`Fatal`]: the one of `sysexits` for I/O errors.
pub const EXIT_FATAL: u8 = 74;

/// Why the daemon must end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // to be logged
pub struct Fatal {
    /// Name of the thread.
    pub thread: String,
    /// Its error or panic message.
    pub message: String,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} failed: {}", self.thread, self.message)
    }
}

/// What happens when the daemon does not end after a [`Fatal`].
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)] // daemons and tests
pub enum Grace {
    /// The process is ended with [`EXIT_FATAL`] after this time.
    ExitAfter(Duration),
    /// Nothing; for tests.
    Unlimited,
}

/// Starts threads and hears of their end. Clones report to the same channel.
#[derive(Clone)]
pub struct Supervisor {
    fatals: Sender<Fatal>,
    wake: Arc<dyn Fn() + Send + Sync>,
    grace: Grace,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("grace", &self.grace).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// `wake` is called after each [`Fatal`], so that the event loop looks at the receiver.
    pub fn new(grace: Grace, wake: impl Fn() + Send + Sync + 'static) -> (Self, Receiver<Fatal>) {
        let (fatals, receiver) = channel();
        (Self { fatals, wake: Arc::new(wake), grace }, receiver)
    }

    /// Runs `body` on a thread of that name. `Ok` is its orderly end.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn<E: fmt::Display>(
        &self,
        name: &str,
        body: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (supervisor, thread) = (self.clone(), name.to_owned());
        Builder::new().name(name.to_owned()).spawn(move || {
            // Nothing that `body` left half done is used again: the daemon ends.
            let message = match catch_unwind(AssertUnwindSafe(body)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("panic: {}", panic_text(panic.as_ref())),
            };
            supervisor.report(Fatal { thread, message });
        })
    }

    /// Reports what a thread that cannot return an error has met.
    pub fn report(&self, fatal: Fatal) {
        if let Err(SendError(fatal)) = self.fatals.send(fatal) {
            // Nobody listens any more when the daemon is ending already.
            tracing::error!("{fatal}");
        }
        (self.wake)();
        if let Grace::ExitAfter(time) = self.grace {
            let waited = Builder::new().name("fatal-exit".to_owned()).spawn(move || {
                sleep(time);
                exit(EXIT_FATAL.into());
            });
            if waited.is_err() {
                exit(EXIT_FATAL.into());
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn an_error_and_a_panic_are_heard_and_an_orderly_end_is_not() {
        let n_woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_woken);
        let (supervisor, fatals) = Supervisor::new(Grace::Unlimited, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let spawn = |name: &str, body: fn() -> Result<(), String>| {
            supervisor.spawn(name, body).unwrap().join().unwrap();
        };
        spawn("orderly", || Ok(()));
        spawn("failed", || Err("fsync: input/output error".to_owned()));
        spawn("panicked", || panic!("index {} of 3", 5));
        drop(supervisor);
        let heard: Vec<String> = fatals.iter().map(|it| it.to_string()).collect();
        assert_eq!(
            heard,
            [
                "thread failed failed: fsync: input/output error",
                "thread panicked failed: panic: index 5 of 3",
            ],
        );
        assert_eq!(n_woken.load(Ordering::SeqCst), 2);
    }
}
