//! What a TsFile and its companions are on disk: `.resource`, `.mods` and `.mods2`. No I/O.

// Tests may slice what they made themselves.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod device;
mod encoding;
mod encodings;
mod magic;
mod mods;
mod progress;
mod resource;
mod values;

pub use device::DeviceId;
pub use device::Segments;
pub use encoding::Encoding;
pub use encodings::EncodingError;
pub use encodings::RlbeMeaning;
pub use encodings::decode_times;
pub use encodings::decode_values;
pub use encodings::encode_times;
pub use encodings::encode_values;
pub use magic::EndsError;
pub use magic::HEAD_BYTES;
pub use magic::MAGIC;
pub use magic::TAIL_BYTES;
pub use magic::TsFileVersion;
pub use magic::check_ends;
pub use mods::Deletion;
pub use mods::Ending;
pub use mods::Entries;
pub use mods::ModEntry;
pub use mods::ModsError;
pub use mods::ModsKind;
pub use mods::Predicate;
pub use mods::Target;
pub use progress::PROGRESS_DEPTH_MAX;
pub use progress::ProcessorState;
pub use progress::ProgressIndex;
pub use progress::SimpleProgress;
pub use progress::TimeWindow;
pub use resource::DeviceExtent;
pub use resource::ModsReference;
pub use resource::PipeMarks;
pub use resource::PlanIndexes;
pub use resource::Progress;
pub use resource::RESOURCE_BYTES_MAX;
pub use resource::RESOURCE_SUFFIX;
pub use resource::Resource;
pub use resource::TimeIndex;
pub use resource::TimeRange;
pub use values::ByteValues;
pub use values::Values;
