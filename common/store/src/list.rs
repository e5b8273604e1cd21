//! The list of deletions beside a TsFile: those that came with the file, then copies of those that the
//! catalog has.
//!
//! Of the first nobody else knows, and they never change: the catalog keeps how long they are, and
//! their checksum. Where they are not so, nobody can tell which rows of the file are deleted, and the
//! file is [lost](crate::Lost) until they are as they were. The copies grow, for whoever reads the
//! files without the catalog; no answer is made from them, and they are written anew where they are not
//! what the catalog says. So nothing goes into the catalog when a list grows, and a power cut in
//! between looks like no damage.

use std::collections::BTreeMap;

use tidegate_durable::Storage;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Target;

use crate::StoreError;
use crate::file::read_if_there;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::look::MISSING;
use crate::lost::account;

/// What stands in a list.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Deletions that came with the file.
    pub(crate) own: Vec<ModEntry>,
    /// Those behind them.
    pub(crate) copied: Vec<ModEntry>,
    /// Whether something stands behind them that is no deletion.
    pub(crate) has_more: bool,
}

impl List {
    /// The list of a layer.
    ///
    /// # Errors
    ///
    /// [`StoreError::List`] where the deletions that came with the file are not there as they were.
    pub(crate) fn read<S: Storage>(layer: &Layer, dir: &S) -> Result<Self, StoreError> {
        let mut list = Self::default();
        let kinds = match layer.mods {
            Some((kind, _)) => vec![kind],
            None => vec![ModsKind::Text, ModsKind::Binary],
        };
        for kind in kinds {
            let bytes = match read_if_there(dir, &layer.file_name(kind.suffix())) {
                Err(error) if error.is_of_file() => match layer.has_own_deletions() {
                    true => return Err(lost(layer, account(&error).into())),
                    false => {
                        list.has_more = true;
                        continue;
                    }
                },
                bytes => bytes?,
            };
            let own = own_part(layer, bytes.as_deref()).map_err(|found| lost(layer, found))?;
            let entries = Entries::of(kind, own, 0);
            if let Some(ending) = entries.ending {
                return Err(lost(layer, ending));
            }
            list.own.extend(entries.whole);
            let behind = bytes.as_deref().and_then(|bytes| bytes.get(own.len()..));
            let behind = behind.unwrap_or_default();
            let entries = Entries::of(kind, behind, own.len());
            list.copied.extend(entries.whole);
            list.has_more |= entries.ending.is_some();
        }
        Ok(list)
    }
}

/// What of a list came with its file; where that is not as it was, what was found.
pub(crate) fn own_part<'b>(layer: &Layer, bytes: Option<&'b [u8]>) -> Result<&'b [u8], String> {
    let Some((_, expected)) = layer.mods.filter(|_| layer.has_own_deletions()) else {
        return Ok(&[]);
    };
    let bytes = bytes.ok_or(MISSING)?;
    let own = usize::try_from(expected.length_bytes).ok().and_then(|length| bytes.get(..length));
    let own = own.ok_or_else(|| format!("{} bytes", bytes.len()))?;
    match Fingerprint::of(own) {
        found if found == expected => Ok(own),
        found => Err(found.to_string()),
    }
}

fn lost(layer: &Layer, found: String) -> StoreError {
    let expected = layer.mods.map(|(_, expected)| expected).unwrap_or_default();
    StoreError::List { list: layer.list_path(), expected, found }
}

/// The entries of a part of a list, and why there are no more of them.
pub(crate) struct Entries {
    pub(crate) whole: Vec<ModEntry>,
    /// Where the last whole one ends in the list.
    pub(crate) whole_bytes: usize,
    /// What follows instead of the end; `None` if nothing does.
    pub(crate) ending: Option<String>,
}

impl Entries {
    /// # Arguments
    ///
    /// - `offset`: where in the list `bytes` begin
    pub(crate) fn of(kind: ModsKind, bytes: &[u8], offset: usize) -> Self {
        let mut found = kind.entries(bytes, offset);
        let (mut whole, mut whole_bytes) = (Vec::new(), offset);
        while let Some(entry) = found.next() {
            if !is_plain(&entry.deletion) {
                let at = entry.position;
                let ending =
                    Some(format!("a name with a control character in the entry at byte {at}"));
                return Self { whole, whole_bytes, ending };
            }
            whole_bytes = found.whole_bytes();
            whole.push(entry);
        }
        let ending = match found.into_ending() {
            Ending::Whole => None,
            Ending::Torn { left_bytes } => {
                Some(format!("only {left_bytes} bytes of the entry at byte {whole_bytes}"))
            }
            Ending::Damaged(error) => Some(error.to_string()),
        };
        Self { whole, whole_bytes, ending }
    }
}

/// Whether an entry is a copy of a deletion of the catalog.
///
/// # Arguments
///
/// - `known`: those of the catalog, with their precedences
pub(crate) fn is_copy(entry: &ModEntry, layer: &Layer, known: &BTreeMap<&Deletion, u64>) -> bool {
    let precedence = known.get(&entry.deletion);
    takes_from_all(entry) && precedence.is_some_and(|it| *it > layer.precedence)
}

/// Whether an entry takes from all of its file, as those of the catalog do.
pub(crate) fn takes_from_all(entry: &ModEntry) -> bool {
    entry.file_offset.is_none_or(|offset| offset == i64::MAX)
}

/// Whether a deletion may stand in a list: what has zeros or the like in its names is damage there.
pub(crate) fn is_plain(deletion: &Deletion) -> bool {
    let is_plain = |name: &str| !name.contains(char::is_control);
    match &deletion.target {
        Target::Tree { pattern } => is_plain(pattern),
        Target::Table { table, columns, .. } => {
            is_plain(table) && columns.iter().all(|column| is_plain(column))
        }
    }
}
