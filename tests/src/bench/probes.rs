//! What this machine can do at best, on the same bytes: the bounds that the daemons are held against.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::anyhow;
use sha2::Digest;
use sha2::Sha256;

/// What is read, written and sent at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes as many bytes as these files have, 1 MiB at a time, each file synced once.
pub(super) fn disk_write(files: &[PathBuf], dir: &Path) -> Result<Duration> {
    let mut block = vec![0; BLOCK_BYTES];
    fastrand::Rng::with_seed(1).fill(&mut block);
    fs::create_dir_all(dir)?;
    let mut took = Duration::ZERO;
    for (at, file) in files.iter().enumerate() {
        let mut left = fs::metadata(file)?.len();
        let path = dir.join(at.to_string());
        let started = Instant::now();
        let mut copy = File::create(&path)?;
        while left > 0 {
            let n_now = left.min(BLOCK_BYTES as u64) as usize;
            copy.write_all(&block[..n_now])?;
            left -= n_now as u64;
        }
        copy.sync_all()?;
        took += started.elapsed();
    }
    fs::remove_dir_all(dir)?;
    Ok(took)
}

/// Reads files, so that they are in memory for whoever is timed next.
pub(super) fn read(files: &[PathBuf]) -> Result<()> {
    for file in files {
        std::io::copy(&mut File::open(file)?, &mut std::io::sink())?;
    }
    Ok(())
}

/// SHA-256 of as many bytes, on one core, from memory.
pub(super) fn sha256(n_bytes: u64) -> Duration {
    let mut block = vec![0; BLOCK_BYTES];
    fastrand::Rng::with_seed(2).fill(&mut block);
    let started = Instant::now();
    let mut hash = Sha256::new();
    let mut left = n_bytes;
    while left > 0 {
        let n_now = left.min(BLOCK_BYTES as u64) as usize;
        hash.update(&block[..n_now]);
        left -= n_now as u64;
    }
    // Used, so that nothing of it is left out.
    let digest = hash.finalize();
    std::hint::black_box(digest);
    started.elapsed()
}

/// As many bytes through a TCP connection on loopback, from memory to memory.
pub(super) fn loopback_copy(n_bytes: u64) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let reader = std::thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut n_read = 0;
        loop {
            match stream.read(&mut block)? {
                0 => return Ok(n_read),
                n_now => n_read += n_now as u64,
            }
        }
    });
    let mut stream = TcpStream::connect(address)?;
    let block = vec![0; BLOCK_BYTES];
    let started = Instant::now();
    let mut left = n_bytes;
    while left > 0 {
        let n_now = left.min(BLOCK_BYTES as u64) as usize;
        stream.write_all(&block[..n_now])?;
        left -= n_now as u64;
    }
    drop(stream);
    reader.join().map_err(|_| anyhow!("the reader of the loopback copy ended"))??;
    Ok(started.elapsed())
}

/// One block written and synced, in the median: what a promise to keep something costs at least.
pub(super) fn sync_latency(dir: &Path, n_bytes: usize) -> Result<Duration> {
    const N_TRIES: usize = 20;
    let block = vec![7; n_bytes];
    fs::create_dir_all(dir)?;
    let mut times = Vec::new();
    for at in 0..N_TRIES {
        let mut file = File::create(dir.join(at.to_string()))?;
        file.write_all(&block)?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    fs::remove_dir_all(dir)?;
    Ok(super::table::median(times))
}
