//! Starts the real daemon in a directory of its own and speaks to it as a sender would.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_daemon::control;
use tidegate_wire::Wrap;
use tidegate_wire::frame;

/// Nothing here takes longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const OK: u8 = 0x00;
pub const FAIL: u8 = 0xff;

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-receiver");

/// A directory with a configuration; the daemon in it may be started again and again.
pub struct Site {
    directory: TempDir,
}

impl Site {
    pub fn new(keys: &[(&str, &str)]) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.configure(keys);
        site
    }

    /// Writes the configuration: what every test needs, then `keys` over it. The target is a directory,
    /// whose files can be looked at one by one.
    pub fn configure(&self, keys: &[(&str, &str)]) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut all = BTreeMap::from([
            ("pipe_air_gap_receiver_enabled", "true".to_owned()),
            ("pipe_air_gap_receiver_port", "0".to_owned()),
            ("receiver_bind_address", "127.0.0.1".to_owned()),
            ("receiver_state_dir", path("state")),
            ("receiver_control_socket", path("control")),
            ("receiver_target", "directory".to_owned()),
            ("receiver_directory", path("files")),
            ("receiver_disk_floor_bytes", "0".to_owned()),
        ]);
        all.extend(keys.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let text: String = all.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(self.conf(), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn conf(&self) -> PathBuf {
        self.path("receiver.properties")
    }

    /// Starts the daemon and waits until it listens.
    pub fn start(&self) -> Daemon {
        let mut child = self
            .command("run")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let log = Log::follow(child.stderr.take().unwrap());
        let line = log.wait("listening on ");
        let address = line.rsplit(' ').next().unwrap().parse().ok();
        Daemon { child, log, address, control: self.path("control") }
    }

    /// A subcommand with this site's configuration.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.arg(name).arg("--conf").arg(self.conf());
        command
    }

    pub fn output(&self, name: &str, more: &[&str]) -> Output {
        self.command(name).args(more).output().unwrap()
    }

    /// Stored files by original name, from all manifests, each compared with its line.
    pub fn stored(&self) -> Vec<Stored> {
        let mut found = Vec::new();
        let Ok(origins) = fs::read_dir(self.path("files")) else { return found };
        for origin in origins {
            let origin = origin.unwrap().path();
            let manifest = fs::read_to_string(origin.join("manifest.tsv")).unwrap_or_default();
            for line in manifest.lines() {
                found.push(Stored::read(&origin, line));
            }
        }
        found.sort_by_key(|file| file.sequence);
        found
    }

    /// Their original names, in order of arrival.
    pub fn stored_names(&self) -> Vec<String> {
        self.stored().into_iter().map(|file| file.name).collect()
    }

    /// Contents of the files that no record speaks of.
    pub fn unclaimed(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.path("state/unclaimed")).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }
}

/// A line of a manifest and the file it speaks of.
#[derive(Debug)]
pub struct Stored {
    pub sequence: u64,
    pub origin: String,
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Stored {
    fn read(directory: &Path, line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [sequence, origin, name, length, crc32, sha256, time, stored, _] = fields[..] else {
            panic!("eight fields in {line:?}");
        };
        let bytes = fs::read(directory.join(stored)).unwrap();
        assert_eq!(length, bytes.len().to_string(), "{line}");
        assert_eq!(crc32, format!("{:08x}", crc32fast::hash(&bytes)), "{line}");
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, hex, "{line}");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        assert!(stored.starts_with(&format!("{:012}", sequence.parse::<u64>().unwrap())), "{line}");
        let sequence = sequence.parse().unwrap();
        Self { sequence, origin: origin.to_owned(), name: name.to_owned(), bytes }
    }
}

/// A running daemon; killed when it goes out of scope.
pub struct Daemon {
    child: Child,
    pub log: Log,
    address: Option<SocketAddr>,
    control: PathBuf,
}

impl Daemon {
    pub fn connect(&self) -> Peer {
        self.try_connect().unwrap()
    }

