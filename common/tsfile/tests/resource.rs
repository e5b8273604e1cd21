//! `.resource` files of real servers, and those that IoTDB's classes wrote for these tests.

mod support;

use std::fmt::Write;
use std::path::Path;

use support::golden;
use support::real;
use support::to_hex;
use tidegate_tsfile::ModsReference;
use tidegate_tsfile::Progress;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::Resource;
use tidegate_tsfile::SimpleProgress;
use tidegate_tsfile::TimeIndex;
use tidegate_tsfile::TimeRange;

/// Default length of a time partition.
const WEEK_MS: i64 = 604_800_000;

/// In the form that `Companions.java` writes, where devices stand in the order of their making.
fn describe(resource: &Resource) -> (Vec<String>, String) {
    let mut devices = Vec::new();
    for extent in &resource.devices {
        let segments = extent.device.segments.as_ref().expect("written by 2.x");
        let segments: Vec<_> =
            segments.0.iter().map(|it| it.as_deref().unwrap_or("<null>")).collect();
        let TimeRange { start, end } = extent.range;
        devices.push(format!("device {} {start} {end}", segments.join("|")));
    }
    devices.sort();
    let plans = resource.plan_indexes.expect("every version writes them");
    let mut rest = format!("plans {} {}\n", plans.min, plans.max);
    match &resource.mods {
        None => rest.push_str("mods none\n"),
        Some(ModsReference::Beside(name)) => writeln!(rest, "mods beside {name}").unwrap(),
        Some(ModsReference::Shared { path, offset }) => {
            assert_eq!(*offset, 30, "one entry stands before");
            writeln!(rest, "mods shared {}", path.strip_prefix("/data/").unwrap()).unwrap();
        }
    }
    match &resource.progress {
        Progress::Absent => rest.push_str("progress absent\n"),
        Progress::Unreadable(error) => writeln!(rest, "progress unreadable: {error}").unwrap(),
        Progress::Known(index) => {
            writeln!(rest, "progress {index}").unwrap();
            for (series, window) in index.time_windows() {
                let content = window.content.as_deref().map_or_else(|| "null".into(), to_hex);
                writeln!(rest, "window {series} {content}").unwrap();
            }
            for (name, value) in index.state().iter().flat_map(|state| &state.values) {
                let value = value.as_deref().map_or_else(|| "null".into(), to_hex);
                writeln!(rest, "value {name} {value}").unwrap();
            }
        }
    }
    (devices, rest)
}

#[test]
fn files_of_iotdbs_classes_say_what_was_put_into_them() {
    let files = golden("resource");
    assert_eq!(files.len(), 14, "a kind is missing: run tests/java/run.sh Companions");
    for (file, expected) in files {
        let resource = Resource::parse(&file.bytes).unwrap();
        let (devices, rest) = expected.split_at(expected.find("plans ").unwrap());
        let mut devices: Vec<&str> = devices.lines().collect();
        devices.sort_unstable();
        let found = describe(&resource);
        assert_eq!(found.0, devices, "{}", file.name);
        assert_eq!(found.1.trim_end(), rest.trim_end(), "{}", file.name);
        assert_eq!((resource.unread, resource.time_index), (None, TimeIndex::Segments));
    }
}

#[test]
fn every_file_of_a_real_server_is_read_to_its_end_and_lies_in_its_partition() {
    let files = real(".resource");
    assert_eq!(files.len(), 63 + 2, "fixtures and samples");
    let mut versions = [0, 0];
    for file in files {
        let resource = Resource::parse(&file.bytes).unwrap();
        assert_eq!((resource.unread, &resource.mods), (None, &None), "{}", file.name);
        let Progress::Known(progress) = &resource.progress else { panic!("{}", file.name) };
        assert!(progress.is_evidence() && progress.simple_part().is_some(), "{}", file.name);
        assert!(!resource.devices.is_empty());
        let range = resource.range().expect("there is a device");
        for extent in &resource.devices {
            assert!(range.union(extent.range) == range && extent.range.overlaps(range));
            let has_segments = extent.device.segments.is_some();
            assert_eq!(has_segments, resource.time_index == TimeIndex::Segments, "{}", file.name);
            assert!(extent.device.path.starts_with("root."), "{}", extent.device);
        }
        versions[usize::from(resource.time_index == TimeIndex::Segments)] += 1;
        let folder = Path::new(&file.name).parent().and_then(Path::file_name).unwrap();
        if folder != "data" {
            let partition: i64 = folder.to_str().unwrap().parse().unwrap();
            assert_eq!(range.start.div_euclid(WEEK_MS), partition, "{}", file.name);
            assert_eq!(range.end.div_euclid(WEEK_MS), partition, "{}", file.name);
        }
    }
    assert_eq!(versions, [7, 58], "of 1.2.2 and of 2.0.1-beta");
}

