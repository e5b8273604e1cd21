//! TsFiles that were written here, read back; and all that may go wrong on the way.

mod shape;

use std::collections::BTreeMap;
use std::io;

use shape::Content;
use shape::Shape;
use shape::bits;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Device;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::Resource;
use tidegate_tsfile::Rows;
use tidegate_tsfile::Segments;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteError;
use tidegate_tsfile::WriteOptions;

const SEEDS: u64 = 600;

fn series_of(file: &TsFile<&[u8]>, device: &Device) -> Vec<SeriesMetadata> {
    file.series(device).unwrap().map(Result::unwrap).collect()
}

/// All that a file has, by its index.
fn read(bytes: &[u8]) -> BTreeMap<String, Content> {
    let file = TsFile::open(bytes).unwrap();
    let mut found = BTreeMap::new();
    for device in file.devices() {
        let device = device.unwrap();
        let mut content = Content::default();
        let series = series_of(&file, &device);
        match series.split_first() {
            Some((time, columns)) if time.kind == SeriesKind::Time => {
                let rows = file.aligned_rows(time, columns, Selection::default()).unwrap();
                take(rows, columns, true, &mut content);
            }
            _ => {
                for one in &series {
                    let rows = file.rows(one, Selection::default()).unwrap();
                    take(rows, core::slice::from_ref(one), false, &mut content);
                }
            }
        }
        found.insert(device.id().path.to_string(), content);
    }
    found
}

fn take(
    mut rows: Rows<'_, &[u8]>,
    columns: &[SeriesMetadata],
    is_aligned: bool,
    content: &mut Content,
) {
    let mut batch = Batch::default();
    for column in columns {
        content.points.entry(column.measurement.to_string()).or_default();
    }
    while rows.next_into(&mut batch).unwrap() {
        if is_aligned {
            content.rows.extend(&batch.times);
        }
        for (series, column) in columns.iter().zip(&batch.columns) {
            let points = content.points.get_mut(&*series.measurement).unwrap();
            let cells = batch.times.iter().zip(column.cells());
            points.extend(cells.filter_map(|(time, cell)| Some((*time, bits(&cell?)))));
        }
    }
}

#[test]
fn every_point_of_random_files_comes_back_to_the_bit() {
    let (mut n_points, mut n_chunks) = (0, 0);
    for seed in 0..SEEDS {
        let shape = Shape::of_seed(seed);
        let written =
            shape.write(Vec::new()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(written.length_bytes, written.out.len() as u64, "seed {seed}");
        let (found, expected) = (read(&written.out), shape.content());
        let names = |of: &BTreeMap<String, Content>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "seed {seed}");
        for (device, expected) in &expected {
            assert!(found[device] == *expected, "seed {seed}, device {device}");
        }
        let points = expected.values().flat_map(|it| it.points.values()).map(BTreeMap::len);
        assert_eq!(written.n_points, points.sum::<usize>() as u64, "seed {seed}");
        n_points += written.n_points;
        n_chunks += written.n_chunks;
    }
    println!("{n_points} points in {n_chunks} chunks");
    assert!(n_points > 500_000 && n_chunks > 50_000, "{n_points} points in {n_chunks} chunks");
}

#[test]
fn a_file_is_the_same_however_many_helpers_compress_its_pages() {
    let mut n_pages = 0;
    for seed in 0..SEEDS / 2 {
        let mut shape = Shape::of_seed(seed);
        if seed % 4 < 2 {
            // Chunks that end by rows alone, so that pages wait for each other.
            let defaults = WriteOptions::default();
            shape.options.chunk_bytes_max = defaults.chunk_bytes_max;
            shape.options.group_bytes_max = defaults.group_bytes_max;
            shape.options.page_rows_max = shape.options.page_rows_max.min(9);
        }
        let alone = shape.write(Vec::new()).unwrap();
        for n_helpers in 1..3 {
            let together = shape.write_with(n_helpers, Vec::new()).unwrap();
            assert!(alone.out == together.out, "seed {seed}, {n_helpers} helpers");
        }
        n_pages += alone.n_points / shape.options.page_rows_max as u64;
    }
    assert!(n_pages > 20_000, "{n_pages}");
}

