//! How times and values stand in a page: one module per encoding.

use core::fmt;
use core::ops::Range;

use tidegate_model::DataType;

use crate::Encoding;
use crate::Values;

/// What a word of RLBE means for FLOAT and DOUBLE; integers have one meaning only.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the two that were ever written
pub enum RlbeMeaning {
    /// The bits of the difference of two numbers: all of v3, and v4 up to library 2.0.3.
    FloatDifference,
    /// The difference of the bits of two numbers: library 2.1.1 and later.
    BitDifference,
}

/// Decodes times up to the end of `input` and appends them.
///
/// # Arguments
///
/// - `input`: the encoded times of one page, all of it
/// - `times_max`: more times than this are an error; memory is taken for no more
pub fn decode_times(
    encoding: Encoding,
    input: &[u8],
    times_max: usize,
    times: &mut Vec<i64>,
) -> Result<(), EncodingError> {
    let _ = (encoding, input, times_max, times);
    unreachable!()
}

/// Decodes exactly `n_values` values from `input` and appends them to `values`.
///
/// # Arguments
///
/// - `data_type`: type of the column; `values` must be what `Values::new` makes of it
/// - `input`: the encoded values of one page, all of it
/// - `n_values`: how many there are, which the page's times or bitmap say
pub fn decode_values(
    encoding: Encoding,
    data_type: DataType,
    rlbe: RlbeMeaning,
    input: &[u8],
    n_values: usize,
    values: &mut Values,
) -> Result<(), EncodingError> {
    let _ = (encoding, data_type, rlbe, input, n_values, values);
    unreachable!()
}

/// Encodes the times of one page and appends the bytes to `out`.
pub fn encode_times(
    encoding: Encoding,
    times: &[i64],
    out: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    let _ = (encoding, times, out);
    unreachable!()
}

/// Encodes values `range` of `values`, those of one page, and appends the bytes to `out`.
pub fn encode_values(
    encoding: Encoding,
    data_type: DataType,
    values: &Values,
    range: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    let _ = (encoding, data_type, values, range, out);
    unreachable!()
}

/// Why times or values could not be decoded or encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodingError {
    /// The bytes are not what the encoding makes.
    Malformed {
        /// The encoding.
        encoding: Encoding,
        /// Where in the input.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// More values than the caller allows.
    TooMany {
        /// The encoding.
        encoding: Encoding,
        /// How many are allowed.
        max: usize,
    },
    /// Nobody writes this encoding for this type, or it has no decoder anywhere.
    Unsupported {
        /// The encoding.
        encoding: Encoding,
        /// The type; `None` for times.
        data_type: Option<DataType>,
    },
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Malformed { encoding, offset, expected } => {
                write!(f, "{encoding} at byte {offset} of the page: expected {expected}")
            }
            Self::TooMany { encoding, max } => {
                write!(f, "{encoding}: expected at most {max} values in a page, but found more")
            }
            Self::Unsupported { encoding, data_type: Some(data_type) } => {
                write!(f, "expected an encoding that {data_type} may have, but found {encoding}")
            }
            Self::Unsupported { encoding, data_type: None } => {
                write!(f, "expected an encoding that times may have, but found {encoding}")
            }
        }
    }
}

impl core::error::Error for EncodingError {}
