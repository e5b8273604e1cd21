//! The gateway simulator with real sockets: what a sender and a receiver see of it. Every wait is a
//! time-out on a socket.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use socket2::SockRef;

use tidegate_tests::gateway;
use tidegate_tests::gateway::Config;
use tidegate_tests::gateway::Cut;
use tidegate_tests::gateway::Handle;
use tidegate_tests::gateway::PortSet;
use tidegate_tests::gateway::Profile;
use tidegate_tests::gateway::Refusal;
use tidegate_tests::gateway::Rules;
use tidegate_tests::gateway::Stats;

/// Longer than anything here takes on a loaded machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    (listener, addr)
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a read time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write time-out");
    stream
}

fn connect(gateway: &Handle) -> TcpStream {
    patient(TcpStream::connect_timeout(&gateway.addr(), PATIENCE).expect("the inner side accepts"))
}

fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().expect("the gateway calls").0)
}

fn start(target: SocketAddr, rules: Rules) -> Handle {
    let config = Config { rules, ..Config::loopback(Profile::Syskeeper2000Forward, target) };
    gateway::spawn(config).expect("a gateway on loopback")
}

fn read_exactly(stream: &mut TcpStream, n_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; n_bytes];
    stream.read_exact(&mut bytes).expect("bytes");
    bytes
}

