//! What an air-gap sender decides about one lane: when to connect, what to say, what the one byte
//! that comes back means.

mod answer;
mod delivery;
mod jitter;
mod lane;
mod lane_config;
mod peers;
mod piece_size;
mod rate;

pub use answer::Answer;
pub use answer::Heard;
pub use answer::interpret;
pub use delivery::Delivery;
pub use delivery::DeliveryPart;
pub use delivery::PieceFrame;
pub use lane::Command;
pub use lane::Frame;
pub use lane::Lane;
pub use lane::LaneCounters;
pub use lane::Phase;
pub use lane_config::DialectRule;
pub use lane_config::HandshakeForm;
pub use lane_config::Introduction;
pub use lane_config::LaneConfig;
pub use peers::Peers;
pub use rate::RateLimit;
