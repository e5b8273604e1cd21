//! Sorts a whole payload: what a receiver has to do about it.
//!
//! Owned values come out, for requests leave for other threads. What is only kept (tablets, plans)
//! stays raw; it is parsed here to refuse what nobody could ever apply.

use tidegate_wire::Payload;
use tidegate_wire::RequestError;
use tidegate_wire::request as wire;

use super::ReceivingConfig;
use super::action::Hello;
use super::action::SealKind;
use super::action::Submit;
use super::action::SubmitKind;
use super::handshake;
use super::head;
use super::head::Head;
use super::head::Piece;
use super::head::TYPE_BYTES;
use super::refusal::HandshakeFault;
use super::refusal::Refusal;
use super::refusal::SealFault;
use super::refusal::check_name;
use super::refusal::check_tsfile_name;
use super::slices::Slice;
use super::slices::Whole;

/// Most parameters of one seal that are kept; stock senders send at most seven.
const MAX_PARAMETERS: usize = 64;
/// Most files of one seal: a TsFile and its two kinds of mods, or the three of a schema snapshot.
const MAX_SEALED_FILES: usize = 8;
/// Longest name of a database.
const MAX_DATABASE_BYTES: usize = 1024;
/// What the parameters begin with that name a database.
const DATABASE_KEY: &str = "DATABASE_NAME_";
/// What a payload asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// Another payload, now decompressed.
    Compressed(Vec<u8>),
    /// A handshake and what its checks gave.
    Handshake(Result<Hello, HandshakeFault>),
    /// A piece with its bytes.
    Piece(Piece, Vec<u8>),
    /// The end of files.
    Seal(SealRequest),
    /// A part of another request.
    Slice(Slice),
    /// A request to be kept.
    Submit(Submit),
}

/// A seal before its names have been looked up.
#[derive(Debug)]
pub(super) struct SealRequest {
    pub(super) kind: SealKind,
    pub(super) named: Vec<(String, i64)>,
    pub(super) parameters: Vec<(String, Option<String>)>,
    pub(super) request: Vec<u8>,
}

/// Sorts `payload`; what is compressed may become `cap_bytes` long.
pub(super) fn parse(
    payload: Vec<u8>,
    config: &ReceivingConfig,
    cap_bytes: u32,
) -> Result<Request, Refusal> {
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let type_code = match head::parse(&payload, payload_bytes)? {
        Head::Other { type_code } => type_code,
        Head::Piece(piece) => {
            let length = usize::try_from(piece.length_bytes).unwrap_or(usize::MAX);
            let start = payload.len().saturating_sub(length);
            let bytes = payload.get(start..).unwrap_or_default().to_vec();
            return Ok(Request::Piece(piece, bytes));
        }
        Head::NeedMore(_) => return Err(Refusal::Incomplete),
    };
    let refused = |error: RequestError| match error {
        RequestError::UnknownType(code) => Refusal::UnknownType(code),
        RequestError::UnknownVersion(version) => Refusal::UnknownVersion(version),
        RequestError::Nested { .. } => Refusal::Layers,
        error => Refusal::Body { type_code, fault: error.to_string() },
    };
    let sorted = match Payload::decode(&payload).map_err(refused)?.request {
        wire::Request::Compressed(compressed) => {
            let cap = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
            return compressed.decompress(cap).map(Request::Compressed).map_err(refused);
        }
        wire::Request::Slice(slice) => return Ok(Request::Slice(Slice::of(&slice))),
        wire::Request::HandshakeV1(hello) => {
            return Ok(Request::Handshake(handshake::check_v1(config, &hello)));
        }
        wire::Request::HandshakeV2(hello) => {
            return Ok(Request::Handshake(handshake::check_v2(config, &hello)));
        }
        wire::Request::FileSeal(seal) => Sorted::Seal {
            kind: SealKind::TsFile,
            named: vec![(seal.file_name.to_owned(), seal.file_bytes)],
            parameters: Vec::new(),
        },
        wire::Request::FileSealMany(seal) => sort_seal(&seal),
        wire::Request::ConfigPlan(_) => Sorted::Submit(SubmitKind::ConfigPlan),
        wire::Request::Plan(plan) => Sorted::Submit(match plan {
            wire::Plan::Delete(_) | wire::Plan::RelationalDelete(_) => SubmitKind::Delete,
            wire::Plan::Insert(_) => SubmitKind::Tablet,
            _ => SubmitKind::SchemaPlan,
        }),
        _ => Sorted::Submit(SubmitKind::Tablet),
    };
    match sorted {
        Sorted::Submit(kind) => Ok(Request::Submit(Submit { kind, type_code, request: payload })),
        Sorted::Seal { kind, named, parameters } => {
            check_seal(kind, &named)?;
            check_databases(&named, &parameters)?;
            Ok(Request::Seal(SealRequest { kind, named, parameters, request: payload }))
        }
    }
}

