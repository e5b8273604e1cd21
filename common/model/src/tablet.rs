//! A tablet: rows of one device, column by column, without the accidents of any wire form.

use crate::DataType;

/// Rows of one device (or, in the table model, of one table).
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a tablet is
pub struct Tablet {
    /// Database in the table model; `None` in the tree model.
    pub database: Option<String>,
    /// Full path of the device, or name of the table.
    pub device: String,
    /// Whether the device's series share their time column.
    pub aligned: bool,
    /// One time stamp per row, in no particular order.
    pub times: Vec<i64>,
    /// The columns.
    pub columns: Vec<Column>,
}

/// One column of a [`Tablet`].
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a column is
pub struct Column {
    /// Name of the measurement.
    pub name: String,
    /// Type of every value.
    pub data_type: DataType,
    /// Code of the encoding that the source stores it with.
    pub encoding: u8,
    /// Code of the compression that the source stores it with.
    pub compressor: u8,
    /// What the column is for.
    pub category: Category,
    /// One cell per row; `None` is null.
    pub values: Vec<Option<Value>>,
}

/// What a column of a table is for. In the tree model all are fields.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB's table model knows these
pub enum Category {
    /// Describes the device, may change.
    Attribute,
    /// Measured.
    #[default]
    Field,
    /// Identifies the device.
    Tag,
    /// The time itself.
    Time,
}

impl Category {
    /// IoTDB's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attribute => "ATTRIBUTE",
            Self::Field => "FIELD",
            Self::Tag => "TAG",
            Self::Time => "TIME",
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per width, not per type
pub enum Value {
    /// BOOLEAN.
    Boolean(bool),
    /// TEXT, STRING, BLOB and OBJECT.
    Bytes(Vec<u8>),
    /// DOUBLE.
    Double(f64),
    /// FLOAT.
    Float(f32),
    /// INT32 and DATE.
    Int32(i32),
    /// INT64 and TIMESTAMP.
    Int64(i64),
}
