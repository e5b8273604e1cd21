//! How large the pieces of a lane are: smaller after repeated breaks, and slowly back.
//!
//! Some gateways drop what is too large without a word. But breaks have other reasons too, and what
//! has passed must not make transfers slow for as long as the process lives.

use super::answer::Answer;

/// Size of the pieces of one lane.
#[derive(Debug)]
pub(super) struct PieceSize {
    configured_bytes: u32,
    bytes: u32,
    /// Connections lost while a piece was out, since one of the size that was lost last got through.
    deaths: u32,
    lost_bytes: u32,
    /// Files accepted since the size last changed, and how many let it grow.
    n_files: u32,
    n_files_to_grow: u32,
}

/// Pieces are halved after so many connections lost with a piece out.
const DEATHS_MAX: u32 = 3;
/// Pieces are never made smaller than this.
const BYTES_MIN: u32 = 64 * 1024;
/// Files that must be accepted before pieces are doubled again, at first; twice as many each time
/// they have shrunk since, since each try with a size that the gateway drops costs three connections.
const FILES_TO_GROW_MIN: u32 = 64;
/// They are never kept from growing for longer than this.
const FILES_TO_GROW_MAX: u32 = 65_536;

impl PieceSize {
    pub(super) fn new(configured_bytes: u32) -> Self {
        Self {
            configured_bytes,
            bytes: configured_bytes,
            deaths: 0,
            lost_bytes: 0,
            n_files: 0,
            n_files_to_grow: FILES_TO_GROW_MIN / 2,
        }
    }

    /// Most data bytes in a piece at present.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// A piece got through.
    pub(super) fn passed(&mut self, n_bytes: u32) {
        // A smaller one getting through says nothing about the size that was lost.
        if n_bytes >= self.lost_bytes {
            self.deaths = 0;
        }
    }

    /// A file was accepted.
    pub(super) fn file_accepted(&mut self) {
        if self.bytes == self.configured_bytes {
            return;
        }
        self.n_files += 1;
        if self.n_files >= self.n_files_to_grow {
            self.n_files = 0;
            self.bytes = self.bytes.saturating_mul(2).min(self.configured_bytes);
        }
    }

    /// A connection ended with a piece out. A refusal says nothing about sizes, nor does a byte that
    /// no receiver sends.
    pub(super) fn lost(&mut self, n_bytes: u32, answer: &Answer) {
        if !matches!(answer, Answer::Broken(_) | Answer::Closed | Answer::TimedOut) {
            return;
        }
        self.lost_bytes = n_bytes;
        self.deaths += 1;
        if self.deaths >= DEATHS_MAX {
            self.deaths = 0;
            self.n_files = 0;
            let floor = BYTES_MIN.min(self.configured_bytes);
            if self.bytes > floor {
                self.bytes = (self.bytes / 2).max(floor);
                self.n_files_to_grow = (self.n_files_to_grow * 2).min(FILES_TO_GROW_MAX);
            }
        }
    }
}
