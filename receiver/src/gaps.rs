//! What is known to be missing: refused for good, or lost in a damaged spool. Durable, bounded, and
//! never silently dropped: what finds no room in the list is counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Deserialize;
use serde::Serialize;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;

use crate::facts;
use crate::facts::FactJournal;

/// The journal's name.
const JOURNAL: &str = "gaps";
/// Most different gaps that are listed one by one.
const GAPS_MAX: usize = 10_000;
/// Most different gaps on their way to the list; a peer may make them faster than a disk takes them.
const ON_THE_WAY_MAX: usize = 256;
/// Most origins that have a count of their own for what finds no room in a list.
const ORIGINS_MAX: usize = 1024;
/// What the others are counted under.
const OTHERS: &str = "(others)";
/// The journal is written anew when it has grown beyond this and most of it is outdated.
const REWRITE_BYTES: u64 = 8 << 20;

/// Something that is missing.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Gap {
    /// Whose data.
    pub(crate) origin: String,
    /// Which item.
    pub(crate) item: String,
    /// Why.
    pub(crate) reason: String,
}

impl Gap {
    /// The gap itself if there is room for it in a list of `most`; else what stands for all gaps of
    /// its origin, and where there are too many origins, for all of those.
    fn admitted<T>(self, list: &BTreeMap<Self, T>, most: usize) -> Self {
        if list.len() < most || list.contains_key(&self) {
            return self;
        }
        let others = Self { item: OTHERS.to_owned(), reason: OTHERS.to_owned(), ..self };
        if list.len() < most.saturating_add(ORIGINS_MAX) || list.contains_key(&others) {
            return others;
        }
        Self { origin: OTHERS.to_owned(), ..others }
    }
}

/// Gaps on their way to the keeper, equal ones counted. Its lock is never held over I/O.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<BTreeMap<Gap, u64>>,
}

impl Inbox {
    /// Leaves a gap; `true` if it is the first, so that the keeper has to be told.
    pub(crate) fn put(&self, gap: Gap) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        let gap = gap.admitted(&waiting, ON_THE_WAY_MAX);
        let count = waiting.entry(gap).or_default();
        *count = count.saturating_add(1);
        is_first
    }

    /// Everything left so far, and how often.
    pub(crate) fn take(&self) -> BTreeMap<Gap, u64> {
        core::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of something that was missing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It is there again.
    Back,
    /// Somebody gave it up.
    GivenUp,
}

/// How often and when a gap was met.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Times {
    /// How often.
    pub(crate) count: u64,
    /// First time, milliseconds since 1970.
    pub(crate) first_ms: i64,
    /// Last time.
    pub(crate) last_ms: i64,
    /// What became of it since, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<(Outcome, i64)>,
}

#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(flatten)]
    gap: Gap,
    #[serde(flatten)]
    times: Times,
}

/// The gaps and the journal they are kept in.
#[derive(Debug)]
pub(crate) struct Gaps<S: Storage> {
    journal: FactJournal<S>,
    list: BTreeMap<Gap, Times>,
}

impl<S: Storage> Gaps<S> {
    /// Opens the journal `gaps` in `storage`.
    pub(crate) fn open(storage: S, salt: u32) -> Result<(Self, JournalRecovery), OpenError> {
        let (journal, found) = FactJournal::open(storage, JOURNAL, salt, REWRITE_BYTES)?;
        Ok((Self { journal, list: listed(&found) }, found))
    }

    /// Notes a gap. A sender repeats what is refused many times a minute, so a known gap is only
    /// counted, and its count reaches the disk at every doubling.
    pub(crate) fn note(&mut self, gap: Gap, count: u64, now_ms: i64) -> Result<(), WriteError> {
        let gap = gap.admitted(&self.list, GAPS_MAX);
        let first = Times { count: 0, first_ms: now_ms, last_ms: now_ms, outcome: None };
        let times = self.list.entry(gap.clone()).or_insert(first);
        let before = times.count;
        times.count = before.saturating_add(count);
        times.last_ms = now_ms;
        let was_over = times.outcome.take().is_some();
        if was_over || times.count.checked_ilog2() > before.checked_ilog2() {
            self.journal.append(&Line { gap, times: *times })?;
        }
        Ok(())
    }

