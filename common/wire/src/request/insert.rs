//! Insert nodes: rows and tablets as plans (types 2, 10) and as entries of the log (types 7, 12).
//!
//! The two syntaxes hold the same in slightly different bytes: the log leaves out what IoTDB can do
//! without when it replays itself.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::DataType;

use super::Element;
use super::Seq;
use super::TEXT_BYTES_MAX;
use super::column::Column;
use super::column::NullForm;
use super::column::Schema;
use super::column::Times;
use super::column::ValueRef;
use super::column::Values;
use super::column::bitmap_bytes;
use super::column::data_type;
use super::tablet::present;

/// A plan node that inserts: types 2 and 10, and inside of batches.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct InsertPlan<'a> {
    /// Whether the device is a path or a table.
    pub model: DataModel,
    /// What is inserted.
    pub rows: InsertRows<'a>,
    /// Usually empty.
    pub plan_node_id: &'a str,
}

impl<'a> InsertPlan<'a> {
    /// The rest of a plan whose type has been read.
    pub(super) fn decode_rest(reader: &mut Reader<'a>, kind: PlanKind) -> Result<Self, Error> {
        let form = Form { syntax: Syntax::Plan, model: kind.model };
        let rows = InsertRows::decode(reader, kind.shape, form)?;
        let plan_node_id = plan_node_end(reader)?;
        Ok(Self { model: kind.model, rows, plan_node_id })
    }
}

impl<'a> Element<'a> for InsertPlan<'a> {
    type Context = ();
    /// No row at all: type, count, id, children.
    const BYTES_MIN: usize = 14;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        let code = reader.i16("type of a plan node")?;
        let kind = PlanKind::of(code).ok_or_else(|| not_an_insert(offset, code))?;
        Self::decode_rest(reader, kind)
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.i16(PlanKind { model: self.model, shape: self.rows.shape() }.code());
        self.rows.encode(writer, Form { syntax: Syntax::Plan, model: self.model });
        encode_plan_node_end(self.plan_node_id, writer);
    }
}

/// An entry of the write-ahead log: types 7 and 12, and inside of batches.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct WalInsert<'a> {
    /// Type of the entry by the log's own numbers; receivers skip it.
    pub entry_type: i8,
    /// Receivers skip it.
    pub mem_table_id: i64,
    /// Position of the entry in the consensus log.
    pub search_index: i64,
    /// Whether the device is a path or a table.
    pub model: DataModel,
    /// What is inserted.
    pub rows: InsertRows<'a>,
}

impl<'a> WalInsert<'a> {
    /// Reads an entry without a length, as in type 7.
    pub(super) fn decode_bare(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let entry_type = reader.i8("type of a log entry")?;
        let mem_table_id = reader.i64("number of a memtable")?;
        let offset = reader.position();
        let code = reader.i16("type of a plan node")?;
        let PlanKind { model, shape } =
            PlanKind::of(code).ok_or_else(|| not_an_insert(offset, code))?;
        let search_index = reader.i64("search index")?;
        let rows = InsertRows::decode(reader, shape, Form { syntax: Syntax::Wal, model })?;
        Ok(Self { entry_type, mem_table_id, search_index, model, rows })
    }

    /// Writes an entry without a length.
    pub(super) fn encode_bare(&self, writer: &mut Writer<'_>) {
        writer.i8(self.entry_type);
        writer.i64(self.mem_table_id);
        writer.i16(PlanKind { model: self.model, shape: self.rows.shape() }.code());
        writer.i64(self.search_index);
        self.rows.encode(writer, Form { syntax: Syntax::Wal, model: self.model });
    }
}

/// With a length before it, as in types 6, 12 and 13.
impl<'a> Element<'a> for WalInsert<'a> {
    type Context = ();
    const BYTES_MIN: usize = 4;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let length = reader.length("log entry", crate::frame::PAYLOAD_BYTES_MAX as usize)?;
        let mut inner = reader.sub(length, "log entry")?;
        let entry = Self::decode_bare(&mut inner)?;
        inner.finish()?;
        Ok(entry)
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.length_prefixed(|writer| self.encode_bare(writer));
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB has these two
pub enum DataModel {
    /// A table, with a category for every column.
    Table,
    /// A path below `root`.
    Tree,
}

