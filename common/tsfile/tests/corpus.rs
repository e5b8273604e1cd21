//! Files of IoTDB's three libraries: every type, encoding, compressor and shape, point for point.

mod points;

use std::fs;
use std::path::Path;

use tidegate_tsfile::ReadError;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::Unfinished;

use points::compare;
use points::corpus;
use points::expected;
use points::files;
use points::points;
use points::points_between;

#[test]
fn every_file_of_the_corpus_gives_exactly_its_points_by_index() {
    for (path, expected_path) in files() {
        let name = path.display().to_string();
        let bytes = fs::read(&path).unwrap();
        let file = TsFile::open(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = points(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&name, &found, &expected(&expected_path));
    }
}

#[test]
fn points_between_two_times_are_those_of_all_points_that_have_such_times() {
    let time_of = |line: &String| {
        let mut parts = line.rsplitn(3, ',');
        parts.nth(1).unwrap().parse::<i64>().unwrap()
    };
    let mut random = fastrand::Rng::with_seed(5);
    for (path, _) in files() {
        let name = path.display().to_string();
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        let all = points(&file).unwrap();
        let mut times: Vec<i64> = all.iter().map(time_of).collect();
        times.sort_unstable();
        for _ in 0..12 {
            let Some(start) = random.choice(&times).copied() else { continue };
            // One time, a few beside each other, or any other end; some of them are in no row.
            let end = match random.u8(..3) {
                0 => start,
                1 => start.saturating_add(random.i64(0..5000)),
                _ => random.choice(&times).copied().unwrap().max(start),
            };
            let start = start.saturating_sub(random.i64(0..2));
            let found = points_between(&file, start..=end)
                .unwrap_or_else(|error| panic!("{name}, {start} to {end}: {error}"));
            let is_wanted = |line: &&String| (start..=end).contains(&time_of(line));
            let expected: Vec<String> = all.iter().filter(is_wanted).cloned().collect();
            compare(&format!("{name}, {start} to {end}"), &found, &expected);
        }
    }
}

/// What 2.0.1 and later libraries mean by RLBE, which only statistics would tell.
fn unfinished(path: &Path) -> Unfinished {
    let rlbe = match path.parent().unwrap().ends_with("v4beta") {
        true => RlbeMeaning::FloatDifference,
        false => RlbeMeaning::BitDifference,
    };
    Unfinished { rlbe: Some(rlbe), ..Unfinished::default() }
}

#[test]
fn an_unfinished_file_whose_values_could_be_two_things_ends_before_them() {
    let bytes = fs::read(corpus().join("v4/rlbe-floats.tsfile")).unwrap();
    let recovered = TsFile::open_unfinished(bytes, Unfinished::default()).unwrap();
    let trouble = recovered.trouble.unwrap().to_string();
    assert!(trouble.contains("which RLBE this is"), "{trouble}");
    assert_eq!(points(&recovered.file).unwrap(), Vec::<String>::new());
}

#[test]
fn every_file_of_the_corpus_gives_exactly_its_points_without_its_index() {
    for (path, expected_path) in files() {
        let name = path.display().to_string();
        let whole = fs::read(&path).unwrap();
        let data_end = usize::try_from(TsFile::open(&*whole).unwrap().data_end()).unwrap();
        let recovered = TsFile::open_unfinished(&whole[..=data_end], unfinished(&path))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(recovered.trouble.is_none(), "{name}: {:?}", recovered.trouble);
        assert_eq!(recovered.end, data_end as u64 + 1, "{name}");
        let found = points(&recovered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&name, &found, &expected(&expected_path));
    }
}

#[test]
fn every_file_of_the_corpus_is_sound() {
    for (path, expected_path) in files() {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        let verified = file.verify();
        let shown: Vec<String> =
            verified.findings.iter().take(5).map(ToString::to_string).collect();
        assert!(verified.is_sound(), "{}: {shown:#?}", path.display());
        // Where chunks overlap, there are more points than count.
        let n_expected = expected(&expected_path).len() as u64;
        assert!(verified.n_points >= n_expected, "{}", path.display());
    }
}

#[test]
fn a_cut_file_is_no_finished_file_and_gives_the_groups_that_are_whole() {
    for kind in ["v3old", "v3new", "v4"] {
        let folder = corpus().join(kind);
        let all = expected(&folder.join("multichunk.csv.gz"));
        let (mut n_torn, mut most) = (0, 0);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with("torn-at-") {
                continue;
            }
            n_torn += 1;
            let bytes = fs::read(&path).unwrap();
            assert!(TsFile::open(&*bytes).is_err(), "{}", path.display());
            let Ok(recovered) = TsFile::open_unfinished(&*bytes, Unfinished::default()) else {
                assert!(bytes.len() < 7, "{}", path.display());
                continue;
            };
            let found = points(&recovered.file).unwrap();
            assert!(found.iter().all(|point| all.binary_search(point).is_ok()));
            most = most.max(found.len());
        }
        assert!(n_torn >= 7 && most == all.len(), "{kind}: {n_torn} {most} of {}", all.len());
    }
}

#[test]
fn an_encrypted_file_is_refused_by_the_name_of_its_cipher() {
    let bytes = fs::read(corpus().join("v4/encrypted.tsfile")).unwrap();
    let error = TsFile::open(bytes).unwrap_err();
    assert!(matches!(&error, ReadError::Encrypted { .. }), "{error}");
    assert!(error.to_string().contains("encryption by "), "{error}");
}

#[test]
fn a_series_is_the_same_whether_it_is_walked_to_or_looked_up() {
    for (path, _) in files() {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        for device in file.devices().map(Result::unwrap) {
            for series in file.series(&device).unwrap().map(Result::unwrap) {
                let found = file.find_series(&device, &series.measurement).unwrap();
                // as text: statistics may be NaN, which equals nothing
                let [found, walked_to] = [found, Some(series.into())].map(|it| format!("{it:?}"));
                assert_eq!(found, walked_to, "{} {}", path.display(), device.id());
            }
        }
    }
}
