//! Part of a damaged file: every sound point is there, none is invented, and what is missing is named.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use tidegate_model::DataType;
use tidegate_model::SeriesPattern;
use tidegate_model::Value;
use tidegate_tsfile::ALL_TIMES;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ExcerptOrder;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TabletError;
use tidegate_tsfile::TabletOrder;
use tidegate_tsfile::Tablets;
use tidegate_tsfile::Target;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::UnreadPart;
use tidegate_tsfile::Wanted;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::open_to_extract;
use tidegate_tsfile::pages_of;
use tidegate_tsfile::write_excerpt;

/// By device, measurement and time.
type Points = BTreeMap<(String, String, i64), i32>;

const LAST_TIME: i64 = 95;

/// A device of series with times of their own, and an aligned one; chunks of three pages, of two, and of
/// one.
fn whole() -> (Vec<u8>, Points) {
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    (options.page_rows_max, options.chunk_rows_max) = (10, 30);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let mut points = Points::new();
    let id = |path: &str| DeviceId { path: path.into(), segments: None };
    let mut seed = fastrand::Rng::with_seed(5);
    for (path, names, is_aligned) in
        [("root.a.d1", ["s1", "s2"], false), ("root.a.d2", ["s1", "s2"], true)]
    {
        let groups: Vec<Vec<&str>> = match is_aligned {
            true => vec![names.to_vec()],
            false => names.iter().map(|name| vec![*name]).collect(),
        };
        for names in groups {
            let specs: Vec<SeriesSpec> =
                names.iter().map(|name| SeriesSpec::new(name, DataType::Int32)).collect();
            match is_aligned {
                true => writer.begin_aligned(&id(path), &specs).unwrap(),
                false => writer.begin_series(&id(path), &specs[0]).unwrap(),
            }
            let mut batch = Batch::new(vec![DataType::Int32; names.len()]);
            for time in 0..=LAST_TIME {
                batch.times.push(time);
                for (name, column) in names.iter().zip(&mut batch.columns) {
                    // a page of the second column has no value, others have some
                    let is_there = !is_aligned || *name == "s1" || time > 20 && time % 3 > 0;
                    column.presence.push(is_there);
                    if is_there {
                        let value = seed.i32(..);
                        assert!(column.values.push(&Value::Int32(value)));
                        points.insert((path.to_owned(), (*name).to_owned(), time), value);
                    }
                }
            }
            writer.write(&batch).unwrap();
        }
    }
    (writer.finish().unwrap().out, points)
}

/// A place in a file.
struct Place {
    device: String,
    kind: SeriesKind,
    measurement: String,
    header: Range<usize>,
    body: Range<usize>,
    /// Times, of a page; of a value page those of its time page.
    times: (i64, i64),
}

/// The chunks, and the pages.
fn places(bytes: &[u8]) -> (Vec<usize>, Vec<Place>) {
    let (mut chunks, mut pages) = (Vec::new(), Vec::new());
    let (mut of, mut last) = (String::new(), Vec::new());
    for entry in DataEntries::new(bytes).unwrap() {
        match entry.unwrap() {
            DataEntry::Group { device, .. } => of = device.path.to_string(),
            DataEntry::Chunk(header) => {
                chunks.push(header.offset as usize);
                let mut times = Vec::new();
                for (at, page) in pages_of(&bytes, &header).enumerate() {
                    let page = page.unwrap();
                    let own = page.statistics.as_ref().map(|it| (it.start_time, it.end_time));
                    // the chunk of one page is the last one
                    let own = match header.kind {
                        SeriesKind::Value => last[at],
                        _ => own.unwrap_or((90, LAST_TIME)),
                    };
                    times.push(own);
                    pages.push(Place {
                        device: of.clone(),
                        kind: header.kind,
                        measurement: header.measurement.to_string(),
                        header: page.offset as usize..page.body_offset as usize,
                        body: page.body_offset as usize..page.end() as usize,
                        times: own,
                    });
                }
                if header.kind != SeriesKind::Value {
                    last = times;
                }
            }
            _ => (),
        }
    }
    (chunks, pages)
}

