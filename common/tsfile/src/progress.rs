//! Progress indexes: how far into its inputs the data of a TsFile reaches.
//!
//! IoTDB has nine kinds of them, one inside another. All that matters of them is a product of total
//! orders: per consensus peer, per data node, per series. So they are kept in that one form here,
//! whatever they were nested in: two of them that say the same are equal, `join` is the least upper
//! bound, and nothing nested is left to walk. `decode` of `encode` gives the same value back, but
//! `encode` writes one form of all that IoTDB may have written.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::TooLong;
use tidegate_codec::Writer;

/// How far into its inputs the data of a TsFile reaches.
///
/// The default, the minimum, says nothing. See [`is_evidence`](Self::is_evidence).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ProgressIndex {
    iot: BTreeMap<i32, i64>,
    simple: Option<SimpleProgress>,
    recover: BTreeMap<i32, SimpleProgress>,
    meta: Option<i64>,
    windows: BTreeMap<Box<str>, TimeWindow>,
    state: Option<ProcessorState>,
}

/// The place of one flush in the life of a data node. Later ones are greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct SimpleProgress {
    /// How often the data node was started before.
    pub reboots: i32,
    /// Number of the flush since that start.
    pub flush_order: i64,
}

/// How far a window of a pipe's processor has come in one series.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct TimeWindow {
    /// Time of the window.
    pub time: i64,
    /// What the processor keeps for it.
    pub content: Option<Box<[u8]>>,
}

/// What a pipe's processor keeps beside a progress index.
///
/// Of two, the one of the later version stands. IoTDB lets chance decide between equal versions; here
/// the content does, so that the order in which things are joined makes no difference.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct ProcessorState {
    /// Grows with each change.
    pub version: i64,
    /// Values by name.
    pub values: BTreeMap<Box<str>, Option<Box<[u8]>>>,
}

impl ProgressIndex {
    /// The index that says nothing.
    pub fn minimum() -> Self {
        Self::default()
    }

    /// What IoTConsensus writes: how far into the log of one peer.
    pub fn iot(peer: i32, search_index: i64) -> Self {
        Self { iot: BTreeMap::from([(peer, search_index)]), ..Self::default() }
    }

    /// What other consensus protocols write: how many flushes since which start.
    pub fn simple(reboots: i32, flush_order: i64) -> Self {
        Self { simple: Some(SimpleProgress { reboots, flush_order }), ..Self::default() }
    }

    /// What is written for files that were recovered or loaded: a flush of one data node.
    pub fn recover(data_node: i32, progress: SimpleProgress) -> Self {
        Self { recover: BTreeMap::from([(data_node, progress)]), ..Self::default() }
    }

    /// Progress in schema changes; never beside a TsFile.
    pub fn meta(index: i64) -> Self {
        Self { meta: Some(index), ..Self::default() }
    }

    /// Progress of a pipe's processor in one series; never beside a TsFile.
    pub fn time_window(series: &str, window: TimeWindow) -> Self {
        Self { windows: BTreeMap::from([(series.into(), window)]), ..Self::default() }
    }

    /// This index with the state of a pipe's processor; never beside a TsFile.
    #[must_use]
    pub fn with_state(mut self, state: ProcessorState) -> Self {
        self.state = Some(state);
        self
    }

    /// Search index by consensus peer.
    pub fn iot_peers(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        self.iot.iter().map(|(&peer, &index)| (peer, index))
    }

    /// The flush, where a simple index is among the parts.
    pub fn simple_part(&self) -> Option<SimpleProgress> {
        self.simple
    }

    /// Flush by data node.
    pub fn recover_nodes(&self) -> impl Iterator<Item = (i32, SimpleProgress)> + '_ {
        self.recover.iter().map(|(&node, &progress)| (node, progress))
    }

    /// Window by series.
    pub fn time_windows(&self) -> impl Iterator<Item = (&str, &TimeWindow)> {
        self.windows.iter().map(|(series, window)| (&**series, window))
    }

    /// The state of a pipe's processor.
    pub fn state(&self) -> Option<&ProcessorState> {
        self.state.as_ref()
    }

    /// Whether it says anything at all.
    ///
    /// The minimum is below every other index, and so it is covered by every other. That proves
    /// nothing about the file it stands beside: whoever asks whether a file is known wants
    /// [`is_proven_by`](Self::is_proven_by).
    pub fn is_evidence(&self) -> bool {
        *self != Self::default()
    }

    /// Whether `watermark` is equal or after in every part: a partial order.
    pub fn is_covered_by(&self, watermark: &Self) -> bool {
        below(&self.iot, &watermark.iot)
            && self.simple <= watermark.simple
            && below(&self.recover, &watermark.recover)
            && self.meta <= watermark.meta
            && below(&self.windows, &watermark.windows)
            && self.state <= watermark.state
    }

    /// Whether it says something, and `watermark` covers what it says.
    pub fn is_proven_by(&self, watermark: &Self) -> bool {
        self.is_evidence() && self.is_covered_by(watermark)
    }

    /// Raises this to the least index that covers both.
    pub fn join(&mut self, other: &Self) {
        raise(&mut self.iot, &other.iot);
        self.simple = self.simple.max(other.simple);
        raise(&mut self.recover, &other.recover);
        self.meta = self.meta.max(other.meta);
        raise(&mut self.windows, &other.windows);
        if self.state < other.state {
            self.state.clone_from(&other.state);
        }
    }

    /// The least index that covers both.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }
}

