//! Name look-ups, on a thread of their own: they may take as long as they like.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::mpsc::Receiver;

use tidegate_config::NodeUrl;

/// A name to look up for one lane.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) lane: usize,
    /// Tells this call from an earlier one of the lane.
    pub(crate) call: u64,
    pub(crate) url: NodeUrl,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct LookedUp {
    pub(crate) lane: usize,
    pub(crate) call: u64,
    pub(crate) result: Result<SocketAddr, String>,
}

/// The address of a peer that needs no look-up.
pub(crate) fn literal(url: &NodeUrl) -> Option<SocketAddr> {
    Some(SocketAddr::new(url.host.parse().ok()?, url.port))
}

/// Looks names up until the loop is gone.
pub(crate) fn run(requests: &Receiver<Lookup>, mut report: impl FnMut(LookedUp)) {
    while let Ok(Lookup { lane, call, url }) = requests.recv() {
        let result = match (url.host.as_str(), url.port).to_socket_addrs() {
            Ok(mut found) => {
                found.next().ok_or_else(|| format!("{}: the name has no address", url.host))
            }
            Err(error) => Err(format!("looking up {}: {error}", url.host)),
        };
        report(LookedUp { lane, call, result });
    }
}