fn orders(wanted: Wanted, passes_io_errors: bool) -> (TabletOrder, ExcerptOrder) {
    let knows: fn(DataType) -> bool = |_| true;
    let tablets = TabletOrder {
        wanted: wanted.clone(),
        deleted: Vec::new(),
        database: None,
        bytes_max: 1 << 20,
        rows_max: 7,
        knows,
        passes_io_errors,
    };
    let excerpt = ExcerptOrder {
        wanted,
        deleted: Vec::new(),
        is_table_model: false,
        version: TsFileVersion::V3,
        knows,
        passes_io_errors,
    };
    (tablets, excerpt)
}

fn by_tablets<R: ReadAt>(
    file: &TsFile<R>,
    order: TabletOrder,
) -> Result<(Points, Vec<UnreadPart>), TabletError> {
    let mut tablets = Tablets::new(file, order);
    let mut points = Points::new();
    while let Some(tablet) = tablets.next_tablet()? {
        for column in &tablet.columns {
            for (time, cell) in tablet.times.iter().zip(&column.values) {
                if let Some(Value::Int32(value)) = cell {
                    let key = (tablet.device.to_string(), column.name.clone(), *time);
                    assert_eq!(points.insert(key, *value), None, "a point comes once");
                }
            }
        }
    }
    Ok((points, tablets.unread().parts().to_vec()))
}

fn by_excerpt<R: ReadAt>(file: &TsFile<R>, order: &ExcerptOrder) -> (Points, Vec<UnreadPart>) {
    let excerpt = write_excerpt(file, order, Vec::new()).unwrap();
    let points = excerpt.written.map_or_else(Points::new, |written| {
        let file = TsFile::open(written.out).unwrap();
        assert!(file.verify().is_sound());
        let (order, _) = orders(Wanted::default(), false);
        let (points, unread) = by_tablets(&file, order).unwrap();
        assert_eq!(unread, []);
        points
    });
    (points, excerpt.unread.into_parts())
}

/// How many points each part names, summed up; all that are missing must be in one of them, and nothing
/// may be there that was not.
fn check(whole: &Points, found: &Points, unread: &[UnreadPart], what: &str) -> (usize, u64) {
    let is_named = |(device, measurement, time): &(String, String, i64)| {
        unread.iter().any(|part| {
            let is_own = part.device.as_deref() == Some(device)
                && part.measurement.as_deref() == Some(measurement);
            let (start, end) = part.times.unwrap();
            is_own && (start..=end).contains(time)
        })
    };
    for (key, value) in whole {
        match found.get(key) {
            Some(found) => assert_eq!(found, value, "{what}: {key:?}"),
            None => assert!(is_named(key), "{what}: {key:?} is missing: {unread:?}"),
        }
    }
    assert!(found.keys().all(|key| whole.contains_key(key)), "{what}: something was invented");
    let n_named = unread.iter().filter_map(|part| part.n_points).sum();
    (whole.len() - found.len(), n_named)
}

/// The tablets before the page had left then, and did so again every minute.
#[test]
fn of_a_page_that_is_damaged_all_other_points_come_and_its_own_are_named() {
    let (bytes, points) = whole();
    let (_, pages) = places(&bytes);
    assert!(pages.len() > 40);
    for page in &pages {
        let mut damaged = bytes.clone();
        damaged[page.body.clone()].fill(0xff);
        let what = format!("{} {} {:?}", page.device, page.measurement, page.times);
        let file = TsFile::open(damaged).unwrap();
        for times in [ALL_TIMES, 13..=77] {
            let is_wanted = |(_, _, time): &(String, String, i64)| times.contains(time);
            let wanted = Wanted { pattern: SeriesPattern::all(), times: times.clone() };
            let whole: Points =
                points.clone().into_iter().filter(|(key, _)| is_wanted(key)).collect();
            let is_lost = |(device, measurement, time): &(String, String, i64)| {
                *device == page.device
                    && (*measurement == page.measurement || page.kind == SeriesKind::Time)
                    && (page.times.0..=page.times.1).contains(time)
            };
            let n_lost = whole.keys().filter(|key| is_lost(key)).count();
            let (tablets, excerpt) = orders(wanted, false);
            for (found, unread) in
                [by_tablets(&file, tablets).unwrap(), by_excerpt(&file, &excerpt)]
            {
                let (n_missing, n_named) = check(&whole, &found, &unread, &what);
                assert_eq!(n_missing, n_lost, "{what}");
                match times == ALL_TIMES {
                    true => assert_eq!(n_named, n_lost as u64, "{what}: {unread:?}"),
                    false => assert!(n_named >= n_lost as u64, "{what}: {unread:?}"),
                }
            }
        }
    }
}

