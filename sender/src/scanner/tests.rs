use std::fs;
use std::sync::mpsc::channel;

use tidegate_source::TsFileName;

use super::*;
use crate::catalog::CatalogConfig;

/// Whatever is waited for comes within this, or not at all.
const WITHIN: Duration = Duration::from_secs(60);

/// The kernel may have few watches left: then nothing is trusted, and nothing is missed.
#[test]
fn with_enough_watches_a_scan_knows_what_was_between_and_with_too_few_it_finds_all_the_same() {
    for (watches_max, is_watched) in [(64, true), (3, false), (0, false)] {
        let data_dir = tempfile::tempdir().expect("a directory");
        let folder = data_dir.path().join("sequence/root.sg/3/0");
        fs::create_dir_all(&folder).expect("a folder");
        let config = CatalogConfig {
            data_dirs: vec![data_dir.path().to_owned()],
            mods_bytes_max: 1 << 20,
            ..CatalogConfig::default()
        };
        let catalog = Catalog::new(config);
        let scanner = Scanner::with_watches(catalog, 100, Hints::Inotify, watches_max);
        let scanner = scanner.expect("a scanner");
        let handle = scanner.handle();
        let (deliver, scans) = channel();
        let thread = std::thread::spawn(move || {
            scanner.run(|scan| {
                let _ = deliver.send(scan);
            })
        });
        scans.recv_timeout(WITHIN).expect("a first scan");
        let mut was_watched = false;
        for version in 1..=3 {
            let name = TsFileName { version, time_ms: 7, inner: 0, cross: 0 };
            fs::write(folder.join(format!("{name}.resource")), b"").expect("a resource");
            fs::write(folder.join(name.to_string()), b"x").expect("a file");
            loop {
                let scan = scans.recv_timeout(WITHIN).expect("the next scan");
                was_watched |= matches!(scan.watched, Watched::Yes { .. });
                let mut files = scan.listings.iter().flat_map(|it| &it.sealed);
                if files.any(|file| file.name == name) {
                    break;
                }
            }
        }
        assert_eq!(was_watched, is_watched, "{watches_max} watches");
        handle.stop();
        thread.join().expect("it ends").expect("in order");
    }
}
