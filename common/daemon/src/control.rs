//! The control socket: a command on one line of JSON, an answer on one line of JSON.
//!
//! One thread answers one connection after the other, each within [`EXCHANGE_TIME_MAX`], so that a
//! stuck client delays the next one and nothing else. Who may connect is a matter of the socket's
//! mode (0660) and its directory. The server must be started after the state directory is locked:
//! only then is a socket that nobody answers on known to be left behind.

use core::fmt;
use std::fs;
use std::fs::DirBuilder;
use std::fs::Permissions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// Longest request line, its end included.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Longest answer line, its end included.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reading a request may take this long, and so may writing its answer.
pub const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(2);

/// Pause after the system refuses a connection, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes taken from a socket at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// A command with its arguments: `{"command":"status","pipe":"plant1"}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs)] // the whole line
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Everything else on the line.
    #[serde(flatten)]
    pub arguments: Map<String, Value>,
}

impl Request {
    /// A command without arguments.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), arguments: Map::new() }
    }

    /// The same command with one argument more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.to_owned(), value.into());
        self
    }
}

/// What a handler answers: a value, or what is wrong with the request.
pub type Answer = Result<Value, String>;

/// The answer line: `{"ok":…}` or `{"error":"…"}`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum AnswerLine {
    Ok(Value),
    Error(String),
}

/// Answers commands until it is dropped, which also removes the socket.
#[derive(Debug)]
pub struct ControlServer {
    path: PathBuf,
    listener: Arc<UnixListener>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens at `path`, whose directory is made if it does not exist (mode 0750). `handler` runs
    /// on the server's thread; it must answer in bounded time.
    ///
    /// # Errors
    /// Something answers there already, the path is no socket, or the system refuses.
    pub fn spawn(
        path: &Path,
        handler: impl FnMut(Request) -> Answer + Send + 'static,
    ) -> Result<Self, ListenError> {
        let io_error = |source| ListenError::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(io_error)?;
        }
        remove_stale(path)?;
        let listener = Arc::new(UnixListener::bind(path).map_err(io_error)?);
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(io_error)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (at, until) = (Arc::clone(&listener), Arc::clone(&stopped));
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&at, &until, handler))
            .map_err(io_error)?;
        Ok(Self { path: path.to_owned(), listener, stopped, thread: Some(thread) })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // First the name, so that a new client is told at once that nobody is there.
        let _ = fs::remove_file(&self.path);
        // Wakes `accept`; without it the thread could not be joined.
        let woken = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if let (Ok(()), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Removes a socket that nobody answers on, and nothing else.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let io_error = |source| ListenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(error)),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => (),
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io_error)
        }
        Err(error) => Err(io_error(error)),
    }
}

