//! A simulator of one-way lateral isolation gateways, as a library and behind the binary
//! `tidegate-gateway-sim`.
//!
//! A gateway ends TCP on both of its sides. From the inner side to the outer side bytes pass; back
//! comes exactly one byte of two values per request, and everything else cuts both sides. What a
//! request is, is the narrowest reading that holds for every device known: the bytes forwarded
//! since the last byte that came back.
//!
//! - [`Profile`] and [`Rules`] say what a device allows and which faults it shows;
//! - [`Device`] decides what all connections share: admission, line rate, faults, restarts, counters;
//! - [`Crossing`] decides what happens on one connection; neither touches a socket or a clock;
//! - [`spawn`] runs them on a thread with real sockets.

mod args;
mod core;
mod device;
mod edge;
mod profile;
mod record;
mod rules;

pub use self::args::Args;
pub use self::core::Action;
pub use self::core::Crossing;
pub use self::device::Device;
pub use self::device::Watched;
pub use self::edge::Handle;
pub use self::edge::Observer;
pub use self::edge::spawn;
pub use self::edge::spawn_observed;
pub use self::profile::ContentRule;
pub use self::profile::E_PREFIX;
pub use self::profile::E_SUFFIX;
pub use self::profile::Profile;
pub use self::profile::ReturnRule;
pub use self::record::BytesBack;
pub use self::record::Cut;
pub use self::record::Event;
pub use self::record::FaultCounts;
pub use self::record::Refusal;
pub use self::record::Side;
pub use self::record::Stats;
pub use self::record::What;
pub use self::rules::Config;
pub use self::rules::Faults;
pub use self::rules::Forwarding;
pub use self::rules::GivenUp;
pub use self::rules::OuterDown;
pub use self::rules::PortSet;
pub use self::rules::PortSetError;
pub use self::rules::ResetPassing;
pub use self::rules::Restart;
pub use self::rules::Rules;
