//! What flows from a source to a connector, and what comes back.

use core::fmt;
use std::sync::Arc;

use tidegate_model::Verdict;

use crate::deletion::Deletion;
use crate::deletion::DeletionKey;
use crate::extent::Extent;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::listing::ModsSeen;
use crate::pin::PinnedMods;

/// One unit of delivery: acknowledged whole or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// Names this item in every later call about it.
    pub token: Token,
    /// The stream whose replay, last arrival wins, equals the source's values.
    pub stream: RegionKey,
    /// Position in the stream, from 1. A retry keeps its number.
    pub sequence: u64,
    /// Where the file stood among the files of its partition; `None` for a deletion.
    pub precedence: Option<Precedence>,
    /// What the item may touch.
    pub extent: Extent,
    /// What it is.
    pub kind: ItemKind,
}

/// Names an item between [`crate::Source::poll_item`] and its outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub(crate) u64);

impl Token {
    /// The number behind it, for layers that carry it through.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where an item stands among the files of its partition, as IoTDB reads them.
///
/// Since 1.3 the unsequence space beats the sequence space, and within a space the larger version
/// wins, then the larger time; in 1.2 the space does not matter. Deletions have none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a name says
pub struct Precedence {
    /// The space.
    pub space: Space,
    /// Version, time, compaction counts.
    pub name: TsFileName,
}

/// The kinds of items.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ItemKind {
    /// A sealed TsFile with the deletions that lie beside it.
    File(FileItem),
    /// A deletion that was made after the files it concerns had left.
    Delete(DeleteItem),
}

/// A deletion on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // read by the edge
pub struct DeleteItem {
    /// Partition of the files beside which it stood.
    pub partition: i64,
    /// Which deletion it is, or is a part of.
    pub key: DeletionKey,
    /// What to delete.
    pub deletion: Deletion,
}

/// What a file is to the boundary that was drawn when the pipe was created.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // before, after, or both
pub enum Age {
    /// It was there, sealed.
    History,
    /// It came since. One that was open then counts here, and has rows of before.
    Realtime,
    /// A compaction made it since, of files that may be of either kind.
    Either,
}

/// In what form an item left.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there is no fifth
pub enum Form {
    /// The whole file.
    #[default]
    File,
    /// Its points, or those that were wanted, as a file.
    Excerpt,
    /// Its points, or those that were wanted, as tablets.
    Tablets,
    /// Nothing of it was wanted, so nothing left.
    Nothing,
}

impl Form {
    /// Whether the far side loads a file.
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Excerpt)
    }
}

/// A TsFile on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileItem {
    /// Where it lies.
    pub place: Place,
    /// Its name there.
    pub name: TsFileName,
    /// What must still hold when it is opened.
    pub identity: FileIdentity,
    /// Folder that holds it, as the catalog listed it.
    pub folder: Arc<str>,
    /// Deletions beside it when it was last listed.
    pub mods: Option<ModsSeen>,
    /// CRC-32 of a file of that name and length that has left already. If this one has the same,
    /// it is that file on another disk, and need not leave again:
    /// [`handle_twin`](crate::Source::handle_twin).
    pub twin: Option<u32>,
    /// What it is to the boundary of history.
    pub age: Age,
    /// Set if it lies nowhere any more and is to be read from its pin, with these deletions.
    pub pinned: Option<PinnedMods>,
}

impl FileItem {
    /// A file as a listing shows it.
    pub fn new(
        place: Place,
        name: TsFileName,
        identity: FileIdentity,
        folder: Arc<str>,
        mods: Option<ModsSeen>,
    ) -> Self {
        let (twin, pinned, age) = (None, None, Age::Realtime);
        Self { place, name, identity, folder, mods, twin, age, pinned }
    }

    /// The name on the wire: unique over regions, partitions and spaces, which the file's own name
    /// is not, and plain ASCII without separators.
    ///
    /// Stock receivers store the file under a name of their own, ours keeps it.
    pub fn wire_name(&self) -> String {
        let Place { region, partition, space } = &self.place;
        let TsFileName { version, time_ms, inner, cross } = self.name;
        let mark = match space {
            Space::Sequence => 's',
            Space::Unsequence => 'u',
        };
        let database = escape(&region.database);
        format!(
            "{time_ms}-{version}-{inner}-{cross}-{mark}.{database}.{}.{partition}.tsfile",
            region.region
        )
    }
}

/// What became of an item, as far as the link can tell.
///
/// The air gap is the poor case: it knows no more than the verdict. Links that carry a status fill
/// in the rest.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Status code of the peer, where the link carries one.
    pub status_code: Option<i32>,
    /// Offset from which the peer wants the file, where the link carries one.
    pub offset_bytes: Option<u64>,
    /// Endpoint the peer redirects to, where the link carries one.
    pub redirect: Option<String>,
    /// The peer's words, or ours.
    pub message: String,
}

impl Outcome {
    /// An outcome that is no more than its verdict.
    pub fn bare(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            status_code: None,
            offset_bytes: None,
            redirect: None,
            message: message.into(),
        }
    }
}

/// A database's name as part of a file name: what is not a letter, a digit, `_` or a single dot is
/// percent-escaped, and a long rest is left out, which the region id behind it makes up for.
fn escape(database: &str) -> String {
    let mut out = String::new();
    let bytes = database.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let single_dot = byte == b'.' && at > 0 && bytes.get(at + 1).is_some_and(|&it| it != b'.');
        if byte.is_ascii_alphanumeric() || byte == b'_' || single_dot {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
        if out.len() > DATABASE_SHOWN_BYTES_MAX {
            out.push('~');
            break;
        }
    }
    out
}

/// Of a database's name, so much goes into a name on the wire: the whole must stay below the 255
/// bytes of a file name, mods suffix and the receiver's sequence number included.
const DATABASE_SHOWN_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_names_are_plain_short_and_unique_over_regions_partitions_and_spaces() {
        let name = TsFileName::parse("1795346872988-1-0-0.tsfile").expect("a name");
        let identity = FileIdentity { inode: 1, length_bytes: 1, mtime_ns: 1 };
        let mut seen = std::collections::HashSet::new();
        let long = "root.\u{5de5}\u{5382}".repeat(40);
        for database in ["root.sg", "root..sg", "plant", "..", "root.a/b", &long] {
            for (region, partition) in [(1, 2), (12, 0), (u32::MAX, i64::MIN)] {
                for space in [Space::Sequence, Space::Unsequence] {
                    let region = RegionKey { database: database.into(), region };
                    let place = Place { region, partition, space };
                    let name = FileItem::new(place, name, identity, "".into(), None).wire_name();
                    assert!(name.len() < 200 && name.is_ascii(), "{name}");
                    assert!(!name.contains("..") && !name.contains('/'), "{name}");
                    assert!(seen.insert(name.clone()), "{name}");
                }
            }
        }
    }
}
