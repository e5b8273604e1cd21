//! Signals as messages.
//!
//! The first SIGTERM or SIGINT asks for an orderly end. The second ends the process at once, from
//! the signal handler itself, so that it works even when every thread is stuck.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use signal_hook::SigId;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;
use signal_hook::iterator;
use signal_hook::low_level;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // every daemon must act on each
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end in order.
    Terminate,
}

/// Catches signals until it is dropped.
#[derive(Debug)]
pub struct Signals {
    handle: iterator::Handle,
    thread: Option<JoinHandle<()>>,
    at_once: Vec<SigId>,
}

impl Signals {
    /// Catches the three signals from now on and hands each to `deliver` on a thread of its own;
    /// `deliver` typically sends to a channel and wakes the event loop.
    ///
    /// # Errors
    /// The system refuses a handler or the thread.
    pub fn spawn(mut deliver: impl FnMut(Signal) + Send + 'static) -> io::Result<Self> {
        let mut caught = iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let handle = caught.handle();
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in caught.forever() {
                deliver(match signal {
                    SIGHUP => Signal::Reload,
                    _ => Signal::Terminate,
                });
            }
        })?;
        let mut it = Self { handle, thread: Some(thread), at_once: Vec::new() };
        let asked_before = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag down and raises it.
            let status = 128_i32.saturating_add(signal);
            let shutdown =
                flag::register_conditional_shutdown(signal, status, Arc::clone(&asked_before))?;
            it.at_once.push(shutdown);
            it.at_once.push(flag::register(signal, Arc::clone(&asked_before))?);
        }
        Ok(it)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.at_once.drain(..) {
            low_level::unregister(id);
        }
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic in `deliver` has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}
