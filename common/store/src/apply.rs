//! What a request says, as points of devices and deletions, in the order in which they count.

use std::collections::BTreeMap;

use tidegate_codec::Writer;
use tidegate_model::DataType;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeRange;
use tidegate_wire::request::Cell;
use tidegate_wire::request::Column;
use tidegate_wire::request::DataModel;
use tidegate_wire::request::DeleteData;
use tidegate_wire::request::Element;
use tidegate_wire::request::InsertRows;
use tidegate_wire::request::PathKind;
use tidegate_wire::request::Plan;
use tidegate_wire::request::RelationalDelete;
use tidegate_wire::request::Request;
use tidegate_wire::request::Row;
use tidegate_wire::request::Tablet;
use tidegate_wire::request::TabletNode;
use tidegate_wire::request::ValueRef;

use crate::Device;
use crate::catalog::State;
use crate::catalog::TableName;
use crate::device::NO_DATABASE;
use crate::device::is_of_root;
use crate::memory::Points;
use crate::memory::PointsColumn;
use crate::tags::TAGS_MAX;
use crate::tags::Tags;
use crate::tags::is_of_all;
use crate::tombstone::Tombstone;

/// Longest name of a device, segment or measurement; IoTDB's own limits are far below.
const NAME_BYTES_MAX: usize = 16 * 1024;

/// One thing that a request does.
#[derive(Debug)]
pub(crate) enum Action<'a> {
    /// Deletes.
    Delete(Tombstone),
    /// Inserts.
    Insert(Points<'a>),
    /// Says what is new of the tags of a table, before rows of it.
    Table(TableName, Tags),
}

/// What a request does, and what of it cannot be done.
#[derive(Debug, Default)]
pub(crate) struct Actions<'a> {
    pub(crate) list: Vec<Action<'a>>,
    /// What is left out, and why: for people.
    pub(crate) left_out: Vec<String>,
}

/// Finds the type of a series that is known already.
pub(crate) type KnownType<'k> = &'k dyn Fn(&Device, &str) -> Option<DataType>;

impl<'a> Actions<'a> {
    /// What a request does.
    pub(crate) fn of(
        request: &Request<'a>,
        precedence: u64,
        known: KnownType<'_>,
        state: &State,
    ) -> Self {
        let mut actions = Self::default();
        let tables = BTreeMap::new();
        let mut decoder = Decoder { actions: &mut actions, precedence, known, state, tables };
        match request {
            Request::Insert(plan) => decoder.rows(plan.model, &plan.rows, None),
            Request::InsertV2(it) => decoder.rows(it.inner.model, &it.inner.rows, it.database),
            Request::LogEntry(entry) => decoder.rows(entry.model, &entry.rows, None),
            Request::LogEntryV2(it) => decoder.rows(it.inner.model, &it.inner.rows, it.database),
            Request::Tablet(tablet) => decoder.tablet(tablet, None),
            Request::TabletV2(it) => decoder.tablet(&it.inner, it.database),
            Request::Batch(batch) => {
                // rows first, then tablets, as IoTDB does
                batch.inserts.iter().for_each(|it| decoder.rows(it.model, &it.rows, None));
                batch.log_entries.iter().for_each(|it| decoder.rows(it.model, &it.rows, None));
                batch.tablets.iter().for_each(|it| decoder.tablet(&it, None));
            }
            Request::BatchV2(batch) => {
                for it in &batch.inserts {
                    decoder.rows(it.inner.model, &it.inner.rows, it.database);
                }
                for it in &batch.log_entries {
                    decoder.rows(it.inner.model, &it.inner.rows, it.database);
                }
                for it in &batch.tablets {
                    decoder.tablet(&it.inner, it.database);
                }
            }
            Request::Plan(Plan::Insert(plan)) => decoder.rows(plan.model, &plan.rows, None),
            Request::Plan(Plan::Delete(delete)) => decoder.delete(delete),
            Request::Plan(Plan::RelationalDelete(delete)) => decoder.relational_delete(delete),
            other => decoder.leave_out(format!("{} holds no rows", other.request_type())),
        }
        actions
    }
}

