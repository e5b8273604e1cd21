//! Name look-ups, apart from the loop: they may take as long as they like.
//!
//! One look-up per name is under way at a time, on a thread of its own, so that a dead name server
//! for one name keeps no other waiting; all who wait for a name get its answer. A lane waits for one
//! name at most: what it asked before is dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::time::Duration;

use tidegate_config::NodeUrl;

/// Names one call of one lane: no two have the same in one run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CallId(u64);

/// Gives each call its id.
#[derive(Debug, Default)]
pub(crate) struct CallIds {
    last: u64,
}

/// A name to look up for one lane.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) lane: usize,
    /// Lanes come and go, and one may have the place of another: this tells their calls apart.
    pub(crate) call: CallId,
    pub(crate) url: NodeUrl,
    /// How often calls led to no connection: of several addresses, another each time.
    pub(crate) n_failed: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct LookedUp {
    pub(crate) lane: usize,
    pub(crate) call: CallId,
    pub(crate) result: Result<SocketAddr, String>,
}

/// The answer for a name.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) result: Result<Vec<SocketAddr>, String>,
}

/// Who waits for which name.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    waiting: BTreeMap<String, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    is_under_way: bool,
    lookups: Vec<Lookup>,
}

/// A look-up takes its time where the first name server is dead; after this it is given up.
pub(crate) const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(60);
/// Look-ups under way at once; more names wait for one to end.
const LOOK_UPS_MAX: usize = 16;

impl CallIds {
    pub(crate) fn next(&mut self) -> CallId {
        self.last += 1;
        CallId(self.last)
    }
}

impl Resolver {
    /// A lane asks; [`next`](Self::next) says what to look up.
    pub(crate) fn ask(&mut self, lookup: Lookup) {
        self.forget(lookup.lane);
        self.waiting.entry(lookup.url.host.clone()).or_default().lookups.push(lookup);
    }

    /// A lane does not wait any more.
    pub(crate) fn forget(&mut self, lane: usize) {
        for waiting in self.waiting.values_mut() {
            waiting.lookups.retain(|lookup| lookup.lane != lane);
        }
        self.waiting.retain(|_, it| it.is_under_way || !it.lookups.is_empty());
    }

    /// The next name whose look-up is to begin.
    pub(crate) fn next(&mut self) -> Option<String> {
        let n_under_way = self.waiting.values().filter(|it| it.is_under_way).count();
        if n_under_way >= LOOK_UPS_MAX {
            return None;
        }
        let idle = self.waiting.iter_mut().find(|(_, it)| !it.is_under_way);
        let (host, waiting) = idle?;
        waiting.is_under_way = true;
        Some(host.clone())
    }

    /// A look-up ended: the answers for all who wait for the name.
    pub(crate) fn resolved(&mut self, resolved: Resolved) -> Vec<LookedUp> {
        let Resolved { host, result } = resolved;
        let waiting = self.waiting.remove(&host).unwrap_or_default();
        let answers = waiting.lookups.into_iter().map(|Lookup { lane, call, url, n_failed }| {
            let result = match &result {
                Ok(found) => pick(found, n_failed)
                    .map(|mut address| {
                        address.set_port(url.port);
                        address
                    })
                    .ok_or_else(|| format!("{host}: the name has no address")),
                Err(error) => Err(format!("looking up {host}: {error}")),
            };
            LookedUp { lane, call, result }
        });
        answers.collect()
    }
}

/// The address of a peer that needs no look-up.
pub(crate) fn literal(url: &NodeUrl) -> Option<SocketAddr> {
    Some(SocketAddr::new(url.host.parse().ok()?, url.port))
}

/// Looks a name up; takes its time.
pub(crate) fn look_up(host: String) -> Resolved {
    let found: io::Result<Vec<SocketAddr>> =
        (host.as_str(), 0).to_socket_addrs().map(|found| found.collect());
    Resolved { host, result: found.map_err(|error| error.to_string()) }
}

/// The same address until a call to it fails, then the next.
fn pick(found: &[SocketAddr], n_failed: u64) -> Option<SocketAddr> {
    let at = n_failed.checked_rem(found.len() as u64)?;
    found.get(usize::try_from(at).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(calls: &mut CallIds, lane: usize, host: &str) -> Lookup {
        let url = NodeUrl { host: host.to_owned(), port: 9780 };
        Lookup { lane, call: calls.next(), url, n_failed: 0 }
    }

    fn answer(host: &str) -> Resolved {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Resolved { host: host.to_owned(), result: Ok(vec![address]) }
    }

    #[test]
    fn an_address_is_kept_until_a_call_to_it_fails() {
        let found = ["[::1]:0", "127.0.0.1:0"].map(|it| it.parse().expect("an address"));
        let picked = [0, 1, 2].map(|n_failed| pick(&found, n_failed));
        assert_eq!(picked, [Some(found[0]), Some(found[1]), Some(found[0])]);
        assert_eq!(pick(&[], 5), None);
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_wait_and_keeps_no_other_waiting() {
        let (mut resolver, mut calls) = (Resolver::default(), CallIds::default());
        for lane in 0..3 {
            resolver.ask(lookup(&mut calls, lane, "slow"));
        }
        resolver.ask(lookup(&mut calls, 3, "quick"));
        let names = [resolver.next(), resolver.next(), resolver.next()];
        assert_eq!(names, [Some("quick".to_owned()), Some("slow".to_owned()), None]);
        assert_eq!(resolver.resolved(answer("quick")).len(), 1);
        let lanes: Vec<usize> =
            resolver.resolved(answer("slow")).iter().map(|it| it.lane).collect();
        assert_eq!(lanes, [0, 1, 2]);
    }

    #[test]
    fn what_a_lane_asked_before_is_dropped_and_never_answers_what_it_asks_now() {
        let (mut resolver, mut calls) = (Resolver::default(), CallIds::default());
        let first = lookup(&mut calls, 0, "old");
        let first_call = first.call;
        resolver.ask(first);
        assert_eq!(resolver.next().as_deref(), Some("old"));
        // The pipe is defined anew, and its lane has the place of the one before.
        let second = lookup(&mut calls, 0, "new");
        let second_call = second.call;
        assert_ne!(first_call, second_call);
        resolver.ask(second);
        assert_eq!(resolver.next().as_deref(), Some("new"));
        assert!(resolver.resolved(answer("old")).is_empty());
        let answers = resolver.resolved(answer("new"));
        assert_eq!(answers.iter().map(|it| it.call).collect::<Vec<_>>(), [second_call]);
        resolver.ask(lookup(&mut calls, 0, "gone"));
        resolver.forget(0);
        assert_eq!(resolver.next(), None, "nobody waits for it");
    }

    #[test]
    fn only_so_many_names_are_looked_up_at_once() {
        let (mut resolver, mut calls) = (Resolver::default(), CallIds::default());
        for lane in 0..=LOOK_UPS_MAX {
            resolver.ask(lookup(&mut calls, lane, &format!("name-{lane}")));
        }
        let begun: Vec<String> = std::iter::from_fn(|| resolver.next()).collect();
        assert_eq!(begun.len(), LOOK_UPS_MAX);
        assert_eq!(resolver.resolved(answer(&begun[0])).len(), 1);
        assert!(resolver.next().is_some());
        assert_eq!(resolver.next(), None);
    }
}
