//! How many replicas a region has, and whether this one is sent.
//!
//! Every replica holds the same rows, and each DataNode may have a sender beside it. The peers of a
//! region stand in its folder below `dn_consensus_dir/data_region`, in a form that depends on the
//! consensus protocol and on the version. What cannot be read is never taken for one replica where
//! that would be a choice of ours.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use tidegate_config::ReplicaPolicy;
use tidegate_daemon::files::read_at_most;
use tidegate_source::RegionKey;

/// A region that is not sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SkippedRegion {
    pub(crate) region: RegionKey,
    /// Why, in words for the operator.
    pub(crate) reason: String,
}

/// What to do with a region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Choice {
    /// Its files leave.
    Send,
    /// They do not, as the operator wishes.
    Skip(String),
    /// Somebody must choose first.
    Doubt(String),
}

/// The policy, and where the peers stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replicas {
    policy: ReplicaPolicy,
    /// `dn_consensus_dir/data_region`; `None` where nothing tells.
    dir: Option<PathBuf>,
}

/// What is known of a region's replicas.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Peers {
    /// Ids of the data nodes, or names where Ratis has no ids of ours.
    Known(BTreeSet<String>),
    /// Nobody has written them down where we look.
    Absent,
    /// They are there and cannot be read.
    Unreadable(String),
}

/// More groups, or more files of one, than any DataNode has.
const ENTRIES_MAX: usize = 65_536;
/// A peer takes less than 100 bytes.
const CONFIGURATION_BYTES_MAX: usize = 64 * 1024;
/// Peers of one region.
const PEERS_MAX: usize = 1024;
/// Regions that one message names.
const SHOWN_MAX: usize = 20;
/// Thrift structs here have two fields; more may come.
const FIELDS_MAX: usize = 16;
const CHOICES: &str = "set sender_replica_policy: all sends every replica here, none only regions \
                       without a second one, and a list of region ids only those";

impl Replicas {
    /// # Arguments
    ///
    /// - `consensus_dir`: IoTDB's `dn_consensus_dir`, if known
    pub(crate) fn new(policy: ReplicaPolicy, consensus_dir: Option<&Path>) -> Self {
        Self { policy, dir: consensus_dir.map(|dir| dir.join("data_region")) }
    }

