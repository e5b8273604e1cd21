//! A file on its way through one connection: which frame comes next.

use tidegate_codec::TooLong;
use tidegate_model::Dialect;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::piece::PieceKind;
use tidegate_wire::request::FileSeal;
use tidegate_wire::request::FileSealMany;
use tidegate_wire::request::database_key;

/// A TsFile, with or without deletions, to be delivered as one item.
///
/// The bytes stay with the caller; this only says which of them go when.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the caller
pub struct Delivery {
    /// Names the item to the caller.
    pub token: u64,
    /// Deletions first, if any, the TsFile last, as the seal lists them.
    pub mods: Option<DeliveryPart>,
    /// The TsFile.
    pub ts_file: DeliveryPart,
    /// Database of a table-model file; `None` in the tree model.
    pub database: Option<String>,
}

/// One file of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the caller
pub struct DeliveryPart {
    /// Name on the wire.
    pub name: String,
    /// Its length.
    pub length_bytes: u64,
}

/// A piece to be sent: the caller supplies the data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // read by the caller
pub struct PieceFrame {
    /// The delivery it belongs to.
    pub token: u64,
    /// Request type.
    pub kind: PieceKind,
    /// Whether the data come from the mods file.
    pub from_mods: bool,
    /// Name on the wire.
    pub name: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes, at least 1.
    pub n_bytes: u32,
}

/// Where a delivery stands.
#[derive(Debug)]
pub(crate) enum Progress {
    File(FileProgress),
    /// A request that is all of its item, as a payload.
    Request {
        token: u64,
        payload: Vec<u8>,
    },
    /// Requests that are an item together; the caller supplies one after the other.
    Requests {
        token: u64,
        /// Whether the one that was supplied last is the last one.
        is_last: bool,
    },
}

/// Where the delivery of a file stands.
#[derive(Debug)]
pub(crate) struct FileProgress {
    delivery: Delivery,
    dialect: Dialect,
    /// Files that are through.
    parts_done: usize,
    /// Acknowledged bytes of the file under way.
    offset: u64,
}

/// The next frame of a delivery.
#[derive(Debug)]
pub(crate) enum Step {
    Piece(PieceFrame),
    /// A request that the caller supplies.
    Supplied,
    /// The payload of the request with whose answer the delivery ends.
    Last(Vec<u8>),
}

impl Progress {
    pub(crate) fn token(&self) -> u64 {
        match self {
            Self::File(file) => file.delivery.token,
            Self::Request { token, .. } | Self::Requests { token, .. } => *token,
        }
    }

    /// Bytes of all files.
    pub(crate) fn total_bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.total_bytes(),
            Self::Request { .. } | Self::Requests { .. } => 0,
        }
    }

    /// The next frame, with at most `piece_bytes` of data.
    pub(crate) fn next(&self, piece_bytes: u32) -> Result<Step, TooLong> {
        match self {
            Self::File(file) => file.next(piece_bytes),
            Self::Request { payload, .. } => Ok(Step::Last(payload.clone())),
            Self::Requests { .. } => Ok(Step::Supplied),
        }
    }

    /// What [`Progress::next`] gave was acknowledged, and is not the last of a file; says whether
    /// nothing is left to be sent.
    pub(crate) fn acknowledge(&mut self, n_bytes: u32) -> bool {
        match self {
            Self::File(file) => {
                file.acknowledge(n_bytes);
                false
            }
            Self::Request { .. } => unreachable!("a request has no pieces"),
            Self::Requests { is_last, .. } => *is_last,
        }
    }
}

impl FileProgress {
    pub(crate) fn new(delivery: Delivery, dialect: Dialect) -> Self {
        Self { delivery, dialect, parts_done: 0, offset: 0 }
    }

    fn total_bytes(&self) -> u64 {
        self.parts().map(|(_, part)| part.length_bytes).sum()
    }

    fn next(&self, piece_bytes: u32) -> Result<Step, TooLong> {
        let Some((from_mods, part)) = self.parts().nth(self.parts_done) else {
            return self.seal().map(Step::Last);
        };
        let left = part.length_bytes - self.offset;
        let n_bytes = u32::try_from(left.min(u64::from(piece_bytes))).unwrap_or(piece_bytes);
        Ok(Step::Piece(PieceFrame {
            token: self.delivery.token,
            kind: self.kind(),
            from_mods,
            name: part.name.clone(),
            offset: self.offset,
            n_bytes,
        }))
    }

    fn acknowledge(&mut self, n_bytes: u32) {
        let length = self.parts().nth(self.parts_done).map(|(_, part)| part.length_bytes);
        let length = length.expect("a piece belongs to a file under way");
        self.offset += u64::from(n_bytes);
        assert!(self.offset <= length, "no more is acknowledged than was sent");
        if self.offset == length {
            self.parts_done += 1;
            self.offset = 0;
        }
    }

    fn parts(&self) -> impl Iterator<Item = (bool, &DeliveryPart)> {
        let mods = self.delivery.mods.iter().map(|part| (true, part));
        mods.chain([(false, &self.delivery.ts_file)])
    }

    fn kind(&self) -> PieceKind {
        match self.delivery.mods {
            Some(_) => PieceKind::TsFileWithMods,
            None => PieceKind::TsFile,
        }
    }

    /// 1.x: type 5, or 9 with an empty map when there are deletions; 2.0: always 9 with the
    /// database.
    fn seal(&self) -> Result<Vec<u8>, TooLong> {
        let ts_file = (self.delivery.ts_file.name.as_str(), length(&self.delivery.ts_file));
        let mods = self.delivery.mods.as_ref().map(|part| (part.name.as_str(), length(part)));
        let database_key = database_key(ts_file.0);
        let request = match (self.dialect, mods) {
            (Dialect::V1_2 | Dialect::V1_3, None) => {
                Request::FileSeal(FileSeal { file_name: ts_file.0, file_bytes: ts_file.1 })
            }
            (Dialect::V1_2 | Dialect::V1_3, Some(mods)) => {
                Request::FileSealMany(FileSealMany::with_mods_1_3(mods, ts_file))
            }
            (Dialect::V2_0, mods) => Request::FileSealMany(FileSealMany::ts_file_2_0(
                mods,
                ts_file,
                &database_key,
                self.delivery.database.as_deref(),
            )),
        };
        payload_of(request)
    }
}

/// The whole payload of a request.
pub(crate) fn payload_of(request: Request<'_>) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    Payload::from(request).encode(&mut out)?;
    Ok(out)
}

fn length(part: &DeliveryPart) -> i64 {
    i64::try_from(part.length_bytes).unwrap_or(i64::MAX)
}
