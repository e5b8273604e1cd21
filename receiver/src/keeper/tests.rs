//! The keeper on a disk that fails or loses its power at every single operation.

use std::ops::Range;
use std::sync::mpsc::channel;
use std::sync::mpsc::sync_channel;

use tempfile::TempDir;
use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::Seq;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_link::receiving::HandshakeForm;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::Origin;
use tidegate_link::receiving::SealKind;
use tidegate_link::receiving::SubmitKind;

use super::*;
use crate::state::Storages;

/// A keeper with what it is connected to.
struct Site {
    keeper: Keeper<SimStorage>,
    outcomes: Receiver<Deferred>,
    _loader: Receiver<crate::loader::LoaderOp>,
    _staging: TempDir,
}

impl Site {
    fn open(disk: &SimStorage) -> Result<Self, String> {
        let staging = tempfile::tempdir().unwrap();
        let storages = Storages { spool: disk.clone(), memory: disk.clone() };
        let opened = State::open_on(storages, staging.path(), 1 << 20)?;
        let (outcomes_in, outcomes) = channel();
        let (loader, loader_ops) = channel();
        let outcomes_in: OutcomeSink = Arc::new(move |it| drop(outcomes_in.send(it)));
        let (_ops, ops) = channel();
        let ports = KeeperPorts { ops, outcomes: outcomes_in, loader };
        let guard = DiskGuard::new(staging.path().to_owned(), 0, DiskFullPolicy::Withhold);
        let keeper = Keeper::new(ports, Arc::new(guard), opened.state, None);
        Ok(Self { keeper, outcomes, _loader: loader_ops, _staging: staging })
    }

    /// One operation and its syncs, then another try for what waits, as in the thread's loop.
    fn go(&mut self, op: KeeperOp) -> Result<(), WriteError> {
        self.keeper.take(op)?;
        self.keeper.settle()?;
        for _ in 0..2 {
            self.keeper.look_again = Instant::now();
            for op in self.keeper.what_may_go_on() {
                self.keeper.take(op)?;
            }
            self.keeper.settle()?;
        }
        Ok(())
    }

    /// Tokens of what was accepted so far.
    fn accepted(&self) -> Vec<u64> {
        let is_ok = |it: &Deferred| matches!(it.verdict, Verdict::Accepted);
        self.outcomes.try_iter().filter(is_ok).map(|it| it.token).collect()
    }
}

fn peer(connection: u64) -> Peer {
    let hello = Hello {
        origin: Origin::escape(&format!("plant-{connection}")),
        stream: Some(String::from("p/0")),
        epoch: Some(connection),
        dialect: None,
        precision: Precision::Ms,
        form: HandshakeForm::V2,
    };
    Peer { connection, hello: Arc::new(hello) }
}

/// The request carries its token, by which it is found again.
fn submit(connection: u64, token: u64) -> KeeperOp {
    let request = [&[1, 0, 200][..], &token.to_be_bytes()].concat();
    let submit = Submit { kind: SubmitKind::ConfigPlan, type_code: 200, request };
    let released: crate::buffers::Released = Arc::new(|_, _| {});
    let charge = Charge::new(0, connection, &released);
    KeeperOp::Submit(SubmitJob { peer: peer(connection), token, submit, _charge: charge })
}

fn commit(connection: u64, token: u64) -> KeeperOp {
    let file = StagedFile {
        staged: format!("run-{token}"),
        name: format!("{token}.tsfile"),
        length_bytes: 20,
        crc32: 0,
        sha256: [0; 32],
    };
    let (files, parameters, request) = (Vec::new(), Vec::new(), vec![1, 0, 5]);
    let seal = Seal { kind: SealKind::TsFile, files, parameters, request };
    KeeperOp::Commit(CommitJob { peer: peer(connection), token, seal, files: vec![file] })
}

/// Two senders greet, send files and plans, and go; tokens count from 0.
fn workload() -> Vec<KeeperOp> {
    let mut ops = Vec::new();
    for token in 0..24 {
        let connection = 1 + token / 12;
        ops.push(match token % 6 {
            0 => KeeperOp::Greet(Greeting { peer: peer(connection), token }),
            1 | 3 | 4 => commit(connection, token),
            _ => submit(connection, token),
        });
    }
    let gap = Gap { origin: "o".to_owned(), item: "i".to_owned(), reason: "r".to_owned() };
    ops.push(KeeperOp::Lost(vec![gap], sync_channel(1).0));
    ops.push(KeeperOp::DropConnection { connection: 1 });
    ops.push(KeeperOp::Retain);
    ops
}

