//! The five compressors of IoTDB's pipe requests, with output that cannot exceed what was declared.
//!
//! A compressed request says how long it will be. That length is compared with a cap before memory is
//! taken, the output is produced into a buffer of exactly that length, and one byte more is an error:
//! a decompression bomb costs its sender a refusal and us nothing.

use core::fmt;
use std::io;
use std::io::Read;
use std::io::Write;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::block::CompressTable;
use lzma_rust2::XzOptions;
use lzma_rust2::XzReader;
use lzma_rust2::XzWriter;

use crate::lz4;
use crate::snappy;

/// A compressor by its number in type 300 requests (not the numbers of TsFile's `CompressionType`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PipeCompression {
    /// 1: gzip stream.
    Gzip,
    /// 2: LZ4 block without frame or length.
    Lz4,
    /// 4: xz stream, which IoTDB calls LZMA2.
    Lzma2,
    /// 0: raw snappy block.
    Snappy,
    /// 3: zstd frame.
    Zstd,
}

impl PipeCompression {
    /// Every compressor, by code.
    pub const ALL: [Self; 5] = [Self::Snappy, Self::Gzip, Self::Lz4, Self::Zstd, Self::Lzma2];

    /// The compressor of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Snappy),
            1 => Some(Self::Gzip),
            2 => Some(Self::Lz4),
            3 => Some(Self::Zstd),
            4 => Some(Self::Lzma2),
            _ => None,
        }
    }

    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Snappy => 0,
            Self::Gzip => 1,
            Self::Lz4 => 2,
            Self::Zstd => 3,
            Self::Lzma2 => 4,
        }
    }

    /// The name in IoTDB's `sink.compressor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Lzma2 => "lzma2",
        }
    }

    /// Compresses `input` whole, in the form and at the level that IoTDB uses.
    pub fn compress(self, input: &[u8]) -> Result<Vec<u8>, CompressError> {
        let mut compressor = PipeCompressor::new(self)?;
        compressor.compress(input).map(<[u8]>::to_vec)
    }

    /// Decompresses `input` to exactly `declared_bytes`, of which at most `max_bytes` are allowed.
    ///
    /// Memory taken: `declared_bytes`; gzip, zstd and xz have state besides, of which the largest is
    /// xz's dictionary, refused above 8 MiB (preset 6, IoTDB's).
    pub fn decompress(
        self,
        input: &[u8],
        declared_bytes: usize,
        max_bytes: usize,
    ) -> Result<Vec<u8>, CompressError> {
        if declared_bytes > max_bytes {
            return Err(CompressError::TooLarge { by: self, declared_bytes, max_bytes });
        }
        let mut output = vec![0; declared_bytes];
        self.decompress_into(input, &mut output)?;
        Ok(output)
    }

    /// Decompresses `input` so that it fills `output` exactly.
    ///
    /// Memory taken: none but the state that [`decompress`](Self::decompress) names.
    pub fn decompress_into(self, input: &[u8], output: &mut [u8]) -> Result<(), CompressError> {
        let declared_bytes = output.len();
        let malformed = CompressError::Malformed { by: self, declared_bytes };
        if self == Self::Snappy
            && snap::raw::decompress_len(input).map_err(|_| malformed)? != declared_bytes
        {
            return Err(malformed);
        }
        let written = match self {
            Self::Snappy => snap::raw::Decoder::new().decompress(input, output).ok(),
            Self::Gzip => read_exactly(GzDecoder::new(input), output),
            Self::Lz4 => lz4::fill_exactly(input, output).map(|()| declared_bytes),
            Self::Zstd => zstd::bulk::decompress_to_buffer(input, output).ok(),
            Self::Lzma2 => {
                let reader = XzReader::new_mem_limit(input, false, XZ_MEMORY_KIB_MAX);
                read_exactly(reader, output)
            }
        };
        match written == Some(declared_bytes) {
            true => Ok(()),
            false => Err(malformed),
        }
    }

    /// Whether the beginning of what was compressed can be had for less than all of it.
    pub fn has_beginning(self) -> bool {
        matches!(self, Self::Lz4 | Self::Snappy)
    }

    /// Decompresses so much of `input` that it fills `output`, and does not look at what follows.
    ///
    /// # Errors
    /// If `input` stands for fewer bytes, is damaged before they are complete, or is of a compressor
    /// that [has no beginning](Self::has_beginning).
    pub fn decompress_beginning(
        self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), CompressError> {
        let declared_bytes = output.len();
        let filled = match self {
            Self::Lz4 => lz4::fill(input, output),
            Self::Snappy => snappy::fill(input, output),
            _ => None,
        };
        filled.ok_or(CompressError::Malformed { by: self, declared_bytes })
    }
}