struct Decoder<'l, 'a, 'k> {
    actions: &'l mut Actions<'a>,
    precedence: u64,
    known: KnownType<'k>,
    state: &'k State,
    /// Tables of this request.
    tables: BTreeMap<TableName, Tags>,
}

/// The name of a table, then values of tags in their places.
fn segments_of(
    table: &str,
    places: &[usize],
    tags: impl Iterator<Item = Option<Box<str>>>,
) -> Vec<Option<Box<str>>> {
    let n_places = places.iter().max().map_or(0, |last| last.saturating_add(1));
    let mut values = vec![None; n_places];
    for (place, value) in places.iter().zip(tags) {
        if let Some(known) = values.get_mut(*place) {
            *known = value;
        }
    }
    [Some(Box::from(table))].into_iter().chain(values).collect()
}

/// In memory a row is its cells; only a file keeps one that has none.
fn tags_alone(table: &str) -> String {
    format!("rows of table {table:.100} that have tags alone")
}

/// What a column of a table is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Category {
    Attribute,
    Field,
    Tag,
    Time,
}

impl Category {
    /// By the numbers of raw tablets.
    fn of_tablet(code: Option<u8>) -> Self {
        match code {
            Some(0) => Self::Tag,
            Some(2) => Self::Attribute,
            Some(3) => Self::Time,
            _ => Self::Field,
        }
    }

    /// By the numbers of insert nodes.
    fn of_node(code: Option<u8>) -> Self {
        match code {
            Some(0) => Self::Tag,
            Some(1) => Self::Attribute,
            Some(2) => Self::Time,
            _ => Self::Field,
        }
    }
}

impl<'a> Decoder<'_, 'a, '_> {
    fn leave_out(&mut self, what: String) {
        self.actions.left_out.push(what);
    }

    fn tablet(&mut self, tablet: &Tablet<'a>, database: Option<&'a str>) {
        let times: Vec<i64> = tablet.times.iter().flat_map(|times| times.iter()).collect();
        let columns = tablet.columns();
        match database.filter(|it| !is_of_root(it)) {
            None => self.tree(tablet.device, tablet.aligned, &times, columns),
            Some(database) => {
                let columns = columns.map(|it| (Category::of_tablet(it.category), it));
                self.table(database, tablet.device, &times, columns);
            }
        }
    }

    fn rows(&mut self, model: DataModel, rows: &InsertRows<'a>, database: Option<&'a str>) {
        let database = (model == DataModel::Table).then(|| database.unwrap_or(NO_DATABASE));
        match rows {
            InsertRows::One(row) => self.row(row, database),
            InsertRows::Several { rows, .. } => {
                rows.iter().for_each(|row| self.row(&row, database));
            }
            InsertRows::Tablet(tablet) => self.node(tablet, database),
        }
    }

    fn node(&mut self, tablet: &TabletNode<'a>, database: Option<&'a str>) {
        let times: Vec<i64> = tablet.times.iter().collect();
        let columns = tablet.columns();
        match database {
            None => self.tree(tablet.device, tablet.aligned, &times, columns),
            Some(database) => {
                let columns = columns.map(|it| (Category::of_node(it.category), it));
                self.table(database, tablet.device, &times, columns);
            }
        }
    }

    fn tree(
        &mut self,
        device: &'a str,
        is_aligned: bool,
        times: &[i64],
        columns: impl Iterator<Item = Column<'a>>,
    ) {
        let mut points = Points { device: Device::tree(device), is_aligned, columns: Vec::new() };
        for column in columns {
            let (Some(measurement), Some(values)) = (column.name, column.values) else { continue };
            let data_type = values.data_type();
            let cells = times.iter().zip(column.cells());
            let cells = cells.filter_map(|(time, cell)| Some((*time, cell?))).collect();
            points.columns.push(PointsColumn { measurement, data_type, points: cells });
        }
        self.insert(points);
    }

