//! Requests inside of requests: compressed ones (type 300) and slices (type 400).

use tidegate_codec::CompressError;
use tidegate_codec::Error;
use tidegate_codec::PipeCompression;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use super::Element;
use super::PayloadHead;
use super::RequestError;
use super::RequestType;
use super::Seq;
use crate::frame::PAYLOAD_BYTES_MAX;

/// Type 300.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Compressed<'a> {
    /// The compressors in the order in which the sender applied them.
    pub stages: Seq<'a, Stage>,
    /// The compressed payload.
    pub data: &'a [u8],
}

impl<'a> Compressed<'a> {
    /// The payload inside, of which no stage may take more than `max_bytes`.
    ///
    /// Fails if it is compressed once more or a slice: nothing is nested without end.
    pub fn decompress(&self, max_bytes: usize) -> Result<Vec<u8>, RequestError> {
        let stages: Vec<Stage> = self.stages.iter().collect();
        let mut payload: Option<Vec<u8>> = None;
        for Stage { by, declared_bytes } in stages.into_iter().rev() {
            let input = payload.as_deref().unwrap_or(self.data);
            payload = Some(by.decompress(input, declared_bytes, max_bytes)?);
        }
        let payload = payload.unwrap_or_else(|| self.data.to_vec());
        match PayloadHead::decode(&mut Reader::new(&payload))?.request_type {
            inner @ (RequestType::TransferCompressed | RequestType::TransferSlice) => {
                Err(RequestError::Nested { inner })
            }
            _ => Ok(payload),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let offset = reader.position();
        let count = reader.u8("number of compressors")?;
        if count > STAGES_MAX {
            let expected = "at most 8 compressors";
            return Err(Error::Value { offset, expected, found: i64::from(count) });
        }
        let stages = Seq::decode_counted(reader, usize::from(count), ())?;
        Ok(Self { stages, data: reader.take_rest() })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u8(u8::try_from(self.stages.len()).unwrap_or(u8::MAX));
        self.stages.encode_counted(writer);
        writer.bytes(self.data);
    }
}

/// Appends a payload to `out` as a type 300 payload, compressed by each of `by` in their order.
pub fn encode_compressed(
    payload: &[u8],
    by: &[PipeCompression],
    out: &mut Vec<u8>,
) -> Result<(), CompressError> {
    let mut data = payload.to_vec();
    let mut stages = Vec::new();
    for by in by {
        let packed = by.compress(&data)?;
        stages.push(Stage { by: *by, declared_bytes: data.len() });
        data = packed;
    }
    let mut writer = Writer::new(out);
    PayloadHead { request_type: RequestType::TransferCompressed }.encode(&mut writer);
    Compressed { stages: stages.into(), data: &data }.encode(&mut writer);
    Ok(())
}

/// One compressor that was applied to a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Stage {
    /// Which.
    pub by: PipeCompression,
    /// Length before it was applied.
    pub declared_bytes: usize,
}

impl Element<'_> for Stage {
    type Context = ();
    const BYTES_MIN: usize = 5;

    fn decode(reader: &mut Reader<'_>, (): ()) -> Result<Self, Error> {
        let offset = reader.position();
        let code = reader.u8("compressor")?;
        let by = PipeCompression::from_code(code).ok_or_else(|| Error::Value {
            offset,
            expected: "a compressor (0 to 4)",
            found: i64::from(code),
        })?;
        let offset = reader.position();
        let found = reader.i32("length before compression")?;
        let declared_bytes = usize::try_from(found).map_err(|_| Error::Length {
            offset,
            what: "request before compression",
            found: i64::from(found),
            max: i32::MAX as usize,
        })?;
        Ok(Self { by, declared_bytes })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.u8(self.by.code());
        writer.length(self.declared_bytes);
    }
}

/// Type 400, which IoTDB sends over thrift only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct Slice<'a> {
    /// The same for all slices of one request.
    pub order_id: i32,
    /// Type of the whole request; never a slice.
    pub origin_type: RequestType,
    /// Length of the whole body.
    pub origin_body_bytes: i32,
    /// This part of the body.
    pub body: &'a [u8],
    /// Which part, from 0.
    pub index: i32,
    /// How many parts.
    pub count: i32,
}

impl<'a> Slice<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, RequestError> {
        let order_id = reader.i32("number of a sliced request")?;
        let code = reader.i16("type of a sliced request")?;
        let origin_type = RequestType::from_code(code).ok_or(RequestError::UnknownType(code))?;
        if origin_type == RequestType::TransferSlice {
            return Err(RequestError::Nested { inner: origin_type });
        }
        let origin_body_bytes = reader.i32("length of a sliced request")?;
        let body = reader.bin("slice", PAYLOAD_BYTES_MAX as usize)?;
        let offset = reader.position();
        let index = reader.i32("number of the slice")?;
        let count = reader.i32("number of slices")?;
        if !(0..count).contains(&index) {
            let expected = "the number of a slice below the number of slices";
            return Err(Error::Value { offset, expected, found: i64::from(index) }.into());
        }
        Ok(Self { order_id, origin_type, origin_body_bytes, body, index, count })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.i32(self.order_id);
        writer.i16(self.origin_type.code());
        writer.i32(self.origin_body_bytes);
        writer.bin(self.body);
        writer.i32(self.index);
        writer.i32(self.count);
    }
}

/// More compressors in a row than anyone applies.
const STAGES_MAX: u8 = 8;
