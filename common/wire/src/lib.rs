//! Wire formats of IoTDB's air gap: frame, E-language wrap, reply byte, pipe requests. No I/O.
//!
//! [`FrameDecoder`] turns a byte stream into checked payloads without ever holding one whole;
//! [`Payload::decode`] turns the bytes of one payload into a borrowed [`Request`] that encodes back to
//! the very same bytes.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod frame;
pub mod piece;
pub mod reply;
pub mod request;

pub use frame::Foreign;
pub use frame::FrameDecoder;
pub use frame::FrameError;
pub use frame::FrameEvent;
pub use frame::FrameLimits;
pub use frame::Wrap;
pub use piece::PieceHead;
pub use reply::IllegalReply;
pub use reply::Reply;
pub use request::Payload;
pub use request::Request;
pub use request::RequestError;
pub use request::RequestType;
