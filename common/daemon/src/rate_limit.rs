//! Log lines per minute, bounded per key and in keys.
//!
//! What repeats a thousand times a second must not fill a disk, and must not vanish either: lines
//! held back are counted, and the count is handed out with the next line or by
//! [`RateLimited::sweep`].

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);

/// Keys at the same time; all others share one.
const KEYS_MAX: usize = 256;

/// The key of those that found no room.
const OTHER: &str = "other";

/// What to do with one line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // write it or do not
#[must_use]
pub enum Verdict {
    /// Do not write it.
    HoldBack,
    /// Write it, and say how many before it were held back if there were any.
    Write {
        /// Lines of this key held back since the last one written.
        n_held_back: u64,
    },
}

#[derive(Debug)]
struct Window {
    began: Instant,
    n_written: u32,
    n_held_back: u64,
}

/// Admits at most so many lines a minute for each key.
#[derive(Debug)]
pub struct RateLimited {
    lines_per_minute_max: u32,
    windows: HashMap<String, Window>,
    /// No minute in which lines were held back ends before this.
    due: Option<Instant>,
}

impl RateLimited {
    /// At least one line a minute is admitted.
    pub fn new(lines_per_minute_max: u32) -> Self {
        let lines_per_minute_max = lines_per_minute_max.max(1);
        Self { lines_per_minute_max, windows: HashMap::new(), due: None }
    }

    /// Judges one line of `key`, for instance the message and the peer.
    pub fn admit(&mut self, now: Instant, key: &str) -> Verdict {
        if !self.windows.contains_key(key) && self.windows.len() >= KEYS_MAX {
            // Ended windows that still owe a count wait for `sweep`.
            self.windows.retain(|_, it| !it.has_ended(now) || it.n_held_back > 0);
        }
        let has_room = self.windows.len() < KEYS_MAX;
        let key = match self.windows.contains_key(key) || has_room {
            true => key,
            false => OTHER,
        };
        let window = self.windows.entry(key.to_owned()).or_insert_with(|| Window::new(now));
        if window.has_ended(now) {
            *window = Window { n_held_back: window.n_held_back, ..Window::new(now) };
        }
        if window.n_written >= self.lines_per_minute_max {
            window.n_held_back = window.n_held_back.saturating_add(1);
            self.due = self.due.into_iter().chain([window.end()]).min();
            return Verdict::HoldBack;
        }
        window.n_written = window.n_written.saturating_add(1);
        Verdict::Write { n_held_back: std::mem::take(&mut window.n_held_back) }
    }

    /// When [`RateLimited::sweep`] may have something to say, for whoever would sleep until then.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Forgets the keys whose minute is over; those that still have lines held back are returned
    /// with their number, to be logged. To be called about once a minute,
    /// or when it is [due](RateLimited::due): until then a key that owes a count takes a place.
    pub fn sweep(&mut self, now: Instant) -> Vec<(String, u64)> {
        let mut owed: Vec<(String, u64)> = Vec::new();
        self.windows.retain(|key, window| {
            if !window.has_ended(now) {
                return true;
            }
            if window.n_held_back > 0 {
                owed.push((key.clone(), window.n_held_back));
            }
            false
        });
        let owing = self.windows.values().filter(|it| it.n_held_back > 0);
        self.due = owing.map(Window::end).min();
        owed.sort();
        owed
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, n_written: 0, n_held_back: 0 }
    }

    fn end(&self) -> Instant {
        self.began + WINDOW
    }

    fn has_ended(&self, now: Instant) -> bool {
        now >= self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_held_back_without_being_counted() {
        let start = Instant::now();
        let mut limit = RateLimited::new(3);
        let (mut n_written, mut n_counted) = (0, 0);
        for tenth in 0..3_000_u64 {
            let now = start + Duration::from_millis(tenth * 100);
            if let Verdict::Write { n_held_back } = limit.admit(now, "peer") {
                n_written += 1;
                n_counted += n_held_back;
            }
        }
        let owed = limit.sweep(start + Duration::from_secs(10_000));
        n_counted += owed.iter().map(|(_, n)| n).sum::<u64>();
        assert_eq!(n_written, 15, "three a minute for five minutes");
        assert_eq!(n_written + n_counted, 3_000);
        assert_eq!(limit.sweep(start + Duration::from_secs(20_000)), vec![]);
    }

    #[test]
    fn keys_without_end_share_one_and_take_no_memory() {
        let start = Instant::now();
        let mut limit = RateLimited::new(2);
        for n in 0..100_000 {
            let _ = limit.admit(start, &format!("peer {n}"));
        }
        assert!(limit.windows.len() <= KEYS_MAX + 1, "{} keys", limit.windows.len());
        let owed = limit.sweep(start + WINDOW);
        let expected = 100_000 - u64::try_from(KEYS_MAX).unwrap() - 2;
        assert_eq!(owed, vec![(OTHER.to_owned(), expected)]);
    }

    /// The receiver never swept: what it held back last was never told, and once every place was taken
    /// by a key that owed a count, all others shared one until the next start.
    #[test]
    fn what_was_held_back_is_told_when_its_minute_ends_and_makes_room_for_others() {
        let start = Instant::now();
        let mut limit = RateLimited::new(1);
        let second = |n| start + Duration::from_secs(n);
        assert_eq!(limit.due(), None);
        for n in 0..KEYS_MAX as u64 {
            let key = format!("peer {n:03}");
            let _ = limit.admit(second(n / 8), &key);
            assert_eq!(limit.due(), (n > 0).then_some(start + WINDOW), "nothing is owed yet");
            assert_eq!(limit.admit(second(n / 8), &key), Verdict::HoldBack);
        }
        let mut n_told = 0;
        while let Some(due) = limit.due() {
            let told = limit.sweep(due);
            assert!(!told.is_empty() && told.iter().all(|(_, n_held_back)| *n_held_back == 1));
            n_told += told.len();
            assert!(limit.due().is_none_or(|next| next > due), "whoever sleeps until then sleeps");
        }
        assert_eq!((n_told, limit.windows.len()), (KEYS_MAX, 0));
    }

    #[test]
    fn one_noisy_key_does_not_silence_another() {
        let now = Instant::now();
        let mut limit = RateLimited::new(1);
        let first = Verdict::Write { n_held_back: 0 };
        assert_eq!(limit.admit(now, "a"), first);
        assert_eq!(limit.admit(now, "a"), Verdict::HoldBack);
        assert_eq!(limit.admit(now, "b"), first);
        assert_eq!(limit.admit(now + WINDOW, "a"), Verdict::Write { n_held_back: 1 });
    }
}
