//! Part of a file: the decision by index and statistics against all its points, tablets against a
//! filter over all its points.

mod points;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::PatternForm;
use tidegate_model::SeriesPattern;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_model::path;
use tidegate_tsfile::ALL_TIMES;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ExcerptError;
use tidegate_tsfile::ExcerptOrder;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::Share;
use tidegate_tsfile::TabletError;
use tidegate_tsfile::TabletOrder;
use tidegate_tsfile::Tablets;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Wanted;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::write_excerpt;

use points::compare;
use points::files;
use points::points;

/// A point: device, measurement, time, and the line of the corpus.
#[derive(Clone, Debug)]
struct Point {
    device: String,
    measurement: String,
    time: i64,
    line: String,
}

/// All points of a file; devices and measurements of the corpus have no comma.
fn all_points(file: &TsFile<Vec<u8>>) -> Vec<Point> {
    let lines = points(file).unwrap();
    let point = |line: &String| {
        let mut parts = line.splitn(4, ',');
        let mut part = || parts.next().unwrap().to_owned();
        let (device, measurement) = (part(), part());
        Point { device, measurement, time: part().parse().unwrap(), line: line.clone() }
    };
    lines.iter().map(point).collect()
}

/// Files whose devices are of the tree model and whose names a line can hold.
fn tree_files() -> impl Iterator<Item = (String, TsFile<Vec<u8>>, Vec<Point>)> {
    files().into_iter().filter_map(|(path, _)| {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        let devices: Vec<_> = file.devices().map(|it| it.unwrap().id().clone()).collect();
        let is_plain = |it: &str| it.starts_with("root.") && !it.contains([',', '`']);
        if !file.tables().is_empty() || !devices.iter().all(|it| is_plain(&it.path)) {
            return None;
        }
        let points = all_points(&file);
        (1..20_000).contains(&points.len()).then(|| (path.display().to_string(), file, points))
    })
}

fn order(wanted: Wanted) -> TabletOrder {
    TabletOrder {
        wanted,
        deleted: Vec::new(),
        database: None,
        bytes_max: 1 << 20,
        rows_max: 1024,
        knows: |_| true,
        passes_io_errors: false,
    }
}

fn tablets(file: &TsFile<Vec<u8>>, order: TabletOrder) -> Vec<Tablet> {
    let mut found = Vec::new();
    let mut tablets = Tablets::new(file, order);
    while let Some(tablet) = tablets.next_tablet().unwrap() {
        found.push(tablet);
    }
    assert_eq!(tablets.unread().parts(), [], "of a sound file");
    found
}

/// The points of tablets as lines of the corpus; checks what every tablet must be.
fn lines_of(tablets: &[Tablet], rows_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for tablet in tablets {
        assert!((1..=rows_max).contains(&tablet.times.len()));
        assert!(tablet.times.is_sorted_by(|a, b| a < b), "in the order of time, each once");
        for column in &tablet.columns {
            assert_eq!(column.values.len(), tablet.times.len());
            assert!(column.values.iter().any(Option::is_some), "a column without a value");
            for (time, value) in tablet.times.iter().zip(&column.values) {
                if let Some(value) = value {
                    let (device, name) = (&tablet.device, &column.name);
                    lines.push(format!("{device},{name},{time},{}", shown(value)));
                }
            }
        }
    }
    lines.sort_unstable();
    lines
}

fn shown(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float(value) => format!("{:08x}", value.to_bits()),
        Value::Double(value) => format!("{:016x}", value.to_bits()),
        Value::Bytes(value) => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x:{hex}")
        }
    }
}

fn extents(points: &[Point], file: &TsFile<Vec<u8>>) -> Vec<DeviceExtent> {
    let mut ranges: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for point in points {
        let range = ranges.entry(&point.device).or_insert((point.time, point.time));
        *range = (range.0.min(point.time), range.1.max(point.time));
    }
    let extent = |(device, (start, end)): (&str, (i64, i64))| DeviceExtent {
        device: file.device_of_path(device),
        range: TimeRange { start, end },
    };
    ranges.into_iter().map(extent).collect()
}

struct Choice {
    rng: fastrand::Rng,
}

