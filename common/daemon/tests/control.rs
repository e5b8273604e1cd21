//! The control socket as a client and as an intruder see it.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tidegate_daemon::control::ANSWER_BYTES_MAX;
use tidegate_daemon::control::Answer;
use tidegate_daemon::control::AskError;
use tidegate_daemon::control::ControlServer;
use tidegate_daemon::control::ListenError;
use tidegate_daemon::control::REQUEST_BYTES_MAX;
use tidegate_daemon::control::Request;
use tidegate_daemon::control::ask;

const PATIENCE: Duration = Duration::from_secs(20);

fn socket() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/tidegate.sock");
    (dir, path)
}

fn handler(request: Request) -> Answer {
    match request.command.as_str() {
        "status" => Ok(json!({ "pipes": request.arguments })),
        "huge" => Ok(json!("x".repeat(ANSWER_BYTES_MAX))),
        "large" => Ok(json!("x".repeat(ANSWER_BYTES_MAX - 20))),
        other => Err(format!("unknown command {other:?}")),
    }
}

/// Sends bytes as they are and reads the answer line.
fn raw(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    // The server may have heard enough before everything is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_command_is_answered_with_its_arguments_and_the_socket_is_closed_to_others() {
    let (_dir, path) = socket();
    let _server = ControlServer::spawn(&path, handler).unwrap();
    let request = Request::new("status").with("name", "plant1").with("all", true);
    let answer = ask(&path, &request, PATIENCE).unwrap();
    assert_eq!(answer, json!({ "pipes": { "all": true, "name": "plant1" } }));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let refused = ask(&path, &Request::new("fly"), PATIENCE).unwrap_err();
    assert_eq!(refused.to_string(), "unknown command \"fly\"");
}

#[test]
fn requests_at_the_cap_pass_and_one_byte_more_is_refused() {
    let (_dir, path) = socket();
    let _server = ControlServer::spawn(&path, handler).unwrap();
    let line = |len: usize| {
        let head = r#"{"command":"status","pad":""#;
        let pad = "x".repeat(len - head.len() - "\"}\n".len());
        format!("{head}{pad}\"}}\n")
    };
    let at_cap = line(REQUEST_BYTES_MAX);
    assert_eq!(at_cap.len(), REQUEST_BYTES_MAX);
    assert!(raw(&path, at_cap.as_bytes()).starts_with("{\"ok\":"));
    let expected = "{\"error\":\"expected a request of at most 65536 bytes\"}\n";
    assert_eq!(raw(&path, line(REQUEST_BYTES_MAX + 1).as_bytes()), expected);
    assert_eq!(raw(&path, &vec![b'x'; 1 << 20]), expected);
}

#[test]
fn answers_at_the_cap_pass_and_larger_ones_become_an_error() {
    let (_dir, path) = socket();
    let _server = ControlServer::spawn(&path, handler).unwrap();
    let large = ask(&path, &Request::new("large"), PATIENCE).unwrap();
    assert_eq!(large.as_str().unwrap().len(), ANSWER_BYTES_MAX - 20);
    let huge = ask(&path, &Request::new("huge"), PATIENCE).unwrap_err();
    assert_eq!(huge.to_string(), "the answer has more than 16777216 bytes");
}

#[test]
fn nonsense_gets_an_error_or_silence_and_the_server_goes_on() {
    let (_dir, path) = socket();
    let _server = ControlServer::spawn(&path, handler).unwrap();
    let deep = format!("{}\n", "[".repeat(60_000));
    let nonsense: [&[u8]; 6] =
        [b"\n", b"status\n", b"{}\n", b"{\"command\":7}\n", b"\xff\xfe\n", deep.as_bytes()];
    for bytes in nonsense {
        let answer = raw(&path, bytes);
        let expected = "{\"error\":\"expected a request as JSON on one line: ";
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert_eq!(raw(&path, b"{\"command\":\"sta"), "", "a request cut short is not answered");
    drop(UnixStream::connect(&path).unwrap());
    ask(&path, &Request::new("status"), PATIENCE).unwrap();
}

#[test]
fn a_client_that_stays_silent_delays_the_next_one_and_no_more() {
    let (_dir, path) = socket();
    let _server = ControlServer::spawn(&path, handler).unwrap();
    let _silent = UnixStream::connect(&path).unwrap();
    ask(&path, &Request::new("status"), PATIENCE).unwrap();
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let (_dir, path) = socket();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file outlives its listener");
    assert!(matches!(
        ask(&path, &Request::new("status"), PATIENCE),
        Err(AskError::NotRunning { .. })
    ));
    let server = ControlServer::spawn(&path, handler).unwrap();
    let second = ControlServer::spawn(&path, handler).unwrap_err();
    assert!(matches!(second, ListenError::InUse { .. }), "{second}");
    ask(&path, &Request::new("status"), PATIENCE).unwrap();
    drop(server);
    assert!(!path.exists(), "an orderly end leaves nothing behind");
    ControlServer::spawn(&path, handler).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let (_dir, path) = socket();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let error = ControlServer::spawn(&path, handler).unwrap_err();
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_client_is_told_whether_the_daemon_is_absent_silent_or_strange() {
    let (_dir, path) = socket();
    let request = Request::new("status");
    let absent = ask(&path, &request, PATIENCE).unwrap_err().to_string();
    assert!(absent.contains("is the daemon running"), "{absent}");
    assert!(absent.contains(&path.display().to_string()), "{absent}");

    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let silent = ask(&path, &request, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(silent, AskError::NoAnswer { .. }), "{silent}");

    let strange = std::thread::spawn(move || {
        let _silent_one = listener.accept().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    let error = ask(&path, &request, PATIENCE).unwrap_err();
    assert!(matches!(error, AskError::Malformed { .. }), "{error}");
    strange.join().unwrap();
}
