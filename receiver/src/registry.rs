//! What is remembered of each origin: its precision, and the youngest epoch of each of its streams.
//!
//! A handshake alone is remembered while its connection lives, and no longer: names cost nothing,
//! and whoever could fill the list with them would lock every new plant out. What was accepted is
//! written down when the first item of it is kept, and durable before that item is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;
use tidegate_link::receiving::HandshakeFault;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::pipe_of;
use tidegate_model::Precision;

use crate::facts;
use crate::facts::FactJournal;

/// Most origins; a peer must not fill the disk with names.
const ORIGINS_MAX: usize = 1024;
/// Most streams of one origin, for the same reason.
const STREAMS_MAX: usize = 1024;
/// The journal is written anew when it has grown beyond this and most of it is outdated.
const REWRITE_BYTES: u64 = 1 << 20;

/// The origins and the journal they are kept in.
#[derive(Debug)]
pub(crate) struct Registry<S: Storage> {
    journal: FactJournal<S>,
    origins: BTreeMap<String, Origin>,
    /// Accepted handshakes of connections that are there, by connection.
    guests: BTreeMap<u64, Fact>,
}

/// One origin.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Origin {
    precision: String,
    streams: BTreeMap<String, u64>,
}

/// One line of the journal.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Fact {
    origin: String,
    precision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

impl Fact {
    fn of(hello: &Hello) -> Self {
        Self {
            origin: hello.origin.as_str().to_owned(),
            precision: hello.precision.as_str().to_owned(),
            stream: hello.stream.clone(),
            epoch: hello.epoch,
        }
    }
}

impl<S: Storage> Registry<S> {
    /// Opens the journal `origins` in `storage`.
    pub(crate) fn open(storage: S, salt: u32) -> Result<(Self, JournalRecovery), OpenError> {
        let (journal, found) = FactJournal::open(storage, "origins", salt, REWRITE_BYTES)?;
        let mut registry = Self { journal, origins: BTreeMap::new(), guests: BTreeMap::new() };
        facts::read(&found).for_each(|fact: Fact| registry.learn(&fact));
        Ok((registry, found))
    }

    /// Compares a handshake with what is remembered, and remembers it for as long as its connection
    /// is there.
    pub(crate) fn greet(
        &mut self,
        connection: u64,
        hello: &Hello,
        demanded: Option<Precision>,
    ) -> Result<(), HandshakeFault> {
        // it begins anew, whatever the one before allowed
        self.guests.remove(&connection);
        self.check(hello, demanded)?;
        self.guests.insert(connection, Fact::of(hello));
        Ok(())
    }

    /// A connection is over.
    pub(crate) fn leave(&mut self, connection: u64) {
        self.guests.remove(&connection);
    }

    /// An item of this sender is about to be kept: writes down what is new. Durable on return.
    pub(crate) fn remember(&mut self, hello: &Hello) -> Result<(), WriteError> {
        let fact = Fact::of(hello);
        if self.is_news(&fact) {
            // known from now on, also if the disk is full: a rewrite makes up for it then
            self.learn(&fact);
            self.journal.append(&fact)?;
        }
        self.sync()
    }

    /// Makes everything learnt durable.
    fn sync(&mut self) -> Result<(), WriteError> {
        self.journal.sync(facts_of(&self.origins))
    }

    /// Makes everything learnt durable and closes in good order.
    pub(crate) fn close(self) -> Result<(), WriteError> {
        self.journal.close(facts_of(&self.origins))
    }

