//! Random rows, overwrites, deletions and files, with flushes, merges, crashes and starts between
//! them, against a map that is told the same.

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use fastrand::Rng;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_model::path;
use tidegate_store::Device;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use support::Held;
use support::SimVolume;
use support::column;
use support::delete_request;
use support::everything;
use support::held;
use support::tablet_request;

const TIMES: i64 = 60;

/// One record of the spool.
#[derive(Clone, Debug)]
enum Item {
    Rows(Tablet),
    Delete { pattern: String, start: i64, end: i64 },
    File { name: String, tablets: Vec<Tablet>, deletions: Vec<(String, i64, i64)> },
}

fn data_type_of(measurement: &str) -> DataType {
    match measurement {
        "a" => DataType::Int32,
        "b" => DataType::Double,
        "c" => DataType::Text,
        _ => DataType::Boolean,
    }
}

fn value_of(rng: &mut Rng, data_type: DataType) -> Value {
    match data_type {
        DataType::Int32 => Value::Int32(rng.i32(-9..9999)),
        DataType::Double => Value::Double(rng.f64()),
        DataType::Boolean => Value::Boolean(rng.bool()),
        _ => Value::Bytes(format!("t{}", rng.u16(..)).into_bytes()),
    }
}

fn random_tablet(rng: &mut Rng, device: usize) -> Tablet {
    let start = rng.i64(0..TIMES);
    let n_rows = rng.usize(1..8);
    let step = rng.i64(1..4);
    let mut times: Vec<i64> = (0..n_rows as i64).map(|row| start + row * step).collect();
    if rng.u8(..4) == 0 {
        rng.shuffle(&mut times);
    }
    if rng.u8(..8) == 0 {
        // the same time twice
        let at = rng.usize(..times.len());
        times.push(times[at]);
    }
    let mut columns = Vec::new();
    for name in ["a", "b", "c", "d"] {
        if rng.u8(..3) == 0 {
            continue;
        }
        let data_type = data_type_of(name);
        let cell = |rng: &mut Rng| (rng.u8(..4) > 0).then(|| value_of(rng, data_type));
        columns.push(column(name, data_type, times.iter().map(|_| cell(rng)).collect()));
    }
    let is_table = device == 3;
    if is_table {
        let tags = times.iter().map(|_| match rng.u8(..3) {
            0 => None,
            tag => Some(Value::Bytes(format!("tag{tag}").into_bytes())),
        });
        let mut tag = column("line", DataType::String, tags.collect());
        tag.category = Category::Tag;
        columns.insert(0, tag);
    }
    Tablet {
        database: is_table.then(|| "plant".to_owned()),
        device: ["root.sg.d0", "root.sg.d1", "root.other.x.d2", "pumps"][device].to_owned(),
        aligned: device == 1 || is_table,
        times,
        columns,
    }
}

fn random_deletion(rng: &mut Rng) -> (String, i64, i64) {
    let patterns = [
        "root.sg.d0.a",
        "root.sg.*.b",
        "root.sg.d1.*",
        "root.**",
        "root.other.x.d2.c",
        "root.sg.d1.d",
    ];
    let start = rng.i64(-2..TIMES);
    (patterns[rng.usize(..patterns.len())].to_owned(), start, start + rng.i64(0..12))
}

fn random_item(rng: &mut Rng, number: usize) -> Item {
    match rng.u8(..10) {
        0..6 => {
            let device = rng.usize(..4);
            Item::Rows(random_tablet(rng, device))
        }
        6..8 => {
            let (pattern, start, end) = random_deletion(rng);
            Item::Delete { pattern, start, end }
        }
        _ => {
            let devices: Vec<usize> = (0..3).filter(|_| rng.bool()).collect();
            let tablets = devices.into_iter().map(|device| random_tablet(rng, device)).collect();
            let deletions = (0..rng.usize(..3)).map(|_| random_deletion(rng)).collect();
            Item::File { name: format!("staged{number}"), tablets, deletions }
        }
    }
}