impl Choice {
    fn pattern(&mut self, points: &[Point]) -> SeriesPattern {
        let rng = &mut self.rng;
        let point = &points[rng.usize(..points.len())];
        let full = format!("{}.{}", point.device, point.measurement);
        let form =
            [PatternForm::PrefixExact, PatternForm::Prefix, PatternForm::Nodes][rng.usize(..3)];
        let text = match form {
            _ if rng.u8(..5) == 0 => "root".to_owned(),
            PatternForm::Nodes => {
                let mut nodes: Vec<&str> = path::nodes(&full);
                for node in nodes.iter_mut().skip(1) {
                    if rng.bool() {
                        *node = ["*", "**", "*1"][rng.usize(..3)];
                    }
                }
                nodes.join(".")
            }
            _ if rng.bool() => point.device.clone(),
            _ if rng.bool() => full.clone(),
            _ => full[..rng.usize(5..=full.len())].to_owned(),
        };
        SeriesPattern::new(&text, form).unwrap_or_else(|_| SeriesPattern::all())
    }

    fn times(&mut self, points: &[Point]) -> RangeInclusive<i64> {
        let rng = &mut self.rng;
        let mut time = || points[rng.usize(..points.len())].time;
        let (a, b) = (time(), time());
        match self.rng.u8(..4) {
            0 => ALL_TIMES,
            1 => a..=a,
            2 => i64::MIN..=a,
            _ => a.min(b)..=a.max(b),
        }
    }

    fn deletion(&mut self, points: &[Point]) -> ModEntry {
        let rng = &mut self.rng;
        let point = &points[rng.usize(..points.len())];
        let pattern = match rng.u8(..4) {
            0 => "root.**".to_owned(),
            1 => format!("{}.*", point.device),
            2 => format!("root.**.{}", point.measurement),
            _ => format!("{}.{}", point.device, point.measurement),
        };
        let times = self.times(points);
        let target = Target::Tree { pattern: pattern.into() };
        let deletion = Deletion { target, start: *times.start(), end: *times.end() };
        ModEntry { deletion, file_offset: None, position: 0, raw: Box::default() }
    }
}

fn is_deleted(point: &Point, entries: &[ModEntry]) -> bool {
    let full = format!("{}.{}", point.device, point.measurement);
    entries.iter().any(|entry| {
        let Deletion { target: Target::Tree { pattern }, start, end } = &entry.deletion else {
            return false;
        };
        (*start..=*end).contains(&point.time)
            && path::matches(&path::nodes(pattern), &path::nodes(&full))
    })
}

#[test]
fn what_is_decided_without_decoding_is_what_all_points_say() {
    let mut seen = BTreeSet::new();
    for (at, (name, file, points)) in tree_files().enumerate() {
        let mut choice = Choice { rng: fastrand::Rng::with_seed(at as u64) };
        let extents = extents(&points, &file);
        for _ in 0..40 {
            let wanted = Wanted { pattern: choice.pattern(&points), times: choice.times(&points) };
            let is_wanted = |point: &&Point| {
                wanted.pattern.matches_series(&point.device, &point.measurement)
                    && wanted.times.contains(&point.time)
            };
            let n_wanted = points.iter().filter(is_wanted).count();
            let what = format!("{name}: {wanted:?}: {n_wanted} of {}", points.len());
            let by_devices = wanted.share_of_devices(&extents, false);
            let by_index = wanted.share_of(&file, false).unwrap();
            seen.insert(format!("{by_devices:?} {by_index:?}"));
            for share in [by_devices, by_index] {
                match share {
                    Share::All => assert_eq!(n_wanted, points.len(), "{what}"),
                    Share::Nothing => assert_eq!(n_wanted, 0, "{what}"),
                    Share::Some => (),
                }
            }
            if by_devices != Share::Some {
                // Of a row without any value the statistics still tell the time.
                assert!([by_devices, Share::Some].contains(&by_index), "{what}");
            }
        }
    }
    for expected in ["All All", "Nothing Nothing", "Some Some", "Some Nothing"] {
        assert!(seen.contains(expected), "{expected}: {seen:?}");
    }
}

