//! How times and values stand in a page: one module per encoding.

mod bits;
mod camel;
mod chimp;
mod decode;
mod dictionary;
mod encode;
mod gorilla;
mod gorilla_v1;
mod input;
mod number;
mod plain;
mod regular;
mod rlbe;
mod rle;
mod scaled;
mod sprintz;
mod ts2diff;
mod zigzag;

use core::fmt;
use core::mem;
use core::num::TryFromIntError;
use core::ops::Range;
use core::ops::RangeInclusive;

use tidegate_model::DataType;

use self::input::Input;
use self::input::Output;
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

/// Decodes times up to the end of `input` and appends them; in an error, appends none.
///
/// IoTDB takes any encoding of INT64 as `time_encoder`, though hardly anybody has another one than
/// TS_2DIFF. With GORILLA and CHIMP the times end at a sentinel, which is the least time there is.
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
    if input.is_empty() {
        return Ok(());
    }
    let before = times.len();
    let input = &mut Input::new(encoding, None, input);
    let decoded = decode::times(input, &mut Output::to_end(times_max, times));
    if decoded.is_err() {
        times.truncate(before);
    }
    decoded
}

/// Which times of a page were decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimesPart {
    /// Which of all times the first decoded one is.
    pub(crate) first_row: usize,
    /// How many times the page has.
    pub(crate) n_rows: usize,
    /// The first and the last of them.
    pub(crate) ends: Option<(i64, i64)>,
}

impl TimesPart {
    /// All of them.
    pub(crate) fn all(times: &[i64]) -> Self {
        let ends = times.first().copied().zip(times.last().copied());
        Self { first_row: 0, n_rows: times.len(), ends }
    }
}

/// As [`decode_times`], but of TS_2DIFF only those blocks that may have one of `wanted`.
pub(crate) fn decode_times_between(
    encoding: Encoding,
    input: &[u8],
    times_max: usize,
    wanted: &RangeInclusive<i64>,
    times: &mut Vec<i64>,
) -> Result<TimesPart, EncodingError> {
    times.clear();
    if encoding == Encoding::Ts2Diff {
        let input = &mut Input::new(encoding, None, input);
        return ts2diff::decode_between(input, wanted, &mut Output::to_end(times_max, times));
    }
    decode_times(encoding, input, times_max, times)?;
    Ok(TimesPart::all(times))
}

/// As [`decode_values`] into no value, but if the encoding allows it not much more than `wanted` of
/// them. Returns which of all values the first decoded one is.
pub(crate) fn decode_values_between(
    encoding: Encoding,
    data_type: DataType,
    input: &[u8],
    n_values: usize,
    wanted: Range<usize>,
    values: &mut Values,
) -> Result<usize, EncodingError> {
    values.clear();
    if wanted.is_empty() {
        return Ok(wanted.start);
    }
    let width = match values {
        Values::Int64(_) | Values::Double(_) => 8,
        Values::Float(_) => 4,
        _ => 0,
    };
    match (encoding, &mut *values) {
        // All equally long.
        (Encoding::Plain, _) if width > 0 => {
            let rest = input.get(wanted.start.saturating_mul(width)..).unwrap_or_default();
            decode_values(encoding, data_type, NOT_RLBE, rest, wanted.len(), values)?;
            Ok(wanted.start)
        }
        (Encoding::Ts2Diff, Values::Int32(values)) => {
            let input = &mut Input::new(encoding, Some(data_type), input);
            ts2diff::decode_part(input, n_values, &wanted, values)
        }
        (Encoding::Ts2Diff, Values::Int64(values)) => {
            let input = &mut Input::new(encoding, Some(data_type), input);
            ts2diff::decode_part(input, n_values, &wanted, values)
        }
        // One value after the other.
        (Encoding::Plain | Encoding::Gorilla | Encoding::Chimp, _) => {
            decode_values(encoding, data_type, NOT_RLBE, input, wanted.end, values)?;
            Ok(0)
        }
        // In blocks, of which none may have more values than are asked for.
        _ => {
            decode_values(encoding, data_type, NOT_RLBE, input, n_values, values)?;
            Ok(0)
        }
    }
}

/// The meaning of RLBE where it has none.
const NOT_RLBE: RlbeMeaning = RlbeMeaning::BitDifference;

/// Decodes exactly `n_values` values from `input` and appends them to `values`; in an error, appends
/// none.
///
/// What follows the last value is not looked at: IoTDB does not either, and some writers leave a
/// sentinel there. But a block or a run that claims more values than the page has is refused.
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
    let input = &mut Input::new(encoding, Some(data_type), input);
    if mem::discriminant(values) != mem::discriminant(&Values::new(data_type)) {
        return Err(input.unsupported());
    }
    if n_values == 0 {
        return Ok(());
    }
    let before = values.len();
    let decoded = decode::values(input, rlbe, n_values, values);
    if decoded.is_err() {
        values.truncate(before);
    }
    decoded
}

/// Encodes the times of one page and appends the bytes to `out`; in an error, appends none.
///
/// PLAIN, RLE and TS_2DIFF; no times become no bytes.
pub fn encode_times(
    encoding: Encoding,
    times: &[i64],
    out: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    if times.is_empty() {
        return Ok(());
    }
    let before = out.len();
    encode::times(encoding, times, out).map_err(|refusal| {
        out.truncate(before);
        refusal.of(encoding, None)
    })
}

/// Encodes values `range` of `values`, those of one page, and appends the bytes to `out`; in an error,
/// appends none.
///
/// All readers of IoTDB since 1.0 read what is written, and get every bit back. That rules TS_2DIFF
/// and RLE out for FLOAT and DOUBLE: the older readers do not know the escapes. Of SPRINTZ, RLBE,
/// CAMEL, REGULAR and GORILLA_V1 there are decoders only. No values become no bytes.
pub fn encode_values(
    encoding: Encoding,
    data_type: DataType,
    values: &Values,
    range: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    if range.start > range.end || range.end > values.len() {
        return Err(EncodingError::TooMany { encoding, max: values.len() });
    }
    if range.is_empty() {
        return Ok(());
    }
    let before = out.len();
    encode::values(encoding, data_type, values, range, out).map_err(|refusal| {
        out.truncate(before);
        refusal.of(encoding, Some(data_type))
    })
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
    /// A value, or all of a page, is longer than the encoding can say.
    TooLong {
        /// The encoding.
        encoding: Encoding,
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
            Self::TooLong { encoding } => {
                write!(
                    f,
                    "{encoding}: expected values of which a page can say the length, but found longer ones"
                )
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

/// Why an encoder refuses values, for whoever knows encoding and type.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    TooLong,
    Unsupported,
}

impl Refusal {
    fn of(self, encoding: Encoding, data_type: Option<DataType>) -> EncodingError {
        match self {
            Self::TooLong => EncodingError::TooLong { encoding },
            Self::Unsupported => EncodingError::Unsupported { encoding, data_type },
        }
    }
}

impl From<TryFromIntError> for Refusal {
    fn from(_: TryFromIntError) -> Self {
        Self::TooLong
    }
}