#[test]
fn every_series_is_found_by_name_and_statistics_are_those_of_its_points() {
    for seed in 0..SEEDS / 2 {
        let shape = Shape::of_seed(seed);
        let bytes = shape.write(Vec::new()).unwrap().out;
        let file = TsFile::open(&bytes[..]).unwrap();
        assert_eq!(file.tables(), shape.tables, "seed {seed}");
        let content = shape.content();
        for shaped in &shape.devices {
            let found = file.find_device(&shaped.id).unwrap();
            let expected = content.get(&*shaped.id.path);
            assert_eq!(found.is_some(), expected.is_some(), "seed {seed}, {}", shaped.id);
            let (Some(device), Some(expected)) = (found, expected) else { continue };
            let listed = series_of(&file, &device);
            if shaped.is_aligned {
                let time = file.find_series(&device, "").unwrap().unwrap();
                assert_eq!(time.statistics.count as usize, expected.rows.len());
                assert!(file.may_contain(&shaped.id, ""));
            }
            assert_eq!(listed.len(), expected.points.len() + usize::from(shaped.is_aligned));
            for (name, points) in &expected.points {
                let series = file.find_series(&device, name).unwrap().unwrap();
                // A NaN equals no NaN, but it reads like one.
                let is_listed = |it: &SeriesMetadata| format!("{it:?}") == format!("{series:?}");
                assert!(listed.iter().any(is_listed) && file.may_contain(&shaped.id, name));
                let known = &series.statistics;
                assert_eq!(known.count as usize, points.len(), "seed {seed}, {name}");
                let start = points.first_key_value().map_or(i64::MAX, |(time, _)| *time);
                let end = points.last_key_value().map_or(i64::MIN, |(time, _)| *time);
                assert_eq!((known.start_time, known.end_time), (start, end), "seed {seed}");
            }
            assert!(file.find_series(&device, "nobody").unwrap().is_none());
        }
    }
}

#[test]
fn the_resource_has_the_extents_of_the_index_and_survives_its_own_bytes() {
    for seed in 0..SEEDS / 2 {
        let shape = Shape::of_seed(seed);
        let written = shape.write(Vec::new()).unwrap();
        let resource = written.resource();
        assert_eq!(Resource::parse(&resource.encode().unwrap()).unwrap().devices, written.extents);
        let file = TsFile::open(&written.out[..]).unwrap();
        let devices: Vec<_> = file.devices().map(Result::unwrap).collect();
        assert!(devices.iter().map(Device::id).eq(resource.devices()), "seed {seed}");
        for (device, extent) in devices.iter().zip(&written.extents) {
            let series = series_of(&file, device);
            let start = series.iter().map(|it| it.statistics.start_time).min().unwrap();
            let end = series.iter().map(|it| it.statistics.end_time).max().unwrap();
            assert_eq!(extent.range, TimeRange { start, end }, "seed {seed}, {}", device.id());
        }
    }
}

#[test]
fn no_chunk_reaches_from_one_time_partition_into_the_next() {
    let mut n_chunks = 0;
    for seed in 0..SEEDS / 2 {
        let shape = Shape::of_seed(seed);
        let Some(length) = shape.options.time_partition else { continue };
        let length = i64::try_from(length.get()).unwrap();
        let bytes = shape.write(Vec::new()).unwrap().out;
        let file = TsFile::open(&bytes[..]).unwrap();
        for device in file.devices() {
            for series in series_of(&file, &device.unwrap()) {
                let chunks = series.chunks.iter().filter(|it| it.statistics.count > 0);
                for chunk in chunks {
                    let [start, end] = [chunk.statistics.start_time, chunk.statistics.end_time]
                        .map(|time| time.div_euclid(length));
                    assert_eq!(start, end, "seed {seed}");
                    n_chunks += 1;
                }
            }
        }
    }
    assert!(n_chunks > 10_000, "{n_chunks}");
}

