//! The log: one event a line on stderr, level changeable while running.

use core::fmt;
use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: reload::Handle<LevelFilter, Registry>,
}

impl LogHandle {
    /// Sets the level: `error`, `warn`, `info`, `debug` or `trace`.
    ///
    /// # Errors
    /// Another word.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let level = parse(level)?;
        self.level.modify(|it| *it = level).map_err(|_| LogError::Gone)
    }
}

/// Starts the log of this process. Colours only on a terminal; no time stamps under systemd, whose
/// journal has its own.
///
/// # Errors
/// A word that is no level, or a log that runs already.
pub fn init(level: &str) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => lines.without_time().boxed(),
        None => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_| LogError::AlreadyRunning)?;
    Ok(LogHandle { level: handle })
}

fn parse(level: &str) -> Result<LevelFilter, LogError> {
    match level {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(LogError::UnknownLevel(other.to_owned())),
    }
}

/// Why the log was not started or changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LogError {
    /// This process has a log already.
    AlreadyRunning,
    /// The log this handle belonged to is gone.
    Gone,
    /// No level of that name.
    UnknownLevel(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => f.write_str("the log of this process runs already"),
            Self::Gone => f.write_str("the log of this process is gone"),
            Self::UnknownLevel(found) => write!(
                f,
                "log level: expected error, warn, info, debug or trace, but found {found:?}",
            ),
        }
    }
}

impl std::error::Error for LogError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_changes_while_the_log_runs() {
        let handle = init("warn").unwrap();
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        handle.set_level("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        handle.set_level("error").unwrap();
        assert!(!tracing::enabled!(tracing::Level::WARN));
        let unknown = LogError::UnknownLevel("loud".to_owned());
        assert_eq!(handle.set_level("loud"), Err(unknown));
        assert_eq!(init("info").unwrap_err(), LogError::AlreadyRunning);
    }
}
