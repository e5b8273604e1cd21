//! Lines of `.mods`: `DELETION,<path pattern>,<file offset>,<start>,<end>`.
//!
//! A path may contain commas, so the numbers are taken from the right. Where the third number from
//! the right is none, the line is of the older form without a start.

use tidegate_codec::Reader;

use super::Deletion;
use super::ModEntry;
use super::ModsError;
use super::Stop;
use super::Target;
use crate::device::NAME_BYTES_MAX;

/// A path, the word before it and three numbers behind it.
const LINE_BYTES_MAX: usize = NAME_BYTES_MAX + 128;
/// How much of a damaged line an error shows.
const SHOWN_CHARS_MAX: usize = 120;

pub(super) fn entry(reader: &mut Reader<'_>) -> Result<ModEntry, Stop> {
    let position = reader.position();
    let ahead = reader.peek_rest();
    let line_bytes = ahead.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n');
    let Some(line_bytes) = line_bytes else {
        return Err(if ahead.len() < LINE_BYTES_MAX {
            Stop::Torn
        } else {
            let expected = "the end of a line within 65664 bytes";
            damage(position, expected, ahead)
        });
    };
    let line = reader.take(line_bytes, "line of a mods file")?;
    reader.u8("end of a line")?;
    // On Windows, lines end with two bytes.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let expected = "`DELETION,<path>,<file offset>,<start>,<end>`";
    let parsed = core::str::from_utf8(line).ok().and_then(parse);
    let (deletion, file_offset) = parsed.ok_or_else(|| damage(position, expected, line))?;
    if deletion.end < deletion.start {
        return Err(damage(position, "a deletion that does not end before it starts", line));
    }
    Ok(ModEntry { deletion, file_offset: Some(file_offset), position, raw: line.into() })
}

fn parse(line: &str) -> Option<(Deletion, i64)> {
    let (rest, end) = line.strip_prefix("DELETION,")?.rsplit_once(',')?;
    let end = end.parse().ok()?;
    let (rest, middle) = rest.rsplit_once(',')?;
    let middle: i64 = middle.parse().ok()?;
    let numbers =
        rest.rsplit_once(',').and_then(|(path, offset)| Some((path, offset.parse().ok()?)));
    let (path, file_offset, start) = match numbers {
        Some((path, file_offset)) => (path, file_offset, middle),
        None => (rest, middle, i64::MIN),
    };
    let pattern = Some(path).filter(|path| !path.is_empty() && path.len() <= NAME_BYTES_MAX)?;
    let target = Target::Tree { pattern: pattern.into() };
    Some((Deletion { target, start, end }, file_offset))
}

fn damage(offset: usize, expected: &'static str, line: &[u8]) -> Stop {
    let shown = line.get(..line.len().min(4 * SHOWN_CHARS_MAX)).unwrap_or(line);
    let found: String = String::from_utf8_lossy(shown).chars().take(SHOWN_CHARS_MAX).collect();
    Stop::Damage(ModsError::Line { offset, expected, found: found.into() })
}
