//! The unfinished files of one connection: which piece may begin or continue which file.
//!
//! Invariant: a listed file is exactly its first `confirmed_bytes` bytes, all from pieces whose
//! checksum was right. A file that gets anything out of order leaves the list, so every further
//! piece of it is refused until one at offset 0 begins it anew.

use std::collections::VecDeque;

use super::action::Action;
use super::action::FileId;
use super::action::SealedFile;
use super::refusal::Refusal;
use super::refusal::SealFault;

/// How pieces of one type treat the other unfinished files of their connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Neighbours {
    /// One file at a time: a new one ends the others.
    Drop,
    /// Several files side by side.
    Keep,
}

/// The unfinished files of one connection, oldest first.
#[derive(Debug)]
pub(super) struct Files {
    list: Vec<Unfinished>,
    next_id: u64,
    max_files: usize,
}

#[derive(Debug)]
struct Unfinished {
    id: FileId,
    name: String,
    confirmed_bytes: u64,
}

impl Files {
    pub(super) fn new(max_files: usize) -> Self {
        Self { list: Vec::new(), next_id: 0, max_files: max_files.max(1) }
    }

    /// A piece is about to arrive: which file it belongs to, and where its bytes go.
    pub(super) fn begin_piece(
        &mut self,
        neighbours: Neighbours,
        name: &str,
        offset: i64,
        actions: &mut VecDeque<Action<'static>>,
    ) -> Result<(FileId, u64), Refusal> {
        let known = self.list.iter().find(|file| file.name == name);
        let expected_bytes = known.map_or(0, |file| file.confirmed_bytes);
        match (u64::try_from(offset), known) {
            (Ok(0), _) => Ok((self.start(neighbours, name, actions), 0)),
            (Ok(at_bytes), Some(file)) if at_bytes == expected_bytes => Ok((file.id, at_bytes)),
            _ => {
                self.drop_where(|file| file.name == name, actions);
                let name = name.to_owned();
                Err(Refusal::WrongOffset { name, found_bytes: offset, expected_bytes })
            }
        }
    }

    /// The piece was intact: its bytes count from now on.
    pub(super) fn confirm(&mut self, id: FileId, length_bytes: u64) {
        if let Some(file) = self.list.iter_mut().find(|file| file.id == id) {
            file.confirmed_bytes = file.confirmed_bytes.saturating_add(length_bytes);
        }
    }

    /// Takes the named files out for a seal; on a fault all of them are dropped.
    pub(super) fn seal(
        &mut self,
        named: &[(String, i64)],
        actions: &mut VecDeque<Action<'static>>,
    ) -> Result<Vec<SealedFile>, Refusal> {
        let checked: Result<Vec<_>, _> =
            named.iter().map(|(name, length)| self.check_sealed(name, *length)).collect();
        match checked {
            Ok(files) => {
                self.list.retain(|file| !named.iter().any(|(name, _)| *name == file.name));
                Ok(files)
            }
            Err(refusal) => {
                self.drop_where(|file| named.iter().any(|(name, _)| *name == file.name), actions);
                Err(refusal)
            }
        }
    }

    /// Drops one file.
    pub(super) fn drop_one(&mut self, id: FileId, actions: &mut VecDeque<Action<'static>>) {
        self.drop_where(|file| file.id == id, actions);
    }

    /// Drops every file.
    pub(super) fn drop_all(&mut self, actions: &mut VecDeque<Action<'static>>) {
        self.drop_where(|_| true, actions);
    }

    fn start(
        &mut self,
        neighbours: Neighbours,
        name: &str,
        actions: &mut VecDeque<Action<'static>>,
    ) -> FileId {
        self.drop_where(|file| neighbours == Neighbours::Drop || file.name == name, actions);
        while self.list.len() >= self.max_files {
            // a sender that gave a file up never says so; the oldest is the one it forgot
            let oldest = self.list.remove(0);
            actions.push_back(Action::FileDrop { file: oldest.id });
        }
        let id = FileId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.list.push(Unfinished { id, name: name.to_owned(), confirmed_bytes: 0 });
        actions.push_back(Action::FileStart { file: id, name: name.to_owned() });
        id
    }

    fn drop_where(
        &mut self,
        unwanted: impl Fn(&Unfinished) -> bool,
        actions: &mut VecDeque<Action<'static>>,
    ) {
        self.list.retain(|file| {
            let goes = unwanted(file);
            if goes {
                actions.push_back(Action::FileDrop { file: file.id });
            }
            !goes
        });
    }

    fn check_sealed(&self, name: &str, claimed_bytes: i64) -> Result<SealedFile, Refusal> {
        let fault = |fault| Refusal::Seal { name: name.to_owned(), fault };
        let file = self
            .list
            .iter()
            .find(|file| file.name == name)
            .ok_or_else(|| fault(SealFault::NoPieces))?;
        let arrived_bytes = file.confirmed_bytes;
        if u64::try_from(claimed_bytes) != Ok(arrived_bytes) {
            return Err(fault(SealFault::Length { claimed_bytes, arrived_bytes }));
        }
        Ok(SealedFile { file: file.id, name: name.to_owned(), length_bytes: arrived_bytes })
    }
}
