//! The bloom filter at the end of a TsFile: which series may be in it.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use crate::TsFileVersion;

/// Most bytes of a filter; IoTDB's own limit on bits is 256 MiB of them.
const FILTER_BYTES_MAX: usize = 64 << 20;
/// Seeds of the hash functions, as many of them as a filter has functions.
const SEEDS: [u64; 8] = [5, 7, 11, 19, 31, 37, 43, 59];
/// Share of strangers that pass, IoTDB's default.
const ERROR_RATE: f64 = 0.05;
/// Least bits of a filter.
const BITS_MIN: u32 = 256;

/// Bits that a series in the file has set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BloomFilter {
    /// Least bit of the first byte first; bytes that are missing at the end are zero.
    bytes: Vec<u8>,
    n_bits: u32,
    n_functions: u32,
}

impl BloomFilter {
    /// A filter for `n_series` of which about one in twenty strangers passes, as IoTDB makes it.
    pub(crate) fn for_series(n_series: usize) -> Self {
        const LN_2: f64 = core::f64::consts::LN_2;
        // Java's steps one by one, so that its rounding comes out.
        let n_bits = -(n_series as f64) * ERROR_RATE.ln() / LN_2 / LN_2;
        // A cast of Java and of Rust stays at the greatest number.
        let n_bits = (n_bits as i32).saturating_add(1).unsigned_abs();
        let n_functions = (-ERROR_RATE.ln() / LN_2) as u32;
        let n_functions = n_functions.saturating_add(1).min(SEEDS.len() as u32);
        Self { bytes: Vec::new(), n_bits: n_bits.max(BITS_MIN), n_functions }
    }

    /// Whether the series may be in the file; `false` is certain.
    pub(crate) fn contains(&self, device: &str, measurement: &str) -> bool {
        let series = format!("{device}.{measurement}");
        let is_set =
            |(byte, mask): (usize, u8)| self.bytes.get(byte).is_some_and(|found| found & mask != 0);
        self.places(&series, java_byte).all(is_set)
            || !series.is_ascii() && self.places(&series, cpp_byte).all(is_set)
    }

    /// Sets the bits of a series.
    pub(crate) fn add(&mut self, device: &str, measurement: &str) {
        let series = format!("{device}.{measurement}");
        let places: Vec<(usize, u8)> = self.places(&series, java_byte).collect();
        for (byte, mask) in places {
            if byte >= self.bytes.len() {
                self.bytes.resize(byte.saturating_add(1), 0);
            }
            if let Some(found) = self.bytes.get_mut(byte) {
                *found |= mask;
            }
        }
    }

    /// Bytes and masks of the bits of a series.
    fn places<'s>(
        &self,
        series: &'s str,
        tail_byte: fn(u8) -> u64,
    ) -> impl Iterator<Item = (usize, u8)> + use<'s> {
        let n_bits = self.n_bits;
        let n_functions = usize::try_from(self.n_functions).unwrap_or(usize::MAX);
        SEEDS.into_iter().take(n_functions).map(move |seed| {
            let hash = murmur3(series.as_bytes(), seed, tail_byte);
            // Java takes the absolute value, of which the least number has none.
            let absolute = hash.checked_abs().map_or(0, i32::unsigned_abs);
            let bit = absolute.checked_rem(n_bits).unwrap_or(0);
            ((bit / 8) as usize, 1 << (bit % 8))
        })
    }

    /// Reads a filter; `None` if the file has none.
    ///
    /// In version 3 its numbers stand there even so.
    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        version: TsFileVersion,
    ) -> Result<Option<Self>, Error> {
        let offset = reader.position();
        let what = "length of the bloom filter";
        let found = reader.uvar(what)?;
        let length = usize::try_from(found).ok().filter(|length| *length <= FILTER_BYTES_MAX);
        let max = FILTER_BYTES_MAX;
        let length =
            length.ok_or_else(|| Error::Length { offset, what, found: found.into(), max })?;
        if length == 0 && (version != TsFileVersion::V3 || reader.is_empty()) {
            return Ok(None);
        }
        let bytes = reader.take(length, "bloom filter")?.to_vec();
        let n_bits = reader.uvar("number of bits of the bloom filter")?;
        let n_functions = reader.uvar("number of hash functions of the bloom filter")?;
        Ok((length > 0).then_some(Self { bytes, n_bits, n_functions }))
    }

    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.uvar(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        writer.bytes(&self.bytes);
        if !self.bytes.is_empty() {
            writer.uvar(self.n_bits);
            writer.uvar(self.n_functions);
        }
    }
}

