//! A source directory made up for tests: files that begin and end like TsFiles, laid out as IoTDB
//! lays them out, with random bytes between.
//!
//! What crosses a gateway as a file is never decoded on the way, so for everything but values this
//! is as good as a database and a thousand times quicker.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

/// A directory that looks like an IoTDB's.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    rng: fastrand::Rng,
    next_version: u64,
}

/// Regions that files are spread over.
const REGIONS: [(&str, u32); 3] = [("root.plant", 1), ("root.plant", 2), ("root.office", 3)];
/// Names begin at this time.
const FIRST_TIME_MS: u64 = 1_700_000_000_000;
const HEAD: &[u8] = b"TsFile\x03";
/// A length of metadata that fits, and the magic.
const TAIL: &[u8] = b"\x00\x00\x00\x00TsFile";

impl SourceTree {
    /// An empty source in milliseconds, of version 1.3.2.
    pub fn new(root: &Path, seed: u64) -> Result<Self> {
        let files = [
            ("datanode/system/system.properties", "iotdb_version=1.3.2\ncluster_id=c\n"),
            ("confignode/system/system.properties", "timestamp_precision=ms\n"),
        ];
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().context("a parent")?)?;
            fs::write(path, text)?;
        }
        fs::create_dir_all(root.join("datanode/data/sequence"))?;
        let rng = fastrand::Rng::with_seed(seed);
        Ok(Self { root: root.to_owned(), rng, next_version: 1 })
    }

    /// Where everything lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its `dn_data_dirs`.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("datanode/data")
    }

    /// Adds files of up to 600 kB, some of them with deletions.
    pub fn add_files(&mut self, n_files: usize) -> Result<()> {
        for _ in 0..n_files {
            let n_bytes = self.rng.u64(50..600_000);
            let (database, region) = REGIONS[self.rng.usize(0..REGIONS.len())];
            let space = if self.rng.u8(0..4) == 0 { "unsequence" } else { "sequence" };
            let folder = format!("{space}/{database}/{region}/{}", self.rng.u32(2800..2803));
            let mods = (self.rng.u8(0..5) == 0).then_some("DELETION,root.plant.d1.s,1,1,5\n");
            self.add_file(&folder, n_bytes, mods)?;
        }
        Ok(())
    }

    /// Adds one file of that many random bytes besides head and tail, sealed as IoTDB seals: the
    /// resource appears last.
    pub fn add_file(&mut self, folder: &str, n_bytes: u64, mods: Option<&str>) -> Result<PathBuf> {
        let dir = self.data_dir().join(folder);
        fs::create_dir_all(&dir)?;
        let version = self.next_version;
        self.next_version += 1;
        let name = format!("{}-{version}-0-0.tsfile", FIRST_TIME_MS + version);
        let path = dir.join(&name);
        let mut file = File::create(&path)?;
        file.write_all(HEAD)?;
        let mut block = vec![0; 64 * 1024];
        let mut left = n_bytes;
        while left > 0 {
            let n_now = left.min(block.len() as u64) as usize;
            self.rng.fill(&mut block[..n_now]);
            file.write_all(&block[..n_now])?;
            left -= n_now as u64;
        }
        file.write_all(TAIL)?;
        if let Some(mods) = mods {
            fs::write(dir.join(format!("{name}.mods")), mods)?;
        }
        // Each file has a device of its own, so none of them hides rows of another.
        let resource = resource(&format!("root.plant.d{version}"), 1, 10);
        fs::write(dir.join(format!("{name}.resource")), resource)?;
        Ok(path)
    }
}

/// A `.resource` as IoTDB 1.2 writes it, of one device.
fn resource(device: &str, start: i64, end: i64) -> Vec<u8> {
    let length = i32::try_from(device.len()).expect("a short name");
    let mut bytes = vec![1, 1]; // version; time index by device path
    bytes.extend(1i32.to_be_bytes());
    bytes.extend(start.to_be_bytes());
    bytes.extend(end.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(device.as_bytes());
    bytes.extend(0i32.to_be_bytes()); // its times are the first
    bytes.extend(i64::MIN.to_be_bytes()); // no plan indexes
    bytes.extend(i64::MAX.to_be_bytes());
    bytes.extend((-1i32).to_be_bytes()); // no mods file
    bytes.push(0); // no progress index
    bytes
}
