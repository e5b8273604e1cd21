//! One run: a model IoTDB, a source, a faulty link and a model far side, and what must come out.

mod look;
mod oracle;
mod pins;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::Time;
use tidegate_source::Departed;
use tidegate_source::DropPolicy;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::Listing;
use tidegate_source::ModsSeen;
use tidegate_source::Outcome;
use tidegate_source::Place;
use tidegate_source::ReadRule;
use tidegate_source::Record;
use tidegate_source::RegionKey;
use tidegate_source::Source;
use tidegate_source::SourceConfig;
use tidegate_source::Space;
use tidegate_source::Stall;
use tidegate_source::TsFileName;
use tidegate_source::Verdict;
use tidegate_source::Without;

use crate::far::FarSide;
use crate::iotdb::Consensus;
use crate::iotdb::DEVICES;
use crate::iotdb::File;
use crate::iotdb::Iotdb;
use crate::iotdb::PARTITION;
use crate::iotdb::PATTERNS;
use crate::iotdb::Rows;

const WATCHED_SCAN: Step = Step::Scan { is_watched: true, unread: None, race: Vec::new() };
/// Unsequence files are young for two steps.
const YOUNG_NS: i64 = 1_000_000_000;

/// What a run is about, besides its steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) rule: ReadRule,
    pub(crate) consensus: Consensus,
    /// Whether the peer takes deletions.
    pub(crate) takes_deletions: bool,
    /// Whether devices are listed in extents, or only times.
    pub(crate) has_devices: bool,
    /// Whether the far side follows drops.
    pub(crate) drop_policy: DropPolicy,
    pub(crate) pins: Pins,
    /// Whether the watcher opens every list that is written to before it goes.
    pub(crate) catches_all: bool,
    pub(crate) without: Without,
}

/// Which waiting files the edge keeps from being lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pins {
    Nowhere,
    /// Until the sender is killed.
    Held,
    /// Over that, too.
    Linked,
}

/// One step. Numbers stand for choices, so that a run can be shortened and told.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert {
        device: u8,
        time: u8,
    },
    Flush {
        pick: u8,
    },
    Seal {
        pick: u8,
    },
    Delete {
        pattern: u8,
        start: u8,
        length: u8,
    },
    Compact {
        pick: u8,
        kind: u8,
        n_files: u8,
    },
    GoOn {
        pick: u8,
    },
    Load {
        device: u8,
        time: u8,
        length: u8,
    },
    Drop {
        pick: u8,
    },
    Restart,
    /// Somebody removes a list of deletions while all is quiet.
    Unlist {
        pick: u8,
    },
    Scan {
        is_watched: bool,
        /// A region that cannot be read this time.
        unread: Option<u32>,
        race: Vec<(u8, Self)>,
    },
    Send {
        pick: u8,
    },
    Outcome {
        fate: u8,
    },
    Persist {
        n_effects: u8,
    },
    /// Everything that can leave does, and is durable.
    Drain,
    /// Nothing happens for so long.
    Pause {
        seconds: u8,
    },
    CrashSender {
        n_lost: u8,
        arrives: bool,
    },
    /// Some pins are let go, for want of room.
    LosePins {
        pick: u8,
    },
}

#[derive(Debug)]
struct Flight {
    item: Item,
    /// The file as it was opened: rows, and its deletions.
    file: Option<(Rows, Option<ModsSeen>)>,
}

pub(crate) struct Run {
    setup: Setup,
    iotdb: Iotdb,
    source: Source,
    far: FarSide,
    now: Time,
    journal: Vec<Effect>,
    n_durable: usize,
    flights: BTreeMap<RegionKey, Flight>,
    listings: BTreeMap<(Place, Arc<str>), Arc<Listing>>,
    /// Files that appeared and were not in the listing of their scan.
    carried: Vec<(Place, TsFileName)>,
    was_watched: bool,
    /// Whether everything was seen since the first scan.
    pub(crate) has_seen_all: bool,
    /// The region that could not be read in the last scan.
    unread_before: Option<u32>,
    /// Pinned files, each with the deletions that stood beside it when it was last looked at.
    pins: BTreeMap<FileIdentity, File>,
    story: Option<String>,
    pub(crate) n_sent: u64,
    /// Files that left from their pins.
    pub(crate) n_rescued: u64,
}

