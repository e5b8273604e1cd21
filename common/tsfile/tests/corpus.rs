//! Files of IoTDB's three libraries: every type, encoding, compressor and shape, point for point.

mod points;

use std::fs;

use tidegate_tsfile::Encoding;
use tidegate_tsfile::Limits;
use tidegate_tsfile::TsFile;

use points::compare;
use points::corpus;
use points::expected;
use points::files;
use points::points;

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
fn every_file_of_the_corpus_gives_exactly_its_points_without_its_index() {
    for (path, expected_path) in files() {
        let name = path.display().to_string();
        let whole = fs::read(&path).unwrap();
        let data_end = usize::try_from(TsFile::open(&*whole).unwrap().data_end()).unwrap();
        let recovered =
            TsFile::open_unfinished(&whole[..=data_end], Encoding::Ts2Diff, Limits::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(recovered.trouble.is_none(), "{name}: {:?}", recovered.trouble);
        assert_eq!(recovered.end, data_end as u64 + 1, "{name}");
        let found = points(&recovered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&name, &found, &expected(&expected_path));
    }
}

#[test]
fn every_file_of_the_corpus_is_sound() {
    for (path, _) in files() {
        let file = TsFile::open(fs::read(&path).unwrap()).unwrap();
        let verified = file.verify();
        let shown: Vec<String> =
            verified.findings.iter().take(5).map(ToString::to_string).collect();
        assert!(verified.is_sound(), "{}: {shown:#?}", path.display());
        assert!(verified.n_points > 0, "{}", path.display());
    }
}

#[test]
fn a_cut_file_is_no_finished_file_and_gives_the_groups_that_are_whole() {
    for kind in points::KINDS {
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
            let Ok(recovered) =
                TsFile::open_unfinished(&*bytes, Encoding::Ts2Diff, Limits::default())
            else {
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
