//! The loop by itself, turn by turn.

use std::net::TcpStream;
use std::sync::mpsc::channel;

use tidegate_config::DiskFullPolicy;

use super::*;

pub(super) fn config() -> ReceivingConfig {
    let (time, text) = (Duration::from_secs(60), String::from("root"));
    ReceivingConfig {
        max_payload_bytes: 1 << 20,
        max_request_bytes: 1 << 20,
        max_unfinished_files: 4,
        withhold_tablet: time,
        withhold_file: time,
        idle_close: time,
        accept_v1: true,
        own_cluster_id: String::from("this-side"),
        user: text.clone(),
        password: text,
        listener_name: String::from("air-gap"),
    }
}

/// A loop that has `n_connections`, whose other ends come with it.
fn edge(n_connections: usize) -> (Edge, Vec<TcpStream>) {
    let nobody: Released = Arc::new(|_, _| {});
    let (_messages_in, messages) = channel();
    let (_fatals_in, fatals) = channel();
    let ports = EdgePorts {
        poll: Poll::new().unwrap(),
        messages,
        fatals,
        ingest: Ingest::new(channel().0, channel().0),
        pool: Arc::default(),
        released: Arc::clone(&nobody),
        request_released: nobody,
        guard: Arc::new(DiskGuard::new("/".into(), 0, DiskFullPolicy::Withhold)),
    };
    let settings = Settings {
        session: Arc::new(config()),
        allow_list: AllowList::default(),
        connections_max: 8,
        in_flight_bytes_max: 1 << 20,
    };
    let mut edge = Edge::new(ports, settings, None, 1).unwrap();
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = |_| {
        let client = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let (socket, peer) = door.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        edge.add(mio::net::TcpStream::from_std(socket), peer);
        client
    };
    let clients = (0..n_connections).map(connect).collect();
    edge.ready.clear();
    (edge, clients)
}

/// At its bound each release made all of them look, in vain.
#[test]
fn all_connections_read_on_when_there_is_memory_again_and_not_before() {
    let (mut edge, _clients) = edge(3);
    edge.total_in_flight_bytes = TOTAL_IN_FLIGHT_BYTES_MAX + 10;
    // of a connection that has gone
    for (bytes, n_ready) in [(1, 0), (9, 0), (1, 3), (1, 0)] {
        edge.released(0, bytes);
        let total = edge.total_in_flight_bytes;
        assert_eq!(edge.ready.drain(..).count(), n_ready, "{bytes} released, {total} left");
    }
}