/// What an insert node inserts.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB has these three
pub enum InsertRows<'a> {
    /// One row.
    One(Row<'a>),
    /// Rows of any devices, and the place of each in the statement they came from.
    Several {
        /// The rows.
        rows: Seq<'a, Row<'a>, Form>,
        /// As many places; the log has none.
        places: Option<Seq<'a, i32>>,
    },
    /// Rows of one device, column by column.
    Tablet(TabletNode<'a>),
}

impl<'a> InsertRows<'a> {
    fn decode(reader: &mut Reader<'a>, shape: Shape, form: Form) -> Result<Self, Error> {
        Ok(match shape {
            Shape::Row => Self::One(Row::decode(reader, form)?),
            Shape::Tablet => Self::Tablet(TabletNode::decode(reader, form)?),
            Shape::Rows => {
                let rows = Seq::decode(reader, "number of rows", form)?;
                let places = match form.syntax {
                    Syntax::Plan => Some(Seq::decode_counted(reader, rows.len(), ())?),
                    Syntax::Wal => None,
                };
                Self::Several { rows, places }
            }
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, form: Form) {
        match self {
            Self::One(row) => row.encode(writer, form),
            Self::Several { rows, places } => {
                rows.encode(writer);
                if let Some(places) = places {
                    places.encode_counted(writer);
                }
            }
            Self::Tablet(tablet) => tablet.encode(writer),
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::One(_) => Shape::Row,
            Self::Several { .. } => Shape::Rows,
            Self::Tablet(_) => Shape::Tablet,
        }
    }
}

/// The bytes around a row: plan or log, tree or table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    syntax: Syntax,
    model: DataModel,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Syntax {
    Plan,
    Wal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Row,
    Rows,
    Tablet,
}

/// The plan node types that insert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlanKind {
    model: DataModel,
    shape: Shape,
}

impl PlanKind {
    pub(super) fn of(code: i16) -> Option<Self> {
        let (model, shape) = match code {
            13 => (DataModel::Tree, Shape::Tablet),
            14 => (DataModel::Tree, Shape::Row),
            15 => (DataModel::Tree, Shape::Rows),
            2000 => (DataModel::Table, Shape::Tablet),
            2001 => (DataModel::Table, Shape::Row),
            2002 => (DataModel::Table, Shape::Rows),
            _ => return None,
        };
        Some(Self { model, shape })
    }

    fn code(self) -> i16 {
        match (self.model, self.shape) {
            (DataModel::Tree, Shape::Tablet) => 13,
            (DataModel::Tree, Shape::Row) => 14,
            (DataModel::Tree, Shape::Rows) => 15,
            (DataModel::Table, Shape::Tablet) => 2000,
            (DataModel::Table, Shape::Row) => 2001,
            (DataModel::Table, Shape::Rows) => 2002,
        }
    }
}

/// One row of one device.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Row<'a> {
    /// The time stamp.
    pub time: i64,
    /// Full path of the device, or name of the table.
    pub device: &'a str,
    /// The measurements.
    pub measurements: Measurements<'a>,
    /// As many values.
    pub values: Seq<'a, Cell<'a>>,
    /// Plans only: whether the receiver must find out types.
    pub needs_types: Option<bool>,
    /// Whether the device's series share their time column.
    pub aligned: bool,
    /// Table model only: tag 0, attribute 1, time 2, field 3 for every measurement.
    pub categories: &'a [u8],
}

impl<'a> Element<'a> for Row<'a> {
    type Context = Form;
    const BYTES_MIN: usize = 17;

    fn decode(reader: &mut Reader<'a>, form: Form) -> Result<Self, Error> {
        let time = reader.i64("time stamp")?;
        let device = reader.str("device", TEXT_BYTES_MAX)?;
        let measurements = Measurements::decode(reader, form.syntax)?;
        let values = Seq::decode_counted(reader, measurements.len(), ())?;
        let needs_types = match form.syntax {
            Syntax::Plan => Some(reader.bool("whether types must be found out (0 or 1)")?),
            Syntax::Wal => None,
        };
        let aligned = reader.bool("whether the device is aligned (0 or 1)")?;
        let categories = categories(reader, form.model, measurements.len())?;
        Ok(Self { time, device, measurements, values, needs_types, aligned, categories })
    }

    fn encode(&self, writer: &mut Writer<'_>, _: Form) {
        writer.i64(self.time);
        writer.str(self.device);
        self.measurements.encode(writer);
        self.values.encode_counted(writer);
        if let Some(needs_types) = self.needs_types {
            writer.bool(needs_types);
        }
        writer.bool(self.aligned);
        writer.bytes(self.categories);
    }
}