    /// A refusal may come so soon that the connection itself fails.
    pub fn try_connect(&self) -> std::io::Result<Peer> {
        let socket = TcpStream::connect(self.address.expect("it listens"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Peer { socket })
    }

    /// A connection that has greeted as a stock 1.3 sender.
    #[track_caller]
    pub fn greeted(&self) -> Peer {
        self.greeted_as(&handshake(&[]))
    }

    /// A connection on which this handshake was accepted.
    #[track_caller]
    pub fn greeted_as(&self, handshake: &[u8]) -> Peer {
        let mut peer = self.connect();
        assert_eq!(peer.ask(handshake), Some(OK));
        peer
    }

    pub fn status(&self) -> Value {
        let request = control::Request::new("status");
        control::ask(&self.control, &request, PATIENCE).unwrap()
    }

    pub fn gaps(&self) -> Value {
        control::ask(&self.control, &control::Request::new("gaps"), PATIENCE).unwrap()
    }

    /// Asks again until the answer is as wished.
    #[track_caller]
    pub fn wait_status(&self, wish: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wish(&status) {
                return status;
            }
            assert!(Instant::now() < until, "waited in vain: {status:#}");
        }
    }

    /// Waits until the loader has done everything that was accepted.
    #[track_caller]
    pub fn wait_loaded(&self) -> Value {
        self.wait_status(|status| {
            status["keeper"]["durable_sequence"] == status["keeper"]["consumers"]["directory"]
        })
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended and what it logged.
    pub fn terminate(self) -> (ExitStatus, Vec<String>) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        (status, self.log.all())
    }

    /// From now on it may open no more than so many files.
    pub fn limit_descriptors(&self, most: u64) {
        let limit = rustix::process::Rlimit { current: Some(most), maximum: Some(most) };
        let resource = rustix::process::Resource::Nofile;
        rustix::process::prlimit(Some(self.pid()), resource, limit).unwrap();
    }

    /// Anonymous memory that is resident.
    pub fn anonymous_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines a daemon has logged so far.
#[derive(Clone)]
pub struct Log {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    is_complete: bool,
}

impl Log {
    fn follow(stderr: impl Read + Send + 'static) -> Self {
        let log = Self { shared: Arc::default() };
        let shared = Arc::clone(&log.shared);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                shared.0.lock().unwrap().lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().is_complete = true;
            shared.1.notify_all();
        });
        log
    }

    /// The first line that contains `text`.
    #[track_caller]
    pub fn wait(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut guard = self.shared.0.lock().unwrap();
        loop {
            if let Some(line) = guard.lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !guard.is_complete, "no {text:?} in {:#?}", guard.lines);
            guard = self.shared.1.wait_timeout(guard, left).unwrap().0;
        }
    }

    pub fn count(&self, text: &str) -> usize {
        self.shared.0.lock().unwrap().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Everything, once the daemon has closed its end.
    fn all(&self) -> Vec<String> {
        let mut guard = self.shared.0.lock().unwrap();
        while !guard.is_complete {
            guard = self.shared.1.wait(guard).unwrap();
        }
        guard.lines.clone()
    }
}

/// The sending side of one connection.
pub struct Peer {
    pub socket: TcpStream,
}

impl Peer {
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next byte; `None` when the connection ended without one.
    pub fn reply(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply in time: {error}"),
        }
    }

    /// A process that was stopped for a moment goes on with EINTR.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                outcome => return outcome,
            }
        }
    }

    pub fn ask(&mut self, bytes: &[u8]) -> Option<u8> {
        self.send(bytes);
        self.reply()
    }

    /// Breaks the connection off.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// How the connection ends: in order, or with a reset.
    pub fn end(&mut self) -> End {
        match self.read(&mut [0]) {
            Ok(0) => End::InOrder,
            Ok(_) => panic!("a byte that nobody asked for"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("still open: {error}"),
        }
    }

    /// Sends a whole file in pieces of `piece_bytes` and seals it; the last reply.
    pub fn file(&mut self, name: &str, content: &[u8], piece_bytes: usize) -> Option<u8> {
        let mut offset = 0;
        for bytes in content.chunks(piece_bytes) {
            assert_eq!(self.ask(&piece(4, name, offset, bytes)), Some(OK));
            offset += bytes.len() as i64;
        }
        self.ask(&seal(name, offset))
    }
}

