//! Many bytes on loopback, against what disk, hash and network can do with the same bytes.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::crossing;
use super::crossing::Crossed;
use super::probes;
use super::table::Goal;
use super::table::Row;
use super::table::median;
use super::table::megabytes;
use super::table::rate;
use super::table::seconds;
use crate::harness::SourceDirs;
use crate::source::SourceTree;

const MIB: u64 = 1 << 20;

/// The measure: 2 GiB in files of 64 MiB and one of 512 MiB.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let (n_small, large_bytes) = bench.sized((24, 512 * MIB), (4, 128 * MIB));
    let dir = bench.dir("bulk")?;
    let mut tree = SourceTree::new(&dir.join("source"), 1)?;
    bench.step("bulk: writing the source");
    let mut files = Vec::new();
    for at in 0..n_small {
        let folder = format!("sequence/root.plant/1/{}", 2800 + at / 8);
        files.push(tree.add_file(&folder, 64 * MIB, None)?);
    }
    files.push(tree.add_file("sequence/root.plant/1/2810", large_bytes, None)?);
    let n_bytes: u64 = n_small * 64 * MIB + large_bytes;

    let (mut disk, mut sha, mut loopback) = (Vec::new(), Vec::new(), Vec::new());
    let mut ours: Vec<Crossed> = Vec::new();
    for round in 1..=bench.n_rounds() {
        bench.step(&format!("bulk: round {round}: disk, SHA-256, loopback"));
        super::rest();
        disk.push(probes::disk_write(&files, &dir.join("probe"))?);
        sha.push(probes::sha256(n_bytes));
        loopback.push(probes::loopback_copy(n_bytes)?);
        bench.step(&format!("bulk: round {round}: ours"));
        probes::read(&files)?;
        super::rest();
        let source = SourceDirs::below(tree.root());
        let pair_dir = dir.join(format!("round{round}"));
        let crossed = crossing::cross(&bench.binaries, &pair_dir, &source, files.len() as u64)?;
        bench.step(&format!(
            "bulk: round {round}: {}, disk {}, SHA {}, loopback {}",
            megabytes(rate(n_bytes, crossed.wall)),
            megabytes(rate(n_bytes, *disk.last().unwrap_or(&Duration::ZERO))),
            megabytes(rate(n_bytes, *sha.last().unwrap_or(&Duration::ZERO))),
            megabytes(rate(n_bytes, *loopback.last().unwrap_or(&Duration::ZERO))),
        ));
        ours.push(crossed);
    }
    std::fs::remove_dir_all(&dir)?;

    let bounds = [("disk", median(disk)), ("SHA-256", median(sha)), ("loopback", median(loopback))];
    ours.sort_by_key(|crossed| crossed.wall);
    let Some(typical) = ours.get(ours.len() / 2) else { return Ok(()) };
    let slowest = bounds.iter().map(|(_, time)| *time).max().unwrap_or_default();
    let rates: Vec<String> = bounds
        .iter()
        .map(|(name, time)| format!("{name} {}", megabytes(rate(n_bytes, *time))))
        .collect();
    bench.add(Row {
        what: format!("bulk, {} MiB in {} files", n_bytes / MIB, files.len()),
        ours: megabytes(rate(n_bytes, typical.wall)),
        beside: rates.join(", "),
        ratio: Some(slowest.as_secs_f64() / typical.wall.as_secs_f64()),
        goal: Goal::RatioMin(0.8),
        note: format!(
            "{} of wall, CPU: sender {}, receiver {}; ratio to the slowest bound; median of {}",
            seconds(typical.wall),
            seconds(typical.sender_cpu),
            seconds(typical.receiver_cpu),
            ours.len(),
        ),
    });
    Ok(())
}
