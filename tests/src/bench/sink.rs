//! A far side that takes everything and keeps nothing: it answers `00` to each frame and notes when
//! the frame had come, so that what is timed is the sender alone.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use anyhow::Result;
use anyhow::anyhow;
use tidegate_wire::frame::FrameDecoder;
use tidegate_wire::frame::FrameEvent;
use tidegate_wire::frame::FrameLimits;
use tidegate_wire::request::RequestType;

const READ_BYTES: usize = 256 * 1024;

/// A frame that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) at: Instant,
    /// Whether it was the end of a file.
    pub(super) is_seal: bool,
}

/// The far side; its threads end with their connections.
#[derive(Debug)]
pub(super) struct FrameSink {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
}

impl FrameSink {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let came = Arc::<Mutex<Vec<Came>>>::default();
        let seen = Arc::clone(&came);
        // Waits for connections until the process ends.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Ok(Self { address, came })
    }

    /// Where to send to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every frame so far.
    pub(super) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many frames so far.
    pub(super) fn n_came(&self) -> usize {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The first frame behind so many, once it is there.
    pub(super) fn behind(&self, n_frames: usize) -> Option<Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).get(n_frames).copied()
    }
}

/// Whether a request that begins so ends a file: behind its version stands its type.
fn is_seal(head: &[u8]) -> bool {
    let &[_, high, low] = head else { return false };
    matches!(
        RequestType::from_code(i16::from_be_bytes([high, low])),
        Some(RequestType::TransferTsFileSeal | RequestType::TransferTsFileSealWithMod)
    )
}

/// Answers one connection until it ends, for whatever reason: the sender will say what is wrong.
fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Came>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut decoder = FrameDecoder::new(FrameLimits::default());
    let mut head = Vec::with_capacity(3);
    let mut block = vec![0; READ_BYTES];
    loop {
        let n_read = stream.read(&mut block)?;
        if n_read == 0 {
            return Ok(());
        }
        let mut input = &block[..n_read];
        while let Some(event) = decoder.next(&mut input).map_err(|error| anyhow!("{error}"))? {
            match event {
                FrameEvent::Begin { .. } => head.clear(),
                FrameEvent::Payload(bytes) => {
                    let n_wanted = 3_usize.saturating_sub(head.len()).min(bytes.len());
                    head.extend_from_slice(&bytes[..n_wanted]);
                }
                FrameEvent::End => {
                    let at = Instant::now();
                    let came = Came { at, is_seal: is_seal(&head) };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(came);
                    stream.write_all(&[0])?;
                }
            }
        }
    }
}
