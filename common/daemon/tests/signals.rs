//! Signals and fatal threads, seen from outside: this test program runs itself as the daemon.

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal as Kill;
use rustix::process::kill_process;
use tidegate_daemon::signals::Signal;
use tidegate_daemon::signals::Signals;
use tidegate_daemon::supervise::EXIT_FATAL;
use tidegate_daemon::supervise::Fatal;
use tidegate_daemon::supervise::Grace;
use tidegate_daemon::supervise::Supervisor;

const ROLE: &str = "TIDEGATE_TEST_ROLE";

/// Runs one test of this program as a child with a role and hands over its standard output.
fn child(role: &str) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_daemon_itself", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout.lines().map(Result::unwrap))
}

/// Waits for a line that the child prints; the test harness prints others, and part of a line.
fn wait_for(lines: &mut impl Iterator<Item = String>, word: &str) {
    assert!(lines.any(|line| line.ends_with(word)), "the child ended before it said {word}");
}

fn send(child: &Child, signal: Kill) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// No test of its own: what the other tests start.
#[test]
fn the_daemon_itself() {
    match std::env::var(ROLE).as_deref() {
        Ok("orderly") => {
            let (tx, rx) = channel();
            let _signals = Signals::spawn(move |signal| tx.send(signal).unwrap()).unwrap();
            println!("ready");
            loop {
                match rx.recv().unwrap() {
                    Signal::Reload => println!("reloaded"),
                    Signal::Terminate => std::process::exit(5),
                }
            }
        }
        Ok("stuck") => {
            let _signals = Signals::spawn(|_| {
                println!("asked");
                loop {
                    std::thread::park();
                }
            });
            println!("ready");
            loop {
                std::thread::park();
            }
        }
        Ok("fatal") => {
            let grace = Grace::ExitAfter(Duration::from_millis(1));
            let (supervisor, _fatals) = Supervisor::new(grace, || ());
            supervisor.report(Fatal { thread: "writer".into(), message: "EIO".into() });
            loop {
                std::thread::park();
            }
        }
        _ => (),
    }
}

#[test]
fn hangup_reloads_and_either_other_signal_ends_in_order() {
    for signal in [Kill::TERM, Kill::INT] {
        let (mut child, mut lines) = child("orderly");
        wait_for(&mut lines, "ready");
        for _ in 0..3 {
            send(&child, Kill::HUP);
            wait_for(&mut lines, "reloaded");
        }
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }
}

#[test]
fn the_second_termination_ends_a_stuck_daemon_at_once() {
    let (mut child, mut lines) = child("stuck");
    wait_for(&mut lines, "ready");
    send(&child, Kill::TERM);
    wait_for(&mut lines, "asked");
    send(&child, Kill::TERM);
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}

#[test]
fn a_daemon_that_does_not_heed_a_fatal_thread_is_ended() {
    let (mut child, _lines) = child("fatal");
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_FATAL.into()));
}
