//! How times and values stand in a page: one module per encoding.

mod bits;
mod camel;
mod chimp;
mod dictionary;
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
use core::ops::Range;

use tidegate_model::DataType;

use self::input::Input;
use self::input::Output;
use self::number::Number;
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
    let mut out = Output::to_end(times_max, times);
    let mut input = Input::new(encoding, None, input);
    let decoded = match encoding {
        Encoding::Plain => plain::fixed(&mut input, &mut out),
        // Only floats have two meanings.
        _ => integers(&mut input, RlbeMeaning::BitDifference, &mut out),
    };
    if decoded.is_err() {
        times.truncate(before);
    }
    decoded
}

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
    let mut input = Input::new(encoding, Some(data_type), input);
    if mem::discriminant(values) != mem::discriminant(&Values::new(data_type)) {
        return Err(input.unsupported());
    }
    if n_values == 0 {
        return Ok(());
    }
    let before = values.len();
    let decoded = match values {
        Values::Boolean(values) => booleans(&mut input, &mut Output::exactly(n_values, values)),
        Values::Int32(values) => {
            let out = &mut Output::exactly(n_values, values);
            match encoding {
                Encoding::Plain => plain::variable(&mut input, out),
                _ => integers(&mut input, rlbe, out),
            }
        }
        Values::Int64(values) => {
            let out = &mut Output::exactly(n_values, values);
            match encoding {
                Encoding::Plain => plain::fixed(&mut input, out),
                _ => integers(&mut input, rlbe, out),
            }
        }
        Values::Float(values) => floats(&mut input, rlbe, &mut Output::exactly(n_values, values)),
        Values::Double(values) => {
            let out = &mut Output::exactly(n_values, values);
            match encoding {
                Encoding::Camel => camel::decode(&mut input, out),
                _ => floats(&mut input, rlbe, out),
            }
        }
        Values::Bytes(values) => match (encoding, data_type) {
            (Encoding::Plain, _) => plain::byte_strings(&mut input, n_values, values),
            (Encoding::Dictionary, DataType::Text | DataType::String) => {
                dictionary::decode(&mut input, n_values, values)
            }
            _ => Err(input.unsupported()),
        },
    };
    if decoded.is_err() {
        values.truncate(before);
    }
    decoded
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

fn booleans(input: &mut Input<'_>, out: &mut Output<'_, bool>) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::Plain => plain::booleans(input, out),
        Encoding::Rle => rle::decode(input, out, |value: i32| value != 0),
        _ => Err(input.unsupported()),
    }
}

fn integers<T: Number>(
    input: &mut Input<'_>,
    rlbe: RlbeMeaning,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::Regular => regular::decode(input, out),
        Encoding::Rle => rle::decode(input, out, |value| value),
        Encoding::Ts2Diff => ts2diff::decode(input, out, |value| value),
        Encoding::Zigzag => zigzag::decode(input, out),
        _ => numbers(input, rlbe, out),
    }
}

fn floats<T: scaled::Scaled>(
    input: &mut Input<'_>,
    rlbe: RlbeMeaning,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::GorillaV1 => gorilla_v1::decode(input, out),
        Encoding::Plain => plain::fixed(input, out),
        Encoding::Rle | Encoding::Ts2Diff => scaled::decode(input, out),
        _ => numbers(input, rlbe, out),
    }
}

/// What integers and floats have in common.
fn numbers<T: Number>(
    input: &mut Input<'_>,
    rlbe: RlbeMeaning,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::Chimp => chimp::decode(input, out),
        Encoding::Gorilla => gorilla::decode(input, out),
        Encoding::Rlbe => rlbe::decode(rlbe, input, out),
        Encoding::Sprintz => sprintz::decode(input, out),
        _ => Err(input.unsupported()),
    }
}
