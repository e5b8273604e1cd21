//! One lane's socket: connecting from an allowed port, writing a frame, hearing a byte.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::net::TcpStream;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;
use tidegate_config::SendPort;
use tidegate_wire::Wrap;
use tidegate_wire::frame;
use tidegate_wire::frame::PayloadTooLarge;

/// A connection, or one that is being made.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    local_port: Option<u16>,
    out: Option<Outgoing>,
}

/// A frame being written.
pub(crate) struct Outgoing {
    /// Wrap, header and payload head, or the whole payload.
    pub(crate) head: Vec<u8>,
    /// The file's bytes.
    pub(crate) data: Vec<u8>,
    /// End of the wrap.
    pub(crate) suffix: &'static [u8],
    /// Bytes that have left.
    pub(crate) written: usize,
}

/// How far a write got.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Wrote {
    /// Nothing: the buffer is full.
    Nothing,
    /// Some, not all.
    Some,
    /// The rest.
    All,
}

/// What a line heard.
#[derive(Debug)]
pub(crate) enum LineHeard {
    Nothing,
    Bytes(Vec<u8>),
    Eof,
    Broken(String),
}

/// Bytes read at once: one is expected, the rest only proves that something is wrong.
const READ_BYTES: usize = 64;
/// Source ports tried for one call, in one turn of the loop; the next call goes on behind them.
const PORTS_PER_CALL_MAX: usize = 64;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

impl Line {
    /// Begins to connect.
    pub(crate) fn connect(
        registry: &Registry,
        token: Token,
        peer: SocketAddr,
        bind_address: Option<IpAddr>,
        local_port: Option<u16>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_keepalive(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
        // A frame is one write; nothing is gained by holding its tail back.
        socket.set_tcp_nodelay(true)?;
        if bind_address.is_some() || local_port.is_some() {
            let any = match peer {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            socket.set_reuse_address(true)?;
            let local = SocketAddr::new(bind_address.unwrap_or(any), local_port.unwrap_or(0));
            socket.bind(&local.into())?;
        }
        match socket.connect(&peer.into()) {
            Ok(()) => (),
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, local_port, out: None })
    }

    /// The local port that was asked for.
    pub(crate) fn local_port(&self) -> Option<u16> {
        self.local_port
    }

    /// Whether the connection is there: `None` while it is being made.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        match self.stream.take_error() {
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
            Ok(None) => (),
        }
        match self.stream.peer_addr() {
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Takes a frame to be written.
    pub(crate) fn put(&mut self, out: Outgoing) {
        assert!(self.out.is_none(), "one frame at a time");
        self.out = Some(out);
    }

    /// Whether a frame is being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.out.is_some()
    }

    /// Drops the frame being written and gives its buffer back.
    pub(crate) fn take_back(&mut self) -> Option<Vec<u8>> {
        self.out.take().map(|out| out.data)
    }

    /// Writes as much as the send buffer takes.
    pub(crate) fn write(&mut self) -> io::Result<Wrote> {
        let Some(out) = &mut self.out else { return Ok(Wrote::Nothing) };
        let before = out.written;
        loop {
            let slices = out.rest();
            match self.stream.write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => out.written += n_bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(if out.written == before { Wrote::Nothing } else { Wrote::Some });
                }
                Err(error) => return Err(error),
            }
            if out.written == out.len() {
                return Ok(Wrote::All);
            }
        }
    }

    /// Reads what is there.
    pub(crate) fn hear(&mut self) -> LineHeard {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return LineHeard::Eof,
                Ok(n_bytes) => return LineHeard::Bytes(buffer[..n_bytes].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return LineHeard::Nothing;
                }
                Err(error) => return LineHeard::Broken(error.to_string()),
            }
        }
    }

    /// Ends the connection by RST: nothing of it lives on, and its local port is free at once.
    pub(crate) fn reset(mut self, registry: &Registry) {
        // What fails here fails because the connection is gone, which is what is wanted.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        let _ = registry.deregister(&mut self.stream);
    }

    /// Ends the connection in order.
    pub(crate) fn close(mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
    }
}