#[track_caller]
fn assert_reset(mut stream: TcpStream) {
    let error = stream.read(&mut [0; 8]).expect_err("a reset, not bytes or an end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// A refused connection may be reset before the call that opened it returns, or after.
#[track_caller]
fn assert_refused(gateway: &Handle) {
    match TcpStream::connect_timeout(&gateway.addr(), PATIENCE) {
        Ok(stream) => assert_reset(patient(stream)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

#[track_caller]
fn wait_until(gateway: &Handle, what: &str, is_so: impl Fn(&Stats) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(&gateway.stats().expect("counters")) {
        assert!(Instant::now() < deadline, "never seen: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn one_byte_returns_and_a_second_resets_both_sides() {
    let (outer, target) = listener();
    let gateway = start(target, Rules::new(Profile::Syskeeper2000Forward));
    let mut sender = connect(&gateway);
    let mut receiver = accept(&outer);
    for reply in [0x00, 0xff] {
        sender.write_all(b"request").expect("a request");
        assert_eq!(read_exactly(&mut receiver, 7), b"request");
        receiver.write_all(&[reply]).expect("a reply");
        assert_eq!(read_exactly(&mut sender, 1), [reply]);
    }
    receiver.write_all(&[0x00]).expect("an unsolicited byte");
    assert_reset(sender);
    assert_reset(receiver);
    let stats = gateway.stop().expect("counters");
    assert_eq!((stats.connections, stats.open, stats.requests), (1, 0, 2));
    assert_eq!((stats.bytes_forward, stats.cut(Cut::SecondByte)), (14, 1));
    assert_eq!((stats.bytes_back.zeros, stats.bytes_back.ones), (1, 1));
}

#[test]
fn it_accepts_while_the_outer_host_is_down_and_delivers_once_it_is_up() {
    let (outer, target) = listener();
    drop(outer);
    let outer_retry = Duration::from_millis(5);
    let gateway = start(target, Rules { outer_retry, ..Rules::new(Profile::Syskeeper2000Forward) });
    let mut sender = connect(&gateway);
    sender.write_all(b"request").expect("a request");
    wait_until(&gateway, "the outer host is tried again", |stats| 3 <= stats.outer_failures);
    sender.set_nonblocking(true).expect("no waiting");
    let silence = sender.read(&mut [0]).expect_err("nothing to read");
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    sender.set_nonblocking(false).expect("waiting");

    let outer = TcpListener::bind(target).expect("the same port again");
    let mut receiver = accept(&outer);
    assert_eq!(read_exactly(&mut receiver, 7), b"request");
    receiver.write_all(&[0x00]).expect("a reply");
    assert_eq!(read_exactly(&mut sender, 1), [0x00]);
}

#[test]
fn ends_pass_through_in_both_directions() {
    let (outer, target) = listener();
    let gateway = start(target, Rules::new(Profile::Syskeeper2000Forward));
    let mut sender = connect(&gateway);
    let mut receiver = accept(&outer);
    sender.write_all(b"request").expect("a request");
    sender.shutdown(Shutdown::Write).expect("a half close");
    let mut request = Vec::new();
    receiver.read_to_end(&mut request).expect("an orderly end");
    assert_eq!(request, b"request");
    receiver.write_all(&[0xff]).expect("a reply to a half-closed peer");
    drop(receiver);
    let mut reply = Vec::new();
    sender.read_to_end(&mut reply).expect("an orderly end");
    assert_eq!(reply, [0xff]);
    wait_until(&gateway, "the connection is forgotten", |stats| stats.open == 0);
    let stats = gateway.stop().expect("counters");
    assert_eq!((stats.host_resets, stats.cuts.len()), (0, 0));
}

#[test]
fn a_reset_by_the_sender_is_noticed_even_when_everything_is_full() {
    let (outer, target) = listener();
    let rules = Rules { frame_bytes_max: None, ..Rules::new(Profile::Syskeeper2000Forward) };
    let gateway = start(target, rules);
    let mut sender = connect(&gateway);
    let receiver = accept(&outer);
    // Nobody reads: fill until no byte moves any more.
    sender.set_write_timeout(Some(Duration::from_millis(200))).expect("a write time-out");
    while sender.write(&[7; 1 << 16]).is_ok() {}
    SockRef::from(&sender).set_linger(Some(Duration::ZERO)).expect("close by reset");
    drop(sender);
    wait_until(&gateway, "the reset", |stats| stats.host_resets == 1 && stats.open == 0);
    drop(receiver);
}

#[test]
fn a_restart_and_a_forbidden_port_reset() {
    let (outer, target) = listener();
    let gateway = start(target, Rules::new(Profile::Syskeeper2000Forward));
    let sender = connect(&gateway);
    let receiver = accept(&outer);
    gateway.restart(PATIENCE * 10).expect("a running gateway");
    assert_reset(sender);
    assert_reset(receiver);
    assert_refused(&gateway);
    let stats = gateway.stop().expect("counters");
    assert_eq!((stats.cut(Cut::Restart), stats.refused(Refusal::Restarting)), (1, 1));

    let source_ports = PortSet::parse("1").expect("a port nobody connects from");
    let gateway = start(target, Rules { source_ports, ..Rules::new(Profile::PlainTcp) });
    assert_refused(&gateway);
    assert_eq!(gateway.stop().expect("counters").refused(Refusal::SourcePort), 1);
}

/// Some 64 MiB in requests of odd sizes, over four connections at a time, each byte compared.
#[test]
fn streams_arrive_whole_and_apart() {
    const REQUESTS: usize = 16;
    let (outer, target) = listener();
    let gateway = start(target, Rules::new(Profile::Syskeeper2000Forward));
    let request = |lane: u8, i: usize| vec![lane; (1 << 20) - i * 4099];
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let mut sender = connect(&gateway);
            scope.spawn(move || {
                for i in 0..REQUESTS {
                    sender.write_all(&request(lane, i)).expect("a request");
                    assert_eq!(read_exactly(&mut sender, 1), [0x00]);
                }
            });
            let mut receiver = accept(&outer);
            scope.spawn(move || {
                let mut lane = None;
                for i in 0..REQUESTS {
                    let first = read_exactly(&mut receiver, 1)[0];
                    assert_eq!(*lane.get_or_insert(first), first, "two streams are mixed");
                    let rest = read_exactly(&mut receiver, request(0, i).len() - 1);
                    assert!(rest == request(first, i)[1..], "lane {first}, request {i}");
                    receiver.write_all(&[0x00]).expect("a reply");
                }
            });
        }
    });
    let stats = gateway.stop().expect("counters");
    assert_eq!((stats.requests, stats.bytes_back.zeros), (64, 64));
    assert_eq!(stats.cuts.len(), 0);
}

#[test]
fn a_taken_port_is_an_error_at_the_start() {
    let (_outer, target) = listener();
    let config = Config { listen: target, ..Config::loopback(Profile::PlainTcp, target) };
    let error = gateway::spawn(config).err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}
