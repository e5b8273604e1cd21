//! What is written is read back by the readers of the formats, value by value.

mod support;

use core::ops::RangeInclusive;

use fastrand::Rng;
use support::DAYS;
use support::Read;
use support::read_arrow;
use support::read_parquet;
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

fn read(format: Format, bytes: Vec<u8>) -> Read {
    match format {
        Format::Arrow => read_arrow(bytes),
        Format::Parquet => read_parquet(bytes),
    }
}

/// The rows of a file of [`table`].
fn rows_in(found: &Read) -> Vec<Row> {
    let row = |cells: &Vec<Option<Value>>| {
        let [Some(Value::Int64(time)), label, values @ ..] = &cells[..] else { panic!("no time") };
        let label = label.as_ref().map(|label| match label {
            Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        });
        (*time, label, values.to_vec())
    };
    found.rows.iter().map(row).collect()
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
    for seed in 0..9 {
        let mut rng = Rng::with_seed(seed);
        let precision = [Precision::Ms, Precision::Us, Precision::Ns][seed as usize % 3];
        let (table, devices) = (table(precision), devices(&mut rng, 0..=40));
        let expected = rows_of(&devices);
        n_rows += expected.len();
        for (format, limits) in
            [Format::Arrow, Format::Parquet].into_iter().flat_map(|it| small.map(|own| (it, own)))
        {
            let found = read(format, written(&devices, format, &table, limits).unwrap());
            assert!(rows_in(&found) == expected, "seed {seed}, {format:?}, {limits:?}");
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
    assert!(n_rows > 1000, "{n_rows}");
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
        assert!(rows_in(&found) == expected, "{format:?}");
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
            let text = |cells: &Vec<Option<Value>>| match &cells[1] {
                Some(Value::Bytes(bytes)) => Some(bytes.clone()),
                _ => None,
            };
            let texts: Vec<_> = read(format, file).rows.iter().map(text).collect();
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
