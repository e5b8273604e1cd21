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
    /// The bits that are no whole word yet, from the top; zeros below.
    pending: u64,
    /// How many bits `pending` has room for; never 0.
    n_free: u32,
}

impl<'v> BitWriter<'v> {
    pub(super) fn new(out: &'v mut Vec<u8>) -> Self {
        Self { out, pending: 0, n_free: 64 }
    }

    /// The low `n` bits of `value`, at most 64.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, n: u32) {
        if n == 0 {
            return;
        }
        let value = value & (u64::MAX >> (64 - n));
        if n < self.n_free {
            self.n_free -= n;
            self.pending |= value << self.n_free;
            return;
        }
        // The word is full, and what does not fit into it begins the next one.
        let n_left = n - self.n_free;
        let word = self.pending | (value >> n_left);
        self.out.extend_from_slice(&word.to_be_bytes());
        self.n_free = 64 - n_left;
        // Twice, since a shift by 64 is none.
        self.pending = (value << 1) << (self.n_free - 1);
    }

    /// Zeros up to a whole byte.
    pub(super) fn finish(self) {
        let n_bytes = (64 - self.n_free).div_ceil(8);
        self.append(n_bytes);
    }

    /// At least one zero, up to a whole byte.
    pub(super) fn finish_padded(self) {
        let n_bytes = (64 - self.n_free) / 8 + 1;
        self.append(n_bytes);
    }

    fn append(self, n_bytes: u32) {
        let word = self.pending.to_be_bytes();
        self.out.extend(word.iter().take(n_bytes as usize));
    }
}

/// Numbers that are unpacked in one go: they take a whole number of bytes for every width.
const STRIDE: usize = 64;
/// Bytes of the widest stride, and as many more as a window may reach behind it.
const STRIDE_BYTES_MAX: usize = STRIDE * 8 + 16;

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
    if width == 0 {
        values.extend((0..n).map(|_| map(0)));
        return;
    }
    let width = width.min(64);
    let mut chunks = bytes.chunks(width as usize * STRIDE / 8);
    let mut missing = n;
    while missing > 0 {
        // A copy with room behind it, so that no window has to ask whether it leaves the bytes.
        let mut window = [0; STRIDE_BYTES_MAX];
        let chunk = chunks.next().unwrap_or_default();
        if let Some(window) = window.get_mut(..chunk.len()) {
            window.copy_from_slice(chunk);
        }
        let n = missing.min(STRIDE);
        missing -= n;
        let mut at = 0usize;
        if width <= 57 {
            // The number and up to seven bits before it fit into one word.
            values.extend((0..n).map(|_| {
                let word = word_at(&window, at >> 3) << (at & 7);
                at += width as usize;
                map(word >> (64 - width))
            }));
        } else {
            values.extend((0..n).map(|_| {
                let high = u128::from(word_at(&window, at >> 3)) << 64;
                let word = high | u128::from(word_at(&window, (at >> 3) + 8));
                let cut = word << (at & 7) >> (128 - width);
                at += width as usize;
                map(cut as u64)
            }));
        }
    }
}

/// Eight bytes from `at` on as one word.
#[inline(always)]
fn word_at(window: &[u8; STRIDE_BYTES_MAX], at: usize) -> u64 {
    let word = window.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_be_bytes(*word))
}
