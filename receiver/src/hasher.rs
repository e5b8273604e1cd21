//! SHA-256 and CRC-32 of files while they arrive, on a thread beside the one that writes them.
//!
//! Hashing costs as much as writing; done one after the other they would halve the throughput.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use sha2::Digest;
use sha2::Sha256;

use crate::buffers::Chunk;
use crate::buffers::Part;

/// A file: its connection and its number there.
pub(crate) type FileKey = (u64, u64);

/// What the writer asks for, in the order of the bytes.
pub(crate) enum HashOp {
    /// These bytes come next.
    Update(u64, Arc<Chunk>, Part),
    /// The file is complete.
    Finish(FileKey, Sender<Digests>),
    /// The file was given up.
    Forget(FileKey),
}

/// What identifies the content of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Digests {
    /// CRC-32 (IEEE).
    pub(crate) crc32: u32,
    /// SHA-256.
    pub(crate) sha256: [u8; 32],
}

/// Runs until the writer is gone.
pub(crate) fn run(ops: &Receiver<HashOp>) -> Result<(), Infallible> {
    let mut files: HashMap<FileKey, (crc32fast::Hasher, Sha256)> = HashMap::new();
    for op in ops {
        match op {
            HashOp::Update(connection, chunk, part) => {
                let (crc, sha) = files.entry((connection, part.file)).or_default();
                let bytes = chunk.get(&part);
                crc.update(bytes);
                sha.update(bytes);
            }
            HashOp::Finish(key, reply) => {
                let (crc, sha) = files.remove(&key).unwrap_or_default();
                let digests = Digests { crc32: crc.finalize(), sha256: sha.finalize().into() };
                // whoever asked may have been ended meanwhile
                let _ = reply.send(digests);
            }
            HashOp::Forget(key) => {
                files.remove(&key);
            }
        }
    }
    Ok(())
}
