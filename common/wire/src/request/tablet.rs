//! Raw tablets (types 3 and 11, and inside batches), in the forms of 1.x and of 2.x.
//!
//! The two forms differ in one byte per column and do not say which they are. A decoder tries that of
//! 2.x first, like IoTDB, and takes the form that ends exactly where the request does.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::TooLong;
use tidegate_codec::Writer;
use tidegate_model as model;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Dialect;

use super::Element;
use super::PayloadHead;
use super::RequestType;
use super::Seq;
use super::TEXT_BYTES_MAX;
use super::column::Column;
use super::column::NullForm;
use super::column::Schema;
use super::column::Times;
use super::column::Values;
use super::column::bitmap_bytes;
use crate::frame::PAYLOAD_BYTES_MAX;

/// Which writer's form a tablet has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // a third form must be thought about everywhere
pub enum TabletForm {
    /// IoTDB 2.x: a category after each schema.
    Categories,
    /// IoTDB 1.x.
    Plain,
}

impl TabletForm {
    /// In the order in which a decoder tries them.
    pub(super) const TRIED: [Self; 2] = [Self::Categories, Self::Plain];
}

/// A tablet and whether its device is aligned, exactly as sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tablet<'a> {
    /// The form in which it was sent.
    pub form: TabletForm,
    /// Full path of the device, or name of the table.
    pub device: &'a str,
    /// How many rows.
    pub rows: usize,
    /// One schema per column.
    pub schemas: Option<Seq<'a, TabletSchema<'a>, TabletForm>>,
    /// One time stamp per row.
    pub times: Option<Times<'a>>,
    /// One bitmap of nulls per column.
    pub bitmaps: Option<Seq<'a, Option<Bitmap<'a>>>>,
    /// Whether the device's series share their time column.
    pub aligned: bool,
    /// All columns of values, presence bytes included.
    values: Option<&'a [u8]>,
}

impl<'a> Tablet<'a> {
    /// The columns.
    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> {
        let mut bitmaps = self.bitmaps.as_ref().map(Seq::iter);
        let mut values = self.values.map(Reader::new);
        self.schemas.iter().flatten().map(move |slot| {
            let bitmap = bitmaps.as_mut().and_then(Iterator::next).flatten();
            let values = values.as_mut().and_then(|reader| {
                // The same bytes were read without an error before.
                decode_column(reader, &slot, self.rows).ok().flatten()
            });
            Column {
                name: slot.schema.map(|schema| schema.name),
                category: slot.category,
                nulls: bitmap.map(|bitmap| bitmap.bytes),
                values,
            }
        })
    }

    /// The tablet by itself; columns without schema or values are all null and left out.
    pub fn to_model(&self) -> model::Tablet {
        let slots = self.schemas.iter().flatten();
        let columns = slots.zip(self.columns()).filter_map(|(slot, column)| {
            let schema = slot.schema?;
            column.values?;
            Some(model::Column {
                name: schema.name.to_owned(),
                data_type: schema.data_type,
                encoding: schema.encoding,
                compressor: schema.compressor,
                category: slot.category.map_or(Category::Field, category_of),
                values: column.cells().map(|cell| cell.map(|value| value.to_value())).collect(),
            })
        });
        model::Tablet {
            database: None,
            device: self.device.to_owned(),
            aligned: self.aligned,
            times: self.times.iter().flat_map(Times::iter).collect(),
            columns: columns.collect(),
        }
    }

    fn decode_form(reader: &mut Reader<'a>, form: TabletForm) -> Result<Self, Error> {
        let device = reader.str("device", TEXT_BYTES_MAX)?;
        let rows = reader.count("number of rows", 0)?;
        let schemas = present(reader, |reader| Seq::decode(reader, "number of columns", form))?;
        let times = present(reader, |reader| Times::decode(reader, rows))?;
        let columns = schemas.as_ref().map_or(0, Seq::len);
        let bitmaps = present(reader, |reader| Seq::decode_counted(reader, columns, ()))?;
        let values = present(reader, |reader| {
            let start = reader.clone();
            for slot in schemas.iter().flatten() {
                decode_column(reader, &slot, rows)?;
            }
            Ok(reader.since(&start))
        })?;
        let aligned = reader.bool("whether the device is aligned (0 or 1)")?;
        Ok(Self { form, device, rows, schemas, times, bitmaps, aligned, values })
    }
}

