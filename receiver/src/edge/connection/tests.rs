//! One connection by itself, with the threads behind it played by the test.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use tidegate_config::DiskFullPolicy;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::Wrap;
use tidegate_wire::frame;
use tidegate_wire::request::HandshakeV2;

use super::super::Stats;
use super::super::tests::config;
use super::*;
use crate::buffers::Pool;
use crate::buffers::Released;
use crate::disk::DiskGuard;
use crate::ingest::Ingest;
use crate::keeper::KeeperOp;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_frame(payload, Wrap::None, &mut out).unwrap();
    out
}

fn handshake() -> Vec<u8> {
    let said = [("clusterID", "that-side"), ("timestampPrecision", "ms")];
    let mut payload = Vec::new();
    let request = Request::HandshakeV2(HandshakeV2::new(&said));
    Payload::from(request).encode(&mut payload).unwrap();
    framed(&payload)
}

/// It stopped to count with its connection: peers that came, sent one and went filled memory while a
/// disk was slow.
#[test]
fn a_request_counts_until_the_keeper_lets_go_of_it_whatever_becomes_of_its_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, peer) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let session = ReceivingSession::new(Time::from_micros(1), Arc::new(config()));
    let mut connection = Connection::new(7, peer, TcpStream::from_std(socket), session);

    let (writer, _writer_ops) = channel();
    let (keeper, keeper_ops) = channel();
    let given_back = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&given_back);
    let request_released: Released = Arc::new(move |id, n| told.lock().unwrap().push((id, n)));
    let released: Released = Arc::new(|_, _| {});
    let (mut total_in_flight_bytes, mut request_bytes) = (0, 0);
    let directory = tempfile::tempdir().unwrap();
    let mut context = Context {
        now: Time::from_micros(2),
        ingest: &Ingest::new(writer, keeper),
        pool: &Arc::new(Pool::default()),
        released: &released,
        request_released: &request_released,
        guard: &DiskGuard::new(directory.path().to_owned(), 0, DiskFullPolicy::Withhold),
        stats: &mut Stats::default(),
        in_flight_bytes_max: 1 << 20,
        total_in_flight_bytes: &mut total_in_flight_bytes,
        request_bytes: &mut request_bytes,
        log: &mut RateLimited::new(1),
    };
    client.write_all(&handshake()).unwrap();
    let (token, hello) = loop {
        connection.is_readable = true;
        if let Flow::Greet(token, hello) = connection.turn(&mut context) {
            break (token, hello);
        }
    };
    connection.hello = Some(Arc::new(hello));
    connection.outcome(token.as_u64(), Verdict::Accepted, &mut context);
    // a plan of a ConfigNode
    let request = [&[1, 0, 200][..], &[0; 5000]].concat();
    client.write_all(&framed(&request)).unwrap();
    let kept = loop {
        connection.is_readable = true;
        connection.turn(&mut context);
        if let Some(op @ KeeperOp::Submit(_)) = keeper_ops.try_iter().last() {
            break op;
        }
    };
    assert_eq!(*context.request_bytes, request.len());
    connection.end(&mut context);
    assert_eq!(*context.request_bytes, request.len(), "the keeper still has it");
    assert!(given_back.lock().unwrap().is_empty());
    drop(kept);
    assert_eq!(*given_back.lock().unwrap(), [(7, request.len())]);
}
