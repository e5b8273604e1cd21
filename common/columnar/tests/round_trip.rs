//! What is written is read back by the readers of the formats, value by value.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::io::Cursor;

use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types;
use arrow_ipc::reader::FileReader;
use bytes::Bytes;
use fastrand::Rng;
use parquet::file::reader::FileReader as _;
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use tidegate_columnar::Column;
use tidegate_columnar::ColumnarError;
use tidegate_columnar::Format;
use tidegate_columnar::Limits;
use tidegate_columnar::Table;
use tidegate_columnar::Writer;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_tsfile::Batch;

/// A row: its time, its label, its values.
type Row = (i64, Option<String>, Vec<Option<Value>>);

/// A day as a number and as days since 1970.
const DAYS: [(i32, i32); 4] =
    [(19_700_101, 0), (20_240_229, 19_782), (10_000_101, -354_285), (99_991_231, 2_932_896)];

fn value(rng: &mut Rng, data_type: DataType) -> Value {
    let text = |rng: &mut Rng| {
        let n_chars = rng.usize(0..20);
        (0..n_chars).map(|_| ['a', '"', 'é', '水', '\0'][rng.usize(0..5)]).collect::<String>()
    };
    match data_type {
        DataType::Boolean => Value::Boolean(rng.bool()),
        DataType::Int32 => Value::Int32(rng.i32(..)),
        DataType::Date => Value::Int32(DAYS[rng.usize(0..DAYS.len())].0),
        DataType::Int64 | DataType::Timestamp => Value::Int64(rng.i64(..)),
        DataType::Float => Value::Float(rng.f32() - 0.5),
        DataType::Double => Value::Double(rng.f64() * 1e300),
        DataType::Text | DataType::String => Value::Bytes(text(rng).into_bytes()),
        _ => Value::Bytes((0..rng.usize(0..20)).map(|_| rng.u8(..)).collect()),
    }
}

/// Columns of every type behind one for the label.
fn table(precision: Precision) -> Table {
    let name = |data_type: &DataType| format!("of `{data_type}`.x");
    let all = DataType::ALL.iter().map(|it| Column { name: name(it), data_type: *it });
    let label = Column { name: "Device".to_owned(), data_type: DataType::Text };
    let metadata = vec![("tidegate.origin".to_owned(), "plant".to_owned())];
    Table { precision, columns: [label].into_iter().chain(all).collect(), metadata }
}

/// A device: its label, its columns, and its batches.
type Device = (Option<String>, Vec<usize>, Vec<Batch>);

/// Devices with some of the columns each, in an order of their own.
fn devices(rng: &mut Rng, n_rows: RangeInclusive<usize>) -> Vec<Device> {
    (0..5)
        .map(|number| {
            let mut places: Vec<usize> = (1..=DataType::ALL.len()).collect();
            rng.shuffle(&mut places);
            places.truncate(rng.usize(1..=DataType::ALL.len()));
            let density = [0, 50, 95, 100][rng.usize(0..4)];
            let mut time = rng.i64(-1000..1000);
            let mut batches = Vec::new();
            for _ in 0..rng.usize(0..4) {
                let mut batch = Batch::new(places.iter().map(|it| DataType::ALL[it - 1]));
                for _ in 0..rng.usize(n_rows.clone()) {
                    time += rng.i64(1..1000);
                    batch.times.push(time);
                    for column in &mut batch.columns {
                        let is_there = rng.u32(0..100) < density;
                        if is_there {
                            assert!(column.values.push(&value(rng, column.data_type)));
                        }
                        column.presence.push(is_there);
                    }
                }
                batches.push(batch);
            }
            ((number != 3).then(|| format!("root.d{number}")), places, batches)
        })
        .collect()
}

fn rows_of(devices: &[Device]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (label, places, batches) in devices {
        for batch in batches {
            let mut cells: Vec<_> = batch.columns.iter().map(|it| it.cells()).collect();
            for time in &batch.times {
                let mut row = vec![None; DataType::ALL.len()];
                for (place, cells) in places.iter().zip(&mut cells) {
                    row[place - 1] = cells.next().unwrap();
                }
                rows.push((*time, label.clone(), row));
            }
        }
    }
    rows
}

fn written(
    devices: &[Device],
    format: Format,
    table: &Table,
    limits: Limits,
) -> Result<Vec<u8>, ColumnarError> {
    let mut writer = Writer::new(Vec::new(), format, table, limits)?;
    for (label, places, batches) in devices {
        writer.begin(vec![label.as_deref().map(Box::from)], places.clone());
        for batch in batches {
            writer.write(batch)?;
        }
    }
    writer.finish()
}

