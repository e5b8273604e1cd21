//! What a store holds, as IoTDB prints it, and what the receiving IoTDB of a capture printed.

#![allow(dead_code, unreachable_pub)] // each test uses its part

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_store::Store;

/// The versions of which there are captures.
pub const VERSIONS: [&str; 2] = ["1.2.2", "2.0.1-beta"];

/// Cells as IoTDB prints them, by time and series; those that are null left out.
pub type Table = BTreeMap<(i64, String), String>;

pub fn gunzip(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut found).unwrap();
    found
}

/// A value as IoTDB prints it, but for numbers that are no whole ones.
fn shown(data_type: DataType, value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float(value) => format!("{}", f64::from(*value)),
        Value::Double(value) => format!("{value}"),
        Value::Bytes(bytes) if data_type == DataType::Blob => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}")
        }
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
    }
}

pub fn found(store: &Store<DirVolume>) -> (Table, BTreeMap<String, DataType>) {
    let (mut table, mut types) = (Table::new(), BTreeMap::new());
    let patterns = vec![Pattern::Tree("root.t.**".into())];
    let scan = Scan { patterns, measurements: None, times: i64::MIN..=i64::MAX };
    store
        .snapshot()
        .scan(&scan, &mut |device, series, batch| {
            let Device::Tree { path } = device else { panic!("{device}") };
            for (series, column) in series.iter().zip(&batch.columns) {
                let name = format!("{path}.{}", series.measurement);
                for (time, cell) in batch.times.iter().zip(column.cells()) {
                    if let Some(value) = cell {
                        table.insert((*time, name.clone()), shown(series.data_type, &value));
                    }
                }
                types.insert(name, series.data_type);
            }
            true
        })
        .unwrap();
    (table, types)
}

/// What the receiving IoTDB held.
pub fn expected(path: &Path, types: &BTreeMap<String, DataType>) -> Table {
    let text = String::from_utf8(gunzip(path)).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').skip(1).collect();
    let mut table = Table::new();
    for line in lines {
        let mut cells = line.split(',');
        let time: i64 = cells.next().unwrap().parse().unwrap();
        let cells: Vec<&str> = cells.collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(cells).filter(|(_, cell)| *cell != "null") {
            // Java prints numbers in other ways
            let cell = match types.get(*name) {
                Some(DataType::Float) => f64::from(cell.parse::<f32>().unwrap()).to_string(),
                Some(DataType::Double) => cell.parse::<f64>().unwrap().to_string(),
                _ => cell.to_owned(),
            };
            table.insert((time, (*name).to_owned()), cell);
        }
    }
    table
}

/// The case that holds the same.
pub fn file_of(data: &Path, version: &str, case: &str) -> PathBuf {
    let file = |case: &str| data.join(version).join(format!("{case}.csv.gz"));
    let plain = case.trim_end_matches("-nopattern");
    [case, plain, &plain.replace("tsfile-mods", "tsfile-small")]
        .into_iter()
        .map(file)
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("nothing is known of {version} {case}"))
}
