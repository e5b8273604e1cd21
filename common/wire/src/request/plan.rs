//! Plans (types 100 and 200): deletes and inserts are understood, others carried as they are.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use super::Element;
use super::InsertPlan;
use super::Pair;
use super::RelationalDelete;
use super::Seq;
use super::TEXT_BYTES_MAX;
use super::column::Schema;
use super::insert::PlanKind;
use super::insert::encode_plan_node_end;
use super::insert::plan_node_end;
use super::tablet::present;

/// Type 100.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan<'a> {
    /// 44: delete ranges of series.
    Delete(DeleteData<'a>),
    /// 13 to 15 and 2000 to 2002: insert.
    Insert(InsertPlan<'a>),
    /// 2003: delete ranges of tables.
    RelationalDelete(RelationalDelete<'a>),
    /// Any other plan, slack included.
    Opaque(OpaquePlan<'a>),
}

impl<'a> Plan<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match reader.i16("type of a plan node")? {
            DELETE_DATA => Self::Delete(DeleteData::decode(reader)?),
            RELATIONAL_DELETE_DATA => Self::RelationalDelete(RelationalDelete::decode(reader)?),
            code => match PlanKind::of(code) {
                Some(kind) => Self::Insert(InsertPlan::decode_rest(reader, kind)?),
                None => Self::Opaque(OpaquePlan { code, rest: reader.take_rest() }),
            },
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Delete(delete) => {
                writer.i16(DELETE_DATA);
                delete.encode(writer);
            }
            Self::Insert(insert) => insert.encode(writer, ()),
            Self::RelationalDelete(delete) => {
                writer.i16(RELATIONAL_DELETE_DATA);
                delete.encode(writer);
            }
            Self::Opaque(plan) => plan.encode(writer),
        }
    }
}

/// A plan that is carried without being understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // nothing more is known
pub struct OpaquePlan<'a> {
    /// Its type: of plan nodes in type 100, of configuration plans in type 200.
    pub code: i16,
    /// Everything after the type.
    pub rest: &'a [u8],
}

impl<'a> OpaquePlan<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { code: reader.i16("type of a plan")?, rest: reader.take_rest() })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.i16(self.code);
        writer.bytes(self.rest);
    }
}

/// Deletes a range of time from series.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct DeleteData<'a> {
    /// Patterns of full paths.
    pub paths: Seq<'a, Path<'a>>,
    /// First time stamp, inclusive.
    pub start_time: i64,
    /// Last time stamp, inclusive.
    pub end_time: i64,
    /// Usually empty.
    pub plan_node_id: &'a str,
}

impl<'a> DeleteData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            paths: Seq::decode(reader, "number of paths", ())?,
            start_time: reader.i64("start time")?,
            end_time: reader.i64("end time")?,
            plan_node_id: plan_node_end(reader)?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        self.paths.encode(writer);
        writer.i64(self.start_time);
        writer.i64(self.end_time);
        encode_plan_node_end(self.plan_node_id, writer);
    }
}

/// A path or a pattern of paths, as IoTDB writes its path classes.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Path<'a> {
    /// Measurement, device and the dotted whole: what the sender had computed by then.
    pub texts: [Option<&'a str>; 3],
    /// The class, and what only it has.
    pub kind: PathKind<'a>,
}

impl<'a> Path<'a> {
    /// A pattern in the form that stock receivers take for a delete (`MeasurementPath`).
    pub fn measurement(full_path: &'a str, nodes: Vec<&'a str>) -> Self {
        let kind = PathKind::Measurement {
            nodes: nodes.into(),
            schema: None,
            tags: None,
            aligned: Some(false),
            alias: Some(""),
        };
        Self { texts: [None, None, Some(full_path)], kind }
    }

    /// The dotted path.
    pub fn full_path(&self) -> String {
        if let [_, _, Some(full_path)] = self.texts {
            return full_path.to_owned();
        }
        let nodes = match &self.kind {
            PathKind::Aligned { nodes, .. }
            | PathKind::Measurement { nodes, .. }
            | PathKind::Partial { nodes } => nodes.iter().collect(),
            PathKind::Plain => {
                let [measurement, device, _] = self.texts;
                device.into_iter().chain(measurement).collect::<Vec<_>>()
            }
        };
        nodes.join(".")
    }
}

impl<'a> Element<'a> for Path<'a> {
    type Context = ();
    const BYTES_MIN: usize = 4;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        let code = reader.u8("kind of a path")?;
        let mut text = || present(reader, |reader| reader.str("part of a path", TEXT_BYTES_MAX));
        let texts = [text()?, text()?, text()?];
        let kind = match code {
            0 => PathKind::Measurement {
                nodes: nodes(reader)?,
                schema: present(reader, |reader| PathSchema::decode(reader, ()))?,
                tags: present(reader, |reader| Seq::decode(reader, "number of tags", ()))?,
                aligned: boolean_object(reader)?,
                alias: reader.nullable_str("alias", TEXT_BYTES_MAX)?,
            },
            1 => PathKind::Aligned {
                nodes: nodes(reader)?,
                measurements: nodes(reader)?,
                schemas: nullable_seq(reader)?,
            },
            2 => PathKind::Partial { nodes: nodes(reader)? },
            3 => PathKind::Plain,
            found => {
                let expected = "a kind of path (0 to 3)";
                return Err(Error::Value { offset, expected, found: i64::from(found) });
            }
        };
        Ok(Self { texts, kind })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.u8(match self.kind {
            PathKind::Measurement { .. } => 0,
            PathKind::Aligned { .. } => 1,
            PathKind::Partial { .. } => 2,
            PathKind::Plain => 3,
        });
        for text in self.texts {
            writer.bool(text.is_some());
            if let Some(text) = text {
                writer.str(text);
            }
        }
        match &self.kind {
            PathKind::Measurement { nodes, schema, tags, aligned, alias } => {
                nodes.encode(writer);
                writer.bool(schema.is_some());
                if let Some(schema) = schema {
                    schema.encode(writer, ());
                }
                writer.bool(tags.is_some());
                if let Some(tags) = tags {
                    tags.encode(writer);
                }
                writer.i8(aligned.map_or(-1, i8::from));
                writer.nullable_str(*alias);
            }
            PathKind::Aligned { nodes, measurements, schemas } => {
                nodes.encode(writer);
                measurements.encode(writer);
                match schemas {
                    Some(schemas) => schemas.encode(writer),
                    None => writer.i32(-1),
                }
            }
            PathKind::Partial { nodes } => nodes.encode(writer),
            PathKind::Plain => (),
        }
    }
}