#[test]
fn behind_a_header_that_is_damaged_only_the_rest_of_its_chunk_is_missing() {
    let (bytes, points) = whole();
    let (chunks, pages) = places(&bytes);
    let headers = pages.iter().map(|page| page.header.clone());
    let chunks = chunks.into_iter().map(|offset| offset..offset + 1);
    for place in headers.chain(chunks) {
        let mut damaged = bytes.clone();
        damaged[place.clone()].fill(0xff);
        let file = TsFile::open(damaged).unwrap();
        let (tablets, excerpt) = orders(Wanted::default(), false);
        for (found, unread) in [by_tablets(&file, tablets).unwrap(), by_excerpt(&file, &excerpt)] {
            let what = format!("{place:?}");
            let (n_missing, n_named) = check(&points, &found, &unread, &what);
            assert!((1..=60).contains(&n_missing), "{what}: {n_missing} of {unread:?}");
            assert_eq!(n_named, n_missing as u64, "{what}: {unread:?}");
        }
    }
}

#[test]
fn several_pages_that_are_damaged_are_each_told_from_the_sound_ones_between() {
    let (bytes, points) = whole();
    let (_, pages) = places(&bytes);
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut damaged = bytes.clone();
        for page in &pages {
            if rng.u8(0..4) == 0 {
                let place = if rng.u8(0..4) == 0 { &page.header } else { &page.body };
                damaged[place.clone()].fill(0xff);
            }
        }
        let file = TsFile::open(damaged).unwrap();
        let (tablets, excerpt) = orders(Wanted::default(), false);
        let tablets = by_tablets(&file, tablets).unwrap();
        let (n_missing, n_named) = check(&points, &tablets.0, &tablets.1, &format!("seed {seed}"));
        assert!(n_named >= n_missing as u64);
        assert_eq!(by_excerpt(&file, &excerpt).0, tablets.0, "seed {seed}");
    }
}

/// Flips anywhere in the data: nothing may be missing that is not named. A header that makes a chunk end early
/// looked like a sound one. That a null is elsewhere, or a value another one, nobody can tell, since a TsFile
/// has no checksums.
#[test]
fn no_flip_makes_points_disappear_without_a_word() {
    let (bytes, points) = whole();
    let end = TsFile::open(bytes.clone()).unwrap().data_end() as usize;
    for times in [ALL_TIMES, 13..=77] {
        let is_wanted = |(_, _, time): &(String, String, i64)| times.contains(time);
        let whole: Vec<_> = points.keys().filter(|key| is_wanted(key)).collect();
        let mut n_named = 0;
        for at in 7..end {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let file = TsFile::open(damaged).unwrap();
            let wanted = Wanted { pattern: SeriesPattern::all(), times: times.clone() };
            let (found, unread) = by_tablets(&file, orders(wanted, false).0).unwrap();
            n_named += usize::from(!unread.is_empty());
            let missing = whole.iter().filter(|key| !found.contains_key(**key));
            for key in missing.filter(|_| found.len() < whole.len()) {
                let is_named = unread.iter().any(|part| {
                    let is_own = part.device.as_deref() == Some(&key.0);
                    is_own && part.measurement.as_deref() == Some(&key.1)
                });
                assert!(is_named, "{times:?}, byte {at}: {key:?}: {unread:?}");
            }
        }
        assert!(n_named > 1000, "{n_named}");
    }
}