/// The end of a connection.
#[derive(Debug, Eq, PartialEq)]
pub enum End {
    InOrder,
    Reset,
}

pub fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_frame(payload, Wrap::None, &mut out).unwrap();
    out
}

pub fn request(type_code: i16, body: &[u8]) -> Vec<u8> {
    framed(&[&[1][..], &type_code.to_be_bytes(), body].concat())
}

pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes()[..], text].concat()
}

/// A V2 handshake of a stock sender; the pairs replace or add to what it says.
pub fn handshake(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut map = BTreeMap::from([("clusterID", "that-side"), ("timestampPrecision", "ms")]);
    map.extend(changes.iter().copied());
    let mut body = (map.len() as i32).to_be_bytes().to_vec();
    for (key, value) in map {
        body.extend(string(key.as_bytes()));
        body.extend(string(value.as_bytes()));
    }
    request(51, &body)
}

/// A handshake of a Tidegate.
pub fn tidegate(stream: &str, epoch: u64) -> Vec<u8> {
    let epoch = epoch.to_string();
    handshake(&[
        ("tidegate.sender", "plant"),
        ("tidegate.stream", stream),
        ("tidegate.epoch", &epoch),
    ])
}

pub fn piece(type_code: i16, name: &str, offset: i64, bytes: &[u8]) -> Vec<u8> {
    let body = [string(name.as_bytes()), offset.to_be_bytes().to_vec(), string(bytes)].concat();
    request(type_code, &body)
}

pub fn seal(name: &str, length: i64) -> Vec<u8> {
    request(5, &[string(name.as_bytes()), length.to_be_bytes().to_vec()].concat())
}

/// A seal of a 2.0 sender for a file of a table-model database.
pub fn seal_in(name: &str, length: i64, database: &str) -> Vec<u8> {
    let one = 1_i32.to_be_bytes().to_vec();
    let key = string(format!("DATABASE_NAME_{name}").as_bytes());
    let parameters = [one.clone(), key, string(database.as_bytes())].concat();
    let names = [one.clone(), string(name.as_bytes())].concat();
    let lengths = [one, length.to_be_bytes().to_vec()].concat();
    request(9, &[names, lengths, parameters].concat())
}

/// A config plan: accepted, kept, not applied.
pub fn config_plan() -> Vec<u8> {
    request(200, &[0, 1, 2, 3])
}

/// Bytes with the two ends of a TsFile.
pub fn ts_file(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length.max(19)];
    random.fill(&mut bytes);
    bytes[..7].copy_from_slice(b"TsFile\x03");
    let at = bytes.len() - 10;
    bytes[at..].copy_from_slice(b"\0\0\0\x02TsFile");
    bytes
}

/// One recorded connection between two real IoTDBs.
pub struct Conversation {
    pub up: Vec<u8>,
    pub down: Vec<u8>,
}

/// The connections of one capture, such as `1.2.2/airgap-tsfile-small`.
pub fn capture(name: &str) -> Vec<Conversation> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/wire/tests/data").join(name);
    let zipped = fs::read(case.join("trace.bin.gz")).unwrap();
    let mut trace = Vec::new();
    flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut trace).unwrap();
    let index = fs::read(case.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let mut streams: BTreeMap<u64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
    for event in index["events"].as_array().unwrap() {
        let at = |key: &str| event[key].as_u64().unwrap() as usize;
        let bytes = &trace[at("off")..at("off") + at("len")];
        let (up, down) = streams.entry(at("conn") as u64).or_default();
        match event["dir"].as_str().unwrap() {
            "c2s" => up.extend_from_slice(bytes),
            "s2c" => down.extend_from_slice(bytes),
            _ => {}
        }
    }
    streams.into_values().map(|(up, down)| Conversation { up, down }).collect()
}