impl Outgoing {
    /// The frame of a whole request.
    pub(crate) fn of_payload(payload: &[u8], wrap: Wrap) -> Result<Self, PayloadTooLarge> {
        let mut data = Vec::new();
        frame::encode_frame(payload, wrap, &mut data)?;
        Ok(Self { head: Vec::new(), data, suffix: &[], written: 0 })
    }

    fn len(&self) -> usize {
        self.head.len() + self.data.len() + self.suffix.len()
    }

    fn rest(&self) -> [IoSlice<'_>; 3] {
        let mut skip = self.written;
        [self.head.as_slice(), self.data.as_slice(), self.suffix].map(|part| {
            let from = skip.min(part.len());
            skip -= from;
            IoSlice::new(&part[from..])
        })
    }
}

impl fmt::Debug for Outgoing {
    /// Leaves the bytes out: a handshake holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({} of {} bytes)", self.written, self.len())
    }
}

/// The ports that a pipe's connections may come from, in the order they are tried.
pub(crate) fn allowed_ports(rule: &SendPort) -> Option<Vec<u16>> {
    match rule {
        SendPort::Random => None,
        SendPort::Range { min, max } => Some((*min..=*max).collect()),
        SendPort::Candidate(ports) => Some(ports.clone()),
    }
}

/// The ports to try for one call, beginning with the one at `next`; those of other connections and
/// what is more than a turn of the loop may try are left out.
pub(crate) fn ports_to_try(ports: &[u16], next: usize, in_use: &[u16]) -> Vec<u16> {
    let Some(first) = next.checked_rem(ports.len()) else { return Vec::new() };
    let (before, behind) = ports.split_at(first);
    let order = behind.iter().chain(before).copied();
    order.filter(|port| !in_use.contains(port)).take(PORTS_PER_CALL_MAX).collect()
}

/// Whether a call that failed at once may do better from another port. An address that is not there
/// counts, for the system says so too when all of a port's ways to the peer are taken.
pub(crate) fn concerns_the_port(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::AddrInUse | Kind::AddrNotAvailable | Kind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_tries_a_bounded_number_of_ports_and_the_next_one_goes_on_behind_them() {
        let ports: Vec<u16> = (1000..1000 + 3 * PORTS_PER_CALL_MAX as u16).collect();
        assert_eq!(ports_to_try(&ports[..3], 4, &[1002]), [1001, 1000]);
        assert_eq!(ports_to_try(&[], 4, &[]), [0; 0]);
        let mut tried = Vec::new();
        for _ in 0..3 {
            let now = ports_to_try(&ports, tried.len(), &[]);
            assert_eq!(now.len(), PORTS_PER_CALL_MAX);
            tried.extend(now);
        }
        assert_eq!(tried, ports);
    }

    #[test]
    fn only_errors_about_the_port_lead_to_another() {
        use rustix::io::Errno;
        let concerns = |errno: Errno| concerns_the_port(&errno.into());
        assert!([Errno::ADDRINUSE, Errno::ADDRNOTAVAIL, Errno::ACCESS].map(concerns) == [true; 3]);
        let others = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::CONNREFUSED, Errno::MFILE];
        assert!(others.map(concerns) == [false; 4]);
    }

    #[test]
    fn whatever_the_socket_takes_at_once_the_frame_leaves_whole_and_in_order() {
        let whole: Vec<u8> = (0..20).collect();
        for stride in 1..=20 {
            let mut out = Outgoing {
                head: whole[..7].to_vec(),
                data: whole[7..15].to_vec(),
                suffix: &[15, 16, 17, 18, 19],
                written: 0,
            };
            let mut seen = Vec::new();
            while out.written < out.len() {
                let rest: Vec<u8> = out.rest().iter().flat_map(|part| part.to_vec()).collect();
                let taken = stride.min(rest.len());
                seen.extend_from_slice(&rest[..taken]);
                out.written += taken;
            }
            assert_eq!(seen, whole, "{stride} bytes at a time");
        }
    }
}
