//! Reads files back with the readers of the formats.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::BTreeMap;
use std::io::Cursor;

use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types;
use arrow_ipc::reader::FileReader;
use bytes::Bytes;
use parquet::file::reader::FileReader as _;
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use tidegate_model::Value;

/// A day as a number and as days since 1970: those that the tests use.
pub const DAYS: [(i32, i32); 4] =
    [(19_700_101, 0), (20_240_229, 19_782), (10_000_101, -354_285), (99_991_231, 2_932_896)];

/// What a file says of itself, and its rows.
pub struct Read {
    pub metadata: BTreeMap<String, String>,
    pub names: Vec<String>,
    /// The cells of all columns, the time first.
    pub rows: Vec<Vec<Option<Value>>>,
    /// How many rows are in each group.
    pub groups: Vec<usize>,
}

fn date_of(days: i32) -> Value {
    Value::Int32(DAYS.iter().find(|(_, it)| *it == days).unwrap().0)
}

pub fn read_parquet(bytes: Vec<u8>) -> Read {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let file = reader.metadata().file_metadata();
    let pairs = file.key_value_metadata().unwrap().iter();
    let metadata = pairs.map(|it| (it.key.clone(), it.value.clone().unwrap())).collect();
    let names = file.schema().get_fields().iter().map(|it| it.name().to_owned()).collect();
    let groups = reader.metadata().row_groups().iter().map(|it| it.num_rows() as usize).collect();
    let value = |field: &Field| match field.clone() {
        Field::Null => None,
        Field::Bool(value) => Some(Value::Boolean(value)),
        Field::Int(value) => Some(Value::Int32(value)),
        Field::Date(days) => Some(date_of(days)),
        Field::Long(value) | Field::TimestampMillis(value) | Field::TimestampMicros(value) => {
            Some(Value::Int64(value))
        }
        Field::Float(value) => Some(Value::Float(value)),
        Field::Double(value) => Some(Value::Double(value)),
        Field::Str(text) => Some(Value::Bytes(text.into_bytes())),
        Field::Bytes(bytes) => Some(Value::Bytes(bytes.data().to_vec())),
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    let rows = rows.map(|row| row.get_column_iter().map(|(_, it)| value(it)).collect()).collect();
    Read { metadata, names, rows, groups }
}

pub fn read_arrow(bytes: Vec<u8>) -> Read {
    let reader = FileReader::try_new(Cursor::new(bytes), None).unwrap();
    let metadata = reader.schema().metadata().clone().into_iter().collect();
    let names = reader.schema().fields().iter().map(|it| it.name().clone()).collect();
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        groups.push(batch.num_rows());
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|it| arrow_value(it.as_ref(), row)).collect());
        }
    }
    Read { metadata, names, rows, groups }
}

fn arrow_value(array: &dyn Array, row: usize) -> Option<Value> {
    use arrow_schema::DataType as T;
    use arrow_schema::TimeUnit as U;
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        T::Boolean => Value::Boolean(array.as_boolean().value(row)),
        T::Int32 => Value::Int32(array.as_primitive::<types::Int32Type>().value(row)),
        T::Int64 => Value::Int64(array.as_primitive::<types::Int64Type>().value(row)),
        T::Float32 => Value::Float(array.as_primitive::<types::Float32Type>().value(row)),
        T::Float64 => Value::Double(array.as_primitive::<types::Float64Type>().value(row)),
        T::Date32 => date_of(array.as_primitive::<types::Date32Type>().value(row)),
        T::Timestamp(unit, Some(zone)) if &**zone == "UTC" => Value::Int64(match unit {
            U::Millisecond => array.as_primitive::<types::TimestampMillisecondType>().value(row),
            U::Microsecond => array.as_primitive::<types::TimestampMicrosecondType>().value(row),
            U::Nanosecond => array.as_primitive::<types::TimestampNanosecondType>().value(row),
            U::Second => panic!("no origin has seconds"),
        }),
        T::Utf8 => Value::Bytes(array.as_string::<i32>().value(row).as_bytes().to_vec()),
        T::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        other => panic!("{other}"),
    })
}
