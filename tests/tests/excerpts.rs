//! Points of files that overlap a file which left before: they arrive as a file, which a stock IoTDB
//! cannot hide behind that one.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use serde_json::Value;
use tidegate_model::DataType;
use tidegate_model::Value as Cell;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::harness::Daemon;
use tidegate_tests::site::Site;
use tidegate_tests::site::WITHIN;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

/// The pipe takes this device and no other.
const WANTED: &str = "root.plant.d1";
const OTHER: &str = "root.plant.d2";
/// Times of the file that leaves in part.
const LAST_TIME: i64 = 100_000;

/// By device and time.
type Points = BTreeMap<(String, i64), u64>;

/// A sealed file of doubles; what is in it.
fn add_file(site: &Site, space: &str, version: u64, devices: &[(&str, Vec<i64>)]) -> Points {
    let mut rng = fastrand::Rng::with_seed(version);
    let mut points = Points::new();
    let options = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), options).expect("a writer");
    for (path, times) in devices {
        let device = DeviceId { path: (*path).into(), segments: None };
        writer.begin_series(&device, &SeriesSpec::new("s", DataType::Double)).expect("a series");
        let mut batch = Batch::new([DataType::Double]);
        for time in times {
            let value = rng.f64();
            batch.times.push(*time);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Cell::Double(value)));
            points.insert(((*path).to_owned(), *time), value.to_bits());
        }
        writer.write(&batch).expect("rows");
    }
    let written = writer.finish().expect("a file");
    let folder = site.tree.data_dir().join(space).join("root.plant/1/0");
    fs::create_dir_all(&folder).expect("a folder");
    let name = format!("{}-{version}-0-0.tsfile", 1_700_000_000_000 + version);
    let resource = written.resource().encode().expect("a resource");
    fs::write(folder.join(&name), written.out).expect("a file");
    fs::write(folder.join(format!("{name}.resource")), resource).expect("a resource");
    points
}

/// A site whose first file leaves whole, and whose second one overlaps it and leaves in part.
fn site(more: &[&str]) -> (Site, Points) {
    let site = Site::new(more);
    add_file(&site, "sequence", 1, &[(WANTED, vec![0, LAST_TIME])]);
    let times: Vec<i64> = (0..=LAST_TIME).collect();
    let devices = [(WANTED, times), (OTHER, vec![1, 2, 3])];
    let mut wanted = add_file(&site, "unsequence", 2, &devices);
    wanted.retain(|(device, _), _| device == WANTED);
    (site, wanted)
}

fn write_pipe(site: &Site, peer: SocketAddr) {
    let text = format!(
        "[extractor]\npattern = \"{WANTED}\"\n[connector]\n\
         connector = \"iotdb-air-gap-connector\"\nnode-urls = \"{peer}\"\n\
         tidegate.piece-size-bytes = 65536\n"
    );
    fs::write(site.pipe_path("p"), text).expect("a pipe");
}

/// The sender, and its status once both files have left.
fn run(site: &Site) -> (Daemon, Value) {
    write_pipe(site, site.receiver_setup.address());
    let mut sender = site.start();
    let status = site.wait(&mut sender, "both files", |it| it["pipes"][0]["sent_files"] == 2);
    assert_eq!(n_excerpts(site), 0, "an excerpt has no name");
    (sender, status)
}

fn n_excerpts(site: &Site) -> usize {
    let state = site.setup.conf().with_file_name("state").join("excerpts");
    fs::read_dir(&state).expect("the directory of excerpts").count()
}

/// What arrived of a version: its copies.
fn arrived(site: &Site, version: u64) -> Vec<arrival::Content> {
    let found = harness::poll(WITHIN, "a file to be in its place", || {
        let all = arrival::arrived(&site.receiver_setup.files())?;
        // The name is that of the file.
        Ok(all.into_iter().find(|(name, _)| name.contains(&format!("-{version}-0-0-u."))))
    });
    found.expect("a file").1
}

fn points(content: &arrival::Content) -> Points {
    let file = TsFile::open(fs::read(&content.path).expect("a file")).expect("a TsFile");
    assert!(file.verify().is_sound());
    let mut points = Points::new();
    for device in file.devices() {
        let device = device.expect("a device");
        for series in file.series(&device).expect("series") {
            let series = series.expect("a series");
            let mut rows = file.rows(&series, Selection::default()).expect("rows");
            let mut batch = Batch::default();
            while rows.next_into(&mut batch).expect("rows") {
                for (time, cell) in batch.times.iter().zip(batch.columns[0].cells()) {
                    let Some(Cell::Double(value)) = cell else { panic!("{cell:?}") };
                    points.insert((device.id().path.to_string(), *time), value.to_bits());
                }
            }
        }
    }
    points
}

#[test]
fn points_that_overlap_a_file_which_left_whole_arrive_as_a_file_and_are_no_gap() {
    let (site, expected) = site(&[]);
    let (_sender, status) = run(&site);
    let region = &status["pipes"][0]["regions"][0];
    assert_eq!((&region["excerpt_files"], &region["tablet_files"]), (&1.into(), &0.into()));
    assert_eq!(site.gaps(), Vec::<Value>::new());
    let copies = arrived(&site, 2);
    assert_eq!(copies.len(), 1);
    assert!(points(&copies[0]) == expected, "exactly the wanted points");
}

#[test]
fn a_sender_that_is_killed_in_the_midst_of_an_excerpt_sends_the_same_bytes_again() {
    let (undisturbed, _) = site(&[]);
    run(&undisturbed);
    let expected = arrived(&undisturbed, 2)[0].sha256.clone();
    let (site, _) = site(&[]);
    let gateway = site.gateway(&["--mbit", "2"]);
    write_pipe(&site, gateway.address);
    for least_bytes in [100_000, 300_000] {
        let mut sender = site.start();
        site.wait(&mut sender, "some pieces to have left", |status| {
            status["pipes"][0]["lanes"][0]["bytes_sent"].as_u64() > Some(least_bytes)
        });
        sender.kill9().expect("it dies");
        assert_eq!(n_excerpts(&site), 0, "a kill leaves nothing behind");
    }
    drop(gateway);
    let (_sender, status) = run(&site);
    assert_eq!(status["pipes"][0]["regions"][0]["excerpt_files"], 1);
    assert_eq!(site.gaps(), Vec::<Value>::new());
    let copies = arrived(&site, 2);
    assert!(copies.iter().all(|copy| copy.sha256 == expected), "{copies:?}");
}

#[test]
fn points_too_many_for_an_excerpt_leave_as_tablets_and_are_told_as_a_gap() {
    let (site, _) = site(&["sender_excerpt_max_bytes=100KiB"]);
    let (_sender, status) = run(&site);
    let region = &status["pipes"][0]["regions"][0];
    assert_eq!((&region["excerpt_files"], &region["tablet_files"]), (&0.into(), &1.into()));
    let reasons: Vec<Value> = site.gaps().iter().map(|gap| gap["reason"].clone()).collect();
    assert_eq!(reasons, ["rows-may-be-hidden"]);
}
