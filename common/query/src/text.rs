//! Values and times as text, as IoTDB's command line shows them.

use core::fmt::Write;

use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_sql::time::UtcOffset;
use tidegate_sql::time::format_time;
use tidegate_tsfile::Values;

/// Names that are told to people.
pub const NAMED_MAX: usize = 16;

/// How times are shown.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // what there is to know
pub struct Text {
    /// Their unit.
    pub precision: Precision,
    /// As dates at this offset; `None` for numbers.
    pub offset: Option<UtcOffset>,
}

impl Text {
    /// Appends a time.
    pub fn write_time(&self, out: &mut String, time: i64) {
        match self.offset {
            Some(offset) => out.push_str(&format_time(time, self.precision, offset)),
            None => put(out, time),
        }
    }

    /// Appends a value of a column of a type.
    pub fn write_value(&self, out: &mut String, data_type: DataType, value: &Value) {
        match value {
            Value::Boolean(value) => put(out, value),
            Value::Bytes(bytes) => write_bytes(out, data_type, bytes),
            Value::Double(value) => write_double(out, *value),
            Value::Float(value) => write_float(out, *value),
            Value::Int32(value) if data_type == DataType::Date => write_date(out, *value),
            Value::Int32(value) => put(out, value),
            Value::Int64(value) if data_type == DataType::Timestamp => self.write_time(out, *value),
            Value::Int64(value) => put(out, value),
        }
    }

    /// Appends the value at a place; `false` if there is none.
    pub fn write_at(
        &self,
        out: &mut String,
        data_type: DataType,
        values: &Values,
        at: usize,
    ) -> bool {
        let bytes = match values {
            // without a copy of its own
            Values::Bytes(values) => values.get(at),
            _ => None,
        };
        if let Some(bytes) = bytes {
            write_bytes(out, data_type, bytes);
            return true;
        }
        let value = values.get(at);
        if let Some(value) = &value {
            self.write_value(out, data_type, value);
        }
        value.is_some()
    }
}

/// Names in a sentence: `a, b and c`. Of more than [`NAMED_MAX`] the others are counted.
pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    let n_more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let more = format!("{n_more} more");
    if n_more > 0 {
        names.push(&more);
    }
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, front)) => format!("{} and {last}", front.join(", ")),
        None => String::from("none"),
    }
}

fn put(out: &mut String, what: impl core::fmt::Display) {
    // to a text nothing fails
    let _ = write!(out, "{what}");
}

fn write_bytes(out: &mut String, data_type: DataType, bytes: &[u8]) {
    match data_type {
        DataType::Blob | DataType::Object => {
            out.push_str("0x");
            bytes.iter().for_each(|byte| put(out, format_args!("{byte:02x}")));
        }
        _ => out.push_str(&String::from_utf8_lossy(bytes)),
    }
}

/// yyyymmdd.
fn write_date(out: &mut String, date: i32) {
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    match (1..=12).contains(&month) && (1..=31).contains(&day) {
        true => put(out, format_args!("{year:04}-{month:02}-{day:02}")),
        false => put(out, date),
    }
}

/// As Java writes it.
fn write_double(out: &mut String, value: f64) {
    let size = value.abs();
    match value.is_finite() {
        true => write_finite(out, size == 0.0 || (1e-3..1e7).contains(&size), &value),
        false => out.push_str(not_finite(value)),
    }
}

fn write_float(out: &mut String, value: f32) {
    let size = value.abs();
    match value.is_finite() {
        true => write_finite(out, size == 0.0 || (1e-3..1e7).contains(&size), &value),
        false => out.push_str(not_finite(f64::from(value))),
    }
}

fn write_finite<T: core::fmt::Display + core::fmt::LowerExp>(
    out: &mut String,
    is_plain: bool,
    value: &T,
) {
    let start = out.len();
    match is_plain {
        true => put(out, value),
        false => put(out, format_args!("{value:e}")),
    }
    let text = out.split_off(start);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, ""));
    out.push_str(mantissa);
    if !mantissa.contains('.') {
        out.push_str(".0");
    }
    if !exponent.is_empty() {
        out.push('E');
        out.push_str(exponent);
    }
}

fn not_finite(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN",
        (_, true) => "Infinity",
        _ => "-Infinity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data_type: DataType, value: Value) -> String {
        let text = Text { precision: Precision::Ms, offset: Some(UtcOffset::UTC) };
        let mut out = String::new();
        text.write_value(&mut out, data_type, &value);
        out
    }

    #[test]
    fn of_many_names_the_first_are_told_and_the_others_counted() {
        for (names, expected) in [
            (&[][..], "none"),
            (&["a"][..], "a"),
            (&["a", "b"], "a and b"),
            (&["a"; 3], "a, a and a"),
        ] {
            assert_eq!(named(names.iter().copied()), expected);
        }
        assert!(named(["a"; NAMED_MAX]).ends_with("a, a and a"));
        assert!(named(["a"; NAMED_MAX + 1]).ends_with("a, a and 1 more"));
    }

    #[test]
    fn numbers_are_written_as_java_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.25e300, "-1.25E300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(shown(DataType::Double, Value::Double(value)), expected);
        }
        assert_eq!(shown(DataType::Float, Value::Float(0.1)), "0.1");
        assert_eq!(shown(DataType::Float, Value::Float(3.4e38)), "3.4E38");
    }

    #[test]
    fn days_times_and_bytes_are_written_as_iotdb_does() {
        assert_eq!(shown(DataType::Date, Value::Int32(20_240_501)), "2024-05-01");
        assert_eq!(shown(DataType::Date, Value::Int32(7)), "7", "no day at all");
        assert_eq!(shown(DataType::Timestamp, Value::Int64(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(DataType::Blob, Value::Bytes(vec![0, 255])), "0x00ff");
        assert_eq!(shown(DataType::Boolean, Value::Boolean(true)), "true");
    }
}