/// The changes to a disk that the workload makes, behind those of opening it.
fn changes_of_workload() -> Range<u64> {
    let whole = SimStorage::new();
    let mut site = Site::open(&whole).unwrap();
    let first = whole.changes();
    workload().into_iter().try_for_each(|op| site.go(op)).unwrap();
    assert_eq!(site.accepted(), (0..24).collect::<Vec<_>>());
    let changes = first..whole.changes();
    assert!(changes.end - changes.start > 40, "{changes:?}");
    changes
}

/// Tokens of greetings, of which nothing is kept.
fn is_greeting(token: u64) -> bool {
    token.is_multiple_of(6)
}

/// Tokens of the items that a disk holds, in order.
fn kept(disk: &SimStorage, context: &str) -> Vec<u64> {
    let mut site = Site::open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let state = &mut site.keeper.state;
    let mut reader = state.spool.reader();
    let entries = reader.read(Seq::new(1), 1 << 20, 1000).unwrap();
    let token = |entry: &Entry| {
        let Entry::Record(record) = entry else { panic!("{context}: lost {entry:?}") };
        let kind = RecordKind::of_code(record.kind).unwrap();
        let contents = records::decode(kind, &record.payload).unwrap();
        match contents.files.first() {
            Some(file) => file.name.trim_end_matches(".tsfile").parse().unwrap(),
            None => u64::from_be_bytes(*record.payload.last_chunk().unwrap()),
        }
    };
    entries.iter().map(token).collect()
}

#[track_caller]
fn check_kept(disk: &SimStorage, accepted: &[u64], context: &str) {
    let kept = kept(disk, context);
    let wanted: Vec<u64> = accepted.iter().copied().filter(|it| !is_greeting(*it)).collect();
    // what was under way when it ended may be there as well
    assert!(kept.starts_with(&wanted), "{context}: {kept:?} holds not {wanted:?}");
    assert!(kept.len() <= wanted.len() + 1, "{context}: {kept:?} is more than {wanted:?}");
}

