//! Which decoder reads which type.

use tidegate_model::DataType;

use super::EncodingError;
use super::RlbeMeaning;
use super::camel;
use super::chimp;
use super::dictionary;
use super::gorilla;
use super::gorilla_v1;
use super::input::Input;
use super::input::Output;
use super::number::Number;
use super::plain;
use super::regular;
use super::rlbe;
use super::rle;
use super::scaled;
use super::scaled::Scaled;
use super::sprintz;
use super::ts2diff;
use super::zigzag;
use crate::Encoding;
use crate::Values;

pub(super) fn times(input: &mut Input<'_>, out: &mut Output<'_, i64>) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::Plain => plain::fixed(input, out),
        // Only floats have two meanings.
        _ => integers(input, RlbeMeaning::BitDifference, out),
    }
}

pub(super) fn values(
    input: &mut Input<'_>,
    rlbe: RlbeMeaning,
    n: usize,
    values: &mut Values,
) -> Result<(), EncodingError> {
    match (input.encoding(), values) {
        (_, Values::Boolean(values)) => booleans(input, &mut Output::exactly(n, values)),
        (Encoding::Plain, Values::Int32(values)) => {
            plain::variable(input, &mut Output::exactly(n, values))
        }
        (_, Values::Int32(values)) => integers(input, rlbe, &mut Output::exactly(n, values)),
        (Encoding::Plain, Values::Int64(values)) => {
            plain::fixed(input, &mut Output::exactly(n, values))
        }
        (_, Values::Int64(values)) => integers(input, rlbe, &mut Output::exactly(n, values)),
        (_, Values::Float(values)) => floats(input, rlbe, &mut Output::exactly(n, values)),
        (Encoding::Camel, Values::Double(values)) => {
            camel::decode(input, &mut Output::exactly(n, values))
        }
        (_, Values::Double(values)) => floats(input, rlbe, &mut Output::exactly(n, values)),
        (Encoding::Plain, Values::Bytes(values)) => plain::byte_strings(input, n, values),
        (Encoding::Dictionary, Values::Bytes(values))
            if matches!(input.data_type(), Some(DataType::Text | DataType::String)) =>
        {
            dictionary::decode(input, n, values)
        }
        (_, Values::Bytes(_)) => Err(input.unsupported()),
    }
}

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

fn floats<T: Scaled>(
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
