//! Rate limits: `connector.rate-limit-bytes-per-second` and the global one.

use core::time::Duration;

use crate::Time;

/// A budget of bytes that grows with time.
///
/// A frame may leave as soon as the budget is not overdrawn, and is then charged whole; so frames
/// larger than a second's worth get through, and the average holds.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bytes_per_second: u64,
    /// When everything charged so far will have been paid off.
    paid_off_at: Time,
}

impl RateLimit {
    /// A limit of `bytes_per_second`, at least 1.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_off_at: Time::default() }
    }

    /// When the next frame may leave; a time that is not ahead means at once.
    pub fn ready_at(&self) -> Time {
        self.paid_off_at
    }

    /// Charges a frame that leaves now.
    pub fn charge(&mut self, now: Time, n_bytes: u64) {
        let micros = u128::from(n_bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        self.paid_off_at = self.paid_off_at.max(now) + cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_holds_whatever_the_frame_sizes() {
        let mut limit = RateLimit::new(1_000_000);
        let mut now = Time::from_micros(77);
        let start = now;
        let mut sent = 0u64;
        for n_bytes in [10, 4_000_000, 1, 999_999, 123_456].into_iter().cycle().take(1000) {
            now = now.max(limit.ready_at());
            limit.charge(now, n_bytes);
            sent += n_bytes;
        }
        let paid = limit.ready_at().since(start).as_micros();
        assert!(paid.abs_diff(u128::from(sent)) <= 1000, "{sent} bytes took {paid} us");
    }
}