    /// Origin, precision and number of streams, for status.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.origins
            .iter()
            .map(|(name, origin)| (name.as_str(), origin.precision.as_str(), origin.streams.len()))
    }

    /// Why a handshake is refused, if it is.
    fn check(&self, hello: &Hello, demanded: Option<Precision>) -> Result<(), HandshakeFault> {
        let name = hello.origin.as_str();
        let known = self.origins.get(name);
        let others = || self.guests.values().filter(|guest| guest.origin == name);
        let found = hello.precision.as_str();
        let remembered = known.map(|origin| origin.precision.as_str());
        let present = others().map(|guest| guest.precision.as_str());
        let demanded = demanded.map(Precision::as_str);
        for expected in demanded.into_iter().chain(remembered).chain(present) {
            if let Some(expected) = Precision::parse(expected).map(Precision::as_str)
                && expected != found
            {
                return Err(HandshakeFault::PrecisionDiffers { found, expected });
            }
        }
        // Of the pipe, not of the stream alone: regions may have changed lanes since.
        let youngest = hello.stream.as_ref().and_then(|stream| {
            let is_of_pipe = |it: &String| pipe_of(it) == pipe_of(stream);
            let same = others().filter(|guest| guest.stream.as_ref().is_some_and(is_of_pipe));
            let kept = known.into_iter().flat_map(|origin| &origin.streams);
            let kept = kept.filter(|(it, _)| is_of_pipe(it)).map(|(_, epoch)| *epoch);
            same.filter_map(|guest| guest.epoch).chain(kept).max()
        });
        if let (Some(found), Some(expected)) = (hello.epoch, youngest)
            && found < expected
        {
            return Err(HandshakeFault::EpochOld { found, expected });
        }
        self.check_room(known, hello)
    }

    /// Whether origin and stream could be remembered, all of the present ones besides.
    fn check_room(&self, known: Option<&Origin>, hello: &Hello) -> Result<(), HandshakeFault> {
        let name = hello.origin.as_str();
        let Some(known) = known else {
            let guests = self.guests.values().map(|guest| guest.origin.as_str());
            let new = guests.filter(|guest| *guest != name && !self.origins.contains_key(*guest));
            let n_new = new.collect::<BTreeSet<_>>().len();
            return match self.origins.len().saturating_add(n_new) < ORIGINS_MAX {
                true => Ok(()),
                false => Err(HandshakeFault::TooManyOrigins { most: ORIGINS_MAX }),
            };
        };
        let is_new = |stream: &&String| !known.streams.contains_key(*stream);
        let Some(stream) = hello.stream.as_ref().filter(is_new) else { return Ok(()) };
        let guests = self.guests.values().filter(|guest| guest.origin == name);
        let new = guests.filter_map(|guest| guest.stream.as_ref()).filter(is_new);
        let n_new = new.filter(|guest| *guest != stream).collect::<BTreeSet<_>>().len();
        match known.streams.len().saturating_add(n_new) < STREAMS_MAX {
            true => Ok(()),
            false => Err(HandshakeFault::TooManyStreams { most: STREAMS_MAX }),
        }
    }

    /// Whether a fact says more than is known.
    fn is_news(&self, fact: &Fact) -> bool {
        let Some(known) = self.origins.get(&fact.origin) else { return true };
        let seen = |stream: &String| known.streams.get(stream);
        fact.stream.as_ref().is_some_and(|stream| match seen(stream) {
            None => true,
            Some(seen) => fact.epoch.is_some_and(|epoch| epoch > *seen),
        })
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
}

fn facts_of(origins: &BTreeMap<String, Origin>) -> impl Iterator<Item = Fact> {
    origins.iter().flat_map(|(name, origin)| {
        let fact = |stream: Option<(&String, &u64)>| Fact {
            origin: name.clone(),
            precision: origin.precision.clone(),
            stream: stream.map(|(stream, _)| stream.clone()),
            epoch: stream.map(|(_, epoch)| *epoch),
        };
        let streams = origin.streams.iter().map(Some);
        core::iter::once(None).chain(streams).map(fact)
    })
}

#[cfg(test)]
mod tests {
    use tidegate_durable::sim::SimStorage;
    use tidegate_link::receiving::HandshakeForm;
    use tidegate_link::receiving::Origin;

    use super::*;

    fn hello(origin: &str, stream: Option<(&str, u64)>, precision: Precision) -> Hello {
        let (stream, epoch) = stream.unzip();
        let (origin, stream) = (Origin::escape(origin), stream.map(str::to_owned));
        Hello { origin, stream, epoch, dialect: None, precision, form: HandshakeForm::V2 }
    }