fn insert(held: &mut Held, tablet: &Tablet) {
    for (row, time) in tablet.times.iter().enumerate() {
        let mut segments = vec![Some(Box::from(&*tablet.device))];
        for tag in tablet.columns.iter().filter(|column| column.category == Category::Tag) {
            segments.push(match &tag.values[row] {
                Some(Value::Bytes(text)) => Some(String::from_utf8_lossy(text).into()),
                _ => None,
            });
        }
        let device = match &tablet.database {
            None => Device::tree(&tablet.device),
            Some(database) => Device::table(database, segments),
        };
        for column in tablet.columns.iter().filter(|column| column.category == Category::Field) {
            if let Some(value) = &column.values[row] {
                let series = held.entry((device.clone(), column.name.clone())).or_default();
                series.insert(*time, value.clone());
            }
        }
    }
}

fn delete(held: &mut Held, pattern: &str, start: i64, end: i64) {
    for ((device, measurement), series) in &mut *held {
        let Device::Tree { path: device } = device else { continue };
        let full = format!("{device}.{measurement}");
        if path::matches(&path::nodes(pattern), &path::nodes(&full)) {
            series.retain(|time, _| !(start..=end).contains(time));
        }
    }
    held.retain(|_, series| !series.is_empty());
}

/// What the records up to a number leave.
fn expected(items: &[Item]) -> Held {
    let mut all = Held::new();
    for item in items {
        match item {
            Item::Rows(tablet) => insert(&mut all, tablet),
            Item::Delete { pattern, start, end } => delete(&mut all, pattern, *start, *end),
            Item::File { tablets, deletions, .. } => {
                let mut file = Held::new();
                tablets.iter().for_each(|tablet| insert(&mut file, tablet));
                for (pattern, start, end) in deletions {
                    delete(&mut file, pattern, *start, *end);
                }
                for (key, series) in file {
                    all.entry(key).or_default().extend(series);
                }
            }
        }
    }
    all
}

fn file_bytes(tablets: &[Tablet]) -> Option<Vec<u8>> {
    let mut rows = Held::new();
    tablets.iter().for_each(|tablet| insert(&mut rows, tablet));
    if rows.is_empty() {
        return None;
    }
    let options = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let devices: BTreeSet<Device> = rows.keys().map(|(device, _)| device.clone()).collect();
    for device in devices {
        let Device::Tree { path } = &device else { unreachable!() };
        let id = DeviceId { path: path.clone(), segments: None };
        let own: Vec<_> = rows.iter().filter(|((it, _), _)| *it == device).collect();
        let groups: Vec<&[_]> = match &**path == "root.sg.d1" {
            true => vec![&own],
            false => own.chunks(1).collect(),
        };
        for group in groups {
            let named = group.iter().map(|((_, name), _)| (name, data_type_of(name)));
            let specs: Vec<_> = named.map(|(name, it)| SeriesSpec::new(name, it)).collect();
            match &**path == "root.sg.d1" {
                true => writer.begin_aligned(&id, &specs).unwrap(),
                false => writer.begin_series(&id, &specs[0]).unwrap(),
            }
            let times: BTreeSet<i64> =
                group.iter().flat_map(|(_, series)| series.keys().copied()).collect();
            let mut batch = Batch::new(specs.iter().map(|spec| spec.data_type));
            for time in times {
                batch.times.push(time);
                for (column, (_, series)) in batch.columns.iter_mut().zip(group) {
                    let value = series.get(&time);
                    column.presence.push(value.is_some());
                    assert!(value.is_none_or(|value| column.values.push(value)));
                }
            }
            writer.write(&batch).unwrap();
        }
    }
    Some(writer.finish().unwrap().out)
}

/// The mods of 1.x: the form whose bytes a test can write down.
fn mods_bytes(deletions: &[(String, i64, i64)]) -> Vec<u8> {
    let line = |(pattern, start, end): &(String, i64, i64)| {
        format!("DELETION,{pattern},{},{start},{end}\n", i64::MAX)
    };
    deletions.iter().map(line).collect::<String>().into_bytes()
}