/// Both halves of MurmurHash3 (x64, 128 bits) added and cut to 32 bits.
///
/// `tail_byte` is what a byte behind the last whole block counts as.
fn murmur3(bytes: &[u8], seed: u64, tail_byte: fn(u8) -> u64) -> i32 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let first = |word: u64| word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |word: u64| word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (seed, seed);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let [low, high] = halves(block);
        h1 ^= first(low);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= second(high);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let word = |bytes: &[u8]| {
        let bytes = bytes.iter().zip([0, 8, 16, 24, 32, 40, 48, 56]);
        bytes.fold(0u64, |word, (byte, shift)| word ^ (tail_byte(*byte) << shift))
    };
    let (low, high) = tail.split_at_checked(8).unwrap_or((tail, &[]));
    if !high.is_empty() {
        h2 ^= second(word(high));
    }
    if !low.is_empty() {
        h1 ^= first(word(low));
    }
    let length = bytes.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = mixed(h1);
    h2 = mixed(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    // The low 32 bits, as Java's cast leaves them.
    (h1.wrapping_add(h2) as u32).cast_signed()
}

/// IoTDB extends the sign, unlike the published function.
fn java_byte(byte: u8) -> u64 {
    i64::from(byte.cast_signed()).cast_unsigned()
}

/// The C++ library of TsFile does not any more, so that its filters have other bits for names that are
/// not ASCII.
fn cpp_byte(byte: u8) -> u64 {
    byte.into()
}

fn halves(block: &[u8; 16]) -> [u64; 2] {
    let word = u128::from_le_bytes(*block);
    [word as u64, (word >> 64) as u64]
}

fn mixed(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n_series: usize) -> (u32, u32) {
        let filter = BloomFilter::for_series(n_series);
        (filter.n_bits, filter.n_functions)
    }

    #[test]
    fn a_filter_has_the_size_that_iotdb_gives_it() {
        // The least size holds for 40 series; the others are what Java's formula yields.
        assert_eq!([0, 1, 40].map(numbers), [(256, 5); 3]);
        assert_eq!([42, 700, 65_537].map(numbers), [(262, 5), (4365, 5), (408_638, 5)]);
        assert_eq!(numbers(usize::MAX), (i32::MAX as u32, 5));
    }

    #[test]
    fn of_a_file_without_series_version_3_keeps_the_numbers_and_version_4_nothing() {
        let decode = |bytes: &[u8], version| {
            let mut reader = Reader::new(bytes);
            let found = BloomFilter::decode(&mut reader, version).unwrap();
            (found.is_some(), reader.remaining())
        };
        assert_eq!(decode(&[0, 0x80, 2, 5], TsFileVersion::V3), (false, 0));
        assert_eq!(decode(&[0], TsFileVersion::V3), (false, 0));
        assert_eq!(decode(&[0, 6], TsFileVersion::V4), (false, 1));
        assert_eq!(decode(&[1, 9, 0x80, 2, 5], TsFileVersion::V4), (true, 0));
    }

    /// Only IoTDB's own bits were looked at.
    #[test]
    fn series_of_the_cpp_library_are_there_whatever_their_names_are() {
        let mut filter = BloomFilter::for_series(2000);
        filter.bytes.resize(filter.n_bits.div_ceil(8) as usize, 0);
        let names: Vec<String> = (0..500)
            .flat_map(|at| [format!("s{at}"), format!("温度{at}"), format!("{at}é")])
            .collect();
        for name in &names {
            for (byte, mask) in
                filter.places(&format!("root.sg.d.{name}"), cpp_byte).collect::<Vec<_>>()
            {
                filter.bytes[byte] |= mask;
            }
        }
        assert!(names.iter().all(|name| filter.contains("root.sg.d", name)));
        let strangers = (500..5500).filter(|at| filter.contains("root.sg.d", &format!("温度{at}")));
        assert!((50..800).contains(&strangers.count()));
    }

    #[test]
    fn what_was_added_is_there_and_one_stranger_in_twenty_passes() {
        let mut filter = BloomFilter::for_series(2000);
        (0..2000).for_each(|at| filter.add("root.sg.d", &format!("s{at}")));
        assert!((0..2000).all(|at| filter.contains("root.sg.d", &format!("s{at}"))));
        let strangers = (2000..12_000).filter(|at| filter.contains("root.sg.d", &format!("s{at}")));
        assert!((300..700).contains(&strangers.count()));
    }
}
