//! What leaves of a damaged file of which not all is wanted, and what does not leave again.

use std::collections::BTreeSet;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::pages_of;
use tidegate_wire::Payload;
use tidegate_wire::Request;

use super::points::filter;
use super::*;

const N_ROWS: i64 = 60;

/// A file of two devices, with texts of one letter in pages of ten rows; one text is `long_bytes` long.
fn texts(long_bytes: usize) -> Vec<u8> {
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    options.page_rows_max = 10;
    let mut writer = TsFileWriter::new(Vec::new(), options).expect("a writer");
    for device in ["root.t.d1", "root.t.d2"] {
        let id = DeviceId { path: device.into(), segments: None };
        writer.begin_series(&id, &SeriesSpec::new("s", DataType::Text)).expect("a series");
        let mut batch = Batch::new([DataType::Text]);
        for time in 0..N_ROWS {
            let length = if time == N_ROWS - 1 { long_bytes } else { 1 };
            batch.times.push(time);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Value::Bytes(vec![b'x'; length])));
        }
        writer.write(&batch).expect("rows");
    }
    writer.finish().expect("a file").out
}

/// Where the body of the third page of the first series stands.
fn third_page(bytes: &[u8]) -> std::ops::Range<usize> {
    let header = DataEntries::new(bytes).expect("a file").find_map(|entry| match entry {
        Ok(DataEntry::Chunk(header)) => Some(header),
        _ => None,
    });
    let header = header.expect("a chunk");
    let page = pages_of(&bytes, &header).nth(2).expect("a page").expect("a page");
    page.body_offset as usize..page.end() as usize
}

fn fixture(bytes: &[u8]) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.filter = filter("pattern = \"root.t.d1\"");
    fs::write(fixture.path(), bytes).expect("a file");
    fixture
}

/// Reads to the end; which times left, and what came last.
fn drain(fixture: &Fixture, first: ReadReport) -> (BTreeSet<i64>, ReadReport) {
    let (mut times, mut report) = (BTreeSet::new(), first);
    loop {
        match report {
            ReadReport::Tablets { .. } | ReadReport::Unread { .. } => (),
            ReadReport::Piece(mut piece) => {
                let decoded = Payload::decode(&piece.bytes).expect("a request");
                let Request::Tablet(tablet) = decoded.request else { panic!("no tablet") };
                times.extend(tablet.to_model().times);
                let _ =
                    fixture.requests.send(ReadRequest::Return(std::mem::take(&mut piece.bytes)));
                if matches!(piece.part, Part::Tablet { is_last: true, .. }) {
                    return (times, ReadReport::Piece(piece));
                }
            }
            last => return (times, last),
        }
        report = fixture.reports.recv().expect("a reader");
    }
}

#[test]
fn a_damaged_page_is_told_of_with_the_last_tablet_and_all_others_leave() {
    let mut bytes = texts(1);
    let page = third_page(&bytes);
    bytes[page].fill(0xff);
    let fixture = fixture(&bytes);
    let (times, last) = drain(&fixture, fixture.open(Dialect::V1_3, 600));
    assert_eq!(times, (0..20).chain(30..N_ROWS).collect());
    let ReadReport::Piece(piece) = last else { panic!("{last:?}") };
    let [unread] = &piece.unread[..] else { panic!("{:?}", piece.unread) };
    assert_eq!(unread.series.as_deref(), Some("root.t.d1.s"));
    assert_eq!((unread.times, unread.n_points), (Some((20, 29)), Some(10)));
    assert!(unread.why.starts_with("page at byte "), "{}", unread.why);
}

#[test]
fn a_damaged_page_is_told_of_before_an_excerpt_leaves_without_it() {
    let mut bytes = texts(1);
    let page = third_page(&bytes);
    bytes[page].fill(0xff);
    let mut fixture = fixture(&bytes);
    fixture.wants_excerpt = true;
    let first = fixture.open(Dialect::V1_3, 600);
    let ReadReport::Unread { token: 1, unread } = first else { panic!("{first:?}") };
    assert_eq!((unread[0].times, unread[0].n_points), (Some((20, 29)), Some(10)));
    let next = fixture.reports.recv().expect("a reader");
    assert!(matches!(next, ReadReport::Excerpt { .. }), "{next:?}");
}

#[test]
fn with_a_damaged_index_points_are_found_in_the_data_and_without_them_the_file_is_told_of() {
    for is_data_damaged in [false, true] {
        let mut bytes = texts(1);
        // the length of the metadata
        let tail = bytes.len() - tidegate_tsfile::TAIL_BYTES;
        bytes[tail + 3] ^= 1;
        if is_data_damaged {
            bytes[7] = 0x77;
        }
        let fixture = fixture(&bytes);
        let first = fixture.open(Dialect::V1_3, 600);
        let (times, last) = match first {
            ReadReport::Mended { trouble, .. } => {
                assert!(!is_data_damaged && trouble.contains("index is damaged"), "{trouble}");
                let cut = fixture.reports.recv().expect("a reader");
                assert!(matches!(cut, ReadReport::Cut { token: 1 }), "{cut:?}");
                let points = ReadRequest::Points { token: 1, wants_excerpt: false };
                fixture.requests.send(points).expect("a reader");
                drain(&fixture, fixture.reports.recv().expect("a reader"))
            }
            ReadReport::Unread { unread, .. } => {
                assert!(is_data_damaged);
                assert_eq!((unread.len(), &unread[0].series, unread[0].n_points), (1, &None, None));
                assert!(
                    unread[0].why.contains("nothing is found behind byte 7"),
                    "{}",
                    unread[0].why
                );
                drain(&fixture, fixture.reports.recv().expect("a reader"))
            }
            other => panic!("{other:?}"),
        };
        match is_data_damaged {
            false => assert_eq!(times, (0..N_ROWS).collect()),
            true => assert!(times.is_empty() && matches!(last, ReadReport::Nothing { .. })),
        }
    }
}

/// The tablets before the value left again every minute, as long as nobody allowed more.
#[test]
fn a_file_that_could_not_leave_to_its_end_leaves_again_only_once_it_can() {
    let fixture = fixture(&texts(2000));
    let (times, last) = drain(&fixture, fixture.open(Dialect::V1_3, 600));
    assert!(times.len() > 30, "{}", times.len());
    assert!(unfit(last).contains("connector.tidegate.piece-size-bytes"));
    for _ in 0..3 {
        let (times, last) = drain(&fixture, fixture.open(Dialect::V1_3, 600));
        assert!(times.is_empty(), "{times:?}");
        assert!(unfit(last).contains("connector.tidegate.piece-size-bytes"));
    }
    let (times, last) = drain(&fixture, fixture.open(Dialect::V1_3, 4000));
    assert_eq!(times, (0..N_ROWS).collect());
    assert!(matches!(last, ReadReport::Piece(_)), "{last:?}");
}
