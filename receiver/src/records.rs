//! What stands in a spool record: who sent it in which stream, and the request or the files.
//!
//! Every payload begins with a version, so that a later release reads what this one wrote:
//!
//! | field | form |
//! |---|---|
//! | version | u8, 1 |
//! | stream | string or null |
//! | epoch | u8 flag, then i64 if 1 |
//! | kinds 2 to 5: request | the rest: version, type and body as on the wire |
//! | kinds 1, 6, 7: files | i32 count, each: staged name, name, length i64, CRC-32 i32, SHA-256 32 bytes |
//! | parameters | i32 count, each: key, value or null |
//! | seal request | the rest: version, type and body as on the wire |
//!
//! Integers are big-endian, strings have an i32 length. The dialect stands in the record's own head,
//! see [`dialect_code`].

use sha2::Digest;
use sha2::Sha256;
use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_link::receiving::HandshakeForm;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::SealKind;
use tidegate_link::receiving::SubmitKind;
use tidegate_model::Dialect;
use tidegate_wire::request::database_key;

const VERSION: u8 = 1;
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a record is; the number stands in the spool.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum RecordKind {
    /// A TsFile with or without its mods.
    File,
    /// Rows.
    Tablet,
    /// A deletion of points.
    Delete,
    /// A schema plan.
    SchemaPlan,
    /// A plan of a ConfigNode.
    ConfigPlan,
    /// A snapshot of a schema region.
    SchemaSnapshot,
    /// A snapshot of a ConfigNode.
    ConfigSnapshot,
}

impl RecordKind {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::File,
        Self::Tablet,
        Self::Delete,
        Self::SchemaPlan,
        Self::ConfigPlan,
        Self::SchemaSnapshot,
        Self::ConfigSnapshot,
    ];

    /// The number in the spool.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Tablet => 2,
            Self::Delete => 3,
            Self::SchemaPlan => 4,
            Self::ConfigPlan => 5,
            Self::SchemaSnapshot => 6,
            Self::ConfigSnapshot => 7,
        }
    }

    /// The kind of a number.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether nothing here applies it, so that the status lists it.
    pub(crate) const fn is_not_applied(self) -> bool {
        match self {
            Self::SchemaPlan | Self::ConfigPlan | Self::SchemaSnapshot | Self::ConfigSnapshot => {
                true
            }
            Self::File | Self::Tablet | Self::Delete => false,
        }
    }

    /// Whether its payload lists files.
    pub(crate) const fn has_files(self) -> bool {
        matches!(self, Self::File | Self::SchemaSnapshot | Self::ConfigSnapshot)
    }

    /// A word for status and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tablet => "tablet",
            Self::Delete => "delete",
            Self::SchemaPlan => "schema-plan",
            Self::ConfigPlan => "config-plan",
            Self::SchemaSnapshot => "schema-snapshot",
            Self::ConfigSnapshot => "config-snapshot",
        }
    }

    /// What a seal becomes.
    pub(crate) fn of_seal(kind: SealKind) -> Self {
        match kind {
            SealKind::SchemaSnapshot => Self::SchemaSnapshot,
            SealKind::ConfigSnapshot => Self::ConfigSnapshot,
            _ => Self::File,
        }
    }

    /// What a request becomes.
    pub(crate) fn of_submit(kind: SubmitKind) -> Self {
        match kind {
            SubmitKind::Delete => Self::Delete,
            SubmitKind::SchemaPlan => Self::SchemaPlan,
            SubmitKind::ConfigPlan => Self::ConfigPlan,
            _ => Self::Tablet,
        }
    }
}

