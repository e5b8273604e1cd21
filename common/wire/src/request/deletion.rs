//! Deletions from tables: the entries of `.mods2` files, as they travel in plans.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use super::Element;
use super::Seq;
use super::TEXT_BYTES_MAX;
use super::insert::encode_plan_node_end;
use super::insert::plan_node_end;

/// Plan 2003: deletes ranges of time from tables.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct RelationalDelete<'a> {
    /// What to delete.
    pub entries: Seq<'a, Deletion<'a>>,
    /// The database.
    pub database: Option<&'a str>,
    /// Usually empty.
    pub plan_node_id: &'a str,
}

impl<'a> RelationalDelete<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = var_count(reader, "number of deletions", Deletion::BYTES_MIN)?;
        Ok(Self {
            entries: Seq::decode_counted(reader, count, ())?,
            database: reader.vstr("database", TEXT_BYTES_MAX)?,
            plan_node_id: plan_node_end(reader)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        encode_var_seq(&self.entries, writer);
        writer.vstr(self.database);
        encode_plan_node_end(self.plan_node_id, writer);
    }
}

/// One entry of a `.mods2` file.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct Deletion<'a> {
    /// First time stamp, inclusive.
    pub start_time: i64,
    /// Last time stamp, inclusive.
    pub end_time: i64,
    /// Which series.
    pub target: DeletionTarget<'a>,
}

/// What a [`Deletion`] deletes from.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum DeletionTarget<'a> {
    /// 0: columns of a table.
    Table {
        /// Name of the table.
        table: Option<&'a str>,
        /// Which devices.
        predicate: Predicate<'a>,
        /// Names of columns; none stands for all.
        columns: Seq<'a, VarText<'a>>,
    },
    /// 1: series of the tree model.
    Tree {
        /// Pattern of full paths.
        pattern: Option<&'a str>,
    },
}

impl<'a> Element<'a> for Deletion<'a> {
    type Context = ();
    const BYTES_MIN: usize = 18;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        let kind = reader.u8("kind of a deletion")?;
        let start_time = reader.i64("start time")?;
        let end_time = reader.i64("end time")?;
        let target = match kind {
            0 => {
                let table = reader.vstr("name of a table", TEXT_BYTES_MAX)?;
                let predicate = Predicate::decode(reader, PREDICATE_DEPTH_MAX)?;
                let count = var_count(reader, "number of columns", 1)?;
                let columns = Seq::decode_counted(reader, count, ())?;
                DeletionTarget::Table { table, predicate, columns }
            }
            1 => DeletionTarget::Tree { pattern: reader.vstr("path pattern", TEXT_BYTES_MAX)? },
            found => {
                let expected = "a kind of deletion (0 or 1)";
                return Err(Error::Value { offset, expected, found: i64::from(found) });
            }
        };
        Ok(Self { start_time, end_time, target })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.u8(match self.target {
            DeletionTarget::Table { .. } => 0,
            DeletionTarget::Tree { .. } => 1,
        });
        writer.i64(self.start_time);
        writer.i64(self.end_time);
        match &self.target {
            DeletionTarget::Table { table, predicate, columns } => {
                writer.vstr(*table);
                predicate.encode(writer, PREDICATE_DEPTH_MAX);
                encode_var_seq(columns, writer);
            }
            DeletionTarget::Tree { pattern } => writer.vstr(*pattern),
        }
    }
}

/// Which devices of a table.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum Predicate<'a> {
    /// 3: those for which all of these hold.
    And(Seq<'a, Self, u8>),
    /// 0: any.
    Any,
    /// 1: the one with exactly these segments, the table's name first.
    Device(Seq<'a, VarText<'a>>),
    /// 2: those with this value in one segment.
    Segment {
        /// The value.
        value: Option<&'a str>,
        /// Place of the segment; the table's name is 0.
        index: i32,
    },
}

impl<'a> Element<'a> for Predicate<'a> {
    /// How many more predicates may stand one inside another: bytes never decide a recursion.
    type Context = u8;
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, depth_left: u8) -> Result<Self, Error> {
        let offset = reader.position();
        Ok(match reader.u8("kind of a predicate")? {
            0 => Self::Any,
            1 => {
                let count = reader.uvar_count("number of segments", 1)?;
                Self::Device(Seq::decode_counted(reader, count, ())?)
            }
            2 => Self::Segment {
                value: reader.vstr("value of a segment", TEXT_BYTES_MAX)?,
                index: reader.var("place of a segment")?,
            },
            3 => {
                let Some(depth_left) = depth_left.checked_sub(1) else {
                    let expected = "predicates at most 16 deep";
                    return Err(Error::Value { offset, expected, found: 17 });
                };
                let count = var_count(reader, "number of predicates", 1)?;
                Self::And(Seq::decode_counted(reader, count, depth_left)?)
            }
            found => {
                let expected = "a kind of predicate (0 to 3)";
                return Err(Error::Value { offset, expected, found: i64::from(found) });
            }
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, _: u8) {
        match self {
            Self::Any => writer.u8(0),
            Self::Device(segments) => {
                writer.u8(1);
                writer.uvar(u32::try_from(segments.len()).unwrap_or(u32::MAX));
                segments.encode_counted(writer);
            }
            Self::Segment { value, index } => {
                writer.u8(2);
                writer.vstr(*value);
                writer.var(*index);
            }
            Self::And(predicates) => {
                writer.u8(3);
                encode_var_seq(predicates, writer);
            }
        }
    }
}

/// A text with a variable-length length, which may be null.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a text
pub struct VarText<'a>(pub Option<&'a str>);

impl<'a> Element<'a> for VarText<'a> {
    type Context = ();
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        reader.vstr("name", TEXT_BYTES_MAX).map(Self)
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.vstr(self.0);
    }
}

/// A zigzag count, which must fit the bytes that are left.
fn var_count(
    reader: &mut Reader<'_>,
    what: &'static str,
    bytes_min: usize,
) -> Result<usize, Error> {
    let offset = reader.position();
    let found = i64::from(reader.var(what)?);
    let max = reader.remaining().checked_div(bytes_min).unwrap_or(usize::MAX);
    usize::try_from(found).ok().filter(|count| *count <= max).ok_or(Error::Count {
        offset,
        what,
        found,
        max,
    })
}

fn encode_var_seq<'a, C: Copy, T: Element<'a, Context = C>>(
    seq: &Seq<'a, T, C>,
    writer: &mut Writer<'_>,
) {
    writer.var(i32::try_from(seq.len()).unwrap_or(i32::MAX));
    seq.encode_counted(writer);
}

/// IoTDB itself nests two.
pub(super) const PREDICATE_DEPTH_MAX: u8 = 16;
