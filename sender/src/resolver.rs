//! Name look-ups, on a thread of their own: they may take as long as they like.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tidegate_config::NodeUrl;

/// A name to look up for one lane.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) lane: usize,
    /// Tells this call from an earlier one of the lane.
    pub(crate) call: u64,
    pub(crate) url: NodeUrl,
    /// How often calls led to no connection: of several addresses, another each time.
    pub(crate) n_failed: u64,
}

/// A look-up takes its time where the first name server is dead; after this it is given up.
pub(crate) const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(60);

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
    while let Ok(Lookup { lane, call, url, n_failed }) = requests.recv() {
        let result = match (url.host.as_str(), url.port).to_socket_addrs() {
            Ok(found) => pick(&found.collect::<Vec<_>>(), n_failed)
                .ok_or_else(|| format!("{}: the name has no address", url.host)),
            Err(error) => Err(format!("looking up {}: {error}", url.host)),
        };
        report(LookedUp { lane, call, result });
    }
}

/// The same address until a call to it fails, then the next.
fn pick(found: &[SocketAddr], n_failed: u64) -> Option<SocketAddr> {
    let at = n_failed.checked_rem(found.len() as u64)?;
    found.get(usize::try_from(at).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_until_a_call_to_it_fails() {
        let found = ["[::1]:1", "127.0.0.1:1"].map(|it| it.parse().expect("an address"));
        let picked = [0, 1, 2].map(|n_failed| pick(&found, n_failed));
        assert_eq!(picked, [Some(found[0]), Some(found[1]), Some(found[0])]);
        assert_eq!(pick(&[], 5), None);
    }
}