/// Names of measurements, usually with their types.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the wire has these
pub enum Measurements<'a> {
    /// Plans without schemas.
    Names(Seq<'a, &'a str>),
    /// Plans with schemas.
    Schemas(Seq<'a, Schema<'a>>),
    /// The log: schemas, and no byte that says so.
    WalSchemas(Seq<'a, Schema<'a>>),
}

impl<'a> Measurements<'a> {
    fn decode(reader: &mut Reader<'a>, syntax: Syntax) -> Result<Self, Error> {
        let count = reader.count("number of measurements", 4)?;
        Ok(match syntax {
            Syntax::Wal => Self::WalSchemas(Seq::decode_counted(reader, count, ())?),
            Syntax::Plan if reader.bool("whether there are schemas (0 or 1)")? => {
                Self::Schemas(Seq::decode_counted(reader, count, ())?)
            }
            Syntax::Plan => Self::Names(Seq::decode_counted(reader, count, ())?),
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.length(self.len());
        match self {
            Self::Names(names) => {
                writer.bool(false);
                names.encode_counted(writer);
            }
            Self::Schemas(schemas) => {
                writer.bool(true);
                schemas.encode_counted(writer);
            }
            Self::WalSchemas(schemas) => schemas.encode_counted(writer),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Names(names) => names.len(),
            Self::Schemas(schemas) | Self::WalSchemas(schemas) => schemas.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let (names, schemas) = match self {
            Self::Names(names) => (Some(names), None),
            Self::Schemas(schemas) | Self::WalSchemas(schemas) => (None, Some(schemas)),
        };
        let of_schemas = schemas.into_iter().flatten().map(|schema| schema.name);
        names.into_iter().flatten().chain(of_schemas)
    }

    /// The types, if they were sent.
    fn data_types(&self) -> impl Iterator<Item = DataType> {
        let schemas = match self {
            Self::Names(_) => None,
            Self::Schemas(schemas) | Self::WalSchemas(schemas) => Some(schemas),
        };
        schemas.into_iter().flatten().map(|schema| schema.data_type)
    }
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the wire has these
pub enum Cell<'a> {
    /// No value.
    Null,
    /// No value, of a known type (2.0).
    NullOf(DataType),
    /// A text whose type the receiver must find out.
    Raw(&'a str),
    /// A value and its type.
    Value(DataType, ValueRef<'a>),
}

impl<'a> Element<'a> for Cell<'a> {
    type Context = ();
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        let marker = reader.i8("type or mark of a value")?;
        Ok(match marker {
            -1 => Self::Raw(reader.str("value without type", TEXT_BYTES_MAX)?),
            -2 => Self::Null,
            -3 => Self::NullOf(data_type(reader)?),
            _ => {
                let wrong = Error::Value {
                    offset,
                    expected: "a data type of values, or -1 to -3",
                    found: i64::from(marker),
                };
                let code = u8::try_from(marker).map_err(|_| wrong)?;
                let data_type = DataType::from_code(code).ok_or(wrong)?;
                if data_type == DataType::Boolean {
                    // Any byte but 0 and 1 would not come back as it was.
                    let value = reader.bool("value of a boolean (0 or 1)")?;
                    return Ok(Self::Value(data_type, ValueRef::Boolean(value)));
                }
                Self::Value(data_type, ValueRef::decode(reader, data_type)?)
            }
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        match *self {
            Self::Null => writer.i8(-2),
            Self::NullOf(data_type) => {
                writer.i8(-3);
                writer.u8(data_type.code());
            }
            Self::Raw(text) => {
                writer.i8(-1);
                writer.str(text);
            }
            Self::Value(data_type, value) => {
                writer.u8(data_type.code());
                value.encode(writer);
            }
        }
    }
}

/// Rows of one device, column by column, as an insert node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TabletNode<'a> {
    /// Full path of the device, or name of the table.
    pub device: &'a str,
    /// The measurements.
    pub measurements: Measurements<'a>,
    /// How many rows.
    pub rows: usize,
    /// One time stamp per row.
    pub times: Times<'a>,
    /// Whether the device's series share their time column.
    pub aligned: bool,
    /// Table model only: tag 0, attribute 1, time 2, field 3 for every measurement.
    pub categories: &'a [u8],
    /// Plans only: the types once more, by which the columns are read.
    types: Option<&'a [u8]>,
    bitmaps: Option<Seq<'a, NodeBitmap<'a>, usize>>,
    values: &'a [u8],
}

impl<'a> TabletNode<'a> {
    /// The columns.
    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> {
        let mut values = Reader::new(self.values);
        let mut bitmaps = self.bitmaps.as_ref().map(Seq::iter);
        let mut categories = self.categories.iter().copied();
        let types = data_types(self.types, &self.measurements);
        self.measurements.names().zip(types).map(move |(name, data_type)| Column {
            name: Some(name),
            category: categories.next(),
            nulls: bitmaps.as_mut().and_then(Iterator::next).and_then(|bitmap| bitmap.0),
            // The same bytes were read without an error before.
            values: Values::decode(&mut values, data_type, self.rows, NullForm::Plain).ok(),
        })
    }

    fn decode(reader: &mut Reader<'a>, form: Form) -> Result<Self, Error> {
        let device = reader.str("device", TEXT_BYTES_MAX)?;
        let measurements = Measurements::decode(reader, form.syntax)?;
        let types = match form.syntax {
            Syntax::Wal => None,
            Syntax::Plan => {
                let mut types = reader.sub(measurements.len(), "data types")?;
                let bytes = types.peek_rest();
                while !types.is_empty() {
                    data_type(&mut types)?;
                }
                Some(bytes)
            }
        };
        let rows = reader.count("number of rows", 8)?;
        let times = Times::decode(reader, rows)?;
        let bitmaps =
            present(reader, |reader| Seq::decode_counted(reader, measurements.len(), rows))?;
        let start = reader.clone();
        for data_type in data_types(types, &measurements) {
            Values::decode(reader, data_type, rows, NullForm::Plain)?;
        }
        let values = reader.since(&start);
        let aligned = reader.bool("whether the device is aligned (0 or 1)")?;
        let categories = categories(reader, form.model, measurements.len())?;
        Ok(Self { device, measurements, rows, times, aligned, categories, types, bitmaps, values })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.device);
        self.measurements.encode(writer);
        writer.bytes(self.types.unwrap_or_default());
        writer.length(self.rows);
        self.times.encode(writer);
        writer.bool(self.bitmaps.is_some());
        if let Some(bitmaps) = &self.bitmaps {
            bitmaps.encode_counted(writer);
        }
        for values in self.columns().filter_map(|column| column.values) {
            values.encode(writer);
        }
        writer.bool(self.aligned);
        writer.bytes(self.categories);
    }
}

/// The bits of one column, without a length, if it has any null.
#[derive(Clone, Copy, Debug, PartialEq)]
struct NodeBitmap<'a>(Option<&'a [u8]>);

impl<'a> Element<'a> for NodeBitmap<'a> {
    /// Number of rows.
    type Context = usize;
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, rows: usize) -> Result<Self, Error> {
        present(reader, |reader| reader.take(bitmap_bytes(rows), "bitmap")).map(Self)
    }