/// What is known of the generation of a request, in the record's dialect field: the handshake in
/// the lower half, 1 for V1 and 2 for V2; in the upper half what a Tidegate says of itself, 1 for
/// 1.2, 2 for 1.3, 3 for 2.0, and 0 where nothing is said. A stock sender of V2 may be a 1.3 or a
/// 2.0: no more can be told.
pub(crate) fn dialect_code(hello: &Hello) -> u8 {
    let form = match hello.form {
        HandshakeForm::V1 => 1,
        _ => 2,
    };
    let said = match hello.dialect {
        None => 0,
        Some(Dialect::V1_2) => 1,
        Some(Dialect::V1_3) => 2,
        Some(Dialect::V2_0) => 3,
    };
    said << 4 | form
}

/// The dialect that a sender has said, from the record's field.
pub(crate) fn dialect_said(code: u8) -> Option<Dialect> {
    match code >> 4 {
        1 => Some(Dialect::V1_2),
        2 => Some(Dialect::V1_3),
        3 => Some(Dialect::V2_0),
        _ => None,
    }
}

/// The type of a request as on the wire: behind one byte of version.
pub(crate) fn type_code(request: &[u8]) -> Option<i16> {
    let [_, high, low, ..] = *request else { return None };
    Some(i16::from_be_bytes([high, low]))
}

/// A file that lies in the staging directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StagedFile {
    pub(crate) staged: String,
    pub(crate) name: String,
    pub(crate) length_bytes: u64,
    pub(crate) crc32: u32,
    pub(crate) sha256: [u8; 32],
}

/// What a payload says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Contents {
    pub(crate) stream: Option<String>,
    pub(crate) epoch: Option<u64>,
    /// Empty for requests.
    pub(crate) files: Vec<StagedFile>,
    /// What else the seal said, as sent.
    pub(crate) parameters: Vec<(String, Option<String>)>,
    /// Type of the request or seal on the wire.
    pub(crate) type_code: Option<i16>,
    /// SHA-256 of the seal as on the wire; `None` for requests.
    pub(crate) seal_sha256: Option<[u8; 32]>,
}

impl Contents {
    /// The table-model database that a file belongs to, deletions to that of their TsFile; `None`
    /// in the tree model, and from senders before 2.0, which know no other.
    pub(crate) fn database(&self, file_name: &str) -> Option<&str> {
        let ts_file = file_name.trim_end_matches(".mods2").trim_end_matches(".mods");
        let wanted = database_key(ts_file);
        let (_, database) = self.parameters.iter().find(|(key, _)| *key == wanted)?;
        database.as_deref()
    }
}

/// The payload of a kept request.
pub(crate) fn encode_request(hello: &Hello, request: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.len().saturating_add(64));
    let mut writer = Writer::new(&mut out);
    write_sender(&mut writer, hello);
    writer.bytes(request);
    out
}

/// The payload of committed files.
pub(crate) fn encode_files(
    hello: &Hello,
    files: &[StagedFile],
    parameters: &[(String, Option<String>)],
    request: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    write_sender(&mut writer, hello);
    writer.length(files.len());
    for file in files {
        writer.str(&file.staged);
        writer.str(&file.name);
        writer.i64(file.length_bytes.cast_signed());
        writer.i32(file.crc32.cast_signed());
        writer.bytes(&file.sha256);
    }
    writer.length(parameters.len());
    for (key, value) in parameters {
        writer.str(key);
        writer.nullable_str(value.as_deref());
    }
    writer.bytes(request);
    out
}