    /// Whether there is anything to choose that nobody has chosen; then the daemon does not start.
    ///
    /// Gives a notice where the number of replicas is not known.
    pub(crate) fn check(&self) -> Result<Option<String>, String> {
        let listed = self.dir.as_deref().map(|dir| (dir, names(dir)));
        match (&self.policy, listed) {
            (ReplicaPolicy::All | ReplicaPolicy::Regions(_), _) => Ok(None),
            (ReplicaPolicy::None, Some((_, Ok(_)))) => Ok(None),
            (ReplicaPolicy::None, Some((dir, Err(error)))) => Err(format!(
                "sender_replica_policy=none needs to know the replicas of each region, but {}: \
                 cannot be read: {error}",
                dir.display()
            )),
            (ReplicaPolicy::None, None) => {
                Err("sender_replica_policy=none needs to know the replicas of each region: set \
                 dn_system_dir or sender_iotdb_conf_dir"
                    .to_owned())
            }
            (ReplicaPolicy::Unset, None) => Ok(Some(
                "how many replicas the regions have is not known; each is taken for the only one"
                    .to_owned(),
            )),
            (ReplicaPolicy::Unset, Some((dir, Err(error))))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Some(format!(
                    "how many replicas the regions have is not known ({}: no such directory); each \
                     is taken for the only one",
                    dir.display()
                )))
            }
            (ReplicaPolicy::Unset, Some((dir, Err(error)))) => Err(format!(
                "{}: cannot be read: {error}; whether the regions have other replicas is not \
                 known: let the sender read it, or {CHOICES}",
                dir.display()
            )),
            (ReplicaPolicy::Unset, Some((_, Ok(names)))) => {
                self.check_each(names.iter().filter_map(|name| region_of(name)))
            }
        }
    }

    fn check_each(&self, regions: impl Iterator<Item = u32>) -> Result<Option<String>, String> {
        let doubtful: BTreeMap<u32, String> = regions
            .filter_map(|region| match self.choose(region) {
                Choice::Doubt(reason) => Some((region, reason)),
                Choice::Send | Choice::Skip(_) => None,
            })
            .collect();
        if doubtful.is_empty() {
            return Ok(None);
        }
        let shown: Vec<&str> =
            doubtful.values().take(SHOWN_MAX).map(|reason| reason.as_str()).collect();
        let more = match doubtful.len().saturating_sub(SHOWN_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Err(format!("{}{more}: {CHOICES}", shown.join("; ")))
    }

    /// What to do with a region in which there is data.
    pub(crate) fn choose(&self, region: u32) -> Choice {
        let nodes = |peers: &BTreeSet<String>| {
            let ids: Vec<&str> = peers.iter().map(String::as_str).collect();
            format!("{} replicas, on nodes {}", peers.len(), ids.join(", "))
        };
        match &self.policy {
            ReplicaPolicy::All => return Choice::Send,
            ReplicaPolicy::Regions(sent) if sent.contains(&region) => return Choice::Send,
            ReplicaPolicy::Regions(_) => {
                return Choice::Skip("sender_replica_policy does not name it".to_owned());
            }
            ReplicaPolicy::Unset | ReplicaPolicy::None => (),
        }
        let is_none = self.policy == ReplicaPolicy::None;
        match self.peers(region) {
            Peers::Known(peers) if peers.len() <= 1 => Choice::Send,
            Peers::Known(peers) if is_none => {
                Choice::Skip(format!("it has {} (sender_replica_policy=none)", nodes(&peers)))
            }
            Peers::Known(peers) => Choice::Doubt(format!("region {region} has {}", nodes(&peers))),
            Peers::Absent if !is_none => Choice::Send,
            Peers::Absent => {
                Choice::Doubt(format!("the replicas of region {region} are not known"))
            }
            Peers::Unreadable(reason) => {
                Choice::Doubt(format!("the replicas of region {region} are not known: {reason}"))
            }
        }
    }

    fn peers(&self, region: u32) -> Peers {
        let Some(dir) = &self.dir else { return Peers::Absent };
        let found = match iot_peers(&dir.join(format!("1_{region}"))) {
            Peers::Absent => ratis_peers(&dir.join(format!("{RATIS_PREFIX}{region:08x}"))),
            found => found,
        };
        // It can be listed but not entered, say.
        match (&found, fs::metadata(dir)) {
            (Peers::Absent, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                Peers::Unreadable(format!("{}: {error}", dir.display()))
            }
            _ => found,
        }
    }
}

/// Ten bytes 0x47, then the type of the group, which is 1 for data regions.
const RATIS_PREFIX: &str = "47474747-4747-4747-4747-0001";

/// The region that a group's folder belongs to.
fn region_of(name: &str) -> Option<u32> {
    match name.strip_prefix("1_") {
        Some(id) => id.parse().ok(),
        None => u32::from_str_radix(name.strip_prefix(RATIS_PREFIX)?, 16).ok(),
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
        if names.len() > ENTRIES_MAX {
            return Err(io::Error::other(format!("expected at most {ENTRIES_MAX} entries")));
        }
    }
    Ok(names)
}