#[test]
fn no_cut_of_a_file_opens() {
    for seed in 0..6 {
        let bytes = Shape::of_seed(seed).write(Vec::new()).unwrap().out;
        for length in 0..bytes.len() {
            assert!(TsFile::open(&bytes[..length]).is_err(), "seed {seed}, {length} bytes");
        }
    }
}

/// Takes so many bytes and no more.
struct Full {
    left: usize,
}

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n_bytes = bytes.len().min(self.left);
        self.left -= n_bytes;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_fills_up_at_any_byte_is_reported_with_the_place() {
    let shape = Shape::of_seed(3);
    let length = shape.write(Vec::new()).unwrap().out.len();
    assert!(shape.write(Full { left: length }).is_ok());
    for left in (0..length).step_by(7) {
        match shape.write(Full { left }) {
            Err(error @ WriteError::Io { offset, .. }) => {
                assert!(offset <= left as u64 && !error.is_clean(), "{error}");
            }
            other => panic!("{left} bytes: {other:?}", other = other.map(|it| it.length_bytes)),
        }
    }
}

fn device(path: &str) -> DeviceId {
    DeviceId { path: path.into(), segments: None }
}

fn ints(rows: &[(i64, i32)]) -> Batch {
    let mut batch = Batch::new([DataType::Int32]);
    for (time, value) in rows {
        batch.times.push(*time);
        batch.columns[0].presence.push(true);
        batch.columns[0].values.push(&Value::Int32(*value));
    }
    batch
}

#[test]
fn nothing_is_written_behind_a_write_that_failed() {
    let mut options = WriteOptions::default();
    (options.page_rows_max, options.chunk_rows_max) = (1, 1);
    let mut writer = TsFileWriter::new(Full { left: 1000 }, options).unwrap();
    let series = SeriesSpec::new("s", DataType::Int32);
    writer.begin_series(&device("root.sg.d"), &series).unwrap();
    let mut time = 0;
    let failed = loop {
        time += 1;
        match writer.write(&ints(&[(time, 1)])) {
            Ok(()) => assert!(time < 1_000_000),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, WriteError::Io { offset: 0, .. }), "{failed}");
    let after = [
        writer.write(&ints(&[(time + 1, 1)])),
        writer.begin_series(&device("root.sg.e"), &series),
        writer.begin_aligned(&device("root.sg.e"), &[]),
        writer.finish().map(drop),
    ];
    assert!(after.iter().all(|it| matches!(it, Err(WriteError::Failed))), "{after:?}");
}

#[test]
fn times_of_a_series_ascend_over_the_whole_file_or_are_refused() {
    let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::default()).unwrap();
    let [s, t] = ["s", "t"].map(|name| SeriesSpec::new(name, DataType::Int32));
    let [one, other] = [device("root.sg.d"), device("root.sg.e")];
    let refused = |result: Result<(), WriteError>, expected: &str| {
        let error = result.unwrap_err();
        assert!(error.is_clean());
        assert_eq!(error.to_string(), expected);
    };
    writer.begin_series(&one, &s).unwrap();
    writer.write(&ints(&[(1, 1), (5, 5)])).unwrap();
    let late = "root.sg.d.s: expected a time after 5, but found 5; times of a file ascend";
    refused(writer.write(&ints(&[(5, 6)])), late);
    let twice = "root.sg.d.s: expected a time after 9, but found 9; times of a file ascend";
    refused(writer.write(&ints(&[(9, 6), (9, 7)])), twice);
    writer.begin_series(&one, &t).unwrap();
    writer.write(&ints(&[(0, 0)])).unwrap();
    // The same series again, in its chunk group and in a later one.
    writer.begin_series(&one, &s).unwrap();
    refused(writer.write(&ints(&[(4, 6)])), &late.replace("found 5", "found 4"));
    writer.begin_aligned(&other, core::slice::from_ref(&s)).unwrap();
    writer.write(&ints(&[(3, 3)])).unwrap();
    writer.begin_series(&one, &s).unwrap();
    refused(writer.write(&ints(&[(5, 6)])), late);
    writer.write(&ints(&[(6, 6)])).unwrap();
    writer.begin_aligned(&other, core::slice::from_ref(&s)).unwrap();
    let row = "root.sg.e: expected a time after 3, but found 3; times of a file ascend";
    refused(writer.write(&ints(&[(3, 3)])), row);
    // What was refused left no trace.
    let content = read(&writer.finish().unwrap().out);
    let times = |name: &str| content["root.sg.d"].points[name].keys().copied().collect::<Vec<_>>();
    assert_eq!((times("s"), times("t")), (vec![1, 5, 6], vec![0]));
    assert_eq!(content["root.sg.e"].rows, [3]);
}

