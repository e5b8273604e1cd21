//! Deletions beside a TsFile: where the last whole entry ends.
//!
//! IoTDB appends to `.mods` (1.x, text lines) and `.mods2` (2.x, binary entries) while we read, so
//! the last entry may be half there. What travels is cut after the last whole one.

use tidegate_codec::Error;
use tidegate_codec::Reader;

/// Which kind of mods file lies beside a TsFile.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per major version of IoTDB
pub enum ModsKind {
    /// `.mods`, IoTDB 1.x: lines of text.
    Text,
    /// `.mods2`, IoTDB 2.x: binary entries back to back.
    Binary,
}

impl ModsKind {
    /// What is added to the TsFile's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Text => ".mods",
            Self::Binary => ".mods2",
        }
    }

    /// Bytes of `content` up to the end of its last whole entry, and the number of whole entries.
    ///
    /// A binary entry of an unknown kind ends the count there: nothing behind it can be told apart.
    pub fn whole_entries(self, content: &[u8]) -> WholeEntries {
        match self {
            Self::Text => {
                let bytes = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                let entries = content.iter().take(bytes).filter(|&&byte| byte == b'\n').count();
                WholeEntries { bytes, entries }
            }
            Self::Binary => {
                let mut reader = Reader::new(content);
                let mut whole = WholeEntries { bytes: 0, entries: 0 };
                while reader.remaining() > 0 && skip_entry(&mut reader).is_ok() {
                    whole = WholeEntries { bytes: reader.position(), entries: whole.entries + 1 };
                }
                whole
            }
        }
    }
}

/// Result of [`ModsKind::whole_entries`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair of counts
pub struct WholeEntries {
    /// Bytes from the start of the file to the end of the last whole entry.
    pub bytes: usize,
    /// Whole entries in those bytes.
    pub entries: usize,
}

/// Longest name in a mods entry; IoTDB's own limit on a path is far below.
const NAME_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of AND predicates followed.
const PREDICATE_DEPTH_MAX: u32 = 16;

fn skip_entry(reader: &mut Reader<'_>) -> Result<(), Error> {
    let kind = reader.u8("kind of a mods entry")?;
    reader.i64("start of a deletion")?;
    reader.i64("end of a deletion")?;
    match kind {
        0 => {
            reader.vstr("name", NAME_BYTES_MAX)?;
            skip_predicate(reader, PREDICATE_DEPTH_MAX)?;
            let columns = reader.var("number of columns")?;
            for _ in 0..columns {
                reader.vstr("name", NAME_BYTES_MAX)?;
            }
            Ok(())
        }
        1 => reader.vstr("name", NAME_BYTES_MAX).map(drop),
        _ => Err(unknown_kind(reader, "kind of a mods entry, 0 or 1", kind)),
    }
}

fn skip_predicate(reader: &mut Reader<'_>, depth_left: u32) -> Result<(), Error> {
    let kind = reader.u8("kind of a deletion predicate")?;
    match kind {
        0 => Ok(()),
        1 => {
            let segments = reader.uvar("number of segments")?;
            for _ in 0..segments {
                reader.vstr("name", NAME_BYTES_MAX)?;
            }
            Ok(())
        }
        2 => {
            reader.vstr("name", NAME_BYTES_MAX)?;
            reader.var("segment index").map(drop)
        }
        3 if depth_left > 0 => {
            let parts = reader.var("number of predicates")?;
            for _ in 0..parts {
                skip_predicate(reader, depth_left - 1)?;
            }
            Ok(())
        }
        _ => Err(unknown_kind(reader, "kind of a deletion predicate, 0 to 3", kind)),
    }
}

fn unknown_kind(reader: &Reader<'_>, expected: &'static str, found: u8) -> Error {
    Error::Value { offset: reader.position() - 1, expected, found: i64::from(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One entry of each form that 2.0 writes, from the layout in `ARCHITECTURE.md`.
    fn entries() -> Vec<Vec<u8>> {
        let times: Vec<u8> = [&1i64.to_be_bytes()[..], &5i64.to_be_bytes()[..]].concat();
        let mut tree = vec![1];
        tree.extend(&times);
        tree.extend(b"\x14root.t.d1.");
        let mut any = vec![0];
        any.extend(&times);
        any.extend(b"\x04t1\x00\x00");
        let mut nested = vec![0];
        nested.extend(&times);
        // AND of (device t1.a) and (segment 1 is null), two columns
        nested.extend(b"\x04t1\x03\x04\x01\x02\x04t1\x02a\x02\x01\x02\x04\x02x\x02y");
        vec![tree, any, nested]
    }

    #[test]
    fn every_cut_of_a_binary_mods_file_ends_at_the_last_whole_entry() {
        let entries = entries();
        let file = entries.concat();
        let mut ends = vec![0];
        for entry in &entries {
            ends.push(ends.last().expect("never empty") + entry.len());
        }
        for cut in 0..=file.len() {
            let n_whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            assert_eq!(
                ModsKind::Binary.whole_entries(&file[..cut]),
                WholeEntries { bytes: ends[n_whole], entries: n_whole },
                "cut at {cut} of {}",
                file.len()
            );
        }
    }

    #[test]
    fn an_unknown_kind_of_entry_ends_what_can_be_told_apart() {
        let entries = entries();
        let mut file = entries.concat();
        file.extend([9; 40]);
        let whole = ModsKind::Binary.whole_entries(&file);
        assert_eq!(whole, WholeEntries { bytes: file.len() - 40, entries: 3 });
    }

    #[test]
    fn nested_predicates_are_followed_to_a_depth_and_no_further() {
        let mut file = vec![0; 17];
        file.extend(b"\x04t1");
        file.extend([3, 2].repeat(1_000_000));
        assert_eq!(ModsKind::Binary.whole_entries(&file).entries, 0);
    }

    #[test]
    fn an_unfinished_line_of_a_text_mods_file_stays_behind() {
        let file = b"DELETION,root.t.d1.s,9223372036854775807,1,5\nDELETION,root.t.d";
        assert_eq!(ModsKind::Text.whole_entries(file), WholeEntries { bytes: 45, entries: 1 });
        assert_eq!(ModsKind::Text.whole_entries(b"DEL"), WholeEntries { bytes: 0, entries: 0 });
    }
}
