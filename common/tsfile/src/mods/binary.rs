//! Entries of `.mods2`.
//!
//! Counts are not held against the bytes that are left, as is done elsewhere: in a file that is being
//! written, too few bytes are no damage. Every element takes at least one byte, so the end comes
//! before memory does.

use tidegate_codec::Error;
use tidegate_codec::Reader;

use super::Deletion;
use super::ModEntry;
use super::Predicate;
use super::Stop;
use super::Target;
use crate::device::NAME_BYTES_MAX;
use crate::device::Segments;

/// Deepest nesting of predicates that is followed; IoTDB nests two.
const PREDICATE_DEPTH_MAX: u8 = 16;
/// Most columns, predicates or devices of one list.
const LIST_MAX: usize = 1024 * 1024;

pub(super) fn entry(reader: &mut Reader<'_>) -> Result<ModEntry, Stop> {
    let begin = reader.clone();
    let deletion = deletion(reader)?;
    let raw = reader.since(&begin).into();
    Ok(ModEntry { deletion, file_offset: None, position: begin.position(), raw })
}

fn deletion(reader: &mut Reader<'_>) -> Result<Deletion, Error> {
    let offset = reader.position();
    let kind = reader.u8("kind of a deletion")?;
    if kind > 1 {
        let expected = "a kind of deletion (0 or 1)";
        return Err(Error::Value { offset, expected, found: kind.into() });
    }
    let start = reader.i64("start of a deletion")?;
    let offset = reader.position();
    let end = reader.i64("end of a deletion")?;
    if end < start {
        let expected = "an end of a deletion that is not before its start";
        return Err(Error::Value { offset, expected, found: end });
    }
    let target = if kind == 0 {
        let table = name(reader, "name of a table, not null")?;
        let predicate = predicate(reader, PREDICATE_DEPTH_MAX)?;
        let columns = sorted(reader, "number of columns", |reader| {
            name(reader, "name of a column, not null")
        })?;
        Target::Table { table, predicate, columns }
    } else {
        Target::Tree { pattern: name(reader, "path pattern, not null")? }
    };
    Ok(Deletion { target, start, end })
}

fn predicate(reader: &mut Reader<'_>, depth_left: u8) -> Result<Predicate, Error> {
    let offset = reader.position();
    Ok(match reader.u8("kind of a predicate")? {
        0 => Predicate::Any,
        1 => Predicate::Device(Segments::decode(reader)?),
        2 => {
            let value = reader.vstr("value of a segment", NAME_BYTES_MAX)?.map(Box::from);
            Predicate::Segment { value, index: reader.var("place of a segment")? }
        }
        3 => {
            let Some(depth_left) = depth_left.checked_sub(1) else {
                let expected = "predicates at most 16 deep";
                return Err(Error::Value { offset, expected, found: 17 });
            };
            Predicate::And(sorted(reader, "number of predicates", |reader| {
                predicate(reader, depth_left)
            })?)
        }
        4 => Predicate::AnyOf(sorted(reader, "number of devices", Segments::decode)?),
        5 => Predicate::Present { index: reader.var("place of a segment")? },
        found => {
            let expected = "a kind of predicate (0 to 5)";
            return Err(Error::Value { offset, expected, found: found.into() });
        }
    })
}

fn name(reader: &mut Reader<'_>, what: &'static str) -> Result<Box<str>, Error> {
    let offset = reader.position();
    let null = Error::Value { offset, expected: what, found: -1 };
    reader.vstr(what, NAME_BYTES_MAX)?.map(Box::from).ok_or(null)
}

/// A list in which order and repetition say nothing.
fn sorted<'a, T: Ord>(
    reader: &mut Reader<'a>,
    what: &'static str,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<Box<[T]>, Error> {
    let offset = reader.position();
    let found = reader.var(what)?;
    let count = usize::try_from(found).ok().filter(|count| *count <= LIST_MAX);
    let max = LIST_MAX;
    let count = count.ok_or_else(|| Error::Count { offset, what, found: found.into(), max })?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(element(reader)?);
    }
    list.sort_unstable();
    list.dedup();
    Ok(list.into())
}