fn options() -> Options {
    let mut options = Options::default();
    options.flush_bytes = 3000;
    options.partition_ms = 25;
    options.merge_files_min = 2;
    options.merge_files_max = 4;
    options
}

fn open(volume: &SimVolume) -> Result<Store<SimVolume>, StoreError> {
    let mut store = Store::open(volume.clone(), options(), 7)?;
    store.begin_spool([1; 16])?;
    Ok(store)
}

/// Puts the files of all items where they are staged.
fn stage(volume: &SimVolume, items: &[Item]) {
    for item in items {
        if let Item::File { name, tablets, deletions } = item
            && let Some(bytes) = file_bytes(tablets)
        {
            volume.stage(name, bytes);
            volume.stage(&format!("{name}.mods"), mods_bytes(deletions));
        }
    }
}

/// Gives record `number`, from 1 on, to the store. The clock of arrivals goes back at times.
fn give(store: &mut Store<SimVolume>, number: usize, item: &Item) -> Result<(), StoreError> {
    let sequence = number as u64;
    let arrival_ms = number as i64 * 7 % 17;
    let applied = match item {
        Item::Rows(tablet) => store.apply_request(sequence, arrival_ms, &tablet_request(tablet))?,
        Item::Delete { pattern, start, end } => {
            store.apply_request(sequence, arrival_ms, &delete_request(pattern, *start, *end))?
        }
        Item::File { name, tablets, .. } => {
            if tablets
                .iter()
                .all(|tablet| tablet.columns.iter().all(|it| it.values.iter().all(Option::is_none)))
            {
                store.pass(sequence);
                return Ok(());
            }
            let path = |end: &str| PathBuf::from(format!("/staging/{name}{end}"));
            let (ts_file, mods) = (path(""), path(".mods"));
            let mods = Some((ModsKind::Text, mods.as_path()));
            let file = ReceivedFile { ts_file: &ts_file, mods, database: None };
            store.apply_file(sequence, arrival_ms, &file)?
        }
    };
    let has_no_field = |tablet: &Tablet| {
        let fields = || tablet.columns.iter().filter(|it| it.category == Category::Field);
        (0..tablet.times.len()).any(|row| fields().all(|it| it.values[row].is_none()))
    };
    let expected = match item {
        Item::Rows(tablet) if tablet.database.is_some() && has_no_field(tablet) => {
            vec![format!("rows of table {} that have tags alone", tablet.device)]
        }
        _ => Vec::new(),
    };
    assert_eq!(applied.left_out, expected, "{item:?}");
    Ok(())
}

/// Names the cells that differ.
fn compare(found: &Held, expected: &Held, context: &str) {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let (none, mut differ) = (BTreeMap::new(), Vec::new());
    for key in keys {
        let (one, other) = (found.get(key).unwrap_or(&none), expected.get(key).unwrap_or(&none));
        for time in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
            let (is, should) = (one.get(time), other.get(time));
            if is != should {
                differ.push(format!("{}.{} at {time}: {is:?}, not {should:?}", key.0, key.1));
            }
        }
    }
    assert!(differ.is_empty(), "{context}: {differ:#?}");
}

