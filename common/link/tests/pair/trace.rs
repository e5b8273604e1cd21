//! What happened in a run, as a hash, and as text when one seed is replayed.

use tidegate_link::Time;

/// Everything that happened so far.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    prints: bool,
}

impl Trace {
    pub(crate) fn new(prints: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, prints }
    }

    pub(crate) fn note(&mut self, now: Time, what: &str, a: usize, b: u64) {
        for byte in what.bytes() {
            self.mix(u64::from(byte));
        }
        for number in [now.as_micros(), a as u64, b] {
            self.mix(number);
        }
        if self.prints {
            eprintln!("{now} {what} {a} {b:#x}");
        }
    }

    /// A line that only a reader wants.
    pub(crate) fn say(&self, now: Time, words: core::fmt::Arguments<'_>) {
        if self.prints {
            eprintln!("{now}     {words}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
    }
}