/// Reads the payload of a record of `kind`.
pub(crate) fn decode(kind: RecordKind, payload: &[u8]) -> Result<Contents, Error> {
    let mut reader = Reader::new(payload);
    let version = reader.u8("version of the record")?;
    if version != VERSION {
        let (expected, found) = ("version 1 of the record", i64::from(version));
        return Err(Error::Value { offset: 0, expected, found });
    }
    let stream = reader.nullable_str("stream", TEXT_BYTES_MAX)?.map(str::to_owned);
    let epoch = match reader.bool("whether there is an epoch")? {
        true => Some(reader.i64("epoch")?.cast_unsigned()),
        false => None,
    };
    let mut files = Vec::new();
    if kind.has_files() {
        for _ in 0..reader.count("count of files", 4 + 4 + 8 + 4 + 32)? {
            let staged = reader.str("staged name", TEXT_BYTES_MAX)?.to_owned();
            let name = reader.str("file name", TEXT_BYTES_MAX)?.to_owned();
            let length_bytes = reader.i64("file length")?.cast_unsigned();
            let crc32 = reader.i32("CRC-32")?.cast_unsigned();
            let mut sha256 = [0; 32];
            for (place, byte) in sha256.iter_mut().zip(reader.take(32, "SHA-256")?) {
                *place = *byte;
            }
            files.push(StagedFile { staged, name, length_bytes, crc32, sha256 });
        }
    }
    let mut parameters = Vec::new();
    if kind.has_files() {
        for _ in 0..reader.count("count of parameters", 4 + 4)? {
            let key = reader.str("name of a parameter", TEXT_BYTES_MAX)?.to_owned();
            let value = reader.nullable_str("value of a parameter", TEXT_BYTES_MAX)?;
            parameters.push((key, value.map(str::to_owned)));
        }
    }
    let type_code = type_code(reader.peek_rest());
    let seal_sha256 = kind.has_files().then(|| Sha256::digest(reader.take_rest()).into());
    Ok(Contents { stream, epoch, files, parameters, type_code, seal_sha256 })
}

/// The request in the payload of a kept request that was decoded to `contents`.
pub(crate) fn request_of<'p>(payload: &'p [u8], contents: &Contents) -> &'p [u8] {
    let stream = contents.stream.as_ref().map_or(0, String::len);
    let epoch = if contents.epoch.is_some() { 8 } else { 0 };
    // version, length of the stream, stream, flag, epoch
    let head = 1usize.saturating_add(4).saturating_add(stream).saturating_add(1);
    payload.get(head.saturating_add(epoch)..).unwrap_or_default()
}

fn write_sender(writer: &mut Writer<'_>, hello: &Hello) {
    writer.u8(VERSION);
    writer.nullable_str(hello.stream.as_deref());
    writer.bool(hello.epoch.is_some());
    if let Some(epoch) = hello.epoch {
        writer.i64(epoch.cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use tidegate_link::receiving::Origin;
    use tidegate_model::Precision;

    use super::*;

    #[test]
    fn a_record_keeps_the_handshake_and_the_dialect_that_a_sender_said() {
        let hello = |form, dialect| Hello {
            origin: Origin::escape("plant"),
            stream: None,
            epoch: None,
            dialect,
            precision: Precision::Ms,
            form,
        };
        assert_eq!(dialect_code(&hello(HandshakeForm::V1, None)), 0x01);
        let mut known = vec![1];
        let said = [None, Some(Dialect::V1_2), Some(Dialect::V1_3), Some(Dialect::V2_0)];
        for (number, dialect) in (0..).zip(said) {
            let code = dialect_code(&hello(HandshakeForm::V2, dialect));
            assert_eq!((code & 0x0f, code >> 4, dialect_said(code)), (2, number, dialect));
            assert!(!known.contains(&code), "{code}");
            known.push(code);
        }
    }

    #[test]
    fn deletions_belong_to_the_database_of_their_file_and_tree_models_have_none() {
        let parameters = vec![
            (database_key("a.tsfile"), Some("plant".to_owned())),
            (database_key("b.tsfile"), None),
        ];
        let contents = Contents {
            stream: None,
            epoch: None,
            files: Vec::new(),
            parameters,
            type_code: None,
            seal_sha256: None,
        };
        for name in ["a.tsfile", "a.tsfile.mods2", "a.tsfile.mods"] {
            assert_eq!(contents.database(name), Some("plant"), "{name}");
        }
        for name in ["b.tsfile", "c.tsfile", "b.tsfile.mods2"] {
            assert_eq!(contents.database(name), None, "{name}");
        }
    }
}