fn check(store: &Store<SimVolume>, expected: &Held, rng: &mut Rng, context: &str) {
    let snapshot = store.snapshot();
    compare(&held(&snapshot, &everything(), (i64::MIN, i64::MAX)), expected, context);
    let start = rng.i64(0..TIMES);
    let end = start + rng.i64(0..20);
    let within = |(key, series): (&(Device, String), &BTreeMap<i64, Value>)| {
        let part: BTreeMap<i64, Value> =
            series.range(start..=end).map(|(time, value)| (*time, value.clone())).collect();
        (!part.is_empty()).then(|| (key.clone(), part))
    };
    let part: Held = expected.iter().filter_map(within).collect();
    let context = &format!("{context}, {start} to {end}");
    compare(&held(&snapshot, &everything(), (start, end)), &part, context);
    // Some series of the tree model, by their names.
    let path_of = |(device, name): &(Device, String)| match device {
        Device::Tree { path } => Some(format!("{path}.{name}")),
        Device::Table { .. } => None,
    };
    let named: Vec<String> =
        expected.keys().filter_map(path_of).filter(|_| rng.u8(..4) == 0).collect();
    let is_named = |key: &(Device, String)| path_of(key).is_some_and(|path| named.contains(&path));
    let own: Held =
        part.iter().filter(|(key, _)| is_named(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let patterns: Vec<Pattern> =
        named.iter().map(|path| Pattern::Tree(path.as_str().into())).collect();
    compare(&held(&snapshot, &patterns, (start, end)), &own, &format!("{context}, {named:?}"));
    let times = match rng.bool() {
        true => i64::MIN..=i64::MAX,
        false => start..=end,
    };
    let scan = Scan { patterns: everything(), measurements: None, times: times.clone() };
    for device in snapshot.devices(&everything()) {
        let opened = snapshot.device(&device, &scan).unwrap();
        assert!(opened.hidden().is_empty());
        for (at, series) in opened.columns().iter().enumerate() {
            let key = (device.clone(), series.measurement.to_string());
            let points = expected.get(&key).map(|it| it.range(times.clone()).collect::<Vec<_>>());
            let points = points.unwrap_or_default();
            let found = opened.aggregate(at).unwrap();
            assert_eq!(found.count, points.len() as u64, "{context} {key:?}");
            if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
                let ends = (found.statistics.start_time, found.statistics.end_time);
                assert_eq!(ends, (**first, **last), "{context} {key:?}");
            }
            let numbers = points.iter().filter_map(|(_, value)| match value {
                Value::Int32(value) => Some(*value),
                _ => None,
            });
            if let tidegate_tsfile::ValueStatistics::Int32(extremes) = found.statistics.values
                && !points.is_empty()
            {
                let (min, max) = (numbers.clone().min(), numbers.max());
                assert_eq!((Some(extremes.min), Some(extremes.max)), (min, max), "{context}");
            }
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("TIDEGATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEGATE_SEEDS").unwrap_or(60),
    }
}

#[test]
fn whatever_comes_in_whatever_order_a_store_holds_what_a_map_would_hold() {
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let items: Vec<Item> = (0..60).map(|number| random_item(&mut rng, number)).collect();
        let volume = SimVolume::new(SimStorage::new());
        stage(&volume, &items);
        let mut store = open(&volume).unwrap();
        let mut number = 0;
        while number < items.len() {
            number += 1;
            give(&mut store, number, &items[number - 1]).unwrap();
            match rng.u8(..12) {
                0 => store.flush().unwrap(),
                5 | 6 => while store.write_mods().unwrap() {},
                1 | 2 => while store.merge_once().unwrap() {},
                3 => {
                    // ended without a word: what was in memory only comes again
                    store = open(&volume.on(volume.disk.restarted())).unwrap();
                    for again in store.position() as usize + 1..=number {
                        give(&mut store, again, &items[again - 1]).unwrap();
                    }
                }
                4 => {
                    store.flush().unwrap();
                    assert_eq!(store.position(), number as u64);
                }
                _ => (),
            }
            if rng.u8(..4) == 0 {
                let context = format!("seed {seed}, record {number}");
                check(&store, &expected(&items[..number]), &mut rng, &context);
            }
        }
        store.flush().unwrap();
        while store.merge_once().unwrap() {}
        check(&store, &expected(&items), &mut rng, &format!("seed {seed}, at the end"));
    }
}

/// The order of layers must be told by the names of their files alone: of two layers of one precedence
/// the one that had counted less won once the catalog was lost.
#[test]
fn a_store_that_loses_its_catalog_at_any_moment_holds_what_a_map_would_hold() {
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let items: Vec<Item> = (0..60).map(|number| random_item(&mut rng, number)).collect();
        let mut volume = SimVolume::new(SimStorage::new());
        stage(&volume, &items);
        let mut store = open(&volume).unwrap();
        for number in 1..=items.len() {
            give(&mut store, number, &items[number - 1]).unwrap();
            match rng.u8(..8) {
                0 | 1 => while store.merge_once().unwrap() {},
                2 => {
                    volume = volume.on(volume.disk.restarted());
                    store = open(&volume).unwrap();
                    for again in store.position() as usize + 1..=number {
                        give(&mut store, again, &items[again - 1]).unwrap();
                        if rng.u8(..3) == 0 {
                            store.flush().unwrap();
                        }
                    }
                }
                3 => {
                    store.flush().unwrap();
                    while store.write_mods().unwrap() {}
                    let (expected, context) = (expected(&items[..number]), format!("seed {seed}"));
                    check(&store, &expected, &mut rng, &format!("{context}, record {number}"));
                    let lost = volume.on(volume.disk.restarted());
                    let names = lost.disk.list().unwrap();
                    let catalog = names.iter().find(|name| name.as_str().ends_with("_catalog"));
                    lost.disk.delete(catalog.unwrap());
                    let again = open(&lost).unwrap();
                    assert!(again.rebuilt().is_some() || again.layers().count() == 0);
                    let context = format!("{context}, catalog lost at record {number}");
                    check(&again, &expected, &mut rng, &context);
                }
                _ => (),
            }
        }
    }
}