/// What remains to be joined with the payload once nothing borrows from it.
enum Sorted {
    Seal { kind: SealKind, named: Vec<(String, i64)>, parameters: Vec<(String, Option<String>)> },
    Submit(SubmitKind),
}

fn sort_seal(seal: &wire::FileSealMany<'_>) -> Sorted {
    let own = |pair: wire::Pair<'_>| (pair.key.to_owned(), pair.value.map(str::to_owned));
    Sorted::Seal {
        kind: match seal.kind {
            wire::SealKind::SchemaSnapshot => SealKind::SchemaSnapshot,
            wire::SealKind::ConfigSnapshot => SealKind::ConfigSnapshot,
            _ => SealKind::TsFile,
        },
        // one more than allowed, so that the check sees the surplus
        named: seal
            .files()
            .take(MAX_SEALED_FILES + 1)
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect(),
        parameters: seal.parameters.iter().take(MAX_PARAMETERS).map(own).collect(),
    }
}

/// The payload that was cut into slices.
pub(super) fn join(whole: Whole) -> Vec<u8> {
    let mut payload = Vec::with_capacity(whole.body.len().saturating_add(TYPE_BYTES));
    payload.push(1);
    payload.extend_from_slice(&whole.type_code.to_be_bytes());
    payload.extend_from_slice(&whole.body);
    payload
}

/// What would be kept in every record and line of a manifest.
fn check_databases(
    named: &[(String, i64)],
    parameters: &[(String, Option<String>)],
) -> Result<(), Refusal> {
    for (key, value) in parameters {
        let found_bytes = value.as_ref().map_or(0, String::len);
        if key.starts_with(DATABASE_KEY) && found_bytes > MAX_DATABASE_BYTES {
            let name = named.first().map_or("no file", |(name, _)| name.as_str());
            let fault = SealFault::Database { found_bytes, expected_bytes: MAX_DATABASE_BYTES };
            return Err(Refusal::Seal { name: name.chars().take(255).collect(), fault });
        }
    }
    Ok(())
}

fn check_seal(kind: SealKind, named: &[(String, i64)]) -> Result<(), Refusal> {
    let names = || named.iter().map(|(name, _)| name.as_str());
    let fault = Refusal::Seal {
        name: names().next_back().unwrap_or("no file").chars().take(255).collect(),
        fault: SealFault::Names,
    };
    let doubled =
        names().enumerate().any(|(at, name)| names().skip(at + 1).any(|next| next == name));
    if named.is_empty() || named.len() > MAX_SEALED_FILES || doubled {
        return Err(fault);
    }
    if kind != SealKind::TsFile {
        return names().try_for_each(|name| check_name(name.as_bytes()).map(drop));
    }
    names().try_for_each(|name| check_tsfile_name(name.as_bytes()).map(drop))?;
    let of = |extension| names().filter(|name| name.ends_with(extension)).count();
    match (of(".tsfile"), of(".mods"), of(".mods2")) {
        (1, 0 | 1, 0 | 1) => Ok(()),
        _ => Err(fault),
    }
}