impl<'a> Element<'a> for Tablet<'a> {
    type Context = TabletForm;
    const BYTES_MIN: usize = 13;

    fn decode(reader: &mut Reader<'a>, form: TabletForm) -> Result<Self, Error> {
        Self::decode_form(reader, form)
    }

    fn encode(&self, writer: &mut Writer<'_>, _: TabletForm) {
        writer.str(self.device);
        writer.length(self.rows);
        writer.bool(self.schemas.is_some());
        if let Some(schemas) = &self.schemas {
            schemas.encode(writer);
        }
        writer.bool(self.times.is_some());
        if let Some(times) = &self.times {
            times.encode(writer);
        }
        writer.bool(self.bitmaps.is_some());
        if let Some(bitmaps) = &self.bitmaps {
            bitmaps.encode_counted(writer);
        }
        writer.bool(self.values.is_some());
        if self.values.is_some() {
            for column in self.columns() {
                writer.bool(column.values.is_some());
                if let Some(values) = column.values {
                    values.encode(writer);
                }
            }
        }
        writer.bool(self.aligned);
    }
}

/// The schema of one column of a tablet.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct TabletSchema<'a> {
    /// The schema, if the sender had one.
    pub schema: Option<Schema<'a>>,
    /// In the form of 2.x, and if there is a schema: tag 0, field 1, attribute 2, time 3.
    pub category: Option<u8>,
}

impl<'a> Element<'a> for TabletSchema<'a> {
    type Context = TabletForm;
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, form: TabletForm) -> Result<Self, Error> {
        if !reader.bool("whether a schema is there (0 or 1)")? {
            return Ok(Self { schema: None, category: None });
        }
        let schema = Some(Schema::decode(reader, ())?);
        let category = match form {
            TabletForm::Plain => None,
            TabletForm::Categories => {
                let offset = reader.position();
                match reader.u8("category of a column")? {
                    category @ ..=3 => Some(category),
                    found => {
                        let expected = "a category of columns";
                        return Err(Error::Value { offset, expected, found: i64::from(found) });
                    }
                }
            }
        };
        Ok(Self { schema, category })
    }

    fn encode(&self, writer: &mut Writer<'_>, _: TabletForm) {
        writer.bool(self.schema.is_some());
        if let Some(schema) = &self.schema {
            schema.encode(writer, ());
        }
        if let Some(category) = self.category {
            writer.u8(category);
        }
    }
}

/// A bitmap with the size that its sender gave it: 1.x has more bits than the tablet has rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Bitmap<'a> {
    /// Number of bits.
    pub size: i32,
    /// The bits, lowest first; 1 is null.
    pub bytes: &'a [u8],
}

impl<'a> Element<'a> for Option<Bitmap<'a>> {
    type Context = ();
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        present(reader, |reader| {
            Ok(Bitmap {
                size: reader.i32("size of a bitmap")?,
                bytes: reader.bin("bitmap", PAYLOAD_BYTES_MAX as usize)?,
            })
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.bool(self.is_some());
        if let Some(bitmap) = self {
            writer.i32(bitmap.size);
            writer.bin(bitmap.bytes);
        }
    }
}

/// Writes a tablet of our own as a writer of the form's generation does.
///
/// Sizes of bitmaps are the number of rows, and a column without a null has none.
pub fn encode_tablet(tablet: &model::Tablet, form: TabletForm, writer: &mut Writer<'_>) {
    let rows = tablet.times.len();
    writer.str(&tablet.device);
    writer.length(rows);
    writer.bool(true);
    writer.length(tablet.columns.len());
    for column in &tablet.columns {
        let schema = Schema {
            name: &column.name,
            data_type: column.data_type,
            encoding: column.encoding,
            compressor: column.compressor,
            properties: Vec::new().into(),
        };
        let category = (form == TabletForm::Categories).then(|| category_code(column.category));
        TabletSchema { schema: Some(schema), category }.encode(writer, form);
    }
    writer.bool(true);
    for time in &tablet.times {
        writer.i64(*time);
    }
    let nulls: Vec<_> = tablet.columns.iter().map(|column| null_bits(column, rows)).collect();
    let any_null = nulls.iter().any(Option::is_some);
    writer.bool(any_null);
    if any_null {
        for nulls in &nulls {
            let size = i32::try_from(rows).unwrap_or(i32::MAX);
            nulls.as_deref().map(|bytes| Bitmap { size, bytes }).encode(writer, ());
        }
    }
    writer.bool(true);
    for column in &tablet.columns {
        writer.bool(true);
        for row in 0..rows {
            encode_cell(column.data_type, column.values.get(row).and_then(Option::as_ref), writer);
        }
    }
    writer.bool(tablet.aligned);
}

