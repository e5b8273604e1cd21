//! Puts a request together that arrives in slices.
//!
//! Slices come in order on one connection; whatever does not continue the request clears it, as
//! does any request that is not a slice. Memory follows the bytes that arrived, not the size that
//! was announced.

use tidegate_wire::request as wire;

use super::refusal::Refusal;

/// One slice of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Slice {
    pub(super) order_id: i32,
    pub(super) type_code: i16,
    pub(super) body_bytes: i32,
    pub(super) bytes: Vec<u8>,
    pub(super) index: i32,
    pub(super) count: i32,
}

impl Slice {
    /// The slice of a decoded request.
    pub(super) fn of(slice: &wire::Slice<'_>) -> Self {
        Self {
            order_id: slice.order_id,
            type_code: slice.origin_type.code(),
            body_bytes: slice.origin_body_bytes,
            bytes: slice.body.to_vec(),
            index: slice.index,
            count: slice.count,
        }
    }
}

/// A request whose last slice has arrived.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Whole {
    pub(super) type_code: i16,
    pub(super) body: Vec<u8>,
}

/// The request being put together, if any.
#[derive(Debug, Default)]
pub(super) struct Slices {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    first: (i32, i16, i32, i32),
    next_index: i32,
    body: Vec<u8>,
}

impl Slices {
    /// Forgets a half-built request.
    pub(super) fn clear(&mut self) {
        self.open = None;
    }

    /// Memory that a half-built request takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.body.capacity())
    }

    /// Takes the next slice; gives the request after its last one.
    pub(super) fn push(&mut self, slice: Slice, cap: usize) -> Result<Option<Whole>, Refusal> {
        let mut open = match self.open.take() {
            Some(open) if slice.index != 0 => open,
            _ => Open { first: shape(&slice), next_index: 0, body: Vec::new() },
        };
        if slice.count < 1 || slice.index < 0 || slice.index >= slice.count {
            return Err(Refusal::Slice("index outside the count of slices"));
        }
        if shape(&slice) != open.first || slice.index != open.next_index {
            return Err(Refusal::Slice("does not continue the request before it"));
        }
        let total = usize::try_from(slice.body_bytes)
            .ok()
            .filter(|total| *total <= cap)
            .ok_or(Refusal::Slice("announced size is over the cap or negative"))?;
        let length = open.body.len().saturating_add(slice.bytes.len());
        if length > total {
            return Err(Refusal::Slice("more bytes than announced"));
        }
        open.body.extend_from_slice(&slice.bytes);
        open.next_index = open.next_index.saturating_add(1);
        if open.next_index < slice.count {
            self.open = Some(open);
            return Ok(None);
        }
        if length != total {
            return Err(Refusal::Slice("fewer bytes than announced"));
        }
        Ok(Some(Whole { type_code: slice.type_code, body: open.body }))
    }
}

fn shape(slice: &Slice) -> (i32, i16, i32, i32) {
    (slice.order_id, slice.type_code, slice.body_bytes, slice.count)
}
