//! Sorts a whole payload: what a receiver has to do about it.
//!
//! Owned values come out, for requests leave for other threads. What is only kept (tablets, plans)
//! stays raw; it is parsed here to refuse what nobody could ever apply.

use tidegate_codec::Error;
use tidegate_codec::PipeCompression;
use tidegate_codec::Reader;
use tidegate_wire::Payload;
use tidegate_wire::RequestType;
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
/// Most compressors one after the other.
const MAX_COMPRESSORS: u8 = 4;
/// Plan node types that delete points.
const DELETE_PLANS: [i16; 2] = [44, 2003];

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

/// Sorts `payload`.
pub(super) fn parse(payload: Vec<u8>, config: &ReceivingConfig) -> Result<Request, Refusal> {
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let type_code = match head::parse(&payload, payload_bytes)? {
        Head::Other { type_code } => type_code,
        Head::Piece(piece) => {
            let length = usize::try_from(piece.length_bytes).unwrap_or(usize::MAX);
            let start = payload.len().saturating_sub(length);
            let bytes = payload.get(start..).unwrap_or_default().to_vec();
            return Ok(Request::Piece(piece, bytes));
        }
        Head::NeedMore(_) => {
            return Err(Refusal::Incomplete);
        }
    };
    let request_type = RequestType::from_code(type_code).ok_or(Refusal::UnknownType(type_code))?;
    let body = payload.get(TYPE_BYTES..).unwrap_or_default();
    match request_type {
        RequestType::TransferCompressed => {
            decompress(body, config.max_request_bytes).map(Request::Compressed)
        }
        RequestType::TransferSlice => read_slice(body).map(Request::Slice),
        RequestType::HandshakeConfigNodeV1
        | RequestType::HandshakeDataNodeV1
        | RequestType::HandshakeConfigNodeV2
        | RequestType::HandshakeDataNodeV2
        | RequestType::TransferTsFileSeal
        | RequestType::TransferTsFileSealWithMod
        | RequestType::TransferSchemaSnapshotSeal
        | RequestType::TransferConfigSnapshotSeal => read_known(payload, type_code, config),
        _ => {
            let kind = submit_kind(request_type, body);
            Ok(Request::Submit(Submit { kind, type_code, request: payload }))
        }
    }
}

/// Handshakes and seals, whose fields decide what happens.
fn read_known(
    payload: Vec<u8>,
    type_code: i16,
    config: &ReceivingConfig,
) -> Result<Request, Refusal> {
    let decoded = Payload::decode(&payload)
        .map_err(|error| Refusal::Body { type_code, fault: error.to_string() })?;
    let (kind, named, parameters) = match decoded.request {
        wire::Request::HandshakeV1(hello) => {
            return Ok(Request::Handshake(handshake::check_v1(config, &hello)));
        }
        wire::Request::HandshakeV2(hello) => {
            return Ok(Request::Handshake(handshake::check_v2(config, &hello)));
        }
        wire::Request::FileSeal(seal) => {
            (SealKind::TsFile, vec![(seal.file_name.to_owned(), seal.file_bytes)], Vec::new())
        }
        wire::Request::FileSealMany(seal) => {
            let kind = match seal.kind {
                wire::SealKind::SchemaSnapshot => SealKind::SchemaSnapshot,
                wire::SealKind::ConfigSnapshot => SealKind::ConfigSnapshot,
                _ => SealKind::TsFile,
            };
            let files = seal.files().take(MAX_SEALED_FILES + 1);
            let named = files.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
            let pairs = seal.parameters.iter().take(MAX_PARAMETERS);
            let own = |pair: wire::Pair<'_>| (pair.key.to_owned(), pair.value.map(str::to_owned));
            (kind, named, pairs.map(own).collect())
        }
        _ => return Err(Refusal::UnknownType(type_code)),
    };
    check_seal(kind, &named)?;
    Ok(Request::Seal(SealRequest { kind, named, parameters, request: payload }))
}

/// The payload that was cut into slices.
pub(super) fn join(whole: Whole) -> Vec<u8> {
    let mut payload = Vec::with_capacity(whole.body.len().saturating_add(TYPE_BYTES));
    payload.push(1);
    payload.extend_from_slice(&whole.type_code.to_be_bytes());
    payload.extend_from_slice(&whole.body);
    payload
}

fn submit_kind(request_type: RequestType, body: &[u8]) -> SubmitKind {
    match request_type {
        RequestType::TransferConfigPlan => SubmitKind::ConfigPlan,
        RequestType::TransferPlanNode => {
            let plan = body.first_chunk().map(|plan| i16::from_be_bytes(*plan));
            match plan.is_some_and(|plan| DELETE_PLANS.contains(&plan)) {
                true => SubmitKind::Delete,
                false => SubmitKind::SchemaPlan,
            }
        }
        _ => SubmitKind::Tablet,
    }
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

fn decompress(body: &[u8], cap_bytes: u32) -> Result<Vec<u8>, Refusal> {
    let type_code = RequestType::TransferCompressed.code();
    let refused = |fault: String| Refusal::Body { type_code, fault };
    let fault = |error: Error| refused(error.to_string());
    let cap = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
    let mut reader = Reader::at(body, TYPE_BYTES);
    let count = reader.u8("number of compressors").map_err(fault)?;
    if count > MAX_COMPRESSORS {
        return Err(refused(format!(
            "compressed request: expected at most {MAX_COMPRESSORS} compressors, found {count}"
        )));
    }
    let mut steps = Vec::new();
    for _ in 0..count {
        let code = reader.u8("compressor").map_err(fault)?;
        let compression = PipeCompression::from_code(code)
            .ok_or_else(|| refused(format!("compressed request: unknown compressor {code}")))?;
        let declared = reader.i32("uncompressed length").map_err(fault)?;
        let declared = usize::try_from(declared).map_err(|_| {
            refused(format!("compressed request: uncompressed length is {declared}"))
        })?;
        steps.push((compression, declared));
    }
    let mut bytes = reader.take_rest().to_vec();
    for (compression, declared) in steps.into_iter().rev() {
        bytes = compression
            .decompress(&bytes, declared, cap)
            .map_err(|error| refused(error.to_string()))?;
    }
    Ok(bytes)
}

fn read_slice(body: &[u8]) -> Result<Slice, Refusal> {
    let mut reader = Reader::at(body, TYPE_BYTES);
    let mut read = || -> Result<Slice, Error> {
        Ok(Slice {
            order_id: reader.i32("order of the sliced request")?,
            type_code: reader.i16("type of the sliced request")?,
            body_bytes: reader.i32("size of the sliced request")?,
            bytes: reader.bin("slice", usize::MAX)?.to_vec(),
            index: reader.i32("index of the slice")?,
            count: reader.i32("number of slices")?,
        })
    };
    read().map_err(|error| Refusal::Body {
        type_code: RequestType::TransferSlice.code(),
        fault: error.to_string(),
    })
}