/// A file that was gone ended every start of a store. Now it is lost; and should it come back, in the
/// middle of what happened meanwhile, nothing is as if it had been away.
#[test]
fn a_file_that_is_gone_for_a_while_is_missed_and_counts_as_before_once_it_is_there_again() {
    let mut n_lost = 0;
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let items: Vec<Item> = (0..60).map(|number| random_item(&mut rng, number)).collect();
        let volume = SimVolume::new(SimStorage::new());
        stage(&volume, &items);
        let mut store = open(&volume).unwrap();
        // the files of one layer at most are gone
        let mut gone: Vec<(FileName, Vec<u8>)> = Vec::new();
        for number in 1..=items.len() {
            give(&mut store, number, &items[number - 1]).unwrap();
            match rng.u8(..8) {
                0 | 1 => while store.merge_once().unwrap() {},
                2 => while store.write_mods().unwrap() {},
                3 if gone.is_empty() => {
                    store.flush().unwrap();
                    let layers: Vec<_> = store.layers().cloned().collect();
                    let Some(layer) = rng.choice(&layers) else { continue };
                    let with_all = rng.bool();
                    for end in ["", ".resource", ".mods", ".mods2"] {
                        let name = volume.disk_name(&format!("{}{end}", layer.path()));
                        let Some(bytes) = volume.disk.content(&name) else { continue };
                        match end {
                            "" if rng.bool() => {
                                volume.disk.set_content(&name, bytes[..bytes.len() - 7].to_vec());
                            }
                            "" => volume.disk.delete(&name),
                            _ if with_all => volume.disk.delete(&name),
                            _ => continue,
                        }
                        gone.push((name, bytes));
                    }
                    n_lost += 1;
                    store = open(&volume).unwrap();
                    assert_eq!(store.lost().count(), 1);
                }
                4 | 5 if !gone.is_empty() => {
                    gone.drain(..).for_each(|(name, bytes)| volume.disk.set_content(&name, bytes));
                    store.flush().unwrap();
                    match rng.bool() {
                        true => store = open(&volume).unwrap(),
                        false => assert_eq!(store.find_lost().unwrap().len(), 1),
                    }
                    assert_eq!(store.lost().count(), 0, "seed {seed}, record {number}");
                    let context = format!("seed {seed}, back at record {number}");
                    check(&store, &expected(&items[..number]), &mut rng, &context);
                }
                _ => (),
            }
        }
    }
    assert!(n_lost > 50, "{n_lost}");
}

