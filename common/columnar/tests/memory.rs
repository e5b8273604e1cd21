//! A file takes memory for a group of rows, whatever its length: an allocator counts.

#[path = "../../tsfile/tests/support/counting.rs"]
mod counting;

use std::io;

use counting::peak_bytes;
use tidegate_columnar::Column;
use tidegate_columnar::Format;
use tidegate_columnar::Limits;
use tidegate_columnar::Table;
use tidegate_columnar::Writer;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_tsfile::Batch;

const LIMITS: Limits = Limits { rows_max: 16_384, bytes_max: 1 << 20 };
/// The group, its encoded form, and what a compressor takes for itself.
const HELD_BYTES_MAX: isize = 12 << 20;

fn batch(start: i64) -> Batch {
    let types = [DataType::Double, DataType::Text, DataType::Int64];
    let mut batch = Batch::new(types);
    for row in start..start + 4096 {
        batch.times.push(row);
        let text = Value::Bytes(format!("text {row}").into_bytes());
        let cells = [Value::Double(row as f64 / 7.0), text, Value::Int64(row * row)];
        for (at, (column, cell)) in batch.columns.iter_mut().zip(cells).enumerate() {
            let is_there = row as usize % 5 != at;
            if is_there {
                column.values.push(&cell);
            }
            column.presence.push(is_there);
        }
    }
    batch
}

#[test]
fn memory_does_not_grow_with_the_rows_of_a_file() {
    let names = ["a", "b", "c"].into_iter();
    let types = [DataType::Double, DataType::Text, DataType::Int64];
    let columns = names.zip(types).map(|(name, data_type)| Column { name: name.into(), data_type });
    let columns = columns.collect();
    let table = Table { precision: Precision::Ms, columns, metadata: Vec::new() };
    for format in [Format::Arrow, Format::Parquet] {
        let peak = |n_batches: i64| {
            let write = || {
                let mut writer = Writer::new(io::sink(), format, &table, LIMITS).unwrap();
                writer.begin(Vec::new(), vec![0, 1, 2]);
                (0..n_batches).for_each(|number| writer.write(&batch(number * 4096)).unwrap());
                writer.finish().unwrap();
            };
            peak_bytes(write).1
        };
        let (few, many) = (peak(16), peak(128));
        // the places of groups, which the end of the file needs
        assert!(many < few + few / 8 + 65_536, "{format:?}: {few} and {many} bytes");
        assert!(many < HELD_BYTES_MAX, "{format:?}: {many} bytes");
    }
}
