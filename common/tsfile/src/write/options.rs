//! What a writer may be told: layout, sizes, and how series are encoded.

use core::num::NonZeroU64;

use tidegate_codec::PipeCompression;
use tidegate_model::DataType;

use super::error::WriteError;
use crate::Compression;
use crate::Encoding;
use crate::Limits;
use crate::TsFileVersion;

/// How a file is written. The default is what IoTDB does, in version 4.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Layout of the file: V3 for IoTDB 1.x, V4 for 2.x.
    pub version: TsFileVersion,
    /// How the bodies of all pages are compressed. LZ4 is IoTDB's default, and the fastest.
    pub compression: Compression,
    /// A page is closed when it has so many rows.
    pub page_rows_max: usize,
    /// A page is closed before a column of it has more bytes of values than this, as they are in
    /// memory; one value may be longer. IoTDB's 64 KiB are of encoded ones.
    pub page_bytes_max: usize,
    /// Chunks are closed when they have so many rows.
    pub chunk_rows_max: usize,
    /// Chunks are closed when one of them has so many bytes of pages. Of an aligned device all are
    /// closed together.
    pub chunk_bytes_max: usize,
    /// Chunks of an aligned device are closed when all of them together, with the rows that wait for
    /// their page to fill, take so much memory.
    pub group_bytes_max: usize,
    /// Chunks are closed where a time partition of the server ends, if its length is given, in the
    /// unit of the times. LOAD then takes chunks as they are, whatever partitions a file spans.
    ///
    /// Without it a chunk in two partitions is decoded and encoded anew by LOAD, and IoTDB 2.0.1
    /// forgets on that way that a column without values had a chunk: queries of the device fail.
    pub time_partition: Option<NonZeroU64>,
    /// Most children of a node of the index; 2 at least.
    pub index_degree: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            version: TsFileVersion::V4,
            compression: Compression::By(PipeCompression::Lz4),
            page_rows_max: 10_000,
            page_bytes_max: 128 << 10,
            chunk_rows_max: 100_000,
            chunk_bytes_max: 2 << 20,
            group_bytes_max: 32 << 20,
            time_partition: None,
            index_degree: 256,
        }
    }
}

impl WriteOptions {
    /// The default for a version.
    pub fn of_version(version: TsFileVersion) -> Self {
        Self { version, ..Self::default() }
    }

    /// Refuses what no reader, or no loop here, would get to the end with.
    pub(crate) fn check(&self) -> Result<(), WriteError> {
        let limits = Limits::default();
        let ranges = [
            ("page_rows_max", self.page_rows_max, 1, limits.page_rows_max),
            ("page_bytes_max", self.page_bytes_max, 1, limits.page_bytes_max / 2),
            ("chunk_rows_max", self.chunk_rows_max, 1, CHUNK_ROWS_MAX),
            ("chunk_bytes_max", self.chunk_bytes_max, 1, CHUNK_BYTES_MAX),
            ("group_bytes_max", self.group_bytes_max, 1, usize::MAX),
            ("index_degree", self.index_degree, 2, INDEX_DEGREE_MAX),
        ];
        for (option, found, min, max) in ranges {
            if found < min || found > max {
                return Err(WriteError::Option { option, found, min, max });
            }
        }
        Ok(())
    }
}

/// Java counts the points of a chunk in an `int`.
const CHUNK_ROWS_MAX: usize = 1 << 30;
/// Java holds the bytes of a chunk in one array, and the last page may go beyond.
const CHUNK_BYTES_MAX: usize = 1 << 30;
/// Wider nodes would be slower to search than deeper trees.
const INDEX_DEGREE_MAX: usize = 1 << 16;

/// A series to be written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SeriesSpec {
    /// Name of the measurement.
    pub measurement: Box<str>,
    /// Type of the values.
    pub data_type: DataType,
    /// How they are encoded.
    pub encoding: Encoding,
}

impl SeriesSpec {
    /// A series with the encoding of its type.
    pub fn new(measurement: &str, data_type: DataType) -> Self {
        Self { measurement: measurement.into(), data_type, encoding: default_encoding(data_type) }
    }

    /// The same series, encoded otherwise.
    ///
    /// It must be one that [`encode_values`](crate::encode_values) writes for the type.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }
}

/// How values are encoded unless somebody knows better: as IoTDB does from 1.3 on.
///
/// All of these exist in every version of IoTDB from 1.0 on and lose nothing. Texts are left to the
/// compressor: DICTIONARY wins where few texts recur, and costs a search for each where they do not.
pub fn default_encoding(data_type: DataType) -> Encoding {
    match data_type {
        DataType::Boolean => Encoding::Rle,
        DataType::Int32 | DataType::Date | DataType::Int64 | DataType::Timestamp => {
            Encoding::Ts2Diff
        }
        DataType::Float | DataType::Double => Encoding::Gorilla,
        _ => Encoding::Plain,
    }
}
