//! Files: pieces of them, and the seals that say they are whole.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::Dialect;

use super::Pair;
use super::RequestType;
use super::Seq;
use crate::frame::PAYLOAD_BYTES_MAX;
use crate::piece::FILE_NAME_BYTES_MAX;
use crate::piece::PieceKind;

/// Types 4, 8, 101 and 201, with the data at hand. See [`PieceHead`](crate::PieceHead) for streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct FilePiece<'a> {
    /// Which of the four pieces.
    pub kind: PieceKind,
    /// Bare name of the file, as sent: not yet safe as a path.
    pub file_name: &'a str,
    /// Where in the file the data belongs.
    pub offset: i64,
    /// The data.
    pub data: &'a [u8],
}

impl<'a> FilePiece<'a> {
    pub(super) fn decode(kind: PieceKind, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let piece = Self {
            kind,
            file_name: reader.str("file name", FILE_NAME_BYTES_MAX)?,
            offset: not_negative(reader, "an offset in the file")?,
            data: reader.bin("piece", PAYLOAD_BYTES_MAX as usize)?,
        };
        // Bytes behind the data have no meaning in any version, and are easily taken for data.
        reader.finish()?;
        Ok(piece)
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.file_name);
        writer.i64(self.offset);
        writer.bin(self.data);
    }
}

/// Type 5.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct FileSeal<'a> {
    /// Bare name of the file, as sent: not yet safe as a path.
    pub file_name: &'a str,
    /// Length of the whole file.
    pub file_bytes: i64,
}

impl<'a> FileSeal<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            file_name: reader.str("file name", FILE_NAME_BYTES_MAX)?,
            file_bytes: not_negative(reader, "the length of a file")?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.file_name);
        writer.i64(self.file_bytes);
    }
}

/// What a [`FileSealMany`] ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SealKind {
    /// 202: a config region's snapshot.
    ConfigSnapshot,
    /// 102: a schema region's snapshot.
    SchemaSnapshot,
    /// 9: a TsFile, after its mods file if it has one.
    TsFileWithMods,
}

impl SealKind {
    /// The seal that a type stands for, if any.
    pub fn of(request_type: RequestType) -> Option<Self> {
        match request_type {
            RequestType::TransferTsFileSealWithMod => Some(Self::TsFileWithMods),
            RequestType::TransferSchemaSnapshotSeal => Some(Self::SchemaSnapshot),
            RequestType::TransferConfigSnapshotSeal => Some(Self::ConfigSnapshot),
            _ => None,
        }
    }

    /// The type on the wire.
    pub fn request_type(self) -> RequestType {
        match self {
            Self::TsFileWithMods => RequestType::TransferTsFileSealWithMod,
            Self::SchemaSnapshot => RequestType::TransferSchemaSnapshotSeal,
            Self::ConfigSnapshot => RequestType::TransferConfigSnapshotSeal,
        }
    }
}

/// Types 9, 102 and 202.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct FileSealMany<'a> {
    /// What is sealed.
    pub kind: SealKind,
    /// Bare names as sent, not yet safe as paths. Of type 9 the last is the TsFile.
    pub file_names: Seq<'a, &'a str>,
    /// As many lengths.
    pub file_bytes: Seq<'a, i64>,
    /// What else is said about the files, in the order sent.
    pub parameters: Seq<'a, Pair<'a>>,
}

impl<'a> FileSealMany<'a> {
    /// What a sender of 1.3 says about a TsFile and its mods file, in this order.
    pub fn with_mods_1_3(mods: (&'a str, i64), ts_file: (&'a str, i64)) -> Self {
        Self {
            kind: SealKind::TsFileWithMods,
            file_names: vec![mods.0, ts_file.0].into(),
            file_bytes: vec![mods.1, ts_file.1].into(),
            parameters: Vec::new().into(),
        }
    }

    /// What a sender of 2.0 says about a TsFile, its mods file if it has one, and its database.
    ///
    /// `database_key` is [`database_key`] of the TsFile's name; `database` is null in the tree model.
    pub fn ts_file_2_0(
        mods: Option<(&'a str, i64)>,
        ts_file: (&'a str, i64),
        database_key: &'a str,
        database: Option<&'a str>,
    ) -> Self {
        let (file_names, file_bytes): (Vec<_>, Vec<_>) = mods.into_iter().chain([ts_file]).unzip();
        Self {
            kind: SealKind::TsFileWithMods,
            file_names: file_names.into(),
            file_bytes: file_bytes.into(),
            parameters: vec![Pair { key: database_key, value: database }].into(),
        }
    }

    /// Names and lengths together.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, i64)> {
        self.file_names.iter().zip(self.file_bytes.iter())
    }

    /// The database of a file (2.0): `Some(None)` is the tree model, `None` a sender of 1.3.
    pub fn database(&self, ts_file_name: &str) -> Option<Option<&'a str>> {
        self.parameters.value(&database_key(ts_file_name))
    }

    /// The generation of IoTDB that writes a seal like this; of two that do, the older.
    pub fn dialect(&self) -> Dialect {
        if self.parameters.is_empty() { Dialect::V1_3 } else { Dialect::V2_0 }
    }

    pub(super) fn decode(kind: SealKind, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let file_names = Seq::decode(reader, "number of file names", ())?;
        let offset = reader.position();
        let file_bytes = Seq::decode(reader, "number of file lengths", ())?;
        if file_names.len() != file_bytes.len() {
            return Err(Error::Value {
                offset,
                expected: "as many file lengths as names",
                found: i64::try_from(file_bytes.len()).unwrap_or(i64::MAX),
            });
        }
        let parameters = Seq::decode(reader, "number of parameters", ())?;
        Ok(Self { kind, file_names, file_bytes, parameters })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        self.file_names.encode(writer);
        self.file_bytes.encode(writer);
        self.parameters.encode(writer);
    }
}

/// The key under which a 2.0 seal has the database of a TsFile.
pub fn database_key(ts_file_name: &str) -> String {
    format!("DATABASE_NAME_{ts_file_name}")
}

fn not_negative(reader: &mut Reader<'_>, expected: &'static str) -> Result<i64, Error> {
    let offset = reader.position();
    match reader.i64(expected)? {
        found @ ..0 => Err(Error::Value { offset, expected, found }),
        value => Ok(value),
    }
}
