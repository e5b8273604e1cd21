//! The thread that touches configuration and pipe state, so that the loop need not.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tidegate_config::PipeDefinition;
use tidegate_source::SourceConfig;

use crate::message::Message;
use crate::message::Outbox;
use crate::pipes;
use crate::settings;

/// What the loop asks of the manager.
#[derive(Debug)]
pub(crate) enum Manage {
    /// Read the pipe definitions.
    ReadDefinitions,
    /// Read the configuration and then the pipe definitions.
    Reload,
    /// Open a pipe's state, once the earlier pipe of that name has let go of it.
    SetUp { id: u64, definition: Box<PipeDefinition>, released: Option<Receiver<()>> },
}

/// An earlier pipe's journals are closed within this, or the pipe is set up later.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(30);

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) conf: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) pipe_dir: PathBuf,
    pub(crate) source: SourceConfig,
}

/// Runs until the loop is gone.
pub(crate) fn run(places: &Places, requests: &Receiver<Manage>, outbox: &Outbox) {
    while let Ok(request) = requests.recv() {
        match request {
            Manage::ReadDefinitions => read_definitions(places, outbox),
            Manage::Reload => {
                let loaded = settings::load(&places.conf).map(Box::new);
                outbox.send(Message::Reloaded(loaded.map_err(|error| format!("{error:#}"))));
                read_definitions(places, outbox);
            }
            Manage::SetUp { id, definition, released } => {
                let name = definition.name.as_str().to_owned();
                let result = match await_release(released) {
                    Ok(()) => pipes::set_up(&places.state_dir, id, *definition, places.source)
                        .map(Box::new)
                        .map_err(|error| (format!("{error:#}"), None)),
                    Err(released) => {
                        let reason = "its state is still in use by the pipe that it replaces";
                        Err((reason.to_owned(), Some(released)))
                    }
                };
                let result = result.map_err(|(reason, released)| crate::message::NotReady {
                    name,
                    reason,
                    released,
                });
                outbox.send(Message::PipeReady(result));
            }
        }
    }
}

/// Gives the receiver back while the earlier pipe has not let go: two may never write one journal.
fn await_release(released: Option<Receiver<()>>) -> Result<(), Receiver<()>> {
    match released {
        Some(released) if released.recv_timeout(RELEASE_TIME_MAX).is_err() => Err(released),
        _ => Ok(()),
    }
}

fn read_definitions(places: &Places, outbox: &Outbox) {
    let read = pipes::read_definitions(&places.pipe_dir).map_err(|error| format!("{error:#}"));
    outbox.send(Message::Definitions(read));
}