impl fmt::Display for PipeCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A compressor that is used again and again, and takes memory for its tables once.
pub struct PipeCompressor {
    by: PipeCompression,
    tables: Tables,
    /// What is written to; snappy, LZ4 and zstd want it as long as the longest output could become.
    scratch: Vec<u8>,
}

/// What of a compressor is kept from one input to the next.
enum Tables {
    None,
    Lz4(CompressTable),
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl PipeCompressor {
    /// One of this kind.
    pub fn new(by: PipeCompression) -> Result<Self, CompressError> {
        let tables = match by {
            PipeCompression::Gzip | PipeCompression::Lzma2 => Tables::None,
            // The table for short inputs would give way to this one at the first long input and not come
            // back, so that what an input becomes would hang on those before it. This one packs short
            // inputs 2 % tighter, and is as fast.
            PipeCompression::Lz4 => Tables::Lz4(CompressTable::large()),
            PipeCompression::Snappy => Tables::Snappy(Box::new(snap::raw::Encoder::new())),
            PipeCompression::Zstd => {
                let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL);
                Tables::Zstd(compressor.map_err(|_| CompressError::Failed { by })?)
            }
        };
        Ok(Self { by, tables, scratch: Vec::new() })
    }

    /// Compresses `input` whole, in the form and at the level that IoTDB uses. What it gives stays until
    /// the next call.
    pub fn compress(&mut self, input: &[u8]) -> Result<&[u8], CompressError> {
        let Self { by, tables, scratch } = self;
        let failed = CompressError::Failed { by: *by };
        let mut room = |bytes: usize| {
            if scratch.len() < bytes {
                scratch.resize(bytes, 0);
            }
        };
        let packed_bytes = match tables {
            Tables::None => {
                scratch.clear();
                stream_into(*by, input, scratch).map_err(|_| failed)?;
                return Ok(scratch);
            }
            Tables::Lz4(table) => {
                room(lz4_flex::block::get_maximum_output_size(input.len()));
                lz4_flex::block::compress_into_with_table(input, scratch, table).ok()
            }
            Tables::Snappy(encoder) => {
                room(snap::raw::max_compress_len(input.len()));
                encoder.compress(input, scratch).ok()
            }
            Tables::Zstd(compressor) => {
                room(zstd::zstd_safe::compress_bound(input.len()));
                compressor.compress_to_buffer(input, scratch.as_mut_slice()).ok()
            }
        };
        packed_bytes.and_then(|bytes| scratch.get(..bytes)).ok_or(failed)
    }
}

impl fmt::Debug for PipeCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeCompressor").field("by", &self.by).finish_non_exhaustive()
    }
}

/// The compressors whose state is not worth keeping.
fn stream_into(by: PipeCompression, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    if by == PipeCompression::Gzip {
        let mut encoder = GzEncoder::new(output, flate2::Compression::default());
        encoder.write_all(input)?;
        return encoder.finish().map(drop);
    }
    let mut encoder = XzWriter::new(output, XzOptions::with_preset(XZ_PRESET))?;
    encoder.write_all(input)?;
    encoder.finish().map(drop)
}

/// Reasons why bytes could not be compressed or decompressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CompressError {
    /// The compressor failed on bytes of our own.
    Failed {
        /// Which one.
        by: PipeCompression,
    },
    /// The bytes are not of this compressor, or do not yield exactly the declared length.
    Malformed {
        /// Which compressor.
        by: PipeCompression,
        /// The length that the peer declared.
        declared_bytes: usize,
    },
    /// The declared length exceeds the cap.
    TooLarge {
        /// Which compressor.
        by: PipeCompression,
        /// The length that the peer declared.
        declared_bytes: usize,
        /// The cap.
        max_bytes: usize,
    },
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Failed { by } => write!(f, "compressing with {by}: the compressor failed"),
            Self::Malformed { by, declared_bytes } => write!(
                f,
                "decompressing with {by}: expected a stream of exactly {declared_bytes} bytes, but found none"
            ),
            Self::TooLarge { by, declared_bytes, max_bytes } => write!(
                f,
                "decompressing with {by}: expected at most {max_bytes} bytes, but found {declared_bytes} declared"
            ),
        }
    }
}

impl core::error::Error for CompressError {}

/// Fills `output`; `None` if the stream is bad, shorter, or longer than that.
fn read_exactly(mut reader: impl Read, output: &mut [u8]) -> Option<usize> {
    reader.read_exact(output).ok()?;
    // The byte after the last also makes the decoders check their trailing checksums.
    match reader.read(&mut [0]) {
        Ok(0) => Some(output.len()),
        _ => None,
    }
}

