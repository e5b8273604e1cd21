//! What is remembered of each origin: its precision, fixed by its first handshake, and the youngest
//! epoch of each of its streams. Durable before a handshake is answered.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;
use tidegate_link::receiving::HandshakeFault;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::pipe_of;
use tidegate_model::Precision;

/// Most origins; a peer must not fill the disk with names.
const ORIGINS_MAX: usize = 1024;
/// Most streams of one origin, for the same reason.
const STREAMS_MAX: usize = 1024;
/// The journal is written anew when it has grown beyond this and most of it is outdated.
const REWRITE_BYTES: u64 = 1 << 20;
/// The only kind of record in the journal.
const KIND_FACT: u8 = 1;

/// The origins and the journal they are kept in.
#[derive(Debug)]
pub(crate) struct Registry<S: Storage> {
    journal: Journal<S>,
    origins: BTreeMap<String, Origin>,
    is_dirty: bool,
    /// A full disk undid what had been appended: only a rewrite brings it back.
    is_behind: bool,
    rewrite_at_bytes: u64,
}

/// One origin.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Origin {
    precision: String,
    streams: BTreeMap<String, u64>,
}

/// One line of the journal.
#[derive(Debug, Deserialize, Serialize)]
struct Fact {
    origin: String,
    precision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

impl<S: Storage> Registry<S> {
    /// Opens the journal `origins` in `storage`.
    pub(crate) fn open(storage: S, salt: u32) -> Result<(Self, JournalRecovery), OpenError> {
        let (journal, recovery) = Journal::open(storage, FileName::new("origins")?, salt)?;
        let rewrite_at_bytes = REWRITE_BYTES;
        let mut registry = Self {
            journal,
            origins: BTreeMap::new(),
            is_dirty: false,
            is_behind: false,
            rewrite_at_bytes,
        };
        for record in &recovery.records {
            // a line of a later release may say more than this one knows
            if let Ok(fact) = serde_json::from_slice::<Fact>(&record.bytes) {
                registry.learn(&fact);
            }
        }
        Ok((registry, recovery))
    }

    /// Compares a handshake with what is remembered and writes down what is new; to be followed by
    /// [`sync`](Self::sync) before it is answered.
    pub(crate) fn greet(
        &mut self,
        hello: &Hello,
        demanded: Option<Precision>,
    ) -> Result<Result<(), HandshakeFault>, WriteError> {
        let fact = match self.check(hello, demanded) {
            Err(fault) => return Ok(Err(fault)),
            Ok(None) => return Ok(Ok(())),
            Ok(Some(fact)) => fact,
        };
        self.is_dirty = true;
        let appended = self.journal.append(KIND_FACT, &encode(&fact));
        self.is_behind |= appended.is_err();
        appended?;
        self.learn(&fact);
        Ok(Ok(()))
    }

    /// Makes everything learnt durable.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        if !self.is_dirty {
            return Ok(());
        }
        if !self.is_behind {
            let synced = self.journal.sync();
            self.is_behind = synced.is_err();
            synced?;
        }
        if self.is_behind || self.journal.bytes() > self.rewrite_at_bytes {
            let facts: Vec<Vec<u8>> = self.facts().iter().map(encode).collect();
            self.journal.rewrite(facts.iter().map(|fact| (KIND_FACT, fact.as_slice())))?;
            self.is_behind = false;
            self.rewrite_at_bytes = REWRITE_BYTES.max(self.journal.bytes().saturating_mul(2));
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Closes in good order.
    pub(crate) fn close(self) -> Result<(), WriteError> {
        self.journal.close()
    }

    /// Origin, precision and number of streams, for status.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.origins
            .iter()
            .map(|(name, origin)| (name.as_str(), origin.precision.as_str(), origin.streams.len()))
    }

    /// What a handshake adds, or why it is refused.
    fn check(
        &self,
        hello: &Hello,
        demanded: Option<Precision>,
    ) -> Result<Option<Fact>, HandshakeFault> {
        let found = hello.precision.as_str();
        let known = self.origins.get(hello.origin.as_str());
        let remembered = known.map(|origin| origin.precision.as_str());
        for expected in [demanded.map(Precision::as_str), remembered].into_iter().flatten() {
            if let Some(expected) = Precision::parse(expected).map(Precision::as_str)
                && expected != found
            {
                return Err(HandshakeFault::PrecisionDiffers { found, expected });
            }
        }
        let seen = hello.stream.as_ref().and_then(|stream| known?.streams.get(stream)).copied();
        // Of the pipe, not of the stream alone: regions may have changed lanes since.
        let youngest = hello.stream.as_ref().and_then(|stream| {
            let streams = known?.streams.iter();
            let of_pipe = streams.filter(|(it, _)| pipe_of(it) == pipe_of(stream));
            of_pipe.map(|(_, epoch)| *epoch).max()
        });
        if let (Some(found), Some(expected)) = (hello.epoch, youngest)
            && found < expected
        {
            return Err(HandshakeFault::EpochOld { found, expected });
        }
        let is_new_stream = hello.stream.is_some() && seen.is_none();
        let is_full = match known {
            None => self.origins.len() >= ORIGINS_MAX,
            Some(origin) => is_new_stream && origin.streams.len() >= STREAMS_MAX,
        };
        if is_full {
            return Err(HandshakeFault::TooManyOrigins);
        }
        let is_news = known.is_none() || is_new_stream || hello.epoch > seen;
        Ok((is_news && (known.is_none() || hello.stream.is_some())).then(|| Fact {
            origin: hello.origin.as_str().to_owned(),
            precision: found.to_owned(),
            stream: hello.stream.clone(),
            epoch: hello.epoch,
        }))
    }

    fn learn(&mut self, fact: &Fact) {
        let origin = self.origins.entry(fact.origin.clone()).or_default();
        if origin.precision.is_empty() {
            origin.precision.clone_from(&fact.precision);
        }
        if let Some(stream) = &fact.stream {
            let epoch = origin.streams.entry(stream.clone()).or_default();
            *epoch = (*epoch).max(fact.epoch.unwrap_or(0));
        }
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (name, origin) in &self.origins {
            let fact = |stream: Option<(&String, &u64)>| Fact {
                origin: name.clone(),
                precision: origin.precision.clone(),
                stream: stream.map(|(stream, _)| stream.clone()),
                epoch: stream.map(|(_, epoch)| *epoch),
            };
            facts.push(fact(None));
            facts.extend(origin.streams.iter().map(|stream| fact(Some(stream))));
        }
        facts
    }
}

fn encode(fact: &Fact) -> Vec<u8> {
    // strings and numbers only: there is nothing in it that JSON could not hold
    serde_json::to_vec(fact).unwrap_or_default()
}
