//! A model of an IoTDB that only receives: files by LOAD, deletions, and rows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_model::path;
use tidegate_source::Deletion;
use tidegate_source::Series;

use crate::iotdb::Cell;
use crate::iotdb::DEVICES;
use crate::iotdb::Rows;

/// What arrived, cell by cell, each value with the version of the file it is in.
#[derive(Debug, Default)]
pub(crate) struct FarSide {
    cells: BTreeMap<Cell, Vec<(u64, u64)>>,
    version: u64,
    /// Every value that ever arrived.
    pub(crate) arrived: BTreeSet<u64>,
    /// Version of the open memtable, given when it was opened.
    memtable: Option<u64>,
}

impl FarSide {
    /// LOAD: whatever the file's name says, it gets the highest version.
    pub(crate) fn load(&mut self, rows: &Rows) {
        self.version += 1;
        for (&cell, &value) in rows {
            self.cells.entry(cell).or_default().push((self.version, value));
            self.arrived.insert(value);
        }
    }

    /// A row goes into the open memtable, whose version may be older than that of a loaded file.
    pub(crate) fn insert(&mut self, cell: Cell, value: u64) {
        let version = *self.memtable.get_or_insert_with(|| {
            self.version += 1;
            self.version
        });
        self.cells.entry(cell).or_default().push((version, value));
    }

    /// A deletion concerns everything that is there.
    pub(crate) fn delete(&mut self, deletion: &Deletion) {
        let Series::Tree { paths } = &deletion.series else { return };
        self.cells.retain(|&(device, time), _| {
            let series = format!("{}.s", DEVICES[device]);
            let is_meant = (deletion.start..=deletion.end).contains(&time)
                && paths.iter().any(|it| path::matches(&path::nodes(it), &path::nodes(&series)));
            !is_meant
        });
    }

    /// What a query shows.
    pub(crate) fn read(&self) -> Rows {
        let newest =
            |values: &Vec<(u64, u64)>| values.iter().max_by_key(|(it, _)| *it).map(|it| it.1);
        self.cells.iter().filter_map(|(&cell, values)| Some((cell, newest(values)?))).collect()
    }
}

#[test]
fn a_row_after_a_load_may_stay_invisible_in_an_older_memtable() {
    let mut far = FarSide::default();
    far.insert((0, 1), 1);
    far.load(&Rows::from([((0, 5), 2)]));
    far.insert((0, 5), 3);
    assert_eq!(far.read().get(&(0, 5)), Some(&2), "why rows behind a file must not go as rows");
}