#[test]
fn tablets_hold_exactly_the_points_that_are_wanted_and_not_deleted() {
    let (mut n_files, mut n_points) = (0, 0);
    for (at, (name, file, points)) in tree_files().enumerate() {
        let mut choice = Choice { rng: fastrand::Rng::with_seed(1000 + at as u64) };
        n_files += 1;
        for round in 0..8 {
            let wanted = match round {
                0 => Wanted::default(),
                _ => Wanted { pattern: choice.pattern(&points), times: choice.times(&points) },
            };
            let n_deleted = choice.rng.usize(..3);
            let deleted: Vec<_> = (0..n_deleted).map(|_| choice.deletion(&points)).collect();
            let is_wanted = |point: &&Point| {
                wanted.pattern.matches_series(&point.device, &point.measurement)
                    && wanted.times.contains(&point.time)
                    && !is_deleted(point, &deleted)
            };
            let expected: Vec<String> =
                points.iter().filter(is_wanted).map(|it| it.line.clone()).collect();
            let mut order = order(wanted.clone());
            order.deleted.clone_from(&deleted);
            order.rows_max = choice.rng.usize(1..2000);
            order.bytes_max = [1 << 20, 64 << 10][choice.rng.usize(..2)];
            let rows_max = order.rows_max;
            let found = lines_of(&tablets(&file, order), rows_max);
            compare(&format!("{name}: {wanted:?} without {deleted:?}"), &found, &expected);
            n_points += found.len();
        }
    }
    assert!(n_files > 20 && n_points > 10_000, "{n_files} files, {n_points} points");
}