/// Nobody looks for them, but where they are was looked at, and that was damaged.
#[test]
fn what_is_damaged_of_a_chunk_that_is_deleted_is_no_loss() {
    let (bytes, points) = whole();
    let (chunks, pages) = places(&bytes);
    let first = pages.first().unwrap();
    assert_eq!((&*first.device, first.times), ("root.a.d1", (0, 9)));
    // The chunk has the times from 0 to 29.
    let target = Target::Tree { pattern: "root.a.d1.*".into() };
    let deletion = Deletion { target, start: 0, end: 29 };
    let deleted = ModEntry { deletion, file_offset: None, position: 0, raw: Box::default() };
    let is_left = |(device, _, time): &(String, String, i64)| {
        device != "root.a.d1" || !(0..=29).contains(time)
    };
    let left: Points = points.into_iter().filter(|(key, _)| is_left(key)).collect();
    for place in [chunks[0]..chunks[0] + 1, first.header.clone(), first.body.clone()] {
        let mut damaged = bytes.clone();
        damaged[place].fill(0xff);
        let file = TsFile::open(damaged).unwrap();
        let (mut tablets, mut excerpt) = orders(Wanted::default(), false);
        tablets.deleted.push(deleted.clone());
        excerpt.deleted.push(deleted.clone());
        for (found, unread) in [by_tablets(&file, tablets).unwrap(), by_excerpt(&file, &excerpt)] {
            assert_eq!(unread, []);
            assert_eq!(found, left);
        }
    }
}

/// A file with bytes that the disk does not give back.
struct BadSector {
    bytes: Vec<u8>,
    bad: Range<u64>,
    kind: io::ErrorKind,
}

impl ReadAt for BadSector {
    fn length_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let end = offset + into.len() as u64;
        match offset < self.bad.end && self.bad.start < end {
            true => Err(self.kind.into()),
            false => self.bytes.read_at(offset, into),
        }
    }
}

#[test]
fn bytes_that_cannot_be_fetched_are_an_error_until_they_are_to_be_left_out() {
    let (bytes, points) = whole();
    let (_, pages) = places(&bytes);
    for page in pages.iter().step_by(5) {
        let bad = page.body.start as u64..page.body.start as u64 + 1;
        for (kind, passes, is_error) in [
            (io::ErrorKind::Other, false, true),
            (io::ErrorKind::Other, true, false),
            (io::ErrorKind::UnexpectedEof, true, true),
        ] {
            let (bytes, bad) = (bytes.clone(), bad.clone());
            let file = TsFile::open(BadSector { bytes, bad, kind }).unwrap();
            let (tablets, _) = orders(Wanted::default(), passes);
            match by_tablets(&file, tablets) {
                Ok((found, unread)) => {
                    assert!(!is_error);
                    let (n_missing, n_named) = check(&points, &found, &unread, "a bad sector");
                    assert!(n_missing > 0 && n_named == n_missing as u64, "{unread:?}");
                }
                Err(TabletError::Read(_)) => assert!(is_error),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// A file whose index is damaged is read by a walk over its data.
#[test]
fn with_a_damaged_index_all_points_are_found_that_stand_before_damaged_data() {
    let (bytes, points) = whole();
    let data_end = TsFile::open(bytes.clone()).unwrap().data_end() as usize;
    let (_, pages) = places(&bytes);
    let (mut n_found_out, mut n_lost) = (0, 0);
    for at in data_end..bytes.len() - 6 {
        for (flip, page) in [(0x01, None), (0x80, None), (0xff, Some(&pages[at % pages.len()]))] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Some(page) = page {
                damaged[page.header.clone()].fill(0xff);
            }
            let Ok(opened) = open_to_extract(&damaged, &Wanted::default(), false) else {
                panic!("byte {at}: nothing of it");
            };
            if opened.trouble.is_none() {
                continue;
            }
            n_found_out += 1;
            let (tablets, _) = orders(Wanted::default(), false);
            let (found, unread) = by_tablets(&opened.file, tablets).unwrap();
            assert!(found.iter().all(|(key, value)| points.get(key) == Some(value)), "byte {at}");
            if found.len() < points.len() {
                n_lost += 1;
                // Of the last group nobody knows that it is whole, if its end is not where it was.
                let is_end = at == data_end && found.len() + 20 > points.len();
                assert!(page.is_some() || is_end, "byte {at}: {}", found.len());
                assert!(opened.unread.is_some() || !unread.is_empty(), "byte {at}: not named");
            }
        }
    }
    assert!(n_found_out > 200 && n_lost > 50, "{n_found_out}, {n_lost}");
}