impl Run {
    pub(crate) fn new(setup: Setup, tells: bool) -> Self {
        Self {
            setup,
            iotdb: Iotdb::new(setup.rule, setup.consensus),
            source: Source::new(config(setup)),
            far: FarSide::default(),
            now: Time::from_micros(0),
            journal: Vec::new(),
            n_durable: 0,
            flights: BTreeMap::new(),
            listings: BTreeMap::new(),
            carried: Vec::new(),
            was_watched: false,
            has_seen_all: true,
            unread_before: None,
            pins: BTreeMap::new(),
            story: tells.then(String::new),
            n_sent: 0,
            n_rescued: 0,
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "  {}", line());
        }
    }

    pub(crate) fn story(self) -> String {
        self.story.unwrap_or_default()
    }

    pub(crate) fn step(&mut self, step: &Step) {
        self.pass_time(Duration::from_millis(500));
        match step {
            Step::Scan { is_watched, unread, race } => {
                self.tell(|| {
                    let how = if *is_watched { "watched" } else { "not watched" };
                    let unread = unread.map(|it| format!(", region {it} cannot be read"));
                    let unread = unread.unwrap_or_default();
                    format!("scan, {how} since the last, {} races{unread}", race.len())
                });
                let scan = self.scan(*is_watched, *unread, race);
                self.source.begin_scan(self.now, Arc::new(scan));
                while self.source.take_in(2) {}
                self.collect();
                self.pin(2 + race.len());
            }
            Step::LosePins { pick } => {
                let kept = |at: usize| !(at + usize::from(*pick)).is_multiple_of(3);
                let pins = std::mem::take(&mut self.pins).into_iter().enumerate();
                self.pins = pins.filter(|(at, _)| kept(*at)).map(|(_, pin)| pin).collect();
                self.tell(|| "some pins are let go".to_owned());
                self.tell_pins();
            }
            Step::Send { pick } => self.send(*pick),
            Step::Outcome { fate } => self.end_flight(*fate),
            Step::Drain => {
                for _ in 0..20 {
                    self.persist(usize::MAX);
                    self.send(0);
                    if self.flights.is_empty() {
                        break;
                    }
                    self.end_flight(7);
                }
                self.persist(usize::MAX);
            }
            Step::Persist { n_effects } => self.persist(usize::from(*n_effects)),
            Step::Pause { seconds } => {
                self.tell(|| format!("{seconds} seconds pass"));
                self.pass_time(Duration::from_secs(u64::from(*seconds)));
            }
            Step::CrashSender { n_lost, arrives } => self.crash(usize::from(*n_lost), *arrives),
            Step::Unlist { .. } => {
                // Of a list that grew and went before anybody looked, nobody knows; nor of rows that
                // were back and went before a crash.
                self.step(&WATCHED_SCAN);
                self.step(&Step::Drain);
                self.change(step);
                self.step(&WATCHED_SCAN);
                self.persist(usize::MAX);
            }
            other => self.change(other),
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now = self.now + time;
        self.iotdb.pass_time(time);
    }

    fn change(&mut self, step: &Step) {
        let pick_of = |pick: u8, keys: &[(RegionKey, i64)]| {
            (!keys.is_empty()).then(|| keys[usize::from(pick) % keys.len()].clone())
        };
        let keys = self.iotdb.keys();
        match *step {
            Step::Insert { device, time } => {
                let (device, time) = (usize::from(device) % 3, i64::from(time) % (2 * PARTITION));
                self.iotdb.insert(device, time);
                if self.story.is_some() {
                    let value = self.iotdb.read().get(&(device, time)).copied();
                    self.tell(|| format!("insert {} time {time}, now {value:?}", DEVICES[device]));
                }
            }
            Step::Flush { pick } => {
                let Some((region, partition)) = pick_of(pick / 2, &keys) else { return };
                let space = if pick % 2 == 0 { Space::Sequence } else { Space::Unsequence };
                self.tell(|| format!("flush {region}/{partition} {}", space.as_str()));
                self.iotdb.flush(&region, partition, space);
            }
            Step::Seal { pick } => {
                let Some((region, partition)) = pick_of(pick / 4, &keys) else { return };
                self.tell(|| format!("seal in {region}/{partition}"));
                self.iotdb.seal(&region, partition, usize::from(pick % 4));
            }
            Step::Delete { pattern, start, length } => {
                let pattern = PATTERNS[usize::from(pattern) % PATTERNS.len()];
                let start = i64::from(start) % (2 * PARTITION);
                let end = start + i64::from(length % 8);
                self.tell(|| format!("delete {pattern} times {start} to {end}"));
                self.iotdb.delete(pattern, start, end);
            }
            Step::Compact { pick, kind, n_files } => {
                let Some((region, partition)) = pick_of(pick, &keys) else { return };
                let n_files = usize::from(n_files % 3) + 2;
                if let Some(what) = self.iotdb.compact(&region, partition, kind, n_files) {
                    self.tell(|| format!("{what} compaction begins in {region}/{partition}"));
                }
            }
            Step::GoOn { pick } => {
                let Some((region, partition)) = pick_of(pick, &keys) else { return };
                if let Some(what) = self.iotdb.go_on(&region, partition) {
                    self.tell(|| format!("compaction in {region}/{partition}: {what}"));
                }
            }
            Step::Load { device, time, length } => {
                let (device, time) = (usize::from(device) % 3, i64::from(time) % (2 * PARTITION));
                let times: Vec<i64> = (time..=time + i64::from(length % 4)).collect();
                self.tell(|| format!("LOAD {} times {times:?}", DEVICES[device]));
                self.iotdb.load(device, &times);
            }
            Step::Drop { pick } => {
                let Some((region, partition)) = pick_of(pick / 4, &keys) else { return };
                self.tell(|| format!("a file of {region}/{partition} is dropped"));
                self.iotdb.drop_file(&region, partition, usize::from(pick % 4));
            }
            Step::Unlist { pick } => {
                let Some((region, partition)) = pick_of(pick / 4, &keys) else { return };
                if let Some(file) = self.iotdb.unlist(&region, partition, pick % 4) {
                    self.tell(|| format!("the list beside {} is removed", file.name));
                }
            }
            Step::Restart => {
                self.tell(|| "the DataNode is killed and started".to_owned());
                self.iotdb.restart();
            }
            _ => (),
        }
    }

    fn send(&mut self, pick: u8) {
        let busy: Vec<RegionKey> = self.flights.keys().cloned().collect();
        let item = self.source.poll_item(self.now, |region| {
            !busy.contains(region)
                && (pick.is_multiple_of(3) || u32::from(pick % 3) == region.region)
        });
        self.collect();
        let Some(item) = item else { return };
        match &item.kind {
            ItemKind::File(wanted) => {
                let found = match wanted.pinned {
                    Some(mods) => self.pinned(wanted.identity, mods),
                    None => self.iotdb.find(wanted.identity).cloned(),
                };
                self.n_rescued += u64::from(wanted.pinned.is_some() && found.is_some());
                self.tell(|| {
                    let gone = if found.is_none() { ", but it is gone" } else { "" };
                    let Place { region, partition, space } = &wanted.place;
                    let space = space.as_str();
                    format!("#{} {region}/{partition} {space}/{}{gone}", item.sequence, wanted.name)
                });
                let Some(found) = found else {
                    self.source.handle_stall(self.now, item.token, Stall::Moved);
                    return self.collect();
                };
                assert_eq!(wanted.twin, None, "no two files of the model have one name");
                let mods = self.mods_of(&found).map(|mods| mods.seen());
                let rows = if self.setup.takes_deletions { found.visible() } else { found.rows };
                let stream = item.stream.clone();
                self.flights.insert(stream, Flight { item, file: Some((rows, mods)) });
            }
            ItemKind::Delete(delete) => {
                self.tell(|| format!("#{} {}", item.sequence, delete.deletion));
                self.flights.insert(item.stream.clone(), Flight { item, file: None });
            }
            other => panic!("{other:?}"),
        }
    }

    /// Has the item arrive at the far side.
    fn arrive(&mut self, flight: &Flight) {
        match (&flight.item.kind, &flight.file) {
            (ItemKind::File(_), Some((rows, _))) => {
                self.n_sent += 1;
                self.far.load(rows);
            }
            (ItemKind::Delete(delete), _) if self.setup.takes_deletions => {
                self.far.delete(&delete.deletion);
            }
            _ => (),
        }
    }

    fn end_flight(&mut self, fate: u8) {
        let Some((_, flight)) = self.flights.pop_first() else { return };
        let verdict = match fate % 8 {
            0 => Verdict::Refused,
            1 | 2 => Verdict::Unknown,
            _ => Verdict::Accepted,
        };
        let arrives = verdict == Verdict::Accepted || fate % 8 == 1;
        self.tell(|| {
            let arrived = if arrives { "arrived" } else { "did not arrive" };
            format!("#{} is {verdict}, and {arrived}", flight.item.sequence)
        });
        if arrives {
            self.arrive(&flight);
        }
        let carries = self.setup.takes_deletions;
        let departed = match &flight.file {
            Some((_, mods)) => {
                Departed { mods: *mods, mods_carried: carries, crc32: 0, ..Departed::default() }
            }
            None => Departed { mods: None, mods_carried: carries, crc32: 0, ..Departed::default() },
        };
        let outcome = Outcome::bare(verdict, "");
        self.source.handle_outcome(self.now, flight.item.token, &outcome, departed);
        self.collect();
    }

    /// Takes over what the source wants to be durable; it is only in memory yet.
    fn collect(&mut self) {
        while let Some(effect) = self.source.poll_effect() {
            self.tell(|| match &effect {
                Effect::Gap(gap) => format!("gap: {gap}"),
                other => format!("ledger: {other:?}"),
            });
            self.journal.push(effect);
        }
    }

    fn persist(&mut self, n_effects: usize) {
        let n_effects = n_effects.min(self.journal.len() - self.n_durable);
        self.n_durable += n_effects;
        self.source.handle_durable(n_effects);
    }

    /// The sender is killed: what was not durable is lost, but for a part of it.
    fn crash(&mut self, n_lost: usize, arrives: bool) {
        self.tell(|| "the sender is killed and started".to_owned());
        for flight in std::mem::take(&mut self.flights).into_values() {
            if arrives {
                self.tell(|| format!("#{} arrived", flight.item.sequence));
                self.arrive(&flight);
            }
        }
        let live = self.source.live_records();
        if n_lost % 3 != 1 {
            let kept = self.journal.len().saturating_sub(n_lost).max(self.n_durable);
            self.journal.truncate(kept);
        }
        // Now and then the ledger was written anew just before, or is at the start.
        let anew = match n_lost % 3 {
            0 => Some(self.restored().live_records()),
            1 => Some(live),
            _ => None,
        };
        if let Some(records) = anew {
            self.journal.retain(|it| matches!(it, Effect::Gap(_)));
            self.journal.extend(records.into_iter().map(Effect::Cursor));
        }
        self.n_durable = self.journal.len();
        self.source = self.restored();
        self.listings.clear();
        self.carried.clear();
        (self.was_watched, self.has_seen_all) = (false, false);
        if self.setup.pins == Pins::Held {
            self.pins.clear();
        }
        self.tell_pins();
    }

    fn restored(&self) -> Source {
        let mut source = Source::new(config(self.setup));
        for effect in &self.journal {
            if let Effect::Cursor(record) = effect {
                let (kind, body) = record.encode();
                let read = Record::decode(kind, &body).expect("a record reads back");
                assert_eq!(read, *record);
                source.load(read);
            }
        }
        source
    }

    /// Lets everything come to rest, and says what is wrong then.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.tell(|| "everything comes to rest".to_owned());
        self.iotdb.come_to_rest();
        let mut n_idle = 0;
        for _ in 0..400 {
            if n_idle == 6 {
                return self.compare();
            }
            n_idle += 1;
            let scan = self.scan(true, None, &[]);
            self.source.handle_scan(self.now, &scan);
            self.collect();
            self.pin(5);
            self.now = self.now + Duration::from_secs(100);
            self.iotdb.now_ns += 100_000_000_000;
            for _ in 0..200 {
                self.persist(usize::MAX);
                self.send(0);
                if self.flights.is_empty() {
                    self.persist(usize::MAX);
                    self.send(0);
                }
                if self.flights.is_empty() {
                    break;
                }
                n_idle = 0;
                self.end_flight(7);
            }
        }
        Err("the source never comes to rest".to_owned())
    }
}

fn config(setup: Setup) -> SourceConfig {
    SourceConfig {
        read_rule: setup.rule,
        drop_policy: setup.drop_policy,
        without: setup.without,
        ..SourceConfig::default()
    }
}