/// IoTConsensus has a file for each peer, or in old versions one for all of them, and while they
/// change the new ones beside or instead of them; SimpleConsensus leaves its folder empty.
fn iot_peers(dir: &Path) -> Peers {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Peers::Absent,
        Err(error) => return unreadable(dir, &error.to_string()),
    };
    if names.is_empty() {
        return Peers::Known(BTreeSet::from(["this".to_owned()]));
    }
    let node = |name: &String| {
        let name = name.strip_suffix(".tmp").unwrap_or(name);
        let node: i32 = name.strip_suffix("_configuration.dat")?.parse().ok()?;
        Some(node.to_string())
    };
    let peers: BTreeSet<String> = names.iter().filter_map(node).collect();
    if !peers.is_empty() {
        return Peers::Known(peers);
    }
    for name in ["configuration.dat", "configuration.dat.tmp"] {
        let path = dir.join(name);
        match read_at_most(&path, CONFIGURATION_BYTES_MAX) {
            Ok(bytes) => match configuration_peers(&bytes) {
                Some(peers) => return Peers::Known(peers),
                // While it is written anew, the other is there.
                None if name.ends_with(".tmp") => {
                    return unreadable(&path, "expected a list of peers");
                }
                None => (),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Peers::Unreadable(error.to_string()),
        }
    }
    unreadable(dir, "expected the configuration of a consensus group")
}

