//! Points as a query of IoTDB gives them: what was deleted is gone, and what was written later
//! covers what was written before.

use std::collections::BTreeMap;

use anyhow::Result;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::TsFile;

use crate::stored::quoted;

/// Points by device, time and measurement: type and value as text.
#[derive(Debug, Default)]
pub(super) struct Selected {
    points: BTreeMap<(String, i64, String), String>,
}

impl Selected {
    /// One more point, which covers one that was there.
    pub(super) fn put(&mut self, device: &str, measurement: &str, time: i64, cell: String) {
        let key = (device.to_owned(), time, format!("{device}.{measurement}"));
        self.points.insert(key, cell);
    }

    /// Takes in a file without what the mods beside it delete.
    pub(super) fn take(&mut self, file: &TsFile<impl ReadAt>, mods: &[ModEntry]) -> Result<()> {
        let mut batch = Batch::default();
        for device in file.devices() {
            let device = device?;
            let path = device.id().path.to_string();
            let series = file.series(&device)?.collect::<Result<Vec<_>, _>>()?;
            let time = series.iter().find(|it| it.kind == SeriesKind::Time);
            for one in series.iter().filter(|it| it.kind != SeriesKind::Time) {
                let mut wanted = Selection::default();
                wanted.cuts = Cuts::of(mods, device.id(), &[&*one.measurement]);
                let mut rows = match time {
                    Some(time) => file.aligned_rows(time, std::slice::from_ref(one), wanted)?,
                    None => file.rows(one, wanted)?,
                };
                while rows.next_into(&mut batch)? {
                    let Some(column) = batch.columns.first() else { continue };
                    for (time, cell) in batch.times.iter().zip(column.cells()) {
                        if let Some(value) = cell {
                            let cell = shown(column.data_type, &value);
                            self.put(&path, &one.measurement, *time, cell);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The lines of `points` of `tests/java/Drive.java`, in their order.
    pub(super) fn lines(&self) -> String {
        let line = |((_, time, series), cell): (&(String, i64, String), &String)| {
            format!("{series},{time},{cell}\n")
        };
        self.points.iter().map(line).collect()
    }
}

/// Type and value of a point.
pub(super) fn shown(data_type: DataType, value: &Value) -> String {
    let text = match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int32(value) if data_type == DataType::Date => {
            format!("{:04}-{:02}-{:02}", value / 10_000, value / 100 % 100, value % 100)
        }
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Double(value) => format!("{value:?}"),
        Value::Bytes(bytes) if data_type == DataType::Blob => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}")
        }
        Value::Bytes(bytes) => quoted(&String::from_utf8_lossy(bytes)),
    };
    format!("{data_type},{text}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::path::Path;
    use std::path::PathBuf;

    use flate2::read::GzDecoder;
    use sha2::Digest;
    use sha2::Sha256;
    use tidegate_tsfile::ModsKind;

    use super::*;
    use crate::interop::tsfile::lines::Nans;
    use crate::interop::tsfile::lines::difference;
    use crate::stored::with_our_digits;
    use crate::workspace;

    /// TsFiles below a directory.
    fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => collect(&path, found),
                false if path.extension().is_some_and(|it| it == "tsfile") => found.push(path),
                false => (),
            }
        }
    }

    /// Those of a database in the order in which one covers the other: unsequence files cover
    /// sequence files, and greater versions smaller ones.
    fn files(data: &Path, database: &str) -> Vec<PathBuf> {
        let version = |path: &PathBuf| -> u64 {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            name.split('-').nth(1).expect("a version").parse().expect("a number")
        };
        let mut all = Vec::new();
        for space in ["sequence", "unsequence"] {
            let mut found = Vec::new();
            collect(&data.join(space).join(database), &mut found);
            found.sort_by_key(version);
            all.append(&mut found);
        }
        all
    }

    fn select(data: &Path, database: &str) -> Selected {
        let mut selected = Selected::default();
        let files = files(data, database);
        assert!(!files.is_empty(), "{database}");
        for path in files {
            let mut mods = Vec::new();
            for kind in [ModsKind::Text, ModsKind::Binary] {
                let beside = format!("{}{}", path.display(), kind.suffix());
                if let Ok(bytes) = fs::read(&beside) {
                    mods.extend(kind.entries(&bytes, 0));
                    assert!(!mods.is_empty(), "{beside}");
                }
            }
            let file = TsFile::open(fs::read(&path).expect("a file")).expect("a TsFile");
            selected
                .take(&file, &mods)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        selected
    }

    #[test]
    fn files_of_real_servers_give_the_points_that_the_servers_gave() {
        let fixtures = workspace::root().join("tests/fixtures");
        for (fixture, databases) in [
            ("iotdb-1.2.2", &["root.enc", "root.encal", "root.mix"][..]),
            ("iotdb-2.0.1-beta", &["root.office", "root.plant"]),
        ] {
            for database in databases {
                let data = fixtures.join(fixture).join("data/datanode/data");
                let ours = select(&data, database).lines();
                let packed = fixtures.join(fixture).join(format!("expected/{database}.csv.gz"));
                let mut expected = String::new();
                let file = fs::File::open(packed).expect("expected points");
                GzDecoder::new(file).read_to_string(&mut expected).expect("text");
                let expected = with_our_digits(&expected).expect("points");
                assert_eq!(difference(&ours, &expected, Nans::Exact), None, "{fixture} {database}");
            }
        }
    }

    #[test]
    fn files_of_many_pages_give_the_digest_of_the_servers_points() {
        let fixture = workspace::root().join("tests/fixtures/iotdb-1.2.2");
        let lines = select(&fixture.join("data/datanode/data"), "root.pages").lines();
        let hex: String = Sha256::digest(&lines).iter().map(|byte| format!("{byte:02x}")).collect();
        let found = format!("lines={} sha256={hex}", lines.lines().count());
        let expected = fs::read_to_string(fixture.join("expected/root.pages.digest"));
        assert_eq!(found, expected.expect("a digest").trim());
    }
}