/// A list or a `.resource` that had a flipped byte, or an end too soon, showed rows that were deleted, or
/// hid a device; and a merge kept that for good.
#[test]
fn whatever_beside_a_file_is_damaged_at_any_moment_no_answer_is_another_one() {
    let (mut n_lost, mut n_remade) = (0, 0);
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let items: Vec<Item> = (0..60).map(|number| random_item(&mut rng, number)).collect();
        let volume = SimVolume::new(SimStorage::new());
        stage(&volume, &items);
        let mut store = open(&volume).unwrap();
        let mut damaged: Option<(FileName, Vec<u8>)> = None;
        for number in 1..=items.len() {
            give(&mut store, number, &items[number - 1]).unwrap();
            match rng.u8(..8) {
                0 | 1 => while store.merge_once().unwrap() {},
                2 => while store.write_mods().unwrap() {},
                3 | 4 if damaged.is_none() => {
                    store.flush().unwrap();
                    let layers: Vec<_> = store.layers().cloned().collect();
                    let Some(layer) = rng.choice(&layers) else { continue };
                    let end = [".resource", ".mods", ".mods2"][rng.usize(..3)];
                    let name = volume.disk_name(&format!("{}{end}", layer.path()));
                    let Some(bytes) = volume.disk.content(&name) else { continue };
                    let mut other = bytes.clone();
                    match rng.u8(..4) {
                        0 => volume.disk.delete(&name),
                        1 => other.truncate(rng.usize(..=bytes.len())),
                        _ if bytes.is_empty() => continue,
                        _ => other[rng.usize(..bytes.len())] ^= 1 << rng.u8(..8),
                    }
                    if volume.disk.content(&name).is_some() {
                        volume.disk.set_content(&name, other);
                    }
                    store = open(&volume).unwrap();
                    n_remade += store.take_remade().len();
                    if store.lost().count() > 0 {
                        n_lost += 1;
                        assert!(store.faults()[0].item.contains(end), "{:?}", store.faults());
                        damaged = Some((name, bytes));
                    }
                }
                5 if let Some((name, bytes)) = damaged.take() => {
                    volume.disk.set_content(&name, bytes);
                    store.flush().unwrap();
                    match rng.bool() {
                        true => store = open(&volume).unwrap(),
                        false => assert_eq!(store.find_lost().unwrap().len(), 1),
                    }
                }
                _ => (),
            }
            let (context, expected) =
                (format!("seed {seed}, record {number}"), expected(&items[..number]));
            match damaged.is_some() {
                true => check_answers(&store, &expected, &context),
                false => check(&store, &expected, &mut rng, &context),
            }
        }
    }
    assert!(n_lost > 20 && n_remade > 20, "{n_lost} {n_remade}");
}

/// Every device has the rows that it should have, or no answer.
fn check_answers(store: &Store<SimVolume>, expected: &Held, context: &str) {
    let snapshot = store.snapshot();
    for device in snapshot.devices(&everything()) {
        let patterns = [Pattern::Device(device.clone())];
        let scan = Scan { patterns: patterns.to_vec(), measurements: None, times: ALL_TIMES };
        match snapshot.device(&device, &scan) {
            Err(error) => assert!(error.is_of_damage(), "{context}: {error}"),
            Ok(_) => {
                let own = expected.iter().filter(|((of, _), _)| *of == device);
                let own: Held = own.map(|(key, rows)| (key.clone(), rows.clone())).collect();
                compare(&held(&snapshot, &patterns, (i64::MIN, i64::MAX)), &own, context);
            }
        }
    }
}

const ALL_TIMES: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// Records that meet each other: rows over files, deletions between rows, all of it with flushes
/// and merges.
fn story() -> Vec<Item> {
    let mut rng = Rng::with_seed(4);
    let mut items: Vec<Item> = (0..9).map(|number| random_item(&mut rng, number)).collect();
    let tablets = vec![random_tablet(&mut rng, 0), random_tablet(&mut rng, 1)];
    let deletions = vec![random_deletion(&mut rng)];
    items.insert(4, Item::File { name: "staged-x".to_owned(), tablets, deletions });
    items.insert(7, Item::Delete { pattern: "root.sg.**".to_owned(), start: 3, end: 30 });
    items
}