    fn open(disk: &SimStorage) -> Registry<SimStorage> {
        Registry::open(disk.clone(), 1).unwrap().0
    }

    #[test]
    fn a_handshake_holds_while_its_connection_is_there_and_for_good_once_something_is_kept() {
        let disk = SimStorage::new();
        let mut registry = open(&disk);
        let in_ms = |stream| hello("plant", stream, Precision::Ms);
        let in_us = hello("plant", None, Precision::Us);
        assert_eq!(registry.greet(1, &in_ms(Some(("p/0", 7))), None), Ok(()));
        let (found, expected) = ("us", "ms");
        let differs = Err(HandshakeFault::PrecisionDiffers { found, expected });
        assert_eq!(registry.greet(2, &in_us, None), differs);
        let old = Err(HandshakeFault::EpochOld { found: 6, expected: 7 });
        assert_eq!(registry.greet(2, &in_ms(Some(("p/0", 6))), None), old);
        registry.leave(1);
        assert_eq!(registry.greet(2, &in_us, None), Ok(()), "nobody is there, nothing was kept");
        assert_eq!(registry.greet(2, &in_ms(None), None), Ok(()), "its own word is replaced");
        registry.remember(&in_ms(Some(("p/0", 7)))).unwrap();
        registry.leave(2);
        disk.cut_power();
        for image in disk.images(1) {
            let mut registry = open(&image.storage);
            assert_eq!(registry.greet(3, &in_us, None), differs, "{}", image.label);
            assert_eq!(registry.greet(3, &in_ms(Some(("p/0", 6))), None), old, "{}", image.label);
        }
    }

    /// What is remembered of one that found a full disk must not be taken for durable.
    #[test]
    fn what_found_no_room_is_durable_when_it_is_remembered_the_next_time() {
        let disk = SimStorage::new();
        let mut registry = open(&disk);
        let plant = hello("plant", Some(("p/0", 7)), Precision::Ms);
        disk.set_capacity_bytes(Some(0));
        assert!(registry.remember(&plant).is_err_and(|error| !error.is_fatal()));
        assert!(registry.remember(&plant).is_err_and(|error| !error.is_fatal()));
        disk.set_capacity_bytes(None);
        registry.remember(&plant).unwrap();
        disk.cut_power();
        for image in disk.images(1) {
            assert_eq!(open(&image.storage).origins().count(), 1, "{}", image.label);
        }
    }

    #[test]
    fn origins_and_their_streams_are_bounded_and_those_known_always_come_in() {
        let mut registry = open(&SimStorage::new());
        let plain = |name: &str| hello(name, None, Precision::Ms);
        for n in 0..ORIGINS_MAX - 2 {
            registry.remember(&plain(&n.to_string())).unwrap();
        }
        assert_eq!(registry.greet(1, &plain("one"), None), Ok(()));
        assert_eq!(registry.greet(2, &plain("two"), None), Ok(()));
        let full = Err(HandshakeFault::TooManyOrigins { most: ORIGINS_MAX });
        assert_eq!(registry.greet(3, &plain("three"), None), full);
        assert_eq!(registry.greet(3, &plain("two"), None), Ok(()), "another of those present");
        assert_eq!(registry.greet(3, &plain("7"), None), Ok(()), "known");
        registry.leave(1);
        assert_eq!(registry.greet(4, &plain("three"), None), Ok(()), "a place is free again");
        let stream = |name: &str| hello("7", Some((name, 1)), Precision::Ms);
        for n in 0..STREAMS_MAX {
            assert_eq!(registry.greet(5, &stream(&n.to_string()), None), Ok(()), "{n}");
            registry.remember(&stream(&n.to_string())).unwrap();
        }
        let full = Err(HandshakeFault::TooManyStreams { most: STREAMS_MAX });
        assert_eq!(registry.greet(5, &stream("more"), None), full);
        assert_eq!(registry.greet(5, &stream("7"), None), Ok(()), "known");
    }
}
