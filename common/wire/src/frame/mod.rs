//! The air-gap frame: two equal lengths, a CRC-32, the payload, and IoTDB's E-language wrap around it.
//!
//! ```text
//! [63 bytes E prefix]  L i32 | L i32 | CRC-32 of the payload as i64 | payload, L - 8 bytes  [15 bytes E suffix]
//! ```
//!
//! This file holds the numbers and the encoder; `decode.rs` the incremental decoder, `error.rs` why a
//! frame is refused and what a foreign peer looks like.

mod decode;
mod error;

pub use decode::FrameDecoder;
pub use decode::FrameEvent;
pub use error::Foreign;
pub use error::FrameError;

/// The two lengths and the checksum.
pub const FRAME_HEADER_BYTES: usize = 16;
/// The smallest payload: version and type.
pub const PAYLOAD_BYTES_MIN: u32 = 3;
/// No payload is larger, whatever a key says: 64 MiB of file data and room for its name.
pub const PAYLOAD_BYTES_MAX: u32 = (64 << 20) + (64 << 10);
/// What a sender with `air-gap.e-language.enable` puts before every frame.
pub const E_LANGUAGE_PREFIX: &[u8; 63] =
    b"<!System=IoTDB Version=1.0 Code=UTF-8 Data=1.0!>\n<block:=Free>\n";
/// What such a sender puts behind every frame.
pub const E_LANGUAGE_SUFFIX: &[u8; 15] = b"\n</block:=Free>";
/// What a plain frame adds to its payload.
pub const PLAIN_OVERHEAD_BYTES: u64 = FRAME_HEADER_BYTES as u64;
/// What a wrapped frame adds to its payload.
pub const WRAPPED_OVERHEAD_BYTES: u64 =
    PLAIN_OVERHEAD_BYTES + (E_LANGUAGE_PREFIX.len() + E_LANGUAGE_SUFFIX.len()) as u64;

/// The checksum is inside of what the length counts.
const CHECKSUM_BYTES: u32 = 8;
/// A receiver tells the wrap by these many bytes: they cannot be two lengths under the cap.
const DETECTED_BYTES: usize = 8;

const _: () = assert!(
    PAYLOAD_BYTES_MAX + CHECKSUM_BYTES < (E_LANGUAGE_PREFIX[0] as u32) << 24,
    "a length under the cap never begins like the E-language prefix",
);

/// Whether frames are sent inside IoTDB's E-language block, for gateways that want text around data.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB knows these two
pub enum Wrap {
    /// Prefix and suffix around every frame.
    ELanguage,
    /// The frame alone.
    #[default]
    None,
}

impl Wrap {
    /// What goes before the frame.
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Self::ELanguage => E_LANGUAGE_PREFIX,
            Self::None => &[],
        }
    }

    /// What goes behind the frame.
    pub fn suffix(self) -> &'static [u8] {
        match self {
            Self::ELanguage => E_LANGUAGE_SUFFIX,
            Self::None => &[],
        }
    }

    /// What a frame adds to its payload.
    pub fn overhead_bytes(self) -> u64 {
        match self {
            Self::ELanguage => WRAPPED_OVERHEAD_BYTES,
            Self::None => PLAIN_OVERHEAD_BYTES,
        }
    }
}

/// What a [`FrameDecoder`] accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // made by callers
pub struct FrameLimits {
    /// The largest payload; never more than [`PAYLOAD_BYTES_MAX`].
    pub max_payload_bytes: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { max_payload_bytes: PAYLOAD_BYTES_MAX }
    }
}

/// The 16 bytes before a payload whose CRC-32 is known.
pub fn encode_header(payload_crc32: u32, payload_bytes: u32) -> [u8; FRAME_HEADER_BYTES] {
    let length = payload_bytes.saturating_add(CHECKSUM_BYTES).to_be_bytes();
    let mut header = [0; FRAME_HEADER_BYTES];
    let fields = [length, length, [0; 4], payload_crc32.to_be_bytes()];
    for (place, field) in header.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field);
    }
    header
}

/// Appends `payload` as a whole frame to `out`.
///
/// `out` is left as it was when the payload is over [`PAYLOAD_BYTES_MAX`].
pub fn encode_frame(payload: &[u8], wrap: Wrap, out: &mut Vec<u8>) -> Result<(), PayloadTooLarge> {
    let payload_bytes = check_payload_bytes(payload.len() as u64)?;
    out.extend_from_slice(wrap.prefix());
    out.extend_from_slice(&encode_header(crc32fast::hash(payload), payload_bytes));
    out.extend_from_slice(payload);
    out.extend_from_slice(wrap.suffix());
    Ok(())
}

/// How many bytes the frame of a payload takes on the wire.
pub fn frame_bytes(payload_bytes: u64, wrap: Wrap) -> u64 {
    payload_bytes.saturating_add(wrap.overhead_bytes())
}

/// The length of a payload as the frame header has it, if it is under the cap.
pub(crate) fn check_payload_bytes(payload_bytes: u64) -> Result<u32, PayloadTooLarge> {
    u32::try_from(payload_bytes)
        .ok()
        .filter(|payload_bytes| *payload_bytes <= PAYLOAD_BYTES_MAX)
        .ok_or(PayloadTooLarge { payload_bytes })
}

/// A payload of our own that no frame can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PayloadTooLarge {
    /// Its length.
    pub payload_bytes: u64,
}

impl core::fmt::Display for PayloadTooLarge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "encoding a frame: expected a payload of at most {PAYLOAD_BYTES_MAX} bytes, but found {}",
            self.payload_bytes
        )
    }
}

impl core::error::Error for PayloadTooLarge {}