    /// Makes everything noted durable.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        self.journal.sync(lines(&self.list))
    }

    /// Makes everything noted durable and closes in good order.
    pub(crate) fn close(self) -> Result<(), WriteError> {
        self.journal.close(lines(&self.list))
    }

    /// All of them.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&Gap, &Times)> {
        self.list.iter()
    }

    /// Whether it is known, and nothing has become of it.
    pub(crate) fn has(&self, gap: &Gap) -> bool {
        self.list.get(gap).is_some_and(|times| times.outcome.is_none())
    }

    /// Remembers what has become of items of an origin, until one is missing again.
    pub(crate) fn settle(
        &mut self,
        origin: &str,
        items: &[String],
        outcome: (Outcome, i64),
    ) -> Result<(), WriteError> {
        let is_meant = |gap: &Gap| gap.origin == *origin && items.contains(&gap.item);
        for (gap, times) in self.list.iter_mut().filter(|(gap, _)| is_meant(gap)) {
            if times.outcome.is_none() {
                times.outcome = Some(outcome);
                self.journal.append(&Line { gap: gap.clone(), times: *times })?;
            }
        }
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// The gaps in the journal of a receiver that does not run, without changing anything there.
pub(crate) fn inspect<S: Storage>(storage: &S) -> Result<BTreeMap<Gap, Times>, OpenError> {
    let found = Journal::inspect(storage, &FileName::new(JOURNAL)?)?;
    Ok(found.as_ref().map(listed).unwrap_or_default())
}

fn listed(recovery: &JournalRecovery) -> BTreeMap<Gap, Times> {
    facts::read(recovery).map(|Line { gap, times }| (gap, times)).collect()
}

fn lines(list: &BTreeMap<Gap, Times>) -> impl Iterator<Item = Line> {
    list.iter().map(|(gap, times)| Line { gap: gap.clone(), times: *times })
}

#[cfg(test)]
mod tests {
    use tidegate_durable::DirStorage;

    use super::*;

    fn gap(item: &str) -> Gap {
        Gap { origin: "o".to_owned(), item: item.to_owned(), reason: "r".to_owned() }
    }

    #[test]
    fn what_is_on_its_way_is_bounded_and_counted() {
        let inbox = Inbox::default();
        assert!(inbox.put(gap("a")));
        assert!(!inbox.put(gap("a")), "the keeper knows already");
        (0..100_000).for_each(|n| assert!(!inbox.put(gap(&n.to_string()))));
        let taken = inbox.take();
        assert_eq!(taken.len(), ON_THE_WAY_MAX + 1);
        assert_eq!(taken.values().sum::<u64>(), 100_002);
        assert_eq!(taken[&gap("a")], 2);
        assert!(inbox.put(gap("a")), "and must be told again");
    }

    #[test]
    fn what_became_of_a_gap_is_remembered_until_it_is_met_again() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Gaps::open(DirStorage::open(directory.path()).unwrap(), 1).unwrap().0;
        let outcomes =
            |gaps: &Gaps<_>| gaps.list().map(|(_, times)| times.outcome).collect::<Vec<_>>();
        let mut gaps = open();
        gaps.note(gap("a"), 3, 0).unwrap();
        gaps.note(gap("b"), 1, 0).unwrap();
        let back = (Outcome::Back, 7);
        gaps.settle("another", &["a".to_owned()], back).unwrap();
        assert!(gaps.has(&gap("a")));
        gaps.settle("o", &["a".to_owned(), "c".to_owned()], back).unwrap();
        // what came first counts
        gaps.settle("o", &["a".to_owned()], (Outcome::GivenUp, 9)).unwrap();
        gaps.sync().unwrap();
        assert!(!gaps.has(&gap("a")) && gaps.has(&gap("b")));
        assert_eq!(outcomes(&open()), [Some(back), None]);
        gaps.note(gap("a"), 0, 8).unwrap();
        gaps.sync().unwrap();
        assert_eq!(outcomes(&open()), [None, None]);
    }

    /// A peer chooses its origin with each handshake.
    #[test]
    fn gaps_of_origins_without_end_are_bounded_and_counted() {
        let inbox = Inbox::default();
        let of = |origin: u32| Gap { origin: origin.to_string(), ..gap("a") };
        for origin in 0..5000 {
            inbox.put(of(origin));
        }
        let taken = inbox.take();
        assert_eq!(taken.len(), ON_THE_WAY_MAX + ORIGINS_MAX + 1);
        assert_eq!(taken.values().sum::<u64>(), 5000);
    }

    #[test]
    fn a_gap_is_written_down_at_every_doubling() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Gaps::open(DirStorage::open(directory.path()).unwrap(), 1).unwrap().0;
        let count = |gaps: &Gaps<_>| gaps.list().map(|(_, times)| times.count).collect::<Vec<_>>();
        let mut gaps = open();
        for (n, reloaded) in [(1, 1), (5, 6), (1, 6), (0, 6), (2, 9)] {
            gaps.note(gap("a"), n, 0).unwrap();
            gaps.sync().unwrap();
            assert_eq!(count(&open()), [reloaded]);
        }
    }
}