#[test]
fn a_disk_that_fails_at_any_operation_ends_the_keeper_before_a_false_ok() {
    for fault in [SimFault::Io, SimFault::PowerCut] {
        for at in changes_of_workload() {
            let context = format!("{fault:?} at {at}");
            let disk = SimStorage::new().with_fault(at, fault);
            let mut site = Site::open(&disk).unwrap();
            let outcome = workload().into_iter().try_for_each(|op| site.go(op));
            assert!(outcome.is_err(), "{context}: the thread goes on");
            let accepted = site.accepted();
            drop(site);
            check_kept(&disk.restarted(), &accepted, &context);
            for image in disk.images(at) {
                check_kept(&image.storage, &accepted, &format!("{context}, {}", image.label));
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_operation_holds_up_and_loses_nothing() {
    let mut n_survived = 0;
    for at in changes_of_workload() {
        let context = format!("full at {at}");
        let disk = SimStorage::new().with_fault(at, SimFault::DiskFull);
        let mut site = Site::open(&disk).unwrap();
        let outcome = workload().into_iter().try_for_each(|op| site.go(op));
        let mut accepted = site.accepted();
        accepted.sort_unstable();
        // a failed sync is the end, also for want of room
        if outcome.is_ok() {
            n_survived += 1;
            assert_eq!(accepted, (0..24).collect::<Vec<_>>(), "{context}");
            assert!(site.keeper.waiting.is_empty(), "{context}");
        }
        drop(site);
        for image in disk.images(at) {
            let kept = kept(&image.storage, &context);
            let is_there = |token: &u64| is_greeting(*token) || kept.contains(token);
            assert!(accepted.iter().all(is_there), "{context}, {}: {kept:?}", image.label);
        }
    }
    assert!(n_survived > 10, "{n_survived}");
}

/// The position of the loader moves behind what was lost as soon as this is answered. On a full
/// disk it was answered although the gap record was in memory only.
#[test]
fn a_lost_item_is_answered_for_only_when_its_gap_record_is_durable() {
    let disk = SimStorage::new();
    let mut site = Site::open(&disk).unwrap();
    let gap = || {
        let [origin, item, reason] = ["o", "spool record 7", "r"].map(str::to_owned);
        Gap { origin, item, reason }
    };
    let mut tell = || -> Result<(), String> {
        let (reply, answer) = sync_channel(1);
        site.keeper.take(KeeperOp::Lost(vec![gap()], reply)).unwrap();
        answer.try_recv().expect("an answer")
    };
    let used: u64 = ["gaps", "origins", "checkpoint", "cluster-id"]
        .iter()
        .filter_map(|name| disk.content(&FileName::new(*name).unwrap()))
        .map(|bytes| bytes.len() as u64)
        .sum();
    disk.set_capacity_bytes(Some(used / 2));
    assert!(tell().is_err(), "no room");
    assert!(tell().is_err(), "still no room");
    disk.set_capacity_bytes(None);
    assert_eq!(tell(), Ok(()));
    disk.cut_power();
    for image in disk.images(1) {
        let (gaps, _) = crate::gaps::Gaps::open(image.storage, 1).unwrap();
        let counts: Vec<u64> = gaps.list().map(|(_, times)| times.count).collect();
        assert_eq!(counts, [1], "{}", image.label);
    }
}

/// The first part that found no room once kept the others from being closed.
#[test]
fn what_is_full_or_fails_at_the_end_keeps_nothing_else_from_being_closed() {
    let end = |disk: &SimStorage| {
        let mut site = Site::open(disk).unwrap();
        workload().into_iter().try_for_each(|op| site.go(op)).unwrap();
        let before = disk.changes();
        let outcome = site.keeper.state.close();
        (before, outcome)
    };
    let whole = SimStorage::new();
    let (before, outcome) = end(&whole);
    outcome.unwrap();
    let changed = |disk: &SimStorage, file: &str| {
        let changes = disk.log().split_off(usize::try_from(before).unwrap());
        changes.iter().any(|change| change.contains(file))
    };
    for (at, fault) in (before..whole.changes())
        .flat_map(|at| [SimFault::DiskFull, SimFault::Io].map(|fault| (at, fault)))
    {
        let disk = SimStorage::new().with_fault(at, fault);
        let (_, outcome) = end(&disk);
        let context = format!("{fault:?} at {:?}", disk.log()[usize::try_from(at).unwrap()]);
        // a full disk costs the next start some reading, and no more
        let is_sync = context.contains(" sync ");
        assert_eq!(outcome.is_err(), fault == SimFault::Io || is_sync, "{context}: {outcome:?}");
        for part in ["checkpoint", "gaps", "origins", "spool.mark"] {
            assert!(changed(&disk, part), "{context}: nothing done for {part}");
        }
    }
}

/// It holds nothing that the spool does not, but for the counts of what has left it.
#[test]
fn a_damaged_checkpoint_is_made_anew_from_the_spool() {
    let disk = SimStorage::new();
    let mut site = Site::open(&disk).unwrap();
    workload().into_iter().try_for_each(|op| site.go(op)).unwrap();
    let told = |site: &Site| {
        let report = site.keeper.state.report(0);
        (report.accepted, report.not_applied, report.unproven)
    };
    let before = told(&site);
    assert!(before.0["file"].items > 0 && !before.1.is_empty());
    site.keeper.state.close().unwrap();
    let name = FileName::new("checkpoint").unwrap();
    assert!(disk.content(&name).is_some());
    let (torn, foreign) = (disk.restarted(), disk.restarted());
    torn.set_content(&name, vec![0xff; 16 << 10]);
    crate::state::two_slot(&foreign, "checkpoint").unwrap().0.write(b"{").unwrap();
    for damaged in [torn, foreign] {
        let site = Site::open(&damaged).unwrap();
        assert_eq!(told(&site), before);
        site.keeper.state.close().unwrap();
        assert_eq!(told(&Site::open(&damaged).unwrap()), before, "and written down again");
    }
}
