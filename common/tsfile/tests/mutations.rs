//! Hostile bytes: every other value of every byte and every cut of everything real, and seeded mutations, with
//! the memory they cost counted.

#[path = "support/counting.rs"]
mod counting;
mod support;

use support::all;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Progress;
use tidegate_tsfile::Resource;

/// Memory that all of a parse may take in all, growth of its vectors included: the forms in memory
/// are larger than those in the file, but only so much.
fn budget(file_bytes: usize) -> usize {
    4096 + 160 * file_bytes
}

fn counted<T>(file_bytes: usize, what: &str, f: impl FnOnce() -> T) -> T {
    let (found, total) = counting::allocated_bytes(f);
    assert!(total <= budget(file_bytes), "{what}: {total} bytes of memory for {file_bytes}");
    found
}

/// Parses, and looks at all that came of it.
fn resource(bytes: &[u8], what: &str) -> Option<Resource> {
    let parsed = counted(bytes.len(), what, || Resource::parse(bytes)).ok()?;
    if let Some(range) = parsed.range() {
        assert!(range.start <= range.end, "{what}");
    }
    assert_eq!(parsed.devices().len(), parsed.devices.len());
    if let Progress::Known(index) = &parsed.progress {
        let mut encoded = Vec::new();
        index.encode(&mut encoded).unwrap();
        let again =
            tidegate_tsfile::ProgressIndex::decode(&mut tidegate_codec::Reader::new(&encoded));
        assert_eq!(again.as_ref(), Ok(index), "{what}");
        assert!(!index.to_string().is_empty());
    }
    Some(parsed)
}

/// Walks, and looks at all that came of it. Returns the number of entries.
fn mods(kind: ModsKind, bytes: &[u8], what: &str) -> (usize, Ending) {
    counted(bytes.len(), what, || {
        let mut walk = kind.entries(bytes, 0);
        let count =
            walk.by_ref().inspect(|it| assert!(it.deletion.start <= it.deletion.end)).count();
        assert!(walk.whole_bytes() <= bytes.len(), "{what}");
        (count, walk.into_ending())
    })
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    const HOSTILE: [i32; 10] =
        [-1, -2, 0, 1, 0x7fff, 0xffff, 0x00ff_ffff, 0x0400_0000, i32::MAX, i32::MIN];
    for _ in 0..random.usize(1..5) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        match random.u8(0..7) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.u8(..)),
            4 => {
                bytes.remove(at);
            }
            5 => {
                let copy = bytes[at..bytes.len().min(at + 40)].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let value = random.choice(HOSTILE).unwrap().to_be_bytes();
                let end = bytes.len().min(at + 4);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
        }
    }
}

#[test]
fn every_cut_of_a_resource_is_refused_or_keeps_its_extents() {
    for file in all("resource") {
        let whole = resource(&file.bytes, &file.name).unwrap();
        for cut in 0..file.bytes.len() {
            let Some(part) = resource(&file.bytes[..cut], &file.name) else { continue };
            assert_eq!(part.devices, whole.devices, "{} cut at {cut}", file.name);
            assert!(
                part.progress == whole.progress || part.progress.evidence().is_none(),
                "{} cut at {cut}: {:?}",
                file.name,
                part.progress
            );
        }
    }
}

#[test]
fn every_other_value_of_every_byte_of_a_resource_is_survived() {
    let (mut n_good, mut n_unreadable, mut n_refused) = (0, 0, 0);
    for file in all("resource") {
        let mut bytes = file.bytes;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            for flip in 1..=255 {
                bytes[at] = byte ^ flip;
                match resource(&bytes, &file.name) {
                    None => n_refused += 1,
                    Some(parsed) if parsed.unread.is_some() => n_unreadable += 1,
                    Some(_) => n_good += 1,
                }
            }
            bytes[at] = byte;
        }
    }
    println!("{n_good} read, {n_unreadable} read in part, {n_refused} refused");
    assert!(n_good > 100_000 && n_unreadable > 10_000 && n_refused > 10_000);
}

#[test]
fn every_other_value_of_every_byte_of_a_mods_file_is_survived() {
    let (mut n_whole, mut n_torn, mut n_damaged) = (0, 0, 0);
    for (kind, suffix) in [(ModsKind::Binary, "mods2"), (ModsKind::Text, "mods")] {
        for file in all(suffix) {
            let mut bytes = file.bytes;
            for at in 0..bytes.len() {
                let byte = bytes[at];
                for flip in 1..=255 {
                    bytes[at] = byte ^ flip;
                    match mods(kind, &bytes, &file.name).1 {
                        Ending::Whole => n_whole += 1,
                        Ending::Torn { .. } => n_torn += 1,
                        Ending::Damaged(_) => n_damaged += 1,
                    }
                }
                bytes[at] = byte;
            }
        }
    }
    println!("{n_whole} whole, {n_torn} torn, {n_damaged} damaged");
    assert!(n_whole > 10_000 && n_torn > 1_000 && n_damaged > 10_000);
}

#[test]
fn mutations_by_seed_never_panic_and_never_take_more_than_their_share() {
    let resources = all("resource");
    let (binary, text) = (all("mods2"), all("mods"));
    let mut n_good = 0;
    for seed in 0..60_000u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let what = format!("seed {seed}");
        let mut bytes = random.choice(&resources).unwrap().bytes.clone();
        mutate(&mut random, &mut bytes);
        n_good += usize::from(resource(&bytes, &what).is_some());
        for (kind, files) in [(ModsKind::Binary, &binary), (ModsKind::Text, &text)] {
            let mut bytes = random.choice(files).unwrap().bytes.clone();
            mutate(&mut random, &mut bytes);
            n_good += mods(kind, &bytes, &what).0;
        }
    }
    assert!(n_good > 20_000, "the mutations are too harsh: {n_good} good ones");
}

/// The forms that take the most memory for their bytes: nulls, empty texts and the least predicates.
#[test]
fn the_forms_that_swell_most_stay_within_their_share() {
    let n = 4000usize;
    let mut file = vec![1, 3, 0, 0, 0, 1];
    file.extend([0; 16]);
    file.extend([0xa0, 0x1f]);
    file.extend(vec![1; n]);
    file.extend([0; 4]);
    assert!(resource(&file, "null segments").is_some());
    file[22..24].copy_from_slice(&[0xff, 0x7f]);
    assert!(resource(&file, "too many segments").is_none());

    let entry = |predicate: &[u8]| {
        let mut file = vec![0; 17];
        file.extend(b"\x02t");
        file.extend(predicate);
        file.push(0);
        file
    };
    let many = [&[3, 0xc0, 0x3e][..], &vec![0; n]].concat();
    assert_eq!(mods(ModsKind::Binary, &entry(&many), "any device").0, 1);
    let devices = [&[4, 0xc0, 0x3e][..], &vec![0; n]].concat();
    assert_eq!(mods(ModsKind::Binary, &entry(&devices), "empty devices").0, 1);
    let nulls = [&[1, 0xa0, 0x1f][..], &vec![1; n]].concat();
    assert_eq!(mods(ModsKind::Binary, &entry(&nulls), "null segments").0, 1);
}
