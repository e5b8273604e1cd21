//! What an air-gap sender decides about one lane: when to connect, what to say, what the one byte
//! that comes back means.

mod answer;
mod delivery;
mod jitter;
mod lane;
mod peers;
mod rate;

pub use answer::Answer;
pub use answer::Heard;
pub use answer::interpret;
pub use delivery::Delivery;
pub use delivery::DeliveryPart;
pub use delivery::PieceFrame;
pub use lane::Command;
pub use lane::DialectRule;
pub use lane::Frame;
pub use lane::HandshakeForm;
pub use lane::Introduction;
pub use lane::Lane;
pub use lane::LaneConfig;
pub use lane::LaneCounters;
pub use lane::Phase;
pub use peers::Peers;
pub use rate::RateLimit;