/// zstd-jni's default, which IoTDB takes.
const ZSTD_LEVEL: i32 = 3;
/// XZ for Java's default, which IoTDB takes.
const XZ_PRESET: u32 = 6;
/// The dictionary of preset 6 and the decoder's state.
const XZ_MEMORY_KIB_MAX: u32 = 8 * 1024 + 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = core::iter::repeat_with(|| random.u8(..)).take(10_000).collect();
        vec![Vec::new(), b"x".to_vec(), b"root.sg.d1 ".repeat(3000), noise]
    }

    #[test]
    fn every_compressor_returns_what_it_was_given_at_exactly_the_declared_length() {
        for by in PipeCompression::ALL {
            assert_eq!(PipeCompression::from_code(by.code()), Some(by));
            for sample in samples() {
                let packed = by.compress(&sample).unwrap();
                let length = sample.len();
                assert_eq!(by.decompress(&packed, length, length).as_ref(), Ok(&sample), "{by}");
                for wrong in [length.wrapping_sub(1), length + 1, length + 1000] {
                    if wrong != usize::MAX {
                        assert!(by.decompress(&packed, wrong, 1 << 20).is_err(), "{by} {wrong}");
                    }
                }
            }
        }
        assert_eq!(PipeCompression::from_code(5), None);
    }

    #[test]
    fn a_compressor_used_again_gives_what_a_new_one_makes() {
        let numbers = |n: u32| (0..n).flat_map(|at| (at * at % 1021).to_le_bytes()).collect();
        let mut samples = samples();
        // LZ4 has other tables from 64 KiB on.
        samples.extend([numbers(7_000), numbers(30_000)]);
        for by in PipeCompression::ALL {
            let mut again = PipeCompressor::new(by).unwrap();
            // The long samples first: what they left behind must not show in the others.
            for sample in samples.iter().rev().chain(&samples) {
                let packed = again.compress(sample).unwrap();
                let length = sample.len();
                assert_eq!(Ok(packed), by.compress(sample).as_deref(), "{by}");
                assert_eq!(by.decompress(packed, length, length).as_ref(), Ok(sample), "{by}");
            }
        }
    }

    #[test]
    fn a_beginning_of_any_length_is_that_of_the_whole() {
        let mut random = fastrand::Rng::with_seed(13);
        let mut samples = samples();
        // Matches at every small distance, and literals and matches of every length beside them.
        let words: Vec<Vec<u8>> = (1..80)
            .map(|length| core::iter::repeat_with(|| random.u8(..)).take(length).collect())
            .collect();
        samples.push(
            (0..400)
                .flat_map(|_| random.choice(&words).unwrap().repeat(random.usize(1..4)))
                .collect(),
        );
        for by in PipeCompression::ALL.into_iter().filter(|by| by.has_beginning()) {
            for sample in &samples {
                let packed = by.compress(sample).unwrap();
                let step = if sample.len() < 2000 { 1 } else { 97 };
                for length in (0..=sample.len()).step_by(step).chain([sample.len()]) {
                    let mut output = vec![0xa5; length];
                    by.decompress_beginning(&packed, &mut output).unwrap();
                    assert!(sample.starts_with(&output), "{by}: {length} of {}", sample.len());
                }
                let mut output = vec![0; sample.len() + 1];
                assert!(by.decompress_beginning(&packed, &mut output).is_err(), "{by}");
            }
        }
        assert!(PipeCompression::Gzip.decompress_beginning(&[], &mut [0]).is_err());
    }

    #[test]
    fn a_bomb_is_refused_at_the_cap_or_at_the_declared_length() {
        let zeros = vec![0; 8 << 20];
        for by in PipeCompression::ALL {
            let bomb = by.compress(&zeros).unwrap();
            assert!(matches!(
                by.decompress(&bomb, zeros.len(), 1 << 20),
                Err(CompressError::TooLarge { .. })
            ));
            assert!(matches!(
                by.decompress(&bomb, 1000, 1 << 20),
                Err(CompressError::Malformed { .. })
            ));
        }
        // An xz header may ask for a dictionary of 4 GiB; ours stops at IoTDB's own preset.
        let mut options = XzOptions::with_preset(9);
        options.lzma_options.dict_size = 64 << 20;
        let mut writer = XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(b"tiny").unwrap();
        let packed = writer.finish().unwrap();
        assert!(PipeCompression::Lzma2.decompress(&packed, 4, 100).is_err());
    }

    #[test]
    fn damaged_streams_never_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for by in PipeCompression::ALL {
            for sample in samples() {
                let packed = by.compress(&sample).unwrap();
                for _ in 0..100 {
                    let mut damaged = packed.clone();
                    if let Some(byte) = random.choice(damaged.iter_mut()) {
                        *byte ^= 1 << random.u8(0..8);
                    }
                    damaged.truncate(damaged.len() - random.usize(0..2).min(damaged.len()));
                    if let Ok(found) = by.decompress(&damaged, sample.len(), sample.len()) {
                        assert_eq!(found.len(), sample.len());
                    }
                    let mut beginning = vec![0; random.usize(0..=sample.len())];
                    let _ = by.decompress_beginning(&damaged, &mut beginning);
                }
            }
        }
    }
}
