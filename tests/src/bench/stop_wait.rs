//! One frame in flight over a slow path: how near each piece comes to the round trip it must take.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use anyhow::bail;

use super::Bench;
use super::crossing::Pair;
use super::table::Goal;
use super::table::Row;
use super::table::median;
use super::table::megabytes;
use super::table::millis;
use super::table::rate;
use super::tap::Replied;
use super::tap::Tap;
use crate::gateway::Config;
use crate::gateway::Profile;
use crate::harness::SourceDirs;
use crate::source::SourceTree;

/// Head and tail that a made-up file has besides its random bytes.
const ENDS_BYTES: u64 = 17;
/// A profile's limit of a frame less what stands around a piece.
const PROFILE_PIECE_BYTES: u64 = (1 << 20) - 4096;

/// The measure, at 1, 50 and 1500 ms.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let pieces =
        [("1 MiB", Profile::PlainTcp, 1 << 20), ("profile's", Profile::Syskeeper2000Forward, 0)];
    for (name, profile, piece_bytes) in pieces {
        let n_service = bench.sized(200, 50);
        bench.step(&format!("stop-and-wait: {name} pieces at RTT 0"));
        let mut periods = Vec::new();
        for _ in 0..bench.n_rounds() {
            periods.push(period(bench, profile, piece_bytes, 0, n_service)?.0);
        }
        let service = median(periods);
        let runs: &[(u64, u64)] =
            bench.sized(&[(1, 100), (50, 20), (1500, 4)], &[(1, 40), (50, 10)]);
        for &(rtt_ms, n_pieces) in runs {
            bench.step(&format!("stop-and-wait: {name} pieces at RTT {rtt_ms} ms"));
            let mut found = Vec::new();
            let n_rounds = if rtt_ms == 1 { bench.n_rounds() } else { 1 };
            let mut n_bytes = 0;
            for _ in 0..n_rounds {
                let (period, piece) = period(bench, profile, piece_bytes, rtt_ms, n_pieces)?;
                found.push(period);
                n_bytes = piece;
            }
            let typical = median(found);
            let bound = Duration::from_millis(rtt_ms) + service;
            bench.add(Row {
                what: format!("stop-and-wait, RTT {rtt_ms} ms, {name} piece"),
                ours: megabytes(rate(n_bytes, typical)),
                beside: format!("bound {}", megabytes(rate(n_bytes, bound))),
                ratio: Some(bound.as_secs_f64() / typical.as_secs_f64()),
                goal: Goal::RatioMin(0.95),
                note: format!(
                    "piece ÷ (RTT + service time {}); {n_pieces} pieces of {n_bytes} bytes on the wire",
                    millis(service)
                ),
            });
        }
    }
    Ok(())
}

/// Time from one piece's reply to the next one's in the median run of a file, and the bytes of a piece's frame.
fn period(
    bench: &Bench,
    profile: Profile,
    piece_bytes: u64,
    rtt_ms: u64,
    n_pieces: u64,
) -> Result<(Duration, u64)> {
    let dir = bench.dir("stop-wait")?;
    let mut tree = SourceTree::new(&dir.join("source"), 3)?;
    let data_bytes = if piece_bytes == 0 { PROFILE_PIECE_BYTES } else { piece_bytes };
    tree.add_file("sequence/root.plant/1/2800", n_pieces * data_bytes - ENDS_BYTES, None)?;
    super::settle_disk();
    let replies = through(bench, &dir, &tree, profile, piece_bytes, rtt_ms)?;
    std::fs::remove_dir_all(&dir)?;
    // Pieces are the long ones; the last may be shorter.
    let longest = replies.iter().map(|reply| reply.n_bytes).max().unwrap_or(0);
    let times: Vec<Duration> =
        replies.iter().filter(|reply| reply.n_bytes == longest).map(|reply| reply.at).collect();
    let ([first, .., last], n_intervals) = (times.as_slice(), times.len().saturating_sub(1)) else {
        bail!("expected several pieces, found {replies:?}");
    };
    Ok(((*last - *first) / u32::try_from(n_intervals)?, longest))
}

fn through(
    bench: &Bench,
    dir: &Path,
    tree: &SourceTree,
    profile: Profile,
    piece_bytes: u64,
    rtt_ms: u64,
) -> Result<Vec<Replied>> {
    let pair = Pair::new(&bench.binaries, &dir.join("pair"), &SourceDirs::below(tree.root()))?;
    let mut config = Config::loopback(profile, pair.receiver.address());
    config.rules.rtt = Duration::from_millis(rtt_ms);
    let tap = Tap::start(config)?;
    let size = piece_bytes.to_string();
    let mut more = vec![("connector.tidegate.gateway", profile.as_str())];
    if piece_bytes > 0 {
        more.push(("connector.tidegate.piece-size-bytes", &size));
    }
    pair.sender.write_pipe("bench", tap.address(), &more)?;
    let mut sending = pair.start_sender()?;
    sending.wait_sent(1)?;
    pair.end(sending)?;
    tap.stop()
}
