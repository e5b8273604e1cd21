//! Bits, most significant first, out of bytes and into them.

// The innermost loops of all decoders. Shifts are below 64 and counts of bits below 2^10 by the
// invariants that stand beside them; nothing here is added to a length from outside.
#![allow(clippy::arithmetic_side_effects)]

/// Reads bits from a slice.
pub(super) struct BitReader<'a> {
    /// Bytes that are not wholly in `window`.
    rest: &'a [u8],
    /// The next bits, from the top. Below the `n_bits` known ones there may be some of those that
    /// follow, or zeros; never anything else, so that filling up can repeat them.
    window: u64,
    /// How many bits of `window` are known; at most 63.
    n_bits: u32,
    n_bytes: usize,
}

impl<'a> BitReader<'a> {
    /// Most bits that one [`peek`](Self::peek) shows behind [`refill`](Self::refill).
    pub(super) const PEEK_BITS_MAX: u32 = 56;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, window: 0, n_bits: 0, n_bytes: bytes.len() }
    }

    /// Makes at least 56 bits known, or all that are left.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.window |= u64::from_be_bytes(*word) >> self.n_bits;
            let whole_bytes = (63 - self.n_bits) >> 3;
            self.rest = self.rest.get(whole_bytes as usize..).unwrap_or_default();
            self.n_bits += whole_bytes << 3;
        } else {
            self.refill_at_end();
        }
    }

    #[cold]
    fn refill_at_end(&mut self) {
        while self.n_bits < Self::PEEK_BITS_MAX
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.window |= u64::from(*byte) << (56 - self.n_bits);
            self.n_bits += 8;
            self.rest = rest;
        }
    }

    /// How many bits can be skipped without filling up.
    #[inline(always)]
    pub(super) fn known(&self) -> u32 {
        self.n_bits
    }

    /// The next bits from the top; those behind the known ones mean nothing.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.window
    }

    /// Goes on by `n` bits, of which at most [`known`](Self::known) are skipped.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        let n = n.min(self.n_bits);
        self.window <<= n;
        self.n_bits -= n;
    }

    /// The next `n` bits, at most 64; nothing if there are fewer.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> Option<u64> {
        if n <= self.n_bits {
            return Some(self.cut(n));
        }
        self.refill();
        if n <= self.n_bits {
            return Some(self.cut(n));
        }
        // More than the window is sure to hold: in two parts.
        let low_bits = n.checked_sub(32).filter(|low_bits| *low_bits <= 32)?;
        let high = (self.n_bits >= 32).then(|| self.cut(32))?;
        self.refill();
        let low = (self.n_bits >= low_bits).then(|| self.cut(low_bits))?;
        Some((high << low_bits) | low)
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// How many bits were taken.
    pub(super) fn taken(&self) -> usize {
        (self.n_bytes - self.rest.len()) * 8 - self.n_bits as usize
    }

    /// Offset of the byte in which the next bit stands.
    pub(super) fn byte_offset(&self) -> usize {
        self.taken() / 8
    }

    /// Offset of the first byte of which no bit was taken.
    pub(super) fn whole_bytes(&self) -> usize {
        self.taken().div_ceil(8)
    }

    /// `n` of the known bits; at most 63.
    #[inline(always)]
    fn cut(&mut self, n: u32) -> u64 {
        // Twice, since a shift by 64 is none.
        let bits = (self.window >> 1) >> (63 - n);
        self.window <<= n;
        self.n_bits -= n;
        bits
    }
}

/// Appends bits to bytes.
pub(super) struct BitWriter<'v> {
    out: &'v mut Vec<u8>,
    /// The bits that are no whole byte yet, from the top; zeros below.
    pending: u8,
    /// How many they are; below 8.
    n_pending: u32,
}

impl<'v> BitWriter<'v> {
    pub(super) fn new(out: &'v mut Vec<u8>) -> Self {
        Self { out, pending: 0, n_pending: 0 }
    }

    /// The low `n` bits of `value`, at most 64.
    pub(super) fn put(&mut self, value: u64, n: u32) {
        if n == 0 {
            return;
        }
        // At most 7 and 64 bits: they fit.
        let bits = u128::from(self.pending) << 120
            | u128::from(value << (64 - n)) << (64 - self.n_pending);
        let n_bits = self.n_pending + n;
        let (whole, rest) = (n_bits / 8, n_bits % 8);
        self.out.extend(bits.to_be_bytes().iter().take(whole as usize));
        self.pending = (bits << (whole * 8) >> 120) as u8;
        self.n_pending = rest;
    }

    /// Zeros up to a whole byte.
    pub(super) fn finish(self) {
        if self.n_pending > 0 {
            self.out.push(self.pending);
        }
    }

    /// At least one zero, up to a whole byte.
    pub(super) fn finish_padded(self) {
        self.out.push(self.pending);
    }
}

/// Appends to `values` what `map` makes of `n` numbers of `width` bits each, at most 64, which stand
/// one behind another in `bytes`. Bits behind the end are 0.
#[inline(always)]
pub(super) fn unpack<V>(
    bytes: &[u8],
    n: usize,
    width: u32,
    values: &mut Vec<V>,
    mut map: impl FnMut(u64) -> V,
) {
    let mut at = 0usize;
    match width {
        0 => values.extend((0..n).map(|_| map(0))),
        // The number and up to seven bits before it fit into one word.
        1..=57 => values.extend((0..n).map(|_| {
            let word = word_at(bytes, at >> 3) << (at & 7);
            at += width as usize;
            map(word >> (64 - width))
        })),
        _ => values.extend((0..n).map(|_| {
            let high = u128::from(word_at(bytes, at >> 3)) << 64;
            let word = high | u128::from(word_at(bytes, (at >> 3) + 8));
            let cut = word << (at & 7) >> (128 - width.min(64));
            at += width as usize;
            map(cut as u64)
        })),
    }
}

/// Eight bytes from `at` on as one word; behind the end there are zeros.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u64::from_be_bytes(*word),
        None => word_at_end(bytes.get(at..).unwrap_or_default()),
    }
}

fn word_at_end(rest: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(word)
}