#[test]
fn what_is_written_is_what_iotdb_writes_but_for_the_order_of_devices_and_parts() {
    let golden = golden("resource").into_iter().map(|(sample, _)| sample);
    let (mut n_same, mut n_same_length) = (0, 0);
    for file in golden.chain(real(".resource")) {
        let resource = Resource::parse(&file.bytes).unwrap();
        let encoded = resource.encode().unwrap();
        let again = Resource::parse(&encoded).unwrap();
        assert_eq!(again, resource, "{}", file.name);
        n_same += usize::from(encoded == file.bytes);
        // Progress indexes have one form here and many there.
        n_same_length += usize::from(encoded.len() == file.bytes.len());
        if resource.devices.len() <= 1 && !file.name.starts_with("progress-") {
            assert_eq!(to_hex(&encoded), to_hex(&file.bytes), "{}", file.name);
        }
    }
    assert_eq!((n_same, n_same_length), (64, 77), "of 79");
}

/// One device without an end, as a crash leaves it.
fn open_ended() -> Vec<u8> {
    let mut bytes = vec![1, 1, 0, 0, 0, 1];
    bytes.extend(5i64.to_be_bytes());
    bytes.extend(i64::MIN.to_be_bytes());
    bytes.extend([0, 0, 0, 6]);
    bytes.extend(b"root.d");
    bytes.extend([0; 4]);
    bytes.extend(i64::MIN.to_be_bytes());
    bytes.extend(i64::MAX.to_be_bytes());
    bytes
}

#[test]
fn a_device_without_an_end_may_reach_to_any_time() {
    let resource = Resource::parse(&open_ended()).unwrap();
    assert_eq!(resource.devices[0].range, TimeRange { start: 5, end: i64::MIN });
    assert_eq!(resource.range(), Some(TimeRange { start: 5, end: i64::MAX }));
    let at = |start, end| TimeRange { start, end };
    assert!(resource.devices[0].range.overlaps(at(1_000, 1_001)));
    assert!(!resource.devices[0].range.overlaps(at(0, 4)));
    assert!(at(9, 3).overlaps(at(1_000, 1_001)), "a range that lies stands for all time");
    assert!(at(1, 3).overlaps(at(3, 4)) && !at(1, 2).overlaps(at(3, 4)));
}

#[test]
fn what_cannot_be_read_behind_the_extents_leaves_them_and_says_where() {
    let whole = open_ended();
    let tail = |tail: &[u8]| Resource::parse(&[&whole[..], tail].concat()).unwrap();
    let none = [0xff; 4];

    // Old versions end behind the plan indexes.
    assert_eq!((tail(&[]).progress, tail(&[]).unread), (Progress::Absent, None));
    // 1.2.2 and a mods file.
    let named = tail(b"\0\0\0\x06a.mods\x01\0\x01");
    assert_eq!(named.mods, Some(ModsReference::Beside("a.mods".into())));
    assert_eq!(named.progress, Progress::Known(ProgressIndex::minimum()));
    assert_eq!(named.progress.evidence(), None, "the minimum says nothing");
    // Blocks of 2.0.2, with one that is not known yet behind them.
    let simple = b"\x01\0\x03\0\0\0\x02\0\0\0\0\0\0\0\x09";
    let marked = tail(&[&none, &simple[..], b"\x02\x03\x01\x00", b"\x04what"].concat());
    assert_eq!(marked.progress, Progress::Known(ProgressIndex::simple(2, 9)));
    let marks = marked.marks.unwrap();
    assert_eq!((marks.by_consensus, marks.by_pipe, marked.is_remote), (true, false, true));
    let error = marked.unread.unwrap();
    let at = whole.len() + none.len() + simple.len() + 4;
    assert_eq!(
        error.to_string(),
        format!("expected a kind of block (0 to 3) at byte {at}, but found 4")
    );
    // A progress index of a kind that is not known yet.
    let unknown = tail(&[&none[..], b"\x01\0\x09more"].concat());
    assert!(matches!(unknown.progress, Progress::Unreadable(_)), "{unknown:?}");
    assert_eq!(unknown.devices, tail(&[]).devices);
    // Two blocks: both must be covered.
    let two = tail(
        &[&none, &simple[..], b"\x01\0\x04\0\0\0\x01\0\0\0\x05\0\x03\0\0\0\0\0\0\0\0\0\0\0\x07"]
            .concat(),
    );
    let recover = ProgressIndex::recover(5, SimpleProgress { reboots: 0, flush_order: 7 });
    assert_eq!(two.progress, Progress::Known(ProgressIndex::simple(2, 9).joined(&recover)));
}

#[test]
fn files_that_give_no_extents_are_refused_with_the_reason() {
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(Resource::parse(bytes).unwrap_err().to_string(), expected);
    };
    check(&[], "version at byte 0: expected 1 bytes, but found the end after 0");
    check(&[2, 1], "expected version 1 at byte 0, but found 2");
    check(&[1, 2], "expected a time index by device, of kind 1 or 3 at byte 1, but found 2");
    check(
        &[1, 3, 0x7f, 0xff, 0xff, 0xff, 0, 0],
        "number of devices at byte 2: expected a count of at most 0, but found 2147483647",
    );
    let mut lying = open_ended();
    lying[35] = 1;
    check(
        &lying,
        "expected the place of a device's times among those of all devices at byte 32, but found 1",
    );
}