/// Gives what is missing, flushes and merges; stops at the first error.
fn run(volume: &SimVolume, items: &[Item]) -> Result<Store<SimVolume>, StoreError> {
    let mut store = open(volume)?;
    for number in store.position() as usize + 1..=items.len() {
        give(&mut store, number, &items[number - 1])?;
        if number % 3 == 0 {
            store.flush()?;
        }
        if number % 4 == 0 {
            while store.write_mods()? {}
        }
        if number % 5 == 0 {
            while store.merge_once()? {}
        }
    }
    store.flush()?;
    while store.merge_once()? {}
    Ok(store)
}

#[test]
fn a_power_cut_at_any_moment_loses_and_changes_nothing() {
    let items = story();
    let whole = SimVolume::new(SimStorage::new());
    stage(&whole, &items);
    let mut rng = Rng::with_seed(1);
    let store = run(&whole, &items).unwrap();
    check(&store, &expected(&items), &mut rng, "without a cut");
    drop(store);
    let changes = whole.disk.changes();
    assert!(changes > 100, "{changes}");
    for at in 0..changes {
        let volume = whole.on(SimStorage::new().with_fault(at, SimFault::PowerCut));
        assert!(run(&volume, &items).is_err(), "cut at {at}");
        for image in volume.disk.images(at) {
            let context = format!("cut at {at}, {}", image.label);
            let again = volume.on(image.storage);
            // nothing beside a file looks like damage
            let mut store = open(&again).unwrap_or_else(|error| panic!("{context}: {error}"));
            while store.write_mods().unwrap() {}
            let wrong = (store.faults(), store.take_remade());
            assert_eq!(wrong, (Vec::new(), Vec::new()), "{context}");
            drop(store);
            let store = run(&again, &items).unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&store, &expected(&items), &mut rng, &context);
            drop(store);
            // and what is durable says so
            let store = open(&again.on(again.disk.restarted())).unwrap();
            assert_eq!(store.position(), items.len() as u64, "{context}");
            check(&store, &expected(&items), &mut rng, &context);
        }
    }
}

#[test]
fn a_disk_that_fails_or_is_full_at_any_operation_is_survived_by_trying_or_starting_again() {
    let items = story();
    let whole = SimVolume::new(SimStorage::new());
    stage(&whole, &items);
    run(&whole, &items).unwrap();
    let changes = whole.disk.changes();
    let mut rng = Rng::with_seed(1);
    for (at, fault) in
        (0..changes).flat_map(|at| [SimFault::Io, SimFault::DiskFull].map(|fault| (at, fault)))
    {
        let context = format!("{fault:?} at {at}");
        let volume = whole.on(SimStorage::new().with_fault(at, fault));
        let mut store = match run(&volume, &items) {
            Err(_) => run(&volume.on(volume.disk.restarted()), &items).unwrap(),
            Ok(store) => store,
        };
        check(&store, &expected(&items), &mut rng, &context);
        assert_eq!((store.faults(), store.take_remade()), (Vec::new(), Vec::new()), "{context}");
        // a full disk that may pass needs no start
        if fault == SimFault::DiskFull {
            let volume = whole.on(SimStorage::new().with_fault(at, fault));
            let Ok(opened) = open(&volume) else { continue };
            store = opened;
            for (number, item) in (1..).zip(&items) {
                while let Err(error) = give(&mut store, number, item) {
                    if !error.is_full() {
                        store = open(&volume.on(volume.disk.restarted())).unwrap();
                        for again in store.position() as usize + 1..number {
                            give(&mut store, again, &items[again - 1]).unwrap();
                        }
                    }
                }
            }
            check(&store, &expected(&items), &mut rng, &context);
        }
    }
}
