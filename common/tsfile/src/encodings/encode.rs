//! Which encoder writes which type.

use core::ops::Range;

use tidegate_model::DataType;

use super::Refusal;
use super::chimp;
use super::dictionary;
use super::gorilla;
use super::number::Number;
use super::plain;
use super::rle;
use super::ts2diff;
use super::zigzag;
use crate::ByteValues;
use crate::Encoding;
use crate::Values;

pub(super) fn times(encoding: Encoding, times: &[i64], out: &mut Vec<u8>) -> Result<(), Refusal> {
    match encoding {
        Encoding::Plain => plain::encode_fixed(times, out),
        Encoding::Rle => rle::encode(times, out)?,
        Encoding::Ts2Diff => ts2diff::encode(times, out),
        _ => return Err(Refusal::Unsupported),
    }
    Ok(())
}

/// Values `range`, which is inside `values` and not empty.
pub(super) fn values(
    encoding: Encoding,
    data_type: DataType,
    values: &Values,
    range: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    match (data_type, values) {
        (DataType::Boolean, Values::Boolean(values)) => {
            booleans(encoding, slice(values, range), out)
        }
        (DataType::Int32 | DataType::Date, Values::Int32(values)) => match encoding {
            Encoding::Plain => {
                plain::encode_variable(slice(values, range), out);
                Ok(())
            }
            _ => integers(encoding, slice(values, range), out),
        },
        (DataType::Int64 | DataType::Timestamp, Values::Int64(values)) => {
            integers(encoding, slice(values, range), out)
        }
        (DataType::Float, Values::Float(values)) => numbers(encoding, slice(values, range), out),
        (DataType::Double, Values::Double(values)) => numbers(encoding, slice(values, range), out),
        (
            DataType::Text | DataType::String | DataType::Blob | DataType::Object,
            Values::Bytes(values),
        ) => byte_strings(encoding, data_type, values, range, out),
        _ => Err(Refusal::Unsupported),
    }
}

fn slice<T>(values: &[T], range: Range<usize>) -> &[T] {
    values.get(range).unwrap_or_default()
}

fn booleans(encoding: Encoding, values: &[bool], out: &mut Vec<u8>) -> Result<(), Refusal> {
    match encoding {
        Encoding::Plain => plain::encode_booleans(values, out),
        Encoding::Rle => {
            let numbers: Vec<i32> = values.iter().map(|value| i32::from(*value)).collect();
            rle::encode(&numbers, out)?;
        }
        _ => return Err(Refusal::Unsupported),
    }
    Ok(())
}

fn integers<T: Number>(encoding: Encoding, values: &[T], out: &mut Vec<u8>) -> Result<(), Refusal> {
    match encoding {
        Encoding::Rle => rle::encode(values, out)?,
        Encoding::Ts2Diff => ts2diff::encode(values, out),
        Encoding::Zigzag => zigzag::encode(values, out)?,
        _ => return numbers(encoding, values, out),
    }
    Ok(())
}

/// What integers and floats have in common; INT32 is no such thing where it is PLAIN.
fn numbers<T: Number>(encoding: Encoding, values: &[T], out: &mut Vec<u8>) -> Result<(), Refusal> {
    match encoding {
        Encoding::Chimp => chimp::encode(values, out),
        Encoding::Gorilla => gorilla::encode(values, out),
        Encoding::Plain => plain::encode_fixed(values, out),
        _ => return Err(Refusal::Unsupported),
    }
    Ok(())
}

fn byte_strings(
    encoding: Encoding,
    data_type: DataType,
    values: &ByteValues,
    range: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let values = range.map(|index| values.get(index).unwrap_or_default());
    match (encoding, data_type) {
        (Encoding::Dictionary, DataType::Text | DataType::String) => {
            dictionary::encode(values, out)
        }
        (Encoding::Plain, _) => plain::encode_byte_strings(values, out),
        _ => Err(Refusal::Unsupported),
    }
}