fn date_of(days: i32) -> Value {
    Value::Int32(DAYS.iter().find(|(_, it)| *it == days).unwrap().0)
}

/// What a file says of itself, its rows, and how many are in each group.
struct Read {
    metadata: BTreeMap<String, String>,
    rows: Vec<Row>,
    groups: Vec<usize>,
}

fn read_parquet(bytes: Vec<u8>) -> Read {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let file = reader.metadata().file_metadata();
    let pairs = file.key_value_metadata().unwrap().iter();
    let metadata = pairs.map(|it| (it.key.clone(), it.value.clone().unwrap())).collect();
    let groups = reader.metadata().row_groups().iter().map(|it| it.num_rows() as usize).collect();
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let mut fields = row.get_column_iter().map(|(_, field)| match field.clone() {
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
        });
        rows.push(row_of(&mut fields));
    }
    Read { metadata, rows, groups }
}

fn row_of(fields: &mut dyn Iterator<Item = Option<Value>>) -> Row {
    let Some(Some(Value::Int64(time))) = fields.next() else { panic!("no time") };
    let label = fields.next().unwrap().map(|label| match label {
        Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    });
    (time, label, fields.collect())
}

fn read_arrow(bytes: Vec<u8>) -> Read {
    let reader = FileReader::try_new(Cursor::new(bytes), None).unwrap();
    let metadata = reader.schema().metadata().clone().into_iter().collect();
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        groups.push(batch.num_rows());
        for row in 0..batch.num_rows() {
            let mut fields = batch.columns().iter().map(|it| arrow_value(it.as_ref(), row));
            rows.push(row_of(&mut fields));
        }
    }
    Read { metadata, rows, groups }
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

fn read(format: Format, bytes: Vec<u8>) -> Read {
    match format {
        Format::Arrow => read_arrow(bytes),
        Format::Parquet => read_parquet(bytes),
    }
}

#[test]
fn rows_of_every_type_with_nulls_come_back_whatever_the_groups_are() {
    let small = [
        Limits { rows_max: 1, bytes_max: 1 },
        Limits { rows_max: 7, bytes_max: 1 << 20 },
        Limits { rows_max: 1 << 20, bytes_max: 2000 },
        Limits::default(),
    ];
    let mut n_rows = 0;
    for seed in 0..24 {
        let mut rng = Rng::with_seed(seed);
        let precision = [Precision::Ms, Precision::Us, Precision::Ns][seed as usize % 3];
        let (table, devices) = (table(precision), devices(&mut rng, 0..=40));
        let expected = rows_of(&devices);
        n_rows += expected.len();
        for (format, limits) in
            [Format::Arrow, Format::Parquet].into_iter().flat_map(|it| small.map(|own| (it, own)))
        {
            let found = read(format, written(&devices, format, &table, limits).unwrap());
            assert!(found.rows == expected, "seed {seed}, {format:?}, {limits:?}");
            assert!(found.groups.iter().all(|rows| (1..=limits.rows_max).contains(rows)));
            if limits.bytes_max == 2000 {
                assert!(found.groups.iter().all(|rows| *rows <= 2000 / 8), "{:?}", found.groups);
            }
            assert_eq!(found.metadata["tidegate.origin"], "plant");
            assert_eq!(found.metadata["tidegate.precision"], precision.as_str());
            assert_eq!(
                found.metadata["tidegate.types"],
                "TIMESTAMP,TEXT,BOOLEAN,INT32,INT64,FLOAT,DOUBLE,TEXT,TIMESTAMP,DATE,BLOB,STRING,\
                 OBJECT"
            );
        }
    }
    assert!(n_rows > 3000, "{n_rows}");
}

#[test]
fn groups_are_as_large_as_they_may_be_and_large_batches_are_divided() {
    let mut rng = Rng::with_seed(1);
    let mut devices = devices(&mut rng, 9000..=9000);
    devices.retain(|(_, _, batches)| !batches.is_empty());
    let expected = rows_of(&devices);
    for format in [Format::Arrow, Format::Parquet] {
        let limits = Limits { rows_max: 8200, bytes_max: usize::MAX };
        let found = read(format, written(&devices, format, &table(Precision::Ms), limits).unwrap());
        assert!(found.rows == expected, "{format:?}");
        let (last, full) = found.groups.split_last().unwrap();
        assert!(full.len() > 2 && full.iter().all(|rows| *rows == 8200), "{:?}", found.groups);
        assert!((1..=8200).contains(last));
    }
}

