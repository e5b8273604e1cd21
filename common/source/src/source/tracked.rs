//! What is known of one file.

use std::sync::Arc;

use tidegate_model::Time;

use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::item::Age;
use crate::item::Form;
use crate::listing::FileFacts;
use crate::listing::ModsMark;
use crate::listing::ModsRead;
use crate::listing::ModsSeen;
use crate::partition::Live;
use crate::record::Known;
use crate::region::Turn;

/// A file by identity, wherever it lies.
///
/// There may be hundreds of thousands, so what few of them have is apart.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Where it lies. The first place counts.
    pub(super) locations: Locations,
    /// Where it lay last.
    pub(super) last: Location,
    /// Whether it has been listed since the start; else it is known from the journal only.
    pub(super) is_found: bool,
    pub(super) facts: Arc<FileFacts>,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) first_scan: u64,
    /// Whether it was there, sealed, when the boundary was drawn.
    pub(super) is_history: bool,
    /// Whether it does not leave yet; see [`SealedFile::is_young`](crate::SealedFile::is_young).
    pub(super) is_young: bool,
    pub(super) origin: Origin,
    pub(super) state: State,
    /// Set once all of it is at the far side.
    pub(super) left: Option<Left>,
    /// Whether it may be at the far side though nobody said so.
    pub(super) is_attempted: bool,
    /// Whether it must leave, whatever it is made of: one that it beats has left after what it is
    /// made of.
    pub(super) is_beaten: bool,
    /// Whether a deletion that leaves next may hit rows of it, which were on their way then.
    pub(super) is_hit_in_flight: bool,
    /// Whether there may be deletions beside it that nobody has seen, once it lies nowhere.
    pub(super) has_missed: bool,
    /// Whether a target that may hold it was there and went.
    pub(super) has_lost_target: bool,
    /// Whether it vanished while it was out.
    pub(super) is_vanished: bool,
    /// Whether it lies nowhere, and no compaction took it in: it leaves from its pin.
    pub(super) is_orphan: bool,
}

/// What few files have.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Extra {
    pub(super) mods: Option<Arc<ModsRead>>,
    /// How much of its mods was there when it was first seen, or has been put into the region's
    /// deletions since.
    pub(super) mods_taken: ModsTaken,
    /// What the ledger says of that.
    pub(super) mods_settled: Option<ModsMark>,
    /// Deletions that it left without, and that are on record as a gap.
    pub(super) mods_uncarried: Option<ModsSeen>,
    /// Of a file that went, the list of deletions as it was in the end: its pin may have less.
    pub(super) last_mods: Option<Arc<ModsRead>>,
    /// Of a compaction's target that was seen without the source that it is named after: when all
    /// others are gone too.
    pub(super) settles_at: Option<Time>,
    /// Checksum of an equal file that has left; see [`crate::FileItem::twin`].
    pub(super) twin: Option<u32>,
}

pub(super) static NO_EXTRA: Extra = Extra {
    mods: None,
    mods_taken: ModsTaken::Nothing,
    mods_settled: None,
    mods_uncarried: None,
    last_mods: None,
    settles_at: None,
    twin: None,
};

/// How a file's rows got to the far side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    /// By itself.
    Sent {
        sequence: u64,
        crc32: u32,
        form: Form,
        /// Whether points of it could not be read, and are on record as a gap.
        is_short: bool,
    },
    /// With the files that a compaction made it of.
    Covered,
}

/// How far a mods file has been looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum ModsTaken {
    /// There was none.
    #[default]
    Nothing,
    /// So far, as the journal says.
    Length(ModsMark),
    /// All of this.
    List(Arc<ModsRead>),
}

/// Where a file comes from, as far as that matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// Rows that may be nowhere else.
    Rows,
    /// A compaction made it of files that were there.
    Compaction {
        /// Whether every file that it may be made of is known.
        is_trusted: bool,
        /// Whether it may hold a file that has not left.
        holds_unsent: bool,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Location {
    /// Shared by all files of a folder.
    pub(super) spot: Arc<Spot>,
    pub(super) name: TsFileName,
}

/// A folder, in IoTDB's terms and on disk.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Spot {
    pub(super) place: Place,
    /// Empty if only the journal knows of it.
    pub(super) folder: Arc<str>,
}

