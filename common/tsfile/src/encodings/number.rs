//! The four widths of numbers, as bits: most encodings see nothing else of them.

/// A number of 32 or 64 bits.
pub(super) trait Number: Copy + Default {
    /// 32 or 64.
    const BITS: u32;
    /// 4 or 8.
    const BYTES: usize;
    /// Whether it is FLOAT or DOUBLE.
    const IS_FLOAT: bool;
    /// Bits of the value that GORILLA and CHIMP put behind the last one.
    const SENTINEL: u64;

    /// From the low bits of `bits`.
    fn from_bits(bits: u64) -> Self;

    /// As the low bits of the result; what is above is 0.
    fn to_bits(self) -> u64;

    /// As signed number: floats by their bits.
    fn to_signed(self) -> i64 {
        match Self::BITS {
            32 => i64::from((self.to_bits() as u32).cast_signed()),
            _ => self.to_bits().cast_signed(),
        }
    }

    /// Appends [`BYTES`](Self::BYTES) bytes, most significant first.
    fn put_be_bytes(self, out: &mut Vec<u8>) {
        let bytes = self.to_bits().to_be_bytes();
        out.extend(bytes.iter().skip(bytes.len().saturating_sub(Self::BYTES)));
    }

    /// From exactly [`BYTES`](Self::BYTES) bytes, most significant first.
    fn from_be_bytes(bytes: &[u8]) -> Self {
        Self::from_bits(bytes.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte)))
    }

    /// All whole numbers of `bytes`, most significant byte first.
    ///
    /// Of a known width, which a compiler makes wide instructions of.
    fn all_from_be_bytes(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self>;

    /// Appends all numbers, most significant byte first.
    fn put_all_be_bytes(numbers: &[Self], out: &mut Vec<u8>);
}

/// What [`Number`] does with many bytes, for one type.
macro_rules! in_bulk {
    () => {
        fn all_from_be_bytes(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> {
            bytes.as_chunks().0.iter().map(|bytes| Self::from_be_bytes(*bytes))
        }

        fn put_all_be_bytes(numbers: &[Self], out: &mut Vec<u8>) {
            let start = out.len();
            out.resize(start.saturating_add(size_of_val(numbers)), 0);
            let room = out.get_mut(start..).unwrap_or_default();
            for (place, number) in room.as_chunks_mut().0.iter_mut().zip(numbers) {
                *place = number.to_be_bytes();
            }
        }
    };
}

impl Number for i32 {
    const BITS: u32 = 32;
    const BYTES: usize = 4;
    const IS_FLOAT: bool = false;
    const SENTINEL: u64 = 0x8000_0000;

    fn from_bits(bits: u64) -> Self {
        (bits as u32).cast_signed()
    }

    fn to_bits(self) -> u64 {
        self.cast_unsigned().into()
    }

    in_bulk!();
}

impl Number for i64 {
    const BITS: u32 = 64;
    const BYTES: usize = 8;
    const IS_FLOAT: bool = false;
    const SENTINEL: u64 = 0x8000_0000_0000_0000;

    fn from_bits(bits: u64) -> Self {
        bits.cast_signed()
    }

    fn to_bits(self) -> u64 {
        self.cast_unsigned()
    }

    in_bulk!();
}

impl Number for f32 {
    const BITS: u32 = 32;
    const BYTES: usize = 4;
    const IS_FLOAT: bool = true;
    const SENTINEL: u64 = 0x7fc0_0000;

    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits as u32)
    }

    fn to_bits(self) -> u64 {
        self.to_bits().into()
    }

    in_bulk!();
}

impl Number for f64 {
    const BITS: u32 = 64;
    const BYTES: usize = 8;
    const IS_FLOAT: bool = true;
    const SENTINEL: u64 = 0x7ff8_0000_0000_0000;

    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }

    fn to_bits(self) -> u64 {
        self.to_bits()
    }

    in_bulk!();
}
