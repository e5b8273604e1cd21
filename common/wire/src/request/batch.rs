//! Batches of inserts (types 6 and 13), and what carries a database beside it (types 10 to 13).

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use super::Element;
use super::InsertPlan;
use super::Seq;
use super::TEXT_BYTES_MAX;
use super::Tablet;
use super::TabletForm;
use super::WalInsert;

/// Something and the database it belongs to, as requests of 2.0 have it.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct WithDatabase<'a, T> {
    /// What belongs to the database.
    pub inner: T,
    /// The database; null, or a path that begins with `root.`, is the tree model.
    pub database: Option<&'a str>,
}

impl<'a, T: Element<'a>> Element<'a> for WithDatabase<'a, T> {
    type Context = T::Context;
    const BYTES_MIN: usize = T::BYTES_MIN.saturating_add(4);

    fn decode(reader: &mut Reader<'a>, context: T::Context) -> Result<Self, Error> {
        Ok(Self {
            inner: T::decode(reader, context)?,
            database: reader.nullable_str("database", TEXT_BYTES_MAX)?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, context: T::Context) {
        self.inner.encode(writer, context);
        writer.nullable_str(self.database);
    }
}

/// Type 6. IoTDB executes rows first, then tablets.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Batch<'a> {
    /// Entries of the log; newer senders have none, some newer receivers ignore them.
    pub log_entries: Seq<'a, WalInsert<'a>>,
    /// Insert plans.
    pub inserts: Seq<'a, InsertPlan<'a>>,
    /// Raw tablets, all of one form.
    pub tablets: Seq<'a, Tablet<'a>, TabletForm>,
}

/// Type 13.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct BatchV2<'a> {
    /// Entries of the log; newer senders have none.
    pub log_entries: Seq<'a, WithDatabase<'a, WalInsert<'a>>>,
    /// Insert plans.
    pub inserts: Seq<'a, WithDatabase<'a, InsertPlan<'a>>>,
    /// Raw tablets, all of one form.
    pub tablets: Seq<'a, WithDatabase<'a, Tablet<'a>>, TabletForm>,
}

macro_rules! batch {
    ($name:ident) => {
        impl<'a> $name<'a> {
            pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
                decode_tablets(reader, |reader, form| {
                    Ok(Self {
                        log_entries: Seq::decode(reader, "number of log entries", ())?,
                        inserts: Seq::decode(reader, "number of insert nodes", ())?,
                        tablets: Seq::decode(reader, "number of tablets", form)?,
                    })
                })
            }

            pub(super) fn encode(&self, writer: &mut Writer<'_>) {
                self.log_entries.encode(writer);
                self.inserts.encode(writer);
                self.tablets.encode(writer);
            }
        }
    };
}

batch!(Batch);
batch!(BatchV2);

/// Reads something with tablets in the form in which it ends where the request ends.
///
/// If it does in neither form, the first form counts in which only zeros follow (slack); if there is
/// none, the error is of the form that came further.
pub(super) fn decode_tablets<'a, T>(
    reader: &mut Reader<'a>,
    decode: impl Fn(&mut Reader<'a>, TabletForm) -> Result<T, Error>,
) -> Result<T, Error> {
    let start = reader.clone();
    let mut slack_form = None;
    let mut furthest = Error::Trailing { offset: start.position(), left: start.remaining() };
    for form in TabletForm::TRIED {
        *reader = start.clone();
        let error = match decode(reader, form) {
            Ok(found) if reader.is_empty() => return Ok(found),
            Ok(_) => {
                if slack_form.is_none() && reader.peek_rest().iter().all(|byte| *byte == 0) {
                    slack_form = Some(form);
                }
                Error::Trailing { offset: reader.position(), left: reader.remaining() }
            }
            Err(error) => error,
        };
        if error.offset() > furthest.offset() {
            furthest = error;
        }
    }
    *reader = start;
    match slack_form {
        Some(form) => decode(reader, form),
        None => Err(furthest),
    }
}