/// Where a file lies, in most cases in one place.
#[derive(Debug)]
pub(super) enum Locations {
    One(Location),
    /// Nowhere, or at several.
    Others(Box<[Location]>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// To wait, once its place in the order is known.
    Remembered,
    /// Waiting, held, set aside or in flight.
    Waiting(Turn),
    /// It has [`left`](Tracked::left), and nothing is to be done.
    Rests,
}

impl Location {
    /// Where a file lay that the journal knows of, or that has gone.
    pub(super) fn past(place: Place, name: TsFileName) -> Self {
        Self { spot: Arc::new(Spot { place, folder: Arc::default() }), name }
    }

    pub(super) fn place(&self) -> &Place {
        &self.spot.place
    }

    pub(super) fn folder(&self) -> &Arc<str> {
        &self.spot.folder
    }
}

impl Locations {
    pub(super) fn nowhere() -> Self {
        Self::Others(Box::default())
    }

    pub(super) fn all(&self) -> &[Location] {
        match self {
            Self::One(location) => std::slice::from_ref(location),
            Self::Others(locations) => locations,
        }
    }

    pub(super) fn first(&self) -> Option<&Location> {
        self.all().first()
    }

    pub(super) fn push(&mut self, location: Location) {
        let mut all = self.all().to_vec();
        all.push(location);
        *self = all.into();
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&Location) -> bool) {
        let mut all = self.all().to_vec();
        all.retain(stays);
        *self = all.into();
    }
}

impl From<Vec<Location>> for Locations {
    fn from(all: Vec<Location>) -> Self {
        match <[Location; 1]>::try_from(all) {
            Ok([location]) => Self::One(location),
            Err(all) => Self::Others(all.into()),
        }
    }
}

impl Extra {
    /// Nothing, if there is nothing in it.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        (self != NO_EXTRA).then(|| Box::new(self))
    }
}

impl Tracked {
    /// A file that has lain there, of which nothing else is known.
    pub(super) fn new(last: Location) -> Self {
        Self {
            locations: Locations::nowhere(),
            last,
            is_found: false,
            facts: Arc::default(),
            extra: None,
            first_scan: 0,
            is_history: false,
            is_young: false,
            origin: Origin::Rows,
            state: State::Remembered,
            left: None,
            is_attempted: false,
            is_beaten: false,
            is_hit_in_flight: false,
            has_missed: false,
            has_lost_target: false,
            is_vanished: false,
            is_orphan: false,
        }
    }

    pub(super) fn region(&self) -> &RegionKey {
        &self.last.place().region
    }

    pub(super) fn extra(&self) -> &Extra {
        self.extra.as_deref().unwrap_or(&NO_EXTRA)
    }

    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn is_compaction(&self) -> bool {
        matches!(self.origin, Origin::Compaction { .. })
    }

    /// What it is to the boundary of history.
    pub(super) fn age(&self) -> Age {
        match self.is_history {
            true => Age::History,
            false if self.last.name.is_of_compaction() => Age::Either,
            false => Age::Realtime,
        }
    }

    pub(super) fn live(&self) -> Live {
        Live { has_left: self.left.is_some(), is_target: self.is_compaction() }
    }

    /// Whether something late may hide or delete what has left of it: it rests, or it is a target
    /// that may yet be found to be covered by what has left before.
    pub(super) fn is_concerned_by_late_ones(&self) -> bool {
        match self.state {
            State::Rests => true,
            State::Remembered | State::Waiting(_) => {
                self.is_compaction() && self.left.is_none() && !self.is_beaten
            }
        }
    }

    /// Whether files that it may be made of must not leave: until it has left, or need not, and all
    /// that it is made of is gone.
    pub(super) fn is_in_the_way(&self, now: Time) -> bool {
        self.is_compaction() && (self.left.is_none() || !self.has_settled(now))
    }

    /// Whether all that it is made of is gone. One that had left before the last start has.
    pub(super) fn has_settled(&self, now: Time) -> bool {
        match self.extra().settles_at {
            Some(at) => at <= now,
            None => self.left.is_some(),
        }
    }

    /// First and last time that may be in it.
    pub(super) fn bounds(&self) -> (i64, i64) {
        self.facts.extent.bounds().unwrap_or((i64::MIN, i64::MAX))
    }

    /// Whether it is in no folder, as far as scans were taken in.
    pub(super) fn lies_nowhere(&self) -> bool {
        self.locations.first().is_none()
    }

    /// Where it lies or lay, as a record.
    pub(super) fn known(&self, identity: FileIdentity) -> Known {
        let at = self.locations.first().unwrap_or(&self.last);
        Known { place: at.place().clone(), name: at.name, identity }
    }
}