#[test]
fn what_no_file_can_have_is_refused_with_the_reason_and_the_file_goes_on() {
    let v3 = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), v3).unwrap();
    let mut begin = |path: &str, series: SeriesSpec| {
        let error = writer.begin_series(&device(path), &series).unwrap_err();
        assert!(error.is_clean());
        error.to_string()
    };
    let s = |data_type| SeriesSpec::new("s", data_type);
    assert_eq!(begin("", s(DataType::Int32)), "expected path of a device, but found \"\"",);
    assert_eq!(
        begin("root.sg.d", SeriesSpec::new("", DataType::Int32)),
        "expected name of a measurement, but found \"\"",
    );
    assert_eq!(
        begin("root.sg.d", SeriesSpec::new(&"s".repeat(70_000), DataType::Int32)),
        "expected name of a measurement, but found \"70000 bytes\"",
    );
    assert_eq!(
        begin("root.sg.d", s(DataType::Object)),
        "s: expected a type that v3 has, but found OBJECT",
    );
    assert_eq!(
        begin("root.sg.d", s(DataType::Text).with_encoding(Encoding::Gorilla)),
        "s: expected an encoding that TEXT may have, but found GORILLA",
    );

    let [int, text] = [s(DataType::Int32), s(DataType::Text)];
    let d = device("root.sg.d");
    assert_eq!(
        writer.write(&ints(&[(1, 1)])).unwrap_err().to_string(),
        "expected a series or device to be begun before its rows",
    );
    writer.begin_aligned(&d, core::slice::from_ref(&int)).unwrap();
    assert_eq!(
        writer.write(&Batch::new([DataType::Text])).unwrap_err().to_string(),
        "root.sg.d: expected a column of its type, but found TEXT for s",
    );
    assert_eq!(
        writer.write(&Batch::new([])).unwrap_err().to_string(),
        "expected 1 columns, but found 0",
    );
    let mut odd = ints(&[(1, 1), (2, 2)]);
    odd.columns[0].presence.push(false);
    assert_eq!(
        writer.write(&odd).unwrap_err().to_string(),
        "expected 2 rows in a column, but found 3",
    );
    odd.times.push(3);
    odd.columns[0].values.push(&Value::Int32(3));
    assert_eq!(
        writer.write(&odd).unwrap_err().to_string(),
        "expected 2 values in a column, but found 3",
    );
    writer.write(&ints(&[(1, 1)])).unwrap();
    let refused = [
        (
            writer.begin_aligned(&d, &[int.clone(), int.clone()]),
            "root.sg.d: expected every column once, but found s",
        ),
        (
            writer.begin_aligned(&d, &[]),
            "root.sg.d: expected the columns that it had before, but found 0 columns",
        ),
        (
            writer.begin_aligned(&d, core::slice::from_ref(&text)),
            "root.sg.d: expected the columns that it had before, but found 1 columns",
        ),
        (
            writer.begin_series(&d, &int),
            "root.sg.d: expected columns with common times, as before, but found s",
        ),
    ];
    for (result, expected) in refused {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
    let e = device("root.sg.e");
    writer.begin_series(&e, &int).unwrap();
    writer.write(&ints(&[(1, 1)])).unwrap();
    assert_eq!(
        writer.begin_aligned(&e, core::slice::from_ref(&int)).unwrap_err().to_string(),
        "root.sg.e: expected series with times of their own, as before, but found 1 columns",
    );
    assert_eq!(
        writer.begin_series(&e, &text).unwrap_err().to_string(),
        "root.sg.e: expected the type that the series had before, but found TEXT",
    );
    assert_eq!(writer.finish().unwrap().n_points, 2);

    let empty = TsFileWriter::new(Vec::new(), v3).unwrap();
    assert!(matches!(empty.finish(), Err(WriteError::NoPoints)));
    let mut odd = v3;
    odd.index_degree = 1;
    assert_eq!(
        TsFileWriter::new(Vec::new(), odd).unwrap_err().to_string(),
        "index_degree: expected 2 to 65536, but found 1",
    );
}