/// The four path classes of IoTDB.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the wire has these
pub enum PathKind<'a> {
    /// 1: a device and some of its measurements.
    Aligned {
        /// Nodes of the device.
        nodes: Seq<'a, &'a str>,
        /// Names of measurements.
        measurements: Seq<'a, &'a str>,
        /// Their schemas, if known.
        schemas: Option<Seq<'a, PathSchema<'a>>>,
    },
    /// 0: a series, or a pattern of them.
    Measurement {
        /// Nodes of the path.
        nodes: Seq<'a, &'a str>,
        /// Its schema, if known.
        schema: Option<PathSchema<'a>>,
        /// Tags, if known.
        tags: Option<Seq<'a, Pair<'a>>>,
        /// Whether its device is aligned.
        aligned: Option<bool>,
        /// Another name.
        alias: Option<&'a str>,
    },
    /// 2: nodes alone.
    Partial {
        /// Nodes of the path.
        nodes: Seq<'a, &'a str>,
    },
    /// 3: nothing but the texts.
    Plain,
}

/// The schema inside of a path. Schemas of logical views (kind 2) never stand in deletes.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the wire has these
pub enum PathSchema<'a> {
    /// 0: of one series.
    Measurement(Schema<'a>),
    /// 1: of an aligned device.
    Vector(VectorSchema<'a>),
}

impl<'a> Element<'a> for PathSchema<'a> {
    type Context = ();
    const BYTES_MIN: usize = 9;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        match reader.u8("kind of a schema")? {
            0 => Schema::decode(reader, ()).map(Self::Measurement),
            1 => VectorSchema::decode(reader).map(Self::Vector),
            found => {
                let expected = "a kind of schema (0 or 1)";
                Err(Error::Value { offset, expected, found: i64::from(found) })
            }
        }
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        match self {
            Self::Measurement(schema) => {
                writer.u8(0);
                schema.encode(writer, ());
            }
            Self::Vector(schema) => {
                writer.u8(1);
                schema.encode(writer);
            }
        }
    }
}

/// IoTDB's `VectorMeasurementSchema`.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct VectorSchema<'a> {
    /// Name of the device.
    pub name: &'a str,
    /// Measurements, each with its place.
    pub measurements: Seq<'a, (&'a str, i32)>,
    /// Codes of their types, then of their encodings, as sent.
    pub types_and_encodings: &'a [u8],
    /// Code of the compression, as sent.
    pub compressor: u8,
}

impl<'a> VectorSchema<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let name = reader.str("name of a device", TEXT_BYTES_MAX)?;
        let measurements: Seq<'a, (&'a str, i32)> =
            Seq::decode(reader, "number of measurements", ())?;
        let bytes = measurements.len().saturating_mul(2);
        let types_and_encodings = reader.take(bytes, "types and encodings")?;
        let compressor = reader.u8("compression")?;
        Ok(Self { name, measurements, types_and_encodings, compressor })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.name);
        self.measurements.encode(writer);
        writer.bytes(self.types_and_encodings);
        writer.u8(self.compressor);
    }
}

impl<'a> Element<'a> for (&'a str, i32) {
    type Context = ();
    const BYTES_MIN: usize = 8;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        Ok((reader.str("name of a measurement", TEXT_BYTES_MAX)?, reader.i32("place")?))
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.str(self.0);
        writer.i32(self.1);
    }
}

fn nodes<'a>(reader: &mut Reader<'a>) -> Result<Seq<'a, &'a str>, Error> {
    Seq::decode(reader, "number of path nodes", ())
}

/// A count of -1 stands for no list.
fn nullable_seq<'a>(reader: &mut Reader<'a>) -> Result<Option<Seq<'a, PathSchema<'a>>>, Error> {
    if reader.clone().i32("number of schemas")? == -1 {
        reader.i32("number of schemas")?;
        return Ok(None);
    }
    Seq::decode(reader, "number of schemas", ()).map(Some)
}

/// Java's `Boolean`: 0, 1, or ff for null.
fn boolean_object(reader: &mut Reader<'_>) -> Result<Option<bool>, Error> {
    let offset = reader.position();
    match reader.i8("boolean that may be null")? {
        -1 => Ok(None),
        0 => Ok(Some(false)),
        1 => Ok(Some(true)),
        found => {
            let expected = "a boolean or null (0, 1 or -1)";
            Err(Error::Value { offset, expected, found: i64::from(found) })
        }
    }
}

const DELETE_DATA: i16 = 44;
const RELATIONAL_DELETE_DATA: i16 = 2003;