fn below<K: Ord, V: Ord>(lower: &BTreeMap<K, V>, upper: &BTreeMap<K, V>) -> bool {
    lower.len() <= upper.len()
        && lower.iter().all(|(key, value)| upper.get(key).is_some_and(|upper| value <= upper))
}

fn raise<K: Clone + Ord, V: Clone + Ord>(map: &mut BTreeMap<K, V>, other: &BTreeMap<K, V>) {
    for (key, value) in other {
        raise_one(map, key.clone(), value.clone());
    }
}

fn raise_one<K: Ord, V: Ord>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => {
            if *entry.get() < value {
                entry.insert(value);
            }
        }
    }
}

const MINIMUM: i16 = 1;
const IOT: i16 = 2;
const SIMPLE: i16 = 3;
const RECOVER: i16 = 4;
const HYBRID: i16 = 5;
const META: i16 = 6;
const TIME_WINDOW: i16 = 7;
const STATE: i16 = 8;

/// Deepest nesting that is read; IoTDB nests three.
pub const PROGRESS_DEPTH_MAX: u8 = 8;
/// Longest name of a series or a state.
const NAME_BYTES_MAX: usize = 64 * 1024;
/// Longest state of a processor.
const STATE_BYTES_MAX: usize = 1024 * 1024;

impl ProgressIndex {
    /// Reads one index and leaves `reader` behind it.
    ///
    /// A key that is there twice counts with its greater value.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut index = Self::default();
        index.absorb(reader, PROGRESS_DEPTH_MAX)?;
        Ok(index)
    }

    fn absorb(&mut self, reader: &mut Reader<'_>, depth_left: u8) -> Result<(), Error> {
        let offset = reader.position();
        let Some(depth_left) = depth_left.checked_sub(1) else {
            let expected = "progress indexes at most 8 deep";
            return Err(Error::Value { offset, expected, found: 9 });
        };
        match reader.i16("kind of a progress index")? {
            MINIMUM => (),
            IOT => {
                for _ in 0..reader.count("number of peers", 12)? {
                    let peer = reader.i32("consensus peer")?;
                    raise_one(&mut self.iot, peer, reader.i64("search index")?);
                }
            }
            SIMPLE => self.simple = self.simple.max(Some(SimpleProgress::decode(reader)?)),
            RECOVER => {
                for _ in 0..reader.count("number of data nodes", 18)? {
                    let node = reader.i32("data node")?;
                    let offset = reader.position();
                    match reader.i16("kind of a progress index")? {
                        SIMPLE => {
                            raise_one(&mut self.recover, node, SimpleProgress::decode(reader)?);
                        }
                        found => {
                            let expected = "a simple progress index (3) of a data node";
                            return Err(Error::Value { offset, expected, found: found.into() });
                        }
                    }
                }
            }
            HYBRID => {
                for _ in 0..reader.count("number of parts of a hybrid index", 4)? {
                    // The kind again, which the part itself begins with.
                    reader.i16("kind of a part of a hybrid index")?;
                    self.absorb(reader, depth_left)?;
                }
            }
            META => self.meta = self.meta.max(Some(reader.i64("index of schema changes")?)),
            TIME_WINDOW => {
                for _ in 0..reader.count("number of time windows", 16)? {
                    let series = reader.str("series of a time window", NAME_BYTES_MAX)?;
                    let time = reader.i64("time of a time window")?;
                    let content = nullable_bin(reader, "content of a time window")?;
                    raise_one(&mut self.windows, series.into(), TimeWindow { time, content });
                }
            }
            STATE => {
                let version = reader.i64("version of a state")?;
                let mut values = BTreeMap::new();
                for _ in 0..reader.count("number of values of a state", 8)? {
                    let name = reader.str("name of a value of a state", NAME_BYTES_MAX)?;
                    let value = nullable_bin(reader, "value of a state")?;
                    values.insert(name.into(), value);
                }
                self.state = self.state.take().max(Some(ProcessorState { version, values }));
                self.absorb(reader, depth_left)?;
            }
            found => {
                let expected = "a kind of progress index (1 to 8)";
                return Err(Error::Value { offset, expected, found: found.into() });
            }
        }
        Ok(())
    }

    /// Writes it as IoTDB would read it.
    ///
    /// Parts beside one another become a hybrid index, around which a state is put.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let mut writer = Writer::new(out);
        if let Some(state) = &self.state {
            writer.i16(STATE);
            writer.i64(state.version);
            writer.length(state.values.len());
            for (name, value) in &state.values {
                writer.str(name);
                write_nullable_bin(&mut writer, value.as_deref());
            }
        }
        let kinds: Vec<i16> = self.kinds().collect();
        match kinds[..] {
            [] => writer.i16(MINIMUM),
            [kind] => self.encode_part(kind, &mut writer),
            _ => {
                writer.i16(HYBRID);
                writer.length(kinds.len());
                for kind in kinds {
                    writer.i16(kind);
                    self.encode_part(kind, &mut writer);
                }
            }
        }
        writer.finish()
    }

    /// Kinds of the parts that are there, without the state.
    fn kinds(&self) -> impl Iterator<Item = i16> {
        let parts = [
            (IOT, !self.iot.is_empty()),
            (SIMPLE, self.simple.is_some()),
            (RECOVER, !self.recover.is_empty()),
            (META, self.meta.is_some()),
            (TIME_WINDOW, !self.windows.is_empty()),
        ];
        parts.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind)
    }

    fn encode_part(&self, kind: i16, writer: &mut Writer<'_>) {
        match (kind, self.simple, self.meta) {
            (IOT, ..) => {
                writer.i16(IOT);
                writer.length(self.iot.len());
                for (peer, index) in &self.iot {
                    writer.i32(*peer);
                    writer.i64(*index);
                }
            }
            (SIMPLE, Some(simple), _) => simple.encode(writer),
            (RECOVER, ..) => {
                writer.i16(RECOVER);
                writer.length(self.recover.len());
                for (node, progress) in &self.recover {
                    writer.i32(*node);
                    progress.encode(writer);
                }
            }
            (META, _, Some(index)) => {
                writer.i16(META);
                writer.i64(index);
            }
            (TIME_WINDOW, ..) => {
                writer.i16(TIME_WINDOW);
                writer.length(self.windows.len());
                for (series, window) in &self.windows {
                    writer.str(series);
                    writer.i64(window.time);
                    write_nullable_bin(writer, window.content.as_deref());
                }
            }
            _ => writer.i16(MINIMUM),
        }
    }
}

