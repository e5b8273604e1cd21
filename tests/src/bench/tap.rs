//! A plain hop on the way that notes when each reply passed: both sides are timed by the same clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;

use crate::gateway;
use crate::gateway::Config;
use crate::gateway::Handle;
use crate::gateway::Observer;
use crate::gateway::What;

/// A reply and what it answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replied {
    /// On the tap's clock.
    pub(super) at: Duration,
    /// Length of the request.
    pub(super) n_bytes: u64,
}

/// The hop.
pub(super) struct Tap {
    gateway: Handle,
    replies: Arc<Mutex<Vec<Replied>>>,
}

impl Tap {
    pub(super) fn start(config: Config) -> Result<Self> {
        let replies = Arc::<Mutex<Vec<Replied>>>::default();
        let seen = Arc::clone(&replies);
        let observer = Observer::new(move |event| {
            if let What::Returned(_, n_bytes) = event.what {
                let reply = Replied { at: event.at, n_bytes };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
            }
        });
        Ok(Self { gateway: gateway::spawn_observed(config, observer)?, replies })
    }

    /// Where to send to.
    pub(super) fn address(&self) -> SocketAddr {
        self.gateway.addr()
    }

    /// Ends it; the replies in order.
    pub(super) fn stop(self) -> Result<Vec<Replied>> {
        self.gateway.stop()?;
        Ok(self.replies.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