/// The payload of a request that carries a tablet of our own: type 3 to 1.x, type 11 to 2.0.
pub fn encode_tablet_request(tablet: &model::Tablet, dialect: Dialect) -> Result<Vec<u8>, TooLong> {
    let mut payload = Vec::new();
    let mut writer = Writer::new(&mut payload);
    let (request_type, form) = match dialect {
        Dialect::V1_2 | Dialect::V1_3 => (RequestType::TransferTabletRaw, TabletForm::Plain),
        Dialect::V2_0 => (RequestType::TransferTabletRawV2, TabletForm::Categories),
    };
    PayloadHead { request_type }.encode(&mut writer);
    encode_tablet(tablet, form, &mut writer);
    if dialect == Dialect::V2_0 {
        writer.nullable_str(tablet.database.as_deref());
    }
    writer.finish()?;
    Ok(payload)
}

fn null_bits(column: &model::Column, rows: usize) -> Option<Vec<u8>> {
    let is_null = |row: &usize| column.values.get(*row).is_none_or(Option::is_none);
    (0..rows).find(is_null)?;
    let mut bits = vec![0u8; bitmap_bytes(rows)];
    for row in (0..rows).filter(is_null) {
        if let Some(byte) = bits.get_mut(row >> 3) {
            *byte |= 1 << (row & 7);
        }
    }
    Some(bits)
}

/// A cell, or IoTDB's filler of a null one. A value of another type counts as null.
fn encode_cell(data_type: DataType, cell: Option<&model::Value>, writer: &mut Writer<'_>) {
    use model::Value as V;
    match (data_type, cell) {
        (DataType::Boolean, Some(V::Boolean(value))) => writer.bool(*value),
        (DataType::Boolean, _) => writer.bool(false),
        (DataType::Int32 | DataType::Date, Some(V::Int32(value))) => writer.i32(*value),
        (DataType::Int32 | DataType::Date, _) => writer.i32(i32::MIN),
        (DataType::Int64 | DataType::Timestamp, Some(V::Int64(value))) => writer.i64(*value),
        (DataType::Int64 | DataType::Timestamp, _) => writer.i64(i64::MIN),
        (DataType::Float, Some(V::Float(value))) => writer.f32(*value),
        // Java's Float.MIN_VALUE is the smallest positive one.
        (DataType::Float, _) => writer.f32(f32::from_bits(1)),
        (DataType::Double, Some(V::Double(value))) => writer.f64(*value),
        (DataType::Double, _) => writer.f64(f64::from_bits(1)),
        (_, Some(V::Bytes(value))) => {
            writer.bool(true);
            writer.bin(value);
        }
        (_, _) => writer.bool(false),
    }
}

fn decode_column<'a>(
    reader: &mut Reader<'a>,
    slot: &TabletSchema<'a>,
    rows: usize,
) -> Result<Option<Values<'a>>, Error> {
    let offset = reader.position();
    present(reader, |reader| match &slot.schema {
        Some(schema) => Values::decode(reader, schema.data_type, rows, NullForm::Flagged),
        None => Err(Error::Value { offset, expected: "no values without a schema", found: 1 }),
    })
}

/// A byte that says whether something follows, and that.
pub(super) fn present<'a, T>(
    reader: &mut Reader<'a>,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match reader.bool("whether something follows (0 or 1)")? {
        true => decode(reader).map(Some),
        false => Ok(None),
    }
}

/// tsfile's `ColumnCategory`, not IoTDB's `TsTableColumnCategory`, which has other numbers.
fn category_of(code: u8) -> Category {
    match code {
        0 => Category::Tag,
        2 => Category::Attribute,
        3 => Category::Time,
        _ => Category::Field,
    }
}

fn category_code(category: Category) -> u8 {
    match category {
        Category::Tag => 0,
        Category::Field => 1,
        Category::Attribute => 2,
        Category::Time => 3,
    }
}
