//! Reads one file of frames from end to end and judges it: what is kept, what was torn by a power
//! cut, what is damage.
//!
//! A power cut can only touch what was not synced, and each frame says how far its file was synced
//! when it was made. So bytes gone bad among frames that are known to have been synced are damage:
//! the range is reported and all intact frames stay. Bytes gone bad behind that are a torn tail:
//! everything from there on was never acknowledged and goes, even intact frames, for a tail without
//! its middle would break the order.

use std::collections::VecDeque;
use std::io;

use crate::StorageFile;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FileHeader;
use crate::frame::FrameHeader;
use crate::scan::Scanned;
use crate::scan::Scanner;

/// A run of numbers that are lost, and the bytes in their place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hole {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) from_bytes: u64,
    pub(crate) to_bytes: u64,
}

impl Hole {
    /// Whether bytes stand in its place, or none at all.
    pub(crate) fn has_bytes(&self) -> bool {
        self.from_bytes < self.to_bytes
    }
}

/// The judgement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Survey {
    /// The highest number that stays in the file or is lost; `first_seq - 1` when there is none.
    pub(crate) last_seq: u64,
    /// The highest number whose frame is intact and stays.
    pub(crate) last_intact_seq: u64,
    /// The highest number known to have been synced.
    pub(crate) synced_seq: u64,
    /// Where the file is to be cut; its length when nothing was torn.
    pub(crate) keep_bytes: u64,
    /// Where damaged bytes start that reach to the end of what stays. A frame header among them may
    /// claim bytes behind the end, so nothing is ever appended behind them.
    pub(crate) damaged_tail_from_bytes: Option<u64>,
    /// How many bytes the cut takes.
    pub(crate) torn_bytes: u64,
    /// Intact frames among them.
    pub(crate) torn_frames: u64,
    /// Damage among what was synced.
    pub(crate) holes: Vec<Hole>,
    /// From here on bytes may be in memory only; `keep_bytes` when there are none such.
    pub(crate) doubt_from_bytes: u64,
}

/// Surveys `file`. `synced_seq` is what is known from elsewhere; `visit` gets every intact frame,
/// also those that turn out to be behind the cut.
pub(crate) fn survey(
    file: &impl StorageFile,
    head: &FileHeader,
    synced_seq: u64,
    mut visit: impl FnMut(&FrameHeader, &[u8]),
) -> io::Result<Survey> {
    let mut scanner = Scanner::new(file, head.salt, FILE_HEADER_BYTES, head.first_seq)?;
    let mut holes: Vec<(Hole, u64)> = Vec::new();
    let mut bad_from = None;
    let mut expected = head.first_seq;
    let mut frames = 0_u64;
    let mut synced = synced_seq;
    let mut doubtful: VecDeque<(u64, u64)> = VecDeque::new();
    loop {
        match scanner.next()? {
            Scanned::Bad { from_bytes, .. } => bad_from = Some(from_bytes),
            Scanned::Frame { offset_bytes, header } => {
                let from_bytes = bad_from.take().unwrap_or(offset_bytes);
                if header.seq > expected || from_bytes < offset_bytes {
                    let hole = Hole {
                        first_seq: expected,
                        last_seq: header.seq - 1,
                        from_bytes,
                        to_bytes: offset_bytes,
                    };
                    holes.push((hole, frames));
                }
                synced = synced.max(header.synced_seq);
                doubtful.push_back((header.seq, offset_bytes));
                while doubtful.front().is_some_and(|(seq, _)| *seq <= synced) {
                    doubtful.pop_front();
                }
                visit(&header, scanner.body(offset_bytes, &header));
                expected = header.seq + 1;
                frames += 1;
            }
            Scanned::End => break,
        }
    }
    let len_bytes = scanner.len_bytes().max(FILE_HEADER_BYTES);
    let bad_tail_from_bytes = bad_from;
    if bad_from.is_some() || expected <= synced {
        let from_bytes = bad_from.unwrap_or(len_bytes);
        let last_seq = synced.max(expected);
        holes.push((
            Hole { first_seq: expected, last_seq, from_bytes, to_bytes: len_bytes },
            frames,
        ));
    }
    Ok(judge(
        head,
        holes,
        &doubtful,
        Totals { expected, frames, synced, len_bytes, bad_tail_from_bytes },
    ))
}

/// What a walk over the whole file has counted.
struct Totals {
    expected: u64,
    frames: u64,
    synced: u64,
    len_bytes: u64,
    bad_tail_from_bytes: Option<u64>,
}

fn judge(
    head: &FileHeader,
    holes: Vec<(Hole, u64)>,
    doubtful: &VecDeque<(u64, u64)>,
    totals: Totals,
) -> Survey {
    let torn = holes.iter().find(|(hole, _)| hole.first_seq > totals.synced);
    let keep_bytes = torn.map_or(totals.len_bytes, |(hole, _)| hole.from_bytes);
    let last_intact_seq = torn.map_or(totals.expected, |(hole, _)| hole.first_seq) - 1;
    let doubt_from_bytes = if totals.synced < head.first_seq {
        0
    } else {
        doubtful.front().map_or(keep_bytes, |(_, offset)| (*offset).min(keep_bytes))
    };
    let survey = Survey {
        last_seq: last_intact_seq.max(totals.synced),
        last_intact_seq,
        synced_seq: totals.synced,
        keep_bytes,
        damaged_tail_from_bytes: totals.bad_tail_from_bytes.filter(|from| *from < keep_bytes),
        torn_bytes: totals.len_bytes - keep_bytes,
        torn_frames: torn.map_or(0, |(_, frames_before)| totals.frames - frames_before),
        doubt_from_bytes,
        holes: holes
            .iter()
            .map(|(hole, _)| *hole)
            .filter(|hole| hole.first_seq <= totals.synced)
            .collect(),
    };
    assert!(survey.last_seq >= survey.synced_seq, "what was synced is never counted out");
    assert!(survey.keep_bytes >= FILE_HEADER_BYTES, "a file header is never cut");
    survey
}
