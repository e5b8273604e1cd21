//! What tablets and insert nodes share: schemas, columns of values, bitmaps of nulls.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::DataType;
use tidegate_model::Value;

use super::Element;
use super::Pair;
use super::Seq;
use super::TEXT_BYTES_MAX;
use crate::frame::PAYLOAD_BYTES_MAX;

/// Name and type of one series, and how its source stores it (IoTDB's `MeasurementSchema`).
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Schema<'a> {
    /// Name of the measurement.
    pub name: &'a str,
    /// Type of its values.
    pub data_type: DataType,
    /// Code of the encoding, as sent.
    pub encoding: u8,
    /// Code of the compression, as sent.
    pub compressor: u8,
    /// Properties of the encoding, usually none.
    pub properties: Seq<'a, Pair<'a>>,
}

impl<'a> Element<'a> for Schema<'a> {
    type Context = ();
    const BYTES_MIN: usize = 11;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        Ok(Self {
            name: reader.str("name of a measurement", TEXT_BYTES_MAX)?,
            data_type: data_type(reader)?,
            encoding: reader.u8("encoding")?,
            compressor: reader.u8("compression")?,
            properties: Seq::decode(reader, "number of properties", ())?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.str(self.name);
        writer.u8(self.data_type.code());
        writer.u8(self.encoding);
        writer.u8(self.compressor);
        self.properties.encode(writer);
    }
}

/// Reads the code of a data type that values can have.
pub(super) fn data_type(reader: &mut Reader<'_>) -> Result<DataType, Error> {
    let offset = reader.position();
    let code = reader.u8("data type")?;
    DataType::from_code(code).ok_or_else(|| Error::Value {
        offset,
        expected: "a data type of values",
        found: i64::from(code),
    })
}

/// How nulls stand among values of variable length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NullForm {
    /// A byte before each says whether it is there (tablets).
    Flagged,
    /// Only in bitmaps; a null is empty (insert nodes).
    Plain,
}

/// The values of one column as they stand on the wire, fillers of null cells included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values<'a> {
    data_type: DataType,
    null_form: NullForm,
    rows: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    pub(super) fn decode(
        reader: &mut Reader<'a>,
        data_type: DataType,
        rows: usize,
        null_form: NullForm,
    ) -> Result<Self, Error> {
        let start = reader.clone();
        match data_type.fixed_bytes() {
            Some(width) => {
                let bytes = rows.saturating_mul(width);
                reader.take(bytes, "values of a column")?;
            }
            None => {
                for _ in 0..rows {
                    read_bytes(reader, null_form)?;
                }
            }
        }
        Ok(Self { data_type, null_form, rows, bytes: reader.since(&start) })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.bytes);
    }

    /// The values row by row. Null here are only texts that say so themselves: ask the bitmap too.
    pub fn iter(&self) -> impl Iterator<Item = Option<ValueRef<'a>>> + use<'a> {
        let Self { data_type, null_form, rows, bytes } = *self;
        let mut reader = Reader::new(bytes);
        // The same bytes were read without an error before.
        (0..rows).map_while(move |_| read_value(&mut reader, data_type, null_form).ok())
    }

    /// The type of every value.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }
}

fn read_bytes<'a>(reader: &mut Reader<'a>, null_form: NullForm) -> Result<Option<&'a [u8]>, Error> {
    if null_form == NullForm::Flagged && !reader.bool("whether a value is there (0 or 1)")? {
        return Ok(None);
    }
    reader.bin("value", PAYLOAD_BYTES_MAX as usize).map(Some)
}

fn read_value<'a>(
    reader: &mut Reader<'a>,
    data_type: DataType,
    null_form: NullForm,
) -> Result<Option<ValueRef<'a>>, Error> {
    if data_type.fixed_bytes().is_none() {
        return Ok(read_bytes(reader, null_form)?.map(ValueRef::Bytes));
    }
    ValueRef::decode(reader, data_type).map(Some)
}

/// One value, borrowed from its payload.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per width, not per type
pub enum ValueRef<'a> {
    /// BOOLEAN.
    Boolean(bool),
    /// TEXT, STRING, BLOB and OBJECT.
    Bytes(&'a [u8]),
    /// DOUBLE.
    Double(f64),
    /// FLOAT.
    Float(f32),
    /// INT32 and DATE.
    Int32(i32),
    /// INT64 and TIMESTAMP.
    Int64(i64),
}

impl<'a> ValueRef<'a> {
    /// Reads a value of a type, without any mark of null.
    pub(super) fn decode(reader: &mut Reader<'a>, data_type: DataType) -> Result<Self, Error> {
        Ok(match data_type {
            DataType::Boolean => Self::Boolean(reader.u8("value")? == 1),
            DataType::Int32 | DataType::Date => Self::Int32(reader.i32("value")?),
            DataType::Int64 | DataType::Timestamp => Self::Int64(reader.i64("value")?),
            DataType::Float => Self::Float(reader.f32("value")?),
            DataType::Double => Self::Double(reader.f64("value")?),
            _ => Self::Bytes(reader.bin("value", PAYLOAD_BYTES_MAX as usize)?),
        })
    }

    /// Writes the value, without any mark of null.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Boolean(value) => writer.bool(value),
            Self::Bytes(value) => writer.bin(value),
            Self::Double(value) => writer.f64(value),
            Self::Float(value) => writer.f32(value),
            Self::Int32(value) => writer.i32(value),
            Self::Int64(value) => writer.i64(value),
        }
    }

    /// The value by itself.
    pub fn to_value(self) -> Value {
        match self {
            Self::Boolean(value) => Value::Boolean(value),
            Self::Bytes(value) => Value::Bytes(value.to_vec()),
            Self::Double(value) => Value::Double(value),
            Self::Float(value) => Value::Float(value),
            Self::Int32(value) => Value::Int32(value),
            Self::Int64(value) => Value::Int64(value),
        }
    }
}

/// One column of a tablet or of an insert node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Column<'a> {
    /// Name of the measurement; `None` if the sender left the schema out.
    pub name: Option<&'a str>,
    /// Its category by the numbers of where it stands, if one was sent.
    pub category: Option<u8>,
    /// Marks of null cells: bit `row % 8` of byte `row / 8`.
    pub nulls: Option<&'a [u8]>,
    /// The values; `None` if the whole column is absent.
    pub values: Option<Values<'a>>,
}

impl<'a> Column<'a> {
    /// The cells row by row, null where the bitmap or the value itself says so.
    pub fn cells(&self) -> impl Iterator<Item = Option<ValueRef<'a>>> + use<'a> {
        let nulls = self.nulls;
        let values = self.values.map(|values| values.iter());
        values.into_iter().flatten().enumerate().map(move |(row, value)| {
            let byte = nulls.and_then(|nulls| nulls.get(row >> 3)).copied().unwrap_or_default();
            value.filter(|_| byte & (1 << (row & 7)) == 0)
        })
    }
}

/// Time stamps as they stand on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times<'a>(&'a [u8]);

impl<'a> Times<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, rows: usize) -> Result<Self, Error> {
        reader.take(rows.saturating_mul(8), "time stamps").map(Self)
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.0);
    }

    /// The time stamps in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<'a> {
        self.0.as_chunks().0.iter().map(|chunk| i64::from_be_bytes(*chunk))
    }
}

/// How many bytes IoTDB's `BitMap` of so many bits takes: one spare when it is a multiple of eight.
pub(super) fn bitmap_bytes(bits: usize) -> usize {
    (bits >> 3).saturating_add(1)
}