/// Ratis keeps the last change of the peers as an entry of its log.
fn ratis_peers(dir: &Path) -> Peers {
    let path = dir.join("current/raft-meta.conf");
    match read_at_most(&path, CONFIGURATION_BYTES_MAX) {
        Ok(bytes) => match raft_peers(&bytes) {
            Some(peers) => Peers::Known(peers),
            None => unreadable(&path, "expected a configuration of Ratis"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match dir.is_dir() {
            true => unreadable(&path, "no such file"),
            false => Peers::Absent,
        },
        Err(error) => Peers::Unreadable(error.to_string()),
    }
}

fn unreadable(path: &Path, why: &str) -> Peers {
    Peers::Unreadable(format!("{}: {why}", path.display()))
}

/// Peers in the one file of old versions: a count, then so many peers, then perhaps zeros.
fn configuration_peers(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let mut rest = bytes;
    let count = usize::try_from(take_i32(&mut rest)?).ok().filter(|count| *count <= PEERS_MAX)?;
    let mut peers = BTreeSet::new();
    for _ in 0..count {
        skip_struct(&mut rest)?;
        peers.insert(take_i32(&mut rest)?.to_string());
        skip_struct(&mut rest)?;
    }
    (count > 0).then_some(peers)
}

/// A struct of Thrift's binary protocol, of plain fields.
fn skip_struct(rest: &mut &[u8]) -> Option<()> {
    for _ in 0..FIELDS_MAX {
        let kind = take(rest, 1)?[0];
        if kind == 0 {
            return Some(());
        }
        take(rest, 2)?;
        let n_bytes = match kind {
            2 | 3 => 1,
            6 => 2,
            8 => 4,
            4 | 10 => 8,
            11 => usize::try_from(take_i32(rest)?).ok()?,
            _ => return None,
        };
        take(rest, n_bytes)?;
    }
    None
}

/// The ids of the peers in an entry of Ratis' log: field 4 is a configuration, its field 1 a peer,
/// whose field 1 is the id.
fn raft_peers(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let mut peers = BTreeSet::new();
    for (field, configuration) in messages(bytes)? {
        if field != 4 {
            continue;
        }
        for (field, peer) in messages(configuration)? {
            if field == 1 {
                let (_, id) = messages(peer)?.into_iter().find(|(field, _)| *field == 1)?;
                peers.insert(plain(id));
            }
        }
    }
    (!peers.is_empty()).then_some(peers)
}

/// An id as a log may show it.
fn plain(id: &[u8]) -> String {
    let id = &id[..id.len().min(32)];
    id.escape_ascii().to_string()
}

/// The fields of a protobuf message that are bytes or messages.
fn messages(bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        match tag & 7 {
            0 => drop(take_varint(&mut rest)?),
            1 => drop(take(&mut rest, 8)?),
            2 => {
                let n_bytes = usize::try_from(take_varint(&mut rest)?).ok()?;
                found.push((tag >> 3, take(&mut rest, n_bytes)?));
            }
            5 => drop(take(&mut rest, 4)?),
            _ => return None,
        }
        if found.len() > PEERS_MAX {
            return None;
        }
    }
    Some(found)
}

fn take<'b>(rest: &mut &'b [u8], n_bytes: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(n_bytes)?;
    *rest = left;
    Some(taken)
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Groups(tempfile::TempDir);

    impl Groups {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn write(&self, path: &str, bytes: &[u8]) {
            let path = self.0.path().join("data_region").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, bytes).expect("a file");
        }

        fn of(&self, policy: ReplicaPolicy) -> Replicas {
            Replicas::new(policy, Some(self.0.path()))
        }

        fn peers(&self, region: u32) -> Peers {
            self.of(ReplicaPolicy::Unset).peers(region)
        }
    }

    fn known(ids: &[&str]) -> Peers {
        Peers::Known(ids.iter().map(|&id| id.to_owned()).collect())
    }

    /// A peer as IoTDB writes it.
    fn peer(node: i32) -> Vec<u8> {
        let mut bytes = vec![8, 0, 1, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 5, 0];
        bytes.extend(node.to_be_bytes());
        bytes.extend([11, 0, 1, 0, 0, 0, 9]);
        bytes.extend(b"127.0.0.1");
        bytes.extend([8, 0, 2, 0, 0, 0x27, 0x10, 0]);
        bytes
    }

    fn configuration(nodes: &[i32]) -> Vec<u8> {
        let count = i32::try_from(nodes.len()).expect("few");
        let mut bytes = count.to_be_bytes().to_vec();
        nodes.iter().for_each(|&node| bytes.extend(peer(node)));
        bytes.extend([0; 40]);
        bytes
    }

    /// An entry of Ratis' log with these peers.
    fn raft(ids: &[&str]) -> Vec<u8> {
        let field = |number: u8, content: &[u8]| {
            let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).expect("short")];
            bytes.extend(content);
            bytes
        };
        let peers = ids.iter().flat_map(|id| {
            let mut peer = field(1, id.as_bytes());
            peer.extend(field(2, b"127.0.0.1:10760"));
            peer.extend([0x18, 0x01]);
            field(1, &peer)
        });
        let mut bytes = vec![0x08, 0x96, 0x01, 0x10, 0x01];
        bytes.extend(field(4, &peers.collect::<Vec<u8>>()));
        bytes
    }

    #[test]
    fn peers_are_counted_in_every_form_that_iotdb_writes() {
        let groups = Groups::new();
        for node in [1, 2, 3] {
            groups.write(&format!("1_3/{node}_configuration.dat"), &peer(node));
        }
        groups.write("1_3/configuration.dat", &configuration(&[1]));
        assert_eq!(groups.peers(3), known(&["1", "2", "3"]), "the old file is left behind");
        groups.write("1_4/1_configuration.dat.tmp", b"");
        groups.write("1_4/2_configuration.dat.tmp", b"");
        groups.write("1_4/1_configuration.dat", b"");
        assert_eq!(groups.peers(4), known(&["1", "2"]), "while the peers change");
        groups.write("1_5/configuration.dat", &configuration(&[7, 8]));
        assert_eq!(groups.peers(5), known(&["7", "8"]));
        groups.write("1_6/configuration.dat", b"");
        groups.write("1_6/configuration.dat.tmp", &configuration(&[7]));
        assert_eq!(groups.peers(6), known(&["7"]), "the old one is being replaced");
        fs::create_dir_all(groups.0.path().join("data_region/1_7")).expect("a folder");
        assert_eq!(groups.peers(7), known(&["this"]), "SimpleConsensus");
        groups.write(&format!("{RATIS_PREFIX}0000000a/current/raft-meta.conf"), &raft(&["1", "4"]));
        assert_eq!(groups.peers(10), known(&["1", "4"]));
        assert_eq!(groups.peers(11), Peers::Absent);
        let broken: [(&str, &[u8]); 3] = [
            ("1_20/configuration.dat", b"\x00\x00"),
            ("1_20/snapshot", b""),
            (&format!("{RATIS_PREFIX}00000015/current/raft-meta.conf"), b"\x22\xff"),
        ];
        broken.iter().for_each(|(path, bytes)| groups.write(path, bytes));
        for region in [20, 21] {
            assert!(matches!(groups.peers(region), Peers::Unreadable(_)), "{region}");
        }
    }

    #[test]
    fn without_a_policy_several_replicas_keep_the_daemon_from_starting() {
        let groups = Groups::new();
        groups.write("1_3/1_configuration.dat", b"");
        let check = |policy| groups.of(policy).check();
        assert_eq!(check(ReplicaPolicy::Unset), Ok(None));
        groups.write("1_4/configuration.dat", &configuration(&[1, 2]));
        groups.write("2_9/configuration.dat", &configuration(&[1, 2]));
        let refusal = check(ReplicaPolicy::Unset).expect_err("two replicas");
        assert!(refusal.starts_with("region 4 has 2 replicas, on nodes 1, 2: set"), "{refusal}");
        assert!(["all", "none", "region ids"].iter().all(|it| refusal.contains(it)), "{refusal}");
        for policy in [ReplicaPolicy::All, ReplicaPolicy::None, ReplicaPolicy::Regions([4].into())]
        {
            assert_eq!(check(policy), Ok(None));
        }
        let nowhere = |policy| Replicas::new(policy, Some(Path::new("/nowhere"))).check();
        assert!(nowhere(ReplicaPolicy::Unset).is_ok_and(|notice| notice.is_some()));
        assert!(nowhere(ReplicaPolicy::None).is_err());
        assert_eq!(nowhere(ReplicaPolicy::All), Ok(None));
        assert!(Replicas::default().check().is_ok_and(|notice| notice.is_some()));
        groups.write("file/data_region", b"no folder");
        let file = groups.0.path().join("data_region/file");
        assert!(Replicas::new(ReplicaPolicy::Unset, Some(&file)).check().is_err());
    }

    #[test]
    fn the_policy_decides_which_regions_are_sent() {
        let groups = Groups::new();
        groups.write("1_3/1_configuration.dat", b"");
        groups.write("1_4/configuration.dat", &configuration(&[1, 2]));
        groups.write("1_5/rubbish", b"");
        let kinds = |policy: ReplicaPolicy| {
            let replicas = groups.of(policy);
            [3, 4, 5, 6].map(|region| match replicas.choose(region) {
                Choice::Send => "send",
                Choice::Skip(_) => "skip",
                Choice::Doubt(_) => "doubt",
            })
        };
        assert_eq!(kinds(ReplicaPolicy::All), ["send"; 4]);
        assert_eq!(kinds(ReplicaPolicy::None), ["send", "skip", "doubt", "doubt"]);
        assert_eq!(kinds(ReplicaPolicy::Unset), ["send", "doubt", "doubt", "send"]);
        let named = ReplicaPolicy::Regions([4, 6].into());
        assert_eq!(kinds(named), ["skip", "send", "skip", "send"]);
    }

    #[test]
    fn mutated_configurations_never_panic_and_never_name_too_many_peers() {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        };
        for whole in [configuration(&[1, 2, 3]), raft(&["1", "2", "3"])] {
            for _ in 0..20_000 {
                let mut bytes = whole.clone();
                for _ in 0..1 + below(4) {
                    let at = below(bytes.len());
                    bytes[at] = below(256) as u8;
                }
                bytes.truncate(1 + below(bytes.len()));
                for peers in [configuration_peers(&bytes), raft_peers(&bytes)].iter().flatten() {
                    assert!(!peers.is_empty() && peers.len() <= PEERS_MAX);
                }
            }
        }
    }
}
