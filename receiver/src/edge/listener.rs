//! Who gets in: bind address, allow-list, number of connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use mio::net::TcpStream;
use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;

use super::ACCEPT_PAUSE;
use super::Connection;
use super::Edge;
use super::connection::Place;
use super::warn;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 256;
/// Accepted in one turn at most.
const ACCEPTS_PER_TURN: usize = 64;
/// A silent peer is asked after this time whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// It is given up when it has not answered so often.
const KEEPALIVES: u32 = 3;

/// Listens at `address`.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // a restart must not wait for connections of the run before
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Edge {
    /// Takes in who waits at the door.
    pub(super) fn accept(&mut self) {
        if !self.is_listener_ready {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_listener_ready = false;
                    return;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    // no descriptors left, most likely: those waiting stay in the kernel
                    warn(&mut self.log, "accept", format_args!("cannot accept: {error}"));
                    self.is_listener_ready = false;
                    self.accept_again = Some(self.now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        // more may wait: the next turn comes at once
        self.ready.push_back(usize::MAX);
    }

    fn admit(&mut self, socket: TcpStream, peer: SocketAddr) {
        let refusal = match () {
            () if !self.settings.allow_list.admits(peer.ip()) => "not in receiver_allow_list",
            () if self.connections.len() >= self.settings.connections_max && !self.make_room() => {
                "as many connections as receiver_connections_max are open"
            }
            () => {
                configure(&socket);
                self.add(socket, peer);
                return;
            }
        };
        self.stats.refused = self.stats.refused.saturating_add(1);
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        let kind = format!("door {}", peer.ip());
        warn(
            &mut self.log,
            &kind,
            format_args!("connection refused: peer={peer} reason={refusal}"),
        );
    }
}

impl Edge {
    /// Ends a connection that is over already, or else one that never greeted, or else the one that
    /// has been silent for longest; `false` if none has been for long.
    ///
    /// A gateway that restarts leaves connections behind of which neither side hears any more. They
    /// must not keep the sender out until they time out. One that is alive loses nothing: its
    /// sender takes a reset for a lost connection and calls again.
    fn make_room(&mut self) -> bool {
        let now = self.now();
        let place = |(key, it): (usize, &Connection)| Some((it.place()?, key));
        let Some((place, key)) = self.connections.iter().filter_map(place).min() else {
            return false;
        };
        let Some(connection) = self.connections.get(key) else { return false };
        let (peer, most) = (connection.peer, self.settings.connections_max);
        match place {
            Place::Closing { .. } => {
                let line = format_args!(
                    "closing connection ended to make room: peer={peer} receiver_connections_max={most}"
                );
                warn(&mut self.log, "crowded by closing", line);
            }
            Place::Silent { until } if until > now => return false,
            Place::Silent { .. } => {
                let line = format_args!(
                    "silent connection ended to make room: peer={peer} receiver_connections_max={most}"
                );
                warn(&mut self.log, "crowded", line);
            }
            Place::Stranger { .. } => {
                let line = format_args!(
                    "connection without a handshake ended to make room: peer={peer} \
                     receiver_connections_max={most}"
                );
                warn(&mut self.log, "crowded by strangers", line);
            }
        }
        connection.reset();
        self.remove(key, None);
        true
    }
}

/// One byte must not wait for another, and a dead peer must be noticed. Without these options the
/// connection still works.
fn configure(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(KEEPALIVES);
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
}