#[test]
fn a_file_without_rows_is_a_file() {
    for format in [Format::Arrow, Format::Parquet] {
        let bytes = written(&[], format, &table(Precision::Ms), Limits::default()).unwrap();
        let found = read(format, bytes);
        assert!(found.rows.is_empty() && found.groups.is_empty());
        assert_eq!(found.metadata["tidegate.precision"], "ms");
    }
}

/// A batch of one column whose second row is null.
fn single(data_type: DataType, values: &[Value]) -> Batch {
    let mut batch = Batch::new([data_type]);
    for (row, value) in values.iter().enumerate() {
        batch.times.push(row as i64 * 10);
        let column = &mut batch.columns[0];
        column.presence.push(column.values.push(value));
        if row == 0 {
            batch.times.push(5);
            column.presence.push(false);
        }
    }
    batch
}

fn of_one_column(data_type: DataType) -> Table {
    let columns = vec![Column { name: "s".to_owned(), data_type }];
    Table { precision: Precision::Ms, columns, metadata: Vec::new() }
}

#[test]
fn a_date_that_is_no_day_is_an_error_with_its_column_and_time() {
    let batch = single(DataType::Date, &[20_240_501, 20_240_502, 20_230_229].map(Value::Int32));
    for format in [Format::Arrow, Format::Parquet] {
        let table = of_one_column(DataType::Date);
        let mut writer = Writer::new(Vec::new(), format, &table, Limits::default()).unwrap();
        writer.begin(Vec::new(), vec![0]);
        let error = writer.write(&batch).unwrap_err().to_string();
        let expected = "s at the time 20: expected a day as yyyymmdd, found 20230229";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn texts_that_are_not_utf_8_are_mended_and_counted_and_blobs_stay_as_they_are() {
    let bytes = [b"good".to_vec(), b"b\xffd".to_vec(), b"\xe6\xb0".to_vec()].map(Value::Bytes);
    for format in [Format::Arrow, Format::Parquet] {
        for (data_type, n_replaced, expected) in [
            (DataType::Text, 2, ["good", "b\u{fffd}d", "\u{fffd}"].map(|it| it.as_bytes())),
            (DataType::Blob, 0, [&b"good"[..], b"b\xffd", b"\xe6\xb0"]),
        ] {
            let table = of_one_column(data_type);
            let mut writer = Writer::new(Vec::new(), format, &table, Limits::default()).unwrap();
            writer.begin(Vec::new(), vec![0]);
            writer.write(&single(data_type, &bytes)).unwrap();
            assert_eq!(writer.n_replaced(), n_replaced);
            let file = writer.finish().unwrap();
            let texts: Vec<Option<Vec<u8>>> = match format {
                Format::Arrow => {
                    let reader = FileReader::try_new(Cursor::new(file), None).unwrap();
                    let batch = reader.into_iter().next().unwrap().unwrap();
                    let column = batch.column(1);
                    let value = |row| match arrow_value(column.as_ref(), row) {
                        Some(Value::Bytes(bytes)) => Some(bytes),
                        _ => None,
                    };
                    (0..batch.num_rows()).map(value).collect()
                }
                Format::Parquet => {
                    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
                    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
                    let value =
                        |row: parquet::record::Row| match row.get_column_iter().nth(1).unwrap().1 {
                            Field::Str(text) => Some(text.clone().into_bytes()),
                            Field::Bytes(bytes) => Some(bytes.data().to_vec()),
                            _ => None,
                        };
                    rows.map(value).collect()
                }
            };
            let [one, two, three] = expected.map(|it| Some(it.to_vec()));
            assert_eq!(texts, [one, None, two, three], "{format:?} {data_type}");
        }
    }
}

#[test]
fn what_does_not_fit_the_columns_is_refused() {
    for format in [Format::Arrow, Format::Parquet] {
        let mut table = of_one_column(DataType::Int32);
        let mut writer = Writer::new(Vec::new(), format, &table, Limits::default()).unwrap();
        writer.begin(Vec::new(), vec![0]);
        let error = writer.write(&single(DataType::Int64, &[Value::Int64(1)])).unwrap_err();
        assert_eq!(error.to_string(), "expected rows of s in INT32, found INT64");
        writer.begin(Vec::new(), vec![]);
        let error = writer.write(&single(DataType::Int32, &[Value::Int32(1)])).unwrap_err();
        assert_eq!(error.to_string(), "expected rows of 0 columns, found 1");
        table.columns[0].name = "Time".to_owned();
        let error = Writer::new(Vec::new(), format, &table, Limits::default()).unwrap_err();
        assert!(error.to_string().ends_with("found two that are called Time"), "{error}");
    }
}