    fn table(
        &mut self,
        database: &'a str,
        table: &'a str,
        times: &[i64],
        columns: impl Iterator<Item = (Category, Column<'a>)>,
    ) {
        let (mut tags, mut tag_names, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for (category, column) in columns {
            let Some(name) = column.name else { continue };
            match category {
                Category::Tag => {
                    tag_names.push(Box::from(name));
                    tags.push(column.cells().collect::<Vec<_>>());
                }
                Category::Field => fields.push((name, column)),
                // nothing in a TsFile: they are facts of the device, and belong to its schema
                Category::Attribute => self.leave_out(format!("attribute {name} of table {table}")),
                Category::Time => (),
            }
        }
        let Some(places) = self.places(database, table, &tag_names) else { return };
        let mut rows_of: BTreeMap<Vec<Option<Box<str>>>, Vec<usize>> = BTreeMap::new();
        for row in 0..times.len() {
            let tag = |tag: &Vec<Option<ValueRef<'a>>>| {
                tag.get(row).copied().flatten().map(|value| text_of(value))
            };
            let segments = segments_of(table, &places, tags.iter().map(tag));
            rows_of.entry(segments).or_default().push(row);
        }
        let fields: Vec<_> = fields
            .into_iter()
            .filter_map(|(name, column)| {
                let data_type = column.values?.data_type();
                Some((name, data_type, column.cells().collect::<Vec<_>>()))
            })
            .collect();
        let has_cell =
            |row: usize| fields.iter().any(|(.., cells)| matches!(cells.get(row), Some(Some(_))));
        if !(0..times.len()).all(has_cell) {
            self.leave_out(tags_alone(table));
        }
        for (segments, rows) in rows_of {
            let columns = fields.iter().map(|(measurement, data_type, cells)| {
                let cell = |row: &usize| Some((*times.get(*row)?, cells.get(*row).copied()??));
                let points = rows.iter().filter_map(cell).collect();
                PointsColumn { measurement, data_type: *data_type, points }
            });
            let (device, columns) = (Device::table(database, segments), columns.collect());
            self.insert(Points { device, is_aligned: true, columns });
        }
    }

    fn row(&mut self, row: &Row<'a>, database: Option<&'a str>) {
        let (mut tag_names, mut tags, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        let mut categories = row.categories.iter().copied();
        for (name, cell) in row.measurements.names().zip(row.values.iter()) {
            let category = Category::of_node(categories.next());
            match category {
                Category::Field => cells.push((name, cell)),
                Category::Attribute => {
                    self.leave_out(format!("attribute {name} of table {}", row.device));
                }
                Category::Tag => {
                    tag_names.push(Box::from(name));
                    tags.push(match cell {
                        Cell::Value(_, value) => Some(text_of(value)),
                        Cell::Raw(text) => Some(text.into()),
                        Cell::Null | Cell::NullOf(_) => None,
                    });
                }
                Category::Time => (),
            }
        }
        let device = match database {
            None => Device::tree(row.device),
            Some(database) => {
                let Some(places) = self.places(database, row.device, &tag_names) else { return };
                Device::table(database, segments_of(row.device, &places, tags.into_iter()))
            }
        };
        let mut columns = Vec::new();
        for (measurement, cell) in cells {
            let (data_type, value) = match cell {
                Cell::Null | Cell::NullOf(_) => continue,
                Cell::Value(data_type, value) => (data_type, value),
                Cell::Raw(text) => match typed(text, (self.known)(&device, measurement)) {
                    Some(found) => found,
                    None => {
                        self.leave_out(format!(
                            "{device}.{measurement}: {text:?} of no known type"
                        ));
                        continue;
                    }
                },
            };
            columns.push(PointsColumn { measurement, data_type, points: vec![(row.time, value)] });
        }
        if database.is_some() && columns.is_empty() {
            self.leave_out(tags_alone(row.device));
        }
        let is_aligned = row.aligned || database.is_some();
        self.insert(Points { device, is_aligned, columns });
    }

    /// Where tags of a table are; `None` if its rows are left out, since no TsFile can hold them.
    fn places(&mut self, database: &str, table: &str, tags: &[Box<str>]) -> Option<Vec<usize>> {
        let mut names = [database, table].into_iter().chain(tags.iter().map(|tag| &**tag));
        if !names.all(is_name) {
            self.leave_out(format!("rows of table {table:.100}: a name of no file"));
            return None;
        }
        let key = (Box::from(database), Box::from(table));
        let known = self.tables.entry(key.clone());
        let known = known.or_insert_with(|| Tags::known(self.state, &key));
        // nearly always, and then nothing is copied
        if known.names.starts_with(tags) {
            return Some((0..tags.len()).collect());
        }
        let mut found = known.clone();
        match found.places(tags) {
            Ok(places) => {
                if found != *known {
                    known.clone_from(&found);
                    self.actions.list.push(Action::Table(key, found));
                }
                Some(places)
            }
            Err(fault) => {
                self.leave_out(format!("rows of table {table:.100}: {fault}"));
                None
            }
        }
    }

    /// Whether a deletion names values of tags by places that may be those of others.
    fn is_of_mixed_tags(&self, deletion: &Tombstone) -> bool {
        let Target::Table { table, predicate, .. } = &deletion.entry.deletion.target else {
            return false;
        };
        let of_request = self.tables.iter().filter(|(_, tags)| tags.is_mixed).map(|(it, _)| it);
        !is_of_all(predicate)
            && self
                .state
                .mixed
                .iter()
                .chain(of_request)
                .any(|(database, mixed)| mixed == table && deletion.is_of(Some(database)))
    }

    /// Leaves out what no TsFile can hold: a flush that fails for good would hold all up.
    fn insert(&mut self, mut points: Points<'a>) {
        let device = points.device.to_string();
        let of_device = fault_of(&points.device);
        let mut left_out = Vec::new();
        points.columns.retain(|PointsColumn { measurement, points: cells, .. }| {
            let fault = of_device.clone().or_else(|| fault_of_name("measurement", measurement));
            if let Some(fault) = &fault {
                let n_points = cells.len();
                left_out.push(format!(
                    "{n_points} points of {device:.100}.{measurement:.100}: {fault}"
                ));
            }
            fault.is_none()
        });
        // a column twice: the later one counts where both have a value, as with rows; of another type
        // it is none of the same series
        let mut types: BTreeMap<&str, DataType> = BTreeMap::new();
        points.columns.retain(|PointsColumn { measurement, data_type, points: cells }| {
            let first = *types.entry(measurement).or_insert(*data_type);
            if first != *data_type {
                left_out.push(format!(
                    "{} points of {}.{measurement:.100}: expected {first} as in the same request, \
                     but found {data_type}",
                    cells.len(),
                    points.device
                ));
            }
            first == *data_type
        });
        self.actions.left_out.append(&mut left_out);
        self.actions.list.push(Action::Insert(points));
    }

    fn delete(&mut self, delete: &DeleteData<'a>) {
        let times = TimeRange { start: delete.start_time, end: delete.end_time };
        if times.start > times.end {
            return;
        }
        for path in &delete.paths {
            let patterns = match &path.kind {
                PathKind::Aligned { nodes, measurements, .. } => {
                    let device = nodes.iter().collect::<Vec<_>>().join(".");
                    measurements.iter().map(|name| format!("{device}.{name}")).collect()
                }
                _ => vec![path.full_path()],
            };
            for pattern in patterns {
                match Tombstone::of_pattern(self.precedence, &pattern, times) {
                    Some(deletion) => self.actions.list.push(Action::Delete(deletion)),
                    None => self.leave_out(format!("deletion of {pattern:.100}")),
                }
            }
        }
    }

    fn relational_delete(&mut self, delete: &RelationalDelete<'a>) {
        for entry in &delete.entries {
            let mut raw = Vec::new();
            entry.encode(&mut Writer::new(&mut raw), ());
            match Tombstone::of_entry(self.precedence, delete.database, &raw) {
                Some(deletion) if self.is_of_mixed_tags(&deletion) => self.leave_out(format!(
                    "deletion of {}: expected the tags of the table always in one order, since a \
                     deletion tells their places alone, but they came in several",
                    deletion.entry.deletion
                )),
                Some(deletion) => self.actions.list.push(Action::Delete(deletion)),
                None if entry.start_time > entry.end_time => (),
                None => self.leave_out(String::from("deletion of a form that is not known")),
            }
        }
    }
}

/// Why no TsFile can have a device.
fn fault_of(device: &Device) -> Option<String> {
    match device {
        Device::Tree { path } if !is_of_root(path) => {
            Some(String::from("expected a device that begins with root"))
        }
        Device::Tree { path } => fault_of_name("device", path),
        Device::Table { database, segments } => {
            let n_tags = segments.0.len();
            let long = segments.0.iter().flatten().find(|it| it.len() > NAME_BYTES_MAX);
            fault_of_name("database", database)
                .or_else(|| fault_of_name("table", device.table_name().unwrap_or_default()))
                .or_else(|| fault_of_name("tag", long?))
                .or_else(|| {
                    let message = || format!("expected at most {TAGS_MAX} tags, found {n_tags}");
                    (n_tags > TAGS_MAX).then(message)
                })
        }
    }
}

/// Why no TsFile can have a name.
fn fault_of_name(what: &str, name: &str) -> Option<String> {
    let n_bytes = name.len();
    let expected = format!("expected the name of a {what} of 1 to {NAME_BYTES_MAX} bytes");
    (!is_name(name)).then(|| format!("{expected}, found {n_bytes}"))
}

/// Whether a TsFile can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// A tag as text.
fn text_of(value: ValueRef<'_>) -> Box<str> {
    match value {
        ValueRef::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        ValueRef::Boolean(value) => value.to_string().into(),
        ValueRef::Int32(value) => value.to_string().into(),
        ValueRef::Int64(value) => value.to_string().into(),
        ValueRef::Float(value) => value.to_string().into(),
        ValueRef::Double(value) => value.to_string().into(),
    }
}

/// The value of a text that came without a type: that of the series, or what IoTDB takes such texts
/// for (`boolean_string_infer_type` and the like).
fn typed(text: &str, known: Option<DataType>) -> Option<(DataType, ValueRef<'_>)> {
    let is_boolean = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    let data_type = known.unwrap_or_else(|| match text.parse::<f64>() {
        _ if is_boolean => DataType::Boolean,
        Ok(_) => DataType::Double,
        Err(_) => DataType::Text,
    });
    let unquoted = || {
        let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
        inside('\'').or_else(|| inside('"')).unwrap_or(text)
    };
    let value = match data_type {
        DataType::Boolean if is_boolean => ValueRef::Boolean(text.eq_ignore_ascii_case("true")),
        DataType::Boolean => ValueRef::Boolean(text.parse::<i32>().ok()? != 0),
        DataType::Int32 => ValueRef::Int32(text.parse().ok()?),
        DataType::Int64 | DataType::Timestamp => ValueRef::Int64(text.parse().ok()?),
        DataType::Float => ValueRef::Float(text.parse().ok()?),
        DataType::Double => ValueRef::Double(text.parse().ok()?),
        DataType::Date => ValueRef::Int32(text.replace('-', "").parse().ok()?),
        _ => ValueRef::Bytes(unquoted().as_bytes()),
    };
    Some((data_type, value))
}
