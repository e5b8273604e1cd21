//! Facts about the source that only grow, from the DataNode's system directory.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_config::CONFIG_TEXT_BYTES_MAX;
use tidegate_config::SystemProperties;
use tidegate_daemon::files::read_at_most;
use tidegate_source::FileIdentity;
use tidegate_source::SourceMarks;
use tidegate_source::device_key;

use super::identity;

/// Keeps what two small files say, and reads them again when they change.
#[derive(Debug)]
pub(super) struct Marks {
    reboots: Kept,
    node: Kept,
}

#[derive(Debug)]
struct Kept {
    path: Option<PathBuf>,
    seen: Option<FileIdentity>,
    value: Option<u64>,
}

/// A decimal number takes less.
const REBOOTS_BYTES_MAX: usize = 64;

impl Marks {
    pub(super) fn new(dn_system_dir: Option<&Path>) -> Self {
        let kept = |path: &str| {
            let path = dn_system_dir.map(|dir| dir.join(path));
            Kept { path, seen: None, value: None }
        };
        Self { reboots: kept("pipe/reboot_times.txt"), node: kept("system.properties") }
    }

    pub(super) fn read(&mut self) -> SourceMarks {
        SourceMarks { node: self.node.read(node), reboots: self.reboots.read(reboots) }
    }
}

impl Kept {
    fn read(&mut self, parse: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
        let path = self.path.as_deref()?;
        let now = fs::metadata(path).ok().map(|facts| identity(&facts));
        if now.is_none() || now != self.seen {
            self.value = now.and_then(|_| parse(path));
            self.seen = now;
        }
        self.value
    }
}

/// IoTDB 1.2 and 1.3 write it without a sync, so that it may be empty after a crash.
fn reboots(path: &Path) -> Option<u64> {
    let bytes = read_at_most(path, REBOOTS_BYTES_MAX).ok()?;
    let text = str::from_utf8(&bytes).ok()?.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn node(path: &Path) -> Option<u64> {
    let bytes = read_at_most(path, CONFIG_TEXT_BYTES_MAX).ok()?;
    let properties = SystemProperties::parse("system.properties", &bytes).ok()?;
    let (cluster, node) = (properties.cluster_id?, properties.data_node_id?);
    Some(device_key(&format!("{cluster}/{node}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_when_they_change_and_are_unknown_when_they_cannot_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut marks = Marks::new(Some(dir.path()));
        assert_eq!(marks.read(), SourceMarks::default());
        fs::create_dir(dir.path().join("pipe")).expect("a directory");
        let write =
            |path: &str, text: &str| fs::write(dir.path().join(path), text).expect("written");
        for (text, expected) in
            [("3", Some(3)), ("", None), ("12", Some(12)), ("-12", None), ("x", None)]
        {
            write("pipe/reboot_times.txt", text);
            // Another inode, whatever the clock of the file system says.
            let path = dir.path().join("pipe/reboot_times.txt");
            fs::copy(&path, path.with_extension("new")).expect("a copy");
            fs::rename(path.with_extension("new"), &path).expect("a name");
            assert_eq!(marks.read().reboots, expected, "{text:?}");
        }
        write("system.properties", "data_node_id=1\n");
        assert_eq!(marks.read().node, None);
        write("system.properties", "data_node_id=1\ncluster_id=abc\n");
        let one = marks.read().node.expect("cluster and node");
        write("system.properties", "data_node_id=12\ncluster_id=abc\n");
        assert_ne!(marks.read().node.expect("cluster and node"), one);
        fs::remove_file(dir.path().join("system.properties")).expect("gone");
        assert_eq!(marks.read().node, None);
        assert_eq!(Marks::new(None).read(), SourceMarks::default());
    }
}
