#![allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../../tests/src/interop/tsfile/lines.rs"]
mod lines;
#[path = "../tests/write/shape.rs"]
mod shape;
use std::fs;
use std::path::Path;
use tidegate_tsfile::*;
mod outer {}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "read" => read(Path::new(&args[2]), args[3] == "v4beta", args.get(4).map(|s| s.as_str())),
        "write" => write(Path::new(&args[2]), args[3].parse().unwrap(), args[4].parse().unwrap()),
        _ => panic!(),
    }
}
fn read(dir: &Path, beta: bool, stats: Option<&str>) {
    let manifest = fs::read_to_string(dir.join("manifest.csv")).unwrap();
    let (mut n, mut bad, mut npoints) = (0, 0, 0usize);
    let nans = if dir.file_name().unwrap().to_string_lossy().starts_with("v4.") { lines::Nans::Exact } else { lines::Nans::Alike };
    let mut ways = std::collections::BTreeSet::new();
    for line in manifest.lines().skip(1) {
        let (name, enc) = line.split_once(',').unwrap();
        let enc = *Encoding::ALL.iter().find(|e| e.as_str() == enc).unwrap();
        let bytes = fs::read(dir.join(name)).unwrap();
        let expected = fs::read_to_string(dir.join(name.replace(".tsfile", ".points"))).unwrap();
        n += 1;
        npoints += expected.lines().count();
        let result = (|| -> Result<(), String> {
            let file = TsFile::open(&*bytes).map_err(|e| format!("open {e}"))?.with_time_encoding(enc);
            ways.append(&mut lines::ways(&file).map_err(|e| format!("ways {e}"))?);
            let ours = lines::points(&file).map_err(|e| format!("points {e}"))?;
            let text: String = ours.iter().map(|s| s.lines.as_str()).collect();
            if let Some(d) = lines::difference(&text, &expected, nans) { return Err(format!("points: {d}")) }
            let file2 = TsFile::open(&*bytes).unwrap();
            let ours2 = lines::points(&file2).map_err(|e| format!("points untold {e}"))?;
            if let Some(d) = lines::difference_of(ours2, lines::series_of(&expected), nans) { return Err(format!("untold points: {d}")) }
            if let Some(stats) = stats {
                let expected = fs::read_to_string(Path::new(stats).join(name.replace(".tsfile", ".stats"))).unwrap();
                let ours = lines::index(&file).map_err(|e| format!("index {e}"))?;
                if let Some(d) = lines::difference(&ours, &expected, lines::Nans::Exact) { return Err(format!("stats: {d}")) }
            }
            let verified = file.verify();
            if !verified.is_sound() { return Err(format!("verify: {}", verified.findings[0])) }
            let end = file.data_end() as usize;
            let rlbe = Some(if beta { RlbeMeaning::FloatDifference } else { RlbeMeaning::BitDifference });
            let recovered = TsFile::open_unfinished(&bytes[..=end], Unfinished { time_encoding: enc, rlbe, ..Unfinished::default() }).map_err(|e| format!("unfinished {e}"))?;
            if let Some(t) = recovered.trouble { return Err(format!("trouble {t}")) }
            let ours = lines::points(&recovered.file).map_err(|e| format!("points without index {e}"))?;
            if let Some(d) = lines::difference_of(ours, lines::series_of(&expected), nans) { return Err(format!("points without index: {d}")) }
            Ok(())
        })();
        if let Err(e) = result { bad += 1; println!("{name} ({enc}): {e}"); }
    }
    println!("{}: {n} files {npoints} points, {} ways, {bad} bad", dir.display(), ways.len());
}
fn write(dir: &Path, start: u64, count: u64) {
    for v in ["v3", "v4"] { fs::create_dir_all(dir.join(v)).unwrap(); }
    for seed in start..start + count {
        let shape = shape::Shape::of_seed(seed);
        let v = if shape.options.version == TsFileVersion::V3 { "v3" } else { "v4" };
        let written = shape.write(Vec::new()).unwrap();
        fs::write(dir.join(v).join(format!("ours-{seed}.tsfile")), &written.out).unwrap();
        let mut all = Vec::new();
        for (device, content) in shape.content() {
            for (m, points) in content.points {
                let spec = shape.devices.iter().filter(|d| *d.id.path == *device).flat_map(|d| &d.columns).find(|c| *c.measurement == *m).unwrap();
                let name = format!("{},{}", lines::escaped(&device), lines::escaped(&m));
                let mut text = String::new();
                for (time, bits) in points {
                    text.push_str(&format!("{name},{time},{},{}\n", spec.data_type, shown(spec.data_type, &bits)));
                }
                if !text.is_empty() { all.push(lines::SeriesLines { name, lines: text }); }
            }
        }
        all.sort();
        let text: String = all.iter().map(|s| s.lines.as_str()).collect();
        fs::write(dir.join(v).join(format!("ours-{seed}.meant")), text).unwrap();
    }
}
fn shown(t: tidegate_model::DataType, bits: &[u8]) -> String {
    use tidegate_model::DataType as D;
    match t {
        D::Boolean => (bits[0] != 0).to_string(),
        D::Int32 | D::Date => i32::from_be_bytes(bits.try_into().unwrap()).to_string(),
        D::Int64 | D::Timestamp => i64::from_be_bytes(bits.try_into().unwrap()).to_string(),
        D::Float => format!("f:{:08x}", u32::from_be_bytes(bits.try_into().unwrap())),
        D::Double => format!("d:{:016x}", u64::from_be_bytes(bits.try_into().unwrap())),
        _ => format!("x:{}", bits.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}
