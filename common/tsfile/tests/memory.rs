//! How much memory rows take of files that are made to take much.

#[path = "support/counting.rs"]
mod counting;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::HEAD_BYTES;
use tidegate_tsfile::Limits;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Unfinished;
use tidegate_tsfile::WriteOptions;

const N_COLUMNS: usize = 64;

/// A file of one aligned device with these times.
fn file_of(times: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    options.page_rows_max = 100;
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let id = DeviceId { path: "root.a.d".into(), segments: None };
    let specs: Vec<SeriesSpec> =
        (0..N_COLUMNS).map(|at| SeriesSpec::new(&format!("s{at:02}"), DataType::Int64)).collect();
    writer.begin_aligned(&id, &specs).unwrap();
    // what no encoding makes small
    let mut rng = fastrand::Rng::with_seed(1);
    let mut batch = Batch::new(specs.iter().map(|spec| spec.data_type));
    for time in times {
        batch.times.push(time);
        for column in &mut batch.columns {
            column.presence.push(true);
            assert!(column.values.push(&Value::Int64(rng.i64(..))));
        }
    }
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

/// The chunks of several files behind each other, as in a file that was not finished.
fn unfinished(files: &[Vec<u8>]) -> Vec<u8> {
    let mut out = files[0][..HEAD_BYTES].to_vec();
    for file in files {
        let end = TsFile::open(file.clone()).unwrap().data_end() as usize;
        out.extend_from_slice(&file[HEAD_BYTES..end]);
    }
    out.push(2); // behind the last chunk group
    out
}

/// How many rows of all columns are read.
fn n_rows(bytes: &[u8], limits: Limits) -> Result<usize, ReadError> {
    let file = TsFile::open_unfinished(bytes, Unfinished { limits, ..Unfinished::default() })?.file;
    let device = file.devices().next().unwrap()?;
    let series: Result<Vec<_>, _> = file.series(&device)?.collect();
    let (times, columns): (Vec<_>, Vec<_>) =
        series?.into_iter().partition(|series| series.kind == SeriesKind::Time);
    let mut rows = file.aligned_rows(&times[0], &columns, Selection::default())?;
    let (mut batch, mut n_rows, mut last) = (Batch::default(), 0, i64::MIN);
    // A part is no less than a sixteenth of its page, which has 100 rows at most.
    let n_rows_max = (limits.batch_cells_max / columns.len()).max(100_usize.div_ceil(16));
    while rows.next_into(&mut batch)? {
        assert!(batch.len() <= n_rows_max, "{} rows at once", batch.len());
        for time in &batch.times {
            assert!(*time > last);
            last = *time;
        }
        n_rows += batch.len();
    }
    Ok(n_rows)
}

/// Each chunk that was open was read ahead by 32 KiB for each column.
#[test]
fn fifty_chunks_of_64_columns_that_overlap_are_merged_in_few_megabytes() {
    let n_chunks = 50_i64;
    let times = |chunk| (0..3000_i64).map(move |row| row * n_chunks + chunk);
    let files: Vec<Vec<u8>> = (0..n_chunks).map(|chunk| file_of(times(chunk))).collect();
    let bytes = unfinished(&files);
    drop(files);
    let (read, peak_bytes) = counting::peak_bytes(|| n_rows(&bytes, Limits::default()));
    assert_eq!(read.unwrap(), 150_000);
    assert!(peak_bytes < 40 << 20, "{} bytes", peak_bytes);
}

#[test]
fn rows_times_columns_of_a_page_and_of_pages_that_overlap_are_bounded() {
    let one = file_of(0..100);
    let limited = |bytes: &[u8], page_cells_max, batch_cells_max| {
        let mut limits = Limits::default();
        (limits.page_cells_max, limits.batch_cells_max) = (page_cells_max, batch_cells_max);
        n_rows(bytes, limits)
    };
    let bytes = unfinished(&[one]);
    for enough in [100 * N_COLUMNS, 100 * N_COLUMNS + 1] {
        assert_eq!(limited(&bytes, enough, 1).unwrap(), 100);
    }
    let refused = limited(&bytes, 100 * N_COLUMNS - 1, usize::MAX).unwrap_err();
    assert!(refused.to_string().contains("rows times columns"), "{refused}");
    // Each of 20 chunks holds a batch.
    let files: Vec<Vec<u8>> =
        (0..20).map(|chunk| file_of((0..50).map(move |row| row * 20 + chunk))).collect();
    let bytes = unfinished(&files);
    for enough in [50 * 20 / 16 * N_COLUMNS + N_COLUMNS, usize::MAX] {
        assert_eq!(limited(&bytes, usize::MAX, enough).unwrap(), 1000);
    }
    let refused = limited(&bytes, usize::MAX, 50 * N_COLUMNS / 2).unwrap_err();
    assert!(refused.to_string().contains("chunks that overlap"), "{refused}");
}

/// They were decoded whole.
#[test]
fn pages_of_2000_columns_are_given_in_parts_that_are_the_same_rows_in_little_memory() {
    const N_WIDE: usize = 2000;
    const N_ROWS: usize = 6000;
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    (options.page_rows_max, options.group_bytes_max) = (N_ROWS, 1 << 30);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let id = DeviceId { path: "root.a.d".into(), segments: None };
    let types = [DataType::Int64, DataType::Double, DataType::Boolean, DataType::Int32];
    let type_of = |column: usize| types[column % types.len()];
    let specs: Vec<SeriesSpec> =
        (0..N_WIDE).map(|at| SeriesSpec::new(&format!("s{at:04}"), type_of(at))).collect();
    writer.begin_aligned(&id, &specs).unwrap();
    // Every column has nulls, at places of its own.
    let value = |row: usize, column: usize| {
        let number = row * 31 + column * 7;
        let value = match type_of(column) {
            DataType::Int64 => Value::Int64(number as i64),
            DataType::Double => Value::Double(number as f64 / 8.0),
            DataType::Boolean => Value::Boolean(number.is_multiple_of(3)),
            _ => Value::Int32(number as i32),
        };
        (!(row + column).is_multiple_of(5)).then_some(value)
    };
    let mut batch = Batch::new(specs.iter().map(|spec| spec.data_type));
    for row in 0..N_ROWS {
        batch.times.push(row as i64 * 10);
        for (at, column) in batch.columns.iter_mut().enumerate() {
            let cell = value(row, at);
            column.presence.push(cell.is_some());
            assert!(cell.is_none_or(|cell| column.values.push(&cell)));
        }
    }
    writer.write(&batch).unwrap();
    drop(batch);
    let bytes = writer.finish().unwrap().out;
    let file = TsFile::open(bytes.as_slice()).unwrap();
    let device = file.devices().next().unwrap().unwrap();
    let all: Vec<_> = file.series(&device).unwrap().map(Result::unwrap).collect();
    let (time, columns) = all.split_first().unwrap();
    for (first, last) in [(0, N_ROWS - 1), (777, 5003), (3000, 3000)] {
        let times = first as i64 * 10 - 3..=last as i64 * 10;
        let read = || {
            let mut rows = file.aligned_rows(time, columns, Selection::of_times(times)).unwrap();
            let (mut batch, mut row, mut n_batches) = (Batch::default(), first, 0);
            while rows.next_into(&mut batch).unwrap() {
                n_batches += 1;
                for (at, column) in batch.columns.iter().enumerate().step_by(37) {
                    for (behind, cell) in column.cells().enumerate() {
                        assert_eq!(cell, value(row + behind, at), "row {row} + {behind}, {at}");
                    }
                }
                for time in &batch.times {
                    assert_eq!(*time, row as i64 * 10);
                    row += 1;
                }
            }
            assert_eq!(row, last + 1);
            n_batches
        };
        let (n_batches, peak_bytes) = counting::peak_bytes(read);
        assert_eq!(n_batches, ((last + 1 - first) * N_WIDE).div_ceil(4 << 20));
        assert!(peak_bytes < 64 << 20, "{first} to {last}: {peak_bytes} bytes");
    }
}
