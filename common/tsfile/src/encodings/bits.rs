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
    /// Most bits that are sure to be known behind [`refill`](Self::refill).
    const FILL_BITS: u32 = 56;

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
        while self.n_bits < Self::FILL_BITS
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.window |= u64::from(*byte) << (56 - self.n_bits);
            self.n_bits += 8;
            self.rest = rest;
        }
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

/// How many bits of a word that begins at any bit are sure to be there.
pub(super) const WORD_BITS: u32 = 57;

/// The bits from bit `at` on from the top, [`WORD_BITS`] of them; zeros behind the end of `bytes`.
#[inline(always)]
pub(super) fn word_at_bit(bytes: &[u8], at: usize) -> u64 {
    let word = match bytes.get(at >> 3..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u64::from_be_bytes(*word),
        None => word_at_end(bytes, at >> 3),
    };
    word << (at & 7)
}

#[cold]
fn word_at_end(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(word)
}

/// The `width` bits from bit `at` on, from 32 to 64; zeros behind the end of `bytes`.
#[inline(always)]
pub(super) fn wide_at_bit(bytes: &[u8], at: usize, width: u32) -> u64 {
    let high = word_at_bit(bytes, at) >> 32;
    let low_bits = width - 32;
    // Twice, since a shift by 64 is none.
    let low = word_at_bit(bytes, at + 32) >> 1 >> (63 - low_bits);
    high << low_bits | low
}

/// Appends bits to bytes.
///
/// Where the next bits go depends on how many there were, but no branch does: when a byte or a word is full
/// cannot be foreseen.
pub(super) struct BitWriter<'v> {
    out: &'v mut Vec<u8>,
    /// What was not handed on to `out` yet.
    buffer: [u8; BUFFER_BYTES],
    /// How many whole bytes there are in `buffer`.
    n_bytes: usize,
    /// The bits that are no whole byte yet, from the top; zeros below.
    pending: u64,
    /// How many there are; at most 7.
    n_bits: u32,
}

/// Enough to hand on seldom.
const BUFFER_BYTES: usize = 512;

/// Most bits that find room in a word behind those of a byte.
pub(super) const PUT_BITS: u32 = 56;

impl<'v> BitWriter<'v> {
    pub(super) fn new(out: &'v mut Vec<u8>) -> Self {
        Self { out, buffer: [0; BUFFER_BYTES], n_bytes: 0, pending: 0, n_bits: 0 }
    }

    /// The low `n` bits of `value`, at most 64.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, n: u32) {
        if n > PUT_BITS {
            self.put_few(value >> 32, n - 32);
            self.put_few(value, 32);
        } else {
            self.put_few(value, n);
        }
    }

    /// The low `n` bits of `value`, at most [`PUT_BITS`].
    #[inline(always)]
    fn put_few(&mut self, value: u64, n: u32) {
        let value = value & ((1 << n) - 1);
        let n_bits = self.n_bits + n;
        // Twice, since a shift by 64 is none.
        let word = self.pending | value << 1 << (63 - n_bits);
        if let Some(place) = self.buffer.get_mut(self.n_bytes..).and_then(<[u8]>::first_chunk_mut) {
            *place = word.to_be_bytes();
        }
        self.n_bytes += (n_bits >> 3) as usize;
        self.pending = word << (n_bits & !7);
        self.n_bits = n_bits & 7;
        if self.n_bytes > BUFFER_BYTES - 8 {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        self.out.extend_from_slice(self.buffer.get(..self.n_bytes).unwrap_or_default());
        self.n_bytes = 0;
    }

    /// Zeros up to a whole byte.
    pub(super) fn finish(mut self) {
        self.put_few(0, (8 - self.n_bits) & 7);
        self.hand_on();
    }

    /// At least one zero, up to a whole byte.
    pub(super) fn finish_padded(mut self) {
        self.put_few(0, 8 - self.n_bits);
        self.hand_on();
    }
}

/// Numbers that are unpacked in one go: they take a whole number of bytes for every width.
pub(super) const STRIDE: usize = 64;
/// How far a window may reach behind the last number of a stride.
const WINDOW_BYTES: usize = 16;
/// Bytes of the widest stride, and of the window behind it.
const STRIDE_BYTES_MAX: usize = STRIDE * 8 + WINDOW_BYTES;

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
    strides(bytes, n, width, |numbers| values.extend(numbers.iter().map(|number| map(*number))));
}

/// As [`unpack`], for at most [`STRIDE`] numbers at a time.
#[inline(always)]
pub(super) fn strides(bytes: &[u8], n: usize, width: u32, mut take: impl FnMut(&[u64])) {
    let width = width.min(64);
    let stride_bytes = width as usize * STRIDE / 8;
    let (mut rest, mut missing) = (bytes, n);
    let mut numbers = [0u64; STRIDE];
    while missing > 0 {
        let n = missing.min(STRIDE);
        missing -= n;
        if rest.len() >= stride_bytes + WINDOW_BYTES {
            spread(rest, width, &mut numbers);
        } else {
            // A copy with room behind it, so that no window has to ask whether it leaves the bytes.
            let mut window = [0; STRIDE_BYTES_MAX];
            window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            spread(&window, width, &mut numbers);
        }
        rest = rest.get(stride_bytes..).unwrap_or_default();
        take(numbers.get(..n).unwrap_or_default());
    }
}

/// The first numbers of `width` bits in `bytes`, which are as long as a stride and its window.
#[inline(always)]
fn spread(bytes: &[u8], width: u32, numbers: &mut [u64; STRIDE]) {
    let mut at = 0usize;
    match width {
        0 => numbers.fill(0),
        // The number and up to seven bits before it fit into one word.
        1..=57 => {
            for number in numbers {
                *number = word_at(bytes, at >> 3) << (at & 7) >> (64 - width);
                at += width as usize;
            }
        }
        _ => {
            for number in numbers {
                let high = u128::from(word_at(bytes, at >> 3)) << 64;
                let word = high | u128::from(word_at(bytes, (at >> 3) + 8));
                *number = (word << (at & 7) >> (128 - width)) as u64;
                at += width as usize;
            }
        }
    }
}

/// Eight bytes from `at` on as one word.
#[inline(always)]
fn word_at(window: &[u8], at: usize) -> u64 {
    let word = window.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_be_bytes(*word))
}