impl SimpleProgress {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let reboots = reader.i32("number of reboots")?;
        Ok(Self { reboots, flush_order: reader.i64("number of a flush")? })
    }

    fn encode(self, writer: &mut Writer<'_>) {
        writer.i16(SIMPLE);
        writer.i32(self.reboots);
        writer.i64(self.flush_order);
    }
}

fn nullable_bin(reader: &mut Reader<'_>, what: &'static str) -> Result<Option<Box<[u8]>>, Error> {
    if reader.clone().i32(what)? == -1 {
        reader.i32(what)?;
        return Ok(None);
    }
    reader.bin(what, STATE_BYTES_MAX).map(|bytes| Some(bytes.into()))
}

fn write_nullable_bin(writer: &mut Writer<'_>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => writer.bin(bytes),
        None => writer.i32(-1),
    }
}

/// One line: the parts by kind, such as `iot 1=5 2=7, recover 1=0/12`.
impl fmt::Display for ProgressIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.iot.is_empty() {
            parts.push(list("iot", self.iot.iter()));
        }
        if let Some(simple) = self.simple {
            parts.push(format!("simple {simple}"));
        }
        if !self.recover.is_empty() {
            parts.push(list("recover", self.recover.iter()));
        }
        if let Some(meta) = self.meta {
            parts.push(format!("meta {meta}"));
        }
        if !self.windows.is_empty() {
            let times = self.windows.iter().map(|(series, window)| (series, window.time));
            parts.push(list("time-window", times));
        }
        if let Some(state) = &self.state {
            parts.push(format!("state {} of {} values", state.version, state.values.len()));
        }
        if parts.is_empty() {
            return f.write_str("minimum");
        }
        f.write_str(&parts.join(", "))
    }
}

fn list<K: fmt::Display, V: fmt::Display>(
    kind: &str,
    entries: impl Iterator<Item = (K, V)>,
) -> String {
    let entries: Vec<String> = entries.map(|(key, value)| format!("{key}={value}")).collect();
    format!("{kind} {}", entries.join(" "))
}

impl fmt::Display for SimpleProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.reboots, self.flush_order)
    }
}