fn one_value(data_type: DataType, time: i64, n_bytes: usize) -> Batch {
    let mut batch = Batch::new([data_type]);
    batch.times.push(time);
    batch.columns[0].presence.push(true);
    batch.columns[0].values.push(&Value::Bytes(vec![b'x'; n_bytes]));
    batch
}

#[test]
fn a_value_of_64_mib_is_read_back_and_one_byte_more_is_refused() {
    const MAX: usize = 64 << 20;
    let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::default()).unwrap();
    writer.begin_series(&device("root.sg.d"), &SeriesSpec::new("s", DataType::Blob)).unwrap();
    writer.write(&one_value(DataType::Blob, 1, MAX)).unwrap();
    let error = writer.write(&one_value(DataType::Blob, 2, MAX + 1)).unwrap_err();
    assert!(error.is_clean());
    assert_eq!(error.to_string(), "expected a value of at most 67108864 bytes, but found 67108865");
    writer.write(&one_value(DataType::Blob, 2, 1)).unwrap();
    let content = read(&writer.finish().unwrap().out);
    let lengths = content["root.sg.d"].points["s"].values().map(Vec::len);
    assert_eq!(lengths.collect::<Vec<_>>(), [MAX, 1]);
}

#[test]
fn statistics_of_texts_that_no_reader_would_fetch_are_refused_at_the_end() {
    // First, last, least and greatest value of three series: more than 256 MiB in one run.
    let write = |n_series: usize| {
        let mut writer = TsFileWriter::new(io::sink(), WriteOptions::default()).unwrap();
        for at in 0..n_series {
            let series = SeriesSpec::new(&format!("s{at}"), DataType::String);
            writer.begin_series(&device("root.sg.d"), &series).unwrap();
            writer.write(&one_value(DataType::String, 1, 22 << 20)).unwrap();
        }
        writer.finish().map(drop)
    };
    assert!(write(2).is_ok());
    let error = write(3).unwrap_err().to_string();
    assert!(error.starts_with("metadata of neighbouring series: expected at most"), "{error}");
}

#[test]
fn devices_of_a_table_need_its_schema_and_common_times() {
    let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::default()).unwrap();
    let segments = Segments(["plant", "north"].map(|it| Some(it.into())).into());
    let d = DeviceId { path: "plant.north".into(), segments: Some(segments) };
    let s = [SeriesSpec::new("s", DataType::Int32)];
    let error = writer.begin_aligned(&d, &s).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table plant: expected to be declared before its devices, but found no schema",
    );
    let error = writer.begin_series(&d, &s[0]).unwrap_err();
    assert!(matches!(error, WriteError::Columns { .. }), "{error}");
    let mut schema = Shape::of_seed(0).tables.pop();
    for seed in 1.. {
        schema = schema.or_else(|| Shape::of_seed(seed).tables.pop());
        if let Some(schema) = &mut schema {
            schema.name = "plant".into();
            break;
        }
    }
    let schema = schema.unwrap();
    writer.declare_table(schema.clone()).unwrap();
    let error = writer.declare_table(schema.clone()).unwrap_err();
    assert_eq!(error.to_string(), "table plant: expected to be declared once, but found plant",);
    let error = writer.begin_aligned(&d, &s).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table plant: expected a field of this type in its schema, but found s",
    );
    let v3 = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), v3).unwrap();
    assert_eq!(
        writer.declare_table(schema).unwrap_err().to_string(),
        "table plant: expected a file of version 4, but found v3",
    );
}