    fn encode(&self, writer: &mut Writer<'_>, _: usize) {
        writer.bool(self.0.is_some());
        writer.bytes(self.0.unwrap_or_default());
    }
}

/// Types by which columns are read: those of their own, else those of the schemas.
fn data_types<'a>(
    types: Option<&'a [u8]>,
    measurements: &Measurements<'a>,
) -> impl Iterator<Item = DataType> {
    let own = types.into_iter().flatten().filter_map(|code| DataType::from_code(*code));
    let of_schemas = types.is_none().then(|| measurements.data_types());
    own.chain(of_schemas.into_iter().flatten())
}

fn categories<'a>(
    reader: &mut Reader<'a>,
    model: DataModel,
    count: usize,
) -> Result<&'a [u8], Error> {
    match model {
        DataModel::Tree => Ok(&[]),
        DataModel::Table => reader.take(count, "categories of columns"),
    }
}

/// What every plan node ends with: an id, and no children.
pub(super) fn plan_node_end<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Error> {
    let plan_node_id = reader.str("id of a plan node", TEXT_BYTES_MAX)?;
    let offset = reader.position();
    match reader.i32("number of children")? {
        0 => Ok(plan_node_id),
        found => {
            let expected = "a plan node without children";
            Err(Error::Value { offset, expected, found: i64::from(found) })
        }
    }
}

pub(super) fn encode_plan_node_end(plan_node_id: &str, writer: &mut Writer<'_>) {
    writer.str(plan_node_id);
    writer.i32(0);
}

#[cold]
fn not_an_insert(offset: usize, code: i16) -> Error {
    let expected = "the type of a plan node that inserts";
    Error::Value { offset, expected, found: i64::from(code) }
}
