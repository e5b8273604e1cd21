//! A damaged file under a pipe that takes some series: what is sound of it arrives once, what is not is told
//! once, and the files behind it follow.

use std::fs;

use serde_json::Value;
use tidegate_model::DataType;
use tidegate_model::Value as Cell;
use tidegate_tests::site::Site;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::pages_of;

const N_ROWS: i64 = 10_000;
const PAGE_ROWS: usize = 1000;

/// A sealed file of two devices, of which the pipe takes the first; what of it is damaged, as `damage`
/// does it.
fn add_file(site: &Site, version: u64, damage: impl Fn(&mut [u8])) {
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    options.page_rows_max = PAGE_ROWS;
    let mut writer = TsFileWriter::new(Vec::new(), options).expect("a writer");
    for path in ["root.plant.d1", "root.plant.d2"] {
        let device = DeviceId { path: path.into(), segments: None };
        writer.begin_series(&device, &SeriesSpec::new("s", DataType::Int64)).expect("a series");
        let mut batch = Batch::new([DataType::Int64]);
        for row in 0..N_ROWS {
            batch.times.push(row + N_ROWS * version as i64);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Cell::Int64(row)));
        }
        writer.write(&batch).expect("rows");
    }
    let written = writer.finish().expect("a file");
    let folder = site.tree.data_dir().join("sequence/root.plant/1/0");
    fs::create_dir_all(&folder).expect("a folder");
    let name = format!("{}-{version}-0-0.tsfile", 1_700_000_000_000 + version);
    let resource = written.resource().encode().expect("a resource");
    let mut bytes = written.out;
    damage(&mut bytes);
    fs::write(folder.join(&name), bytes).expect("a file");
    fs::write(folder.join(format!("{name}.resource")), resource).expect("a resource");
}

/// Writes over the fourth page of the first device.
fn damage_page(bytes: &mut [u8]) {
    let header = DataEntries::new(&*bytes).expect("a file").find_map(|entry| match entry {
        Ok(DataEntry::Chunk(header)) => Some(header),
        _ => None,
    });
    let header = header.expect("a chunk");
    let page = pages_of(&&*bytes, &header).nth(3).expect("a page").expect("a page");
    bytes[page.body_offset as usize..page.end() as usize].fill(0xff);
}

/// Writes over all but both ends.
fn damage_all(bytes: &mut [u8]) {
    let end = bytes.len() - 10;
    bytes[7..end].fill(0x77);
}

fn of_region(status: &Value, field: &str) -> u64 {
    status["pipes"][0]["regions"][0][field].as_u64().unwrap_or_default()
}

#[test]
fn damage_holds_nothing_up_and_nothing_of_its_file_leaves_again_also_after_a_restart() {
    let site = Site::new(&[]);
    add_file(&site, 1, damage_page);
    add_file(&site, 2, damage_all);
    add_file(&site, 3, |_| ());
    let text = format!(
        "[extractor]\npattern = \"root.plant.d1\"\n[connector]\n\
         connector = \"iotdb-air-gap-connector\"\nnode-urls = \"{}\"\n",
        site.receiver_setup.address()
    );
    fs::write(site.pipe_path("p"), text).expect("a pipe");
    let mut sender = site.start();
    let is_done = |status: &Value| {
        of_region(status, "sent_files") == 2 && of_region(status, "short_files") == 2
    };
    let status = site.wait(&mut sender, "all files to be dealt with", is_done);
    assert_eq!(of_region(&status, "outside_files"), 1, "nothing of it could be found");
    assert_eq!(status["pipes"][0]["regions"][0]["aside"], Value::Array(Vec::new()));
    let bytes_sent = |status: &Value| status["pipes"][0]["lanes"][0]["bytes_sent"].as_u64();
    assert!(bytes_sent(&status) > Some(1000), "{status:#}");
    let gaps = site.gaps();
    let told: Vec<_> = gaps
        .iter()
        .map(|gap| {
            let of = |key: &str| gap[key].clone();
            (of("reason"), of("series"), of("points"), of("from_time"), of("to_time"))
        })
        .collect();
    let start = N_ROWS + 3 * PAGE_ROWS as i64;
    let reason = || Value::from("points-unread");
    assert_eq!(
        told,
        [
            (
                reason(),
                "root.plant.d1.s".into(),
                PAGE_ROWS.into(),
                start.into(),
                (start + PAGE_ROWS as i64 - 1).into()
            ),
            (reason(), Value::Null, Value::Null, (2 * N_ROWS).into(), (3 * N_ROWS - 1).into()),
        ]
    );
    assert!(
        gaps[0]["cause"].as_str().is_some_and(|it| it.starts_with("page at byte ")),
        "{gaps:#?}"
    );
    assert!(gaps[0]["file"].as_str().is_some_and(|it| it.contains("-1-0-0")), "{gaps:#?}");
    sender.terminate().expect("it ends");
    // What was said is remembered: a sound file is the next to leave.
    add_file(&site, 4, |_| ());
    let mut sender = site.start();
    let status = site.wait(&mut sender, "the new file", |it| of_region(it, "sent_files") == 3);
    assert_eq!((of_region(&status, "short_files"), site.gaps().len()), (2, 2));
    // One that is put in place of a damaged one is looked at anew.
    add_file(&site, 1, |_| ());
    let status = site.wait(&mut sender, "the mended file", |it| of_region(it, "sent_files") == 4);
    assert_eq!((of_region(&status, "short_files"), site.gaps().len()), (2, 2));
}
