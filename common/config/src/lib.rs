//! Configuration: text in, values out. No I/O; the daemons read the files.
//!
//! Three kinds of text are understood: the daemons' own properties files ([`SenderConfig`],
//! [`ReceiverConfig`]), pipe definitions ([`PipeDefinition`]) and the files of an IoTDB that the
//! sender reads beside ([`IotdbConf`], [`SystemProperties`]). A key is described once, in the table
//! of its daemon; validation, the shipped files and the manual pages are made from it.

#[macro_use]
mod table;
mod allow_list;
mod error;
mod gateway;
mod iotdb_conf;
mod iotdb_keys;
mod node_url;
mod pipe;
mod pipe_extractor;
mod pipe_keys;
mod pipe_name;
mod pipe_text;
mod properties;
mod receiver;
mod secret;
mod sender;
mod text;
mod value;

pub use allow_list::AllowList;
pub use allow_list::Network;
pub use error::ConfigError;
pub use error::ConfigErrors;
pub use error::Reason;
pub use gateway::FRAME_OVERHEAD_BYTES_MAX;
pub use gateway::GATEWAY_PROFILES;
pub use gateway::GatewayProfile;
pub use iotdb_conf::IOTDB_CONF_FILES;
pub use iotdb_conf::IotdbConf;
pub use iotdb_conf::SystemProperties;
pub use iotdb_keys::IOTDB_PIPE_KEYS;
pub use node_url::NODE_URLS_MAX;
pub use node_url::NodeUrl;
pub use pipe::AirGapConnector;
pub use pipe::PipeDefinition;
pub use pipe::RealtimeMode;
pub use pipe::SendPort;
pub use pipe_extractor::ExtractorSpec;
pub use pipe_extractor::PatternSpec;
pub use pipe_extractor::TimeLimits;
pub use pipe_name::PipeName;
pub use pipe_name::PipeNameError;
pub use properties::Entry;
pub use properties::Properties;
pub use properties::Repeated;
pub use receiver::DiskFullPolicy;
pub use receiver::RECEIVER_TABLE;
pub use receiver::ReceiverConfig;
pub use receiver::Target;
pub use secret::Secret;
pub use sender::DropPolicy;
pub use sender::PinMode;
pub use sender::SENDER_TABLE;
pub use sender::SenderConfig;
pub use sender::SourceLocation;
pub use sender::Watch;
pub use table::Effect;
pub use table::KeySpec;
pub use table::KeyTable;
pub use table::Loaded;
pub use table::Notice;
pub use table::Reload;
pub use table::ReloadOutcome;
pub use text::CONFIG_TEXT_BYTES_MAX;
pub use value::DirTiers;
pub use value::IotdbVersion;
pub use value::Kind;
pub use value::LogLevel;
pub use value::ReplicaPolicy;