#[test]
fn tablets_are_no_larger_than_allowed_whatever_a_row_has() {
    let (_, file, points) = tree_files()
        .find(|(_, _, points)| {
            points.iter().any(|it| it.line.contains(",x:")) && points.len() > 500
        })
        .expect("a file with texts");
    let longest = points.iter().filter_map(|it| it.line.split_once("x:")).map(|it| it.1.len() / 2);
    let longest = longest.max().unwrap();
    let mut order = order(Wanted::default());
    order.bytes_max = longest + 24 * 1024;
    let bytes_max = order.bytes_max;
    let found = tablets(&file, order.clone());
    let size = |tablet: &Tablet| {
        let cell = |value: &Option<Value>, data_type: DataType| match value {
            Some(Value::Bytes(bytes)) => bytes.len() + 5,
            _ => data_type.fixed_bytes().unwrap_or(1),
        };
        let column = |it: &tidegate_model::Column| {
            it.name.len() + it.values.iter().map(|value| cell(value, it.data_type)).sum::<usize>()
        };
        tablet.times.len() * 8 + tablet.columns.iter().map(column).sum::<usize>()
    };
    assert!(found.iter().all(|it| size(it) <= bytes_max));
    assert!(found.len() > 1);
    let lines: Vec<String> = points.iter().map(|it| it.line.clone()).collect();
    compare("small tablets", &lines_of(&found, 1024), &lines);
    order.bytes_max = longest / 2;
    let mut tablets = Tablets::new(&file, order);
    let refused = loop {
        match tablets.next_tablet() {
            Ok(Some(_)) => (),
            other => break other,
        }
    };
    assert!(matches!(refused, Err(TabletError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn series_of_types_that_the_peer_does_not_know_are_left_out_and_counted() {
    let mut n_files = 0;
    for (name, file, points) in tree_files() {
        let mut order = order(Wanted::default());
        order.knows = |it| it.code() <= DataType::Text.code();
        let mut tablets = Tablets::new(&file, order);
        let mut left = BTreeSet::new();
        while let Some(tablet) = tablets.next_tablet().unwrap() {
            assert!(tablet.columns.iter().all(|it| it.data_type.code() <= 5), "{name}");
            left.extend(tablet.columns.into_iter().map(|it| (tablet.device.clone(), it.name)));
        }
        let all: BTreeSet<_> =
            points.iter().map(|it| (it.device.clone(), it.measurement.clone())).collect();
        assert_eq!(left.len() + tablets.n_unknown() as usize, all.len(), "{name}");
        n_files += usize::from(tablets.n_unknown() > 0);
    }
    assert!(n_files > 0, "a file with types of 1.3.3");
}

#[test]
fn rows_of_tables_carry_their_tags_and_no_tree_pattern_takes_them() {
    let mut n_files = 0;
    for (path, _) in files() {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        if file.tables().is_empty() {
            continue;
        }
        n_files += 1;
        let mut order = order(Wanted::default());
        order.database = Some("plant".to_owned());
        let found = tablets(&file, order.clone());
        let mut n_points = 0;
        for tablet in &found {
            assert_eq!(tablet.database.as_deref(), Some("plant"));
            let schema = file.tables().iter().find(|it| *it.name == *tablet.device).unwrap();
            let tags = schema.columns.iter().filter(|it| it.category == Category::Tag);
            let found = tablet.columns.iter().filter(|it| it.category == Category::Tag);
            assert!(tags.map(|it| &*it.name).eq(found.map(|it| &*it.name)));
            let fields = tablet.columns.iter().filter(|it| it.category == Category::Field);
            n_points += fields.flat_map(|it| &it.values).filter(|it| it.is_some()).count();
        }
        assert_eq!(n_points, points(&file).unwrap().len(), "{}", path.display());
        order.wanted.pattern = SeriesPattern::new("root.t", PatternForm::Prefix).unwrap();
        assert_eq!(order.wanted.share_of(&file, true).unwrap(), Share::Nothing);
        assert_eq!(tablets(&file, order).len(), 0);
    }
    assert!(n_files > 0, "a file of tables");
}

fn excerpt_order(wanted: Wanted, version: TsFileVersion) -> ExcerptOrder {
    let (deleted, is_table_model) = (Vec::new(), false);
    ExcerptOrder {
        wanted,
        deleted,
        is_table_model,
        version,
        knows: |_| true,
        passes_io_errors: false,
    }
}

/// The file of an excerpt, which must be sound and the same each time; `None` if it would be empty.
fn excerpt(file: &TsFile<Vec<u8>>, order: &ExcerptOrder) -> Option<TsFile<Vec<u8>>> {
    let write = || {
        let excerpt = write_excerpt(file, order, Vec::new()).unwrap();
        assert_eq!(excerpt.unread.parts(), [], "of a sound file");
        excerpt.written.map(|it| it.out)
    };
    let bytes = write();
    assert_eq!(bytes, write(), "an excerpt that is sent again has the same bytes");
    let excerpt = TsFile::open(bytes?).unwrap();
    let verified = excerpt.verify();
    assert!(verified.is_sound(), "{:?}", verified.findings);
    assert_eq!(excerpt.version(), order.version);
    for device in excerpt.devices() {
        for series in excerpt.series(&device.unwrap()).unwrap() {
            let series = series.unwrap();
            let has_points = series.statistics.count > 0 || order.is_table_model;
            assert!(has_points, "{} would be a series at the far side", series.measurement);
        }
    }
    Some(excerpt)
}

/// Whether a file has a type that version 3 does not have.
fn has_objects(file: &TsFile<Vec<u8>>) -> bool {
    file.devices().any(|device| {
        let mut series = file.series(&device.unwrap()).unwrap();
        series.any(|it| it.unwrap().data_type == Some(DataType::Object))
    })
}

#[test]
fn an_excerpt_holds_exactly_the_points_that_are_wanted_and_not_deleted() {
    let (mut n_files, mut n_points, mut n_empty) = (0, 0, 0);
    for (at, (name, file, points_of_file)) in tree_files().enumerate() {
        let mut choice = Choice { rng: fastrand::Rng::with_seed(2000 + at as u64) };
        n_files += 1;
        for round in 0..6 {
            let all = &points_of_file;
            let wanted = match round {
                0 => Wanted::default(),
                _ => Wanted { pattern: choice.pattern(all), times: choice.times(all) },
            };
            let n_deleted = choice.rng.usize(..3);
            let version = match choice.rng.bool() && !has_objects(&file) {
                true => TsFileVersion::V3,
                false => TsFileVersion::V4,
            };
            let mut order = excerpt_order(wanted, version);
            order.deleted = (0..n_deleted).map(|_| choice.deletion(all)).collect();
            let is_wanted = |point: &&Point| {
                order.wanted.pattern.matches_series(&point.device, &point.measurement)
                    && order.wanted.times.contains(&point.time)
                    && !is_deleted(point, &order.deleted)
            };
            let expected: Vec<String> =
                all.iter().filter(is_wanted).map(|it| it.line.clone()).collect();
            let found = excerpt(&file, &order).map(|it| points(&it).unwrap()).unwrap_or_default();
            compare(&format!("{name}: {order:?}"), &found, &expected);
            n_points += found.len();
            n_empty += usize::from(found.is_empty());
        }
    }
    let all = format!("{n_files} files, {n_points} points, {n_empty} empty");
    assert!(n_files > 20 && n_points > 10_000 && n_empty > 10, "{all}");
}

#[test]
fn an_excerpt_of_tables_has_their_rows_and_schemas_but_for_unknown_types() {
    let is_known: fn(DataType) -> bool = |it| it != DataType::Int64;
    let (mut n_files, mut n_unknown) = (0, 0);
    for (path, _) in files() {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        if file.tables().is_empty() {
            continue;
        }
        n_files += 1;
        let mut order = excerpt_order(Wanted::default(), TsFileVersion::V4);
        order.is_table_model = true;
        let found = excerpt(&file, &order).unwrap();
        assert_eq!(found.tables(), file.tables(), "{}", path.display());
        assert_eq!(points(&found).unwrap(), points(&file).unwrap(), "{}", path.display());
        order.knows = is_known;
        n_unknown += write_excerpt(&file, &order, Vec::new()).unwrap().n_unknown;
        if let Some(found) = excerpt(&file, &order) {
            let columns = found.tables().iter().flat_map(|table| &table.columns);
            assert!(
                columns
                    .filter(|it| it.category == Category::Field)
                    .all(|it| is_known(it.data_type))
            );
        }
    }
    assert!(n_files > 0 && n_unknown > 0, "{n_files} files, {n_unknown} unknown");
}

#[test]
fn an_excerpt_of_a_device_too_wide_to_be_read_at_once_is_refused() {
    for (n_columns, is_refused) in [(1024, false), (1025, true)] {
        let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::default()).unwrap();
        let device = DeviceId { path: "root.sg.d".into(), segments: None };
        let names = (0..n_columns).map(|at| format!("s{at:04}"));
        let specs = names.map(|name| SeriesSpec::new(&name, DataType::Int32));
        writer.begin_aligned(&device, &specs.collect::<Vec<_>>()).unwrap();
        let mut batch = Batch::new(vec![DataType::Int32; n_columns]);
        batch.times.push(1);
        for column in &mut batch.columns {
            column.presence.push(true);
            assert!(column.values.push(&Value::Int32(7)));
        }
        writer.write(&batch).unwrap();
        let file = TsFile::open(writer.finish().unwrap().out).unwrap();
        let order = excerpt_order(Wanted::default(), TsFileVersion::V3);
        match write_excerpt(&file, &order, Vec::new()) {
            Ok(found) => assert!(!is_refused && found.written.is_some()),
            Err(ExcerptError::TooWide { found: 1025, .. }) => assert!(is_refused),
            Err(other) => panic!("{other}"),
        }
    }
}

/// A file of a device whose series have chunks at different times: `s1` around those of `s2`.
fn file_with_a_hole() -> TsFile<Vec<u8>> {
    let mut options = WriteOptions::default();
    options.chunk_rows_max = 11;
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let device = DeviceId { path: "root.sg.d".into(), segments: None };
    for (name, times) in [("s1", vec![0..=10, 100..=110]), ("s2", vec![40..=60])] {
        writer.begin_series(&device, &SeriesSpec::new(name, DataType::Double)).unwrap();
        for times in times {
            let mut batch = Batch::new([DataType::Double]);
            for time in times {
                batch.times.push(time);
                batch.columns[0].presence.push(true);
                assert!(batch.columns[0].values.push(&Value::Double(time as f64)));
            }
            writer.write(&batch).unwrap();
        }
    }
    TsFile::open(writer.finish().unwrap().out).unwrap()
}

#[test]
fn a_series_without_a_row_in_the_times_leaves_its_column_to_nobody() {
    let file = file_with_a_hole();
    let times = order(Wanted { pattern: SeriesPattern::all(), times: 40..=60 });
    let mut deleted = order(Wanted { pattern: SeriesPattern::all(), times: 20..=60 });
    let target = Target::Tree { pattern: "root.sg.d.s1".into() };
    let deletion = Deletion { target, start: i64::MIN, end: i64::MAX };
    deleted.deleted =
        vec![ModEntry { deletion, file_offset: None, position: 0, raw: Box::default() }];
    for order in [times, deleted] {
        let tablets = tablets(&file, order);
        let names: Vec<&str> =
            tablets.iter().flat_map(|it| &it.columns).map(|column| column.name.as_str()).collect();
        assert!(names.iter().all(|name| *name == "s2"), "{names:?}");
        let n_values = tablets.iter().flat_map(|it| &it.columns[0].values).flatten().count();
        assert_eq!(n_values, 21);
    }
}