fn serve(
    listener: &UnixListener,
    stopped: &AtomicBool,
    mut handler: impl FnMut(Request) -> Answer,
) {
    loop {
        let accepted = listener.accept();
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = exchange(&stream, &mut handler) {
                    tracing::debug!(%error, "control connection failed");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "control connection not accepted");
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

/// One request, one answer.
fn exchange(stream: &UnixStream, handler: &mut impl FnMut(Request) -> Answer) -> io::Result<()> {
    let answer = match read_line(stream, REQUEST_BYTES_MAX, EXCHANGE_TIME_MAX)? {
        Line::Whole(line) => match serde_json::from_slice::<Request>(&line) {
            Ok(request) => handler(request),
            Err(error) => Err(format!("expected a request as JSON on one line: {error}")),
        },
        Line::TooLong => Err(format!("expected a request of at most {REQUEST_BYTES_MAX} bytes")),
        Line::Cut => return Ok(()),
    };
    let answer = match answer {
        Ok(value) => AnswerLine::Ok(value),
        Err(message) => AnswerLine::Error(message),
    };
    let mut line = serde_json::to_vec(&answer)?;
    if line.len() >= ANSWER_BYTES_MAX {
        let message = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
        line = serde_json::to_vec(&AnswerLine::Error(message))?;
    }
    line.push(b'\n');
    write_all(stream, &line, EXCHANGE_TIME_MAX)
}

/// What came before the end of a line.
enum Line {
    /// The other side closed inside the line.
    Cut,
    /// More bytes than allowed.
    TooLong,
    /// The line without its end.
    Whole(Vec<u8>),
}

/// Reads one line; the time is for all of it, not for each byte.
fn read_line(mut stream: &UnixStream, bytes_max: usize, time_max: Duration) -> io::Result<Line> {
    let deadline = Instant::now() + time_max;
    let mut line: Vec<u8> = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let n_read = match stream.read(&mut chunk) {
            Ok(0) => return Ok(Line::Cut),
            Ok(n_read) => n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(timed_out(error)),
        };
        let read = chunk.get(..n_read).unwrap_or_default();
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = read.get(..end.unwrap_or(n_read)).unwrap_or_default();
        if line.len().saturating_add(part.len()) >= bytes_max {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(part);
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

fn write_all(mut stream: &UnixStream, mut bytes: &[u8], time_max: Duration) -> io::Result<()> {
    let deadline = Instant::now() + time_max;
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(remaining(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n_written) => bytes = bytes.get(n_written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(timed_out(error)),
        }
    }
    Ok(())
}

/// Time left, never zero: the system reads zero as no limit.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// A socket's own time-out comes as `WouldBlock`.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// Asks the daemon at `path`; `time_max` is for the whole answer.
///
/// # Errors
/// Nobody is there, no answer in time, or the daemon refuses the request.
pub fn ask(path: &Path, request: &Request, time_max: Duration) -> Result<Value, AskError> {
    let io_error = |source: io::Error| AskError::Io { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning { path: path.to_owned() }
        }
        io::ErrorKind::PermissionDenied => AskError::NotAllowed { path: path.to_owned() },
        _ => io_error(source),
    })?;
    let mut line = serde_json::to_vec(request).map_err(|error| io_error(error.into()))?;
    line.push(b'\n');
    if line.len() > REQUEST_BYTES_MAX {
        let message = format!("expected a request of at most {REQUEST_BYTES_MAX} bytes");
        return Err(AskError::Refused { message });
    }
    write_all(&stream, &line, time_max).map_err(io_error)?;
    let line = match read_line(&stream, ANSWER_BYTES_MAX, time_max) {
        Ok(Line::Whole(line)) => line,
        Ok(Line::Cut | Line::TooLong) => {
            return Err(AskError::Malformed { path: path.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(AskError::NoAnswer { path: path.to_owned(), time_max });
        }
        Err(error) => return Err(io_error(error)),
    };
    match serde_json::from_slice(&line) {
        Ok(AnswerLine::Ok(value)) => Ok(value),
        Ok(AnswerLine::Error(message)) => Err(AskError::Refused { message }),
        Err(_) => Err(AskError::Malformed { path: path.to_owned() }),
    }
}

/// Why the control socket was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// Something answers there already.
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The system refuses.
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else has that name and is left alone.
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => {
                write!(f, "control socket {}: another daemon answers there", path.display())
            }
            Self::Io { path, source } => write!(f, "control socket {}: {source}", path.display()),
            Self::NotASocket { path } => write!(
                f,
                "control socket {}: expected a socket or nothing, but found another file",
                path.display(),
            ),
        }
    }
}

impl std::error::Error for ListenError {}

/// Why a daemon gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AskError {
    /// The connection broke.
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The answer is none of ours.
    Malformed {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon is there and silent.
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        time_max: Duration,
    },
    /// The socket's mode keeps this user out.
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// Nobody listens.
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon answers that it will not.
    Refused {
        /// Its reason.
        message: String,
    },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "control socket {}: {source}", path.display()),
            Self::Malformed { path } => write!(
                f,
                "control socket {}: expected an answer as JSON on one line, but found another",
                path.display(),
            ),
            Self::NoAnswer { path, time_max } => write!(
                f,
                "control socket {}: the daemon gave no answer within {} s",
                path.display(),
                time_max.as_secs_f32(),
            ),
            Self::NotAllowed { path } => write!(
                f,
                "control socket {}: permission denied; only the daemon's user and group may ask it",
                path.display(),
            ),
            Self::NotRunning { path } => write!(
                f,
                "control socket {}: nobody listens; is the daemon running, with this socket in its \
                 configuration?",
                path.display(),
            ),
            Self::Refused { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for AskError {}
