//! Moves staged files into a directory, under names that never overwrite anything.
//!
//! A name is made of sequence and original name. It can be taken: by this very file, when an earlier
//! run was interrupted after the move, or by a stranger, when the state directory was made anew and
//! the sequence began again. Which of the two it is, the bytes decide.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use sha2::Digest;
use sha2::Sha256;
use tidegate_daemon::files::open_regular;

use crate::manifest::hex;
use crate::records::StagedFile;
use crate::sealer::sync_directory;
use crate::writer::create_anew;
use crate::writer::named;

/// Longest file name.
const NAME_BYTES_MAX: usize = 255;

/// Of the digest in a name that was cut; peers choose names, so none must be found that meets another.
const CUT_DIGEST_BYTES: usize = 16;

/// Strangers of one name that are stepped around.
const STRANGERS_MAX: u32 = 1000;

/// Moves the files of one record to `directory`. Each comes back with its name there, or without
/// one if it is neither staged nor there.
pub(crate) fn place<'f>(
    staging: &Path,
    directory: &Path,
    sequence: u64,
    files: &'f [StagedFile],
) -> io::Result<Vec<(&'f StagedFile, Option<String>)>> {
    let main = files.iter().find(|file| file.name.ends_with(".tsfile"));
    let main = main.map_or("", |file| file.name.as_str());
    let digested_main = digested(main);
    for stranger in 0..STRANGERS_MAX {
        let name = |file: &StagedFile| stored_name(sequence, stranger, main, &file.name);
        let plainer = |file: &StagedFile| {
            stored_name(sequence, stranger, &digested_main, &digested(&file.name))
        };
        let mut is_free = true;
        for file in files {
            for stored in [name(file), plainer(file)] {
                let to = directory.join(stored);
                is_free &= !to.exists() || is_of(&to, file)?;
            }
        }
        if !is_free {
            continue;
        }
        // an earlier run may have been interrupted after it had found the names refused
        let is_begun = files.iter().any(|file| directory.join(plainer(file)).exists());
        if !is_begun {
            match move_files(staging, directory, files, name) {
                Err(error) if is_name_refused(&error) => {}
                outcome => return outcome,
            }
        }
        for file in files {
            let (plain, to) = (directory.join(name(file)), directory.join(plainer(file)));
            if plain.exists() && !to.exists() {
                move_file(&plain, &to)?;
            }
        }
        return move_files(staging, directory, files, plainer);
    }
    let shown = directory.display();
    Err(io::Error::other(format!("{shown}: too many files of sequence {sequence}")))
}

fn move_files<'f>(
    staging: &Path,
    directory: &Path,
    files: &'f [StagedFile],
    name: impl Fn(&StagedFile) -> String,
) -> io::Result<Vec<(&'f StagedFile, Option<String>)>> {
    let mut placed = Vec::new();
    for file in files {
        let stored = name(file);
        let is_there = move_file(&staging.join(&file.staged), &directory.join(&stored))?;
        placed.push((file, is_there.then_some(stored)));
    }
    Ok(placed)
}

/// Whether a file system cannot have a file of such a name: too long, or with characters in it that
/// are its own.
fn is_name_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename)
}

/// A name that every file system takes: a digest, and the extension that matters.
fn digested(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(name.as_bytes());
    let digest = hex(digest.get(..CUT_DIGEST_BYTES).unwrap_or_default());
    match name.rsplit_once('.') {
        Some((_, extension @ ("tsfile" | "mods" | "mods2"))) => format!("{digest}.{extension}"),
        _ => digest,
    }
}

/// The name in the target. Mods are named after their TsFile, as IoTDB's LOAD wants them. A name
/// that would be too long loses its front, never its extension, and gets a digest of the whole in
/// its place: names that differ in front only stay different.
fn stored_name(sequence: u64, stranger: u32, main: &str, name: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((_, extension @ ("mods" | "mods2"))) if !main.is_empty() => (main, Some(extension)),
        _ => (name, None),
    };
    let prefix = match stranger {
        0 => format!("{sequence:012}-"),
        _ => format!("{sequence:012}.{stranger}-"),
    };
    // the same cut for a TsFile and its mods, or they would no longer be named alike
    let room = NAME_BYTES_MAX.saturating_sub(prefix.len()).saturating_sub(".mods2".len());
    let stem = match stem.len() > room {
        true => cut(stem, room),
        false => stem.to_owned(),
    };
    match extension {
        Some(extension) => format!("{prefix}{stem}.{extension}"),
        None => format!("{prefix}{stem}"),
    }
}

/// The end of a name behind a digest of all of it, at most `room` bytes together.
fn cut(name: &str, room: usize) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let mut digest = hex(digest.get(..CUT_DIGEST_BYTES).unwrap_or_default());
    digest.push('-');
    let surplus = name.len().saturating_add(digest.len()).saturating_sub(room);
    let at = (surplus..=name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(name.len());
    digest + name.get(at..).unwrap_or_default()
}

/// Whether a file has the length and the SHA-256 of a staged one.
fn is_of(path: &Path, file: &StagedFile) -> io::Result<bool> {
    let shown = || path.display().to_string();
    // a stranger that is no file: stepped around, and a FIFO never waited for
    if !path.is_file() {
        return Ok(false);
    }
    let mut found = open_regular(path).map_err(|error| named(&error, "open", &shown()))?;
    let failed = |error| named(&error, "take the length of", &shown());
    if found.metadata().map_err(failed)?.len() != file.length_bytes {
        return Ok(false);
    }
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match found.read(&mut buffer) {
            Ok(0) => return Ok(<[u8; 32]>::from(sha.finalize()) == file.sha256),
            Ok(n_read) => sha.update(buffer.get(..n_read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io::Error::other(named(&error, "read", &shown()))),
        }
    }
}

/// Moves a file, across file systems if need be; `false` if it is in neither place.
fn move_file(from: &Path, to: &Path) -> io::Result<bool> {
    let failed = |error: io::Error| named(&error, "move a file to", &to.display().to_string());
    // asked first: across file systems a rename fails alike whether there is a file or not
    if !from.try_exists().map_err(failed)? {
        return Ok(to.is_file());
    }
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_file(from, to).map_err(failed)?;
            Ok(true)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Copies under another name and renames, so that a name in the target is always a whole file.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let beside = to.with_file_name(".incoming");
    let length_bytes = fs::metadata(from)?.len();
    // asked first: it is tried again and again, and a copy that cannot end fills the disk each time
    if tidegate_durable::free_bytes(to.parent().unwrap_or(to)).is_ok_and(|free| free < length_bytes)
    {
        let message = format!("no room for {length_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::StorageFull, message));
    }
    if let Err(error) = copy_by_way_of(&beside, from, to) {
        // a part of a file takes the room that others may need; the next copy replaces it anyway
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    if let Some(directory) = to.parent() {
        sync_directory(directory)?;
    }
    fs::remove_file(from)
}

fn copy_by_way_of(beside: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = create_anew(beside)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()?;
    fs::rename(beside, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_target_sort_by_arrival_and_mods_follow_their_file() {
        let name = |main: &str, name: &str| stored_name(7, 0, main, name);
        assert_eq!(name("a.tsfile", "a.tsfile"), "000000000007-a.tsfile");
        assert_eq!(name("a.tsfile", "b.mods"), "000000000007-a.tsfile.mods");
        assert_eq!(name("a.tsfile", "a.tsfile.mods2"), "000000000007-a.tsfile.mods2");
        let long = format!("{}.tsfile", "x".repeat(248));
        let stored = stored_name(u64::MAX, 9, &long, &long);
        let mods = stored_name(u64::MAX, 9, &long, &format!("{}.mods2", "x".repeat(249)));
        assert!(stored.len() <= NAME_BYTES_MAX && mods.len() <= NAME_BYTES_MAX);
        assert_eq!(mods, format!("{stored}.mods2"));
    }

    /// Cut names were once their ends alone, and the second file of a snapshot replaced the first.
    #[test]
    fn long_names_that_differ_in_front_only_do_not_meet() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |staged: &str, front: &str| {
            fs::write(staging.path().join(staged), front).unwrap();
            StagedFile {
                staged: staged.to_owned(),
                name: format!("{front}{}.snapshot", "x".repeat(245 - front.len())),
                length_bytes: front.len() as u64,
                crc32: 0,
                sha256: Sha256::digest(front).into(),
            }
        };
        let files = [file("0", "one"), file("1", "two")];
        for round in ["at first", "after an interruption"] {
            let placed = place(staging.path(), target.path(), u64::MAX, &files).unwrap();
            for (file, stored) in placed {
                let stored = stored.unwrap_or_else(|| panic!("{} {round}", file.name));
                assert!(stored.len() <= NAME_BYTES_MAX && stored.ends_with("x.snapshot"));
                let bytes = fs::read(target.path().join(stored)).unwrap();
                assert_eq!(<[u8; 32]>::from(Sha256::digest(bytes)), file.sha256, "{round}");
            }
        }
        for length in 200..260 {
            for (prefix, letter) in [("", "x"), ("y", "\u{fc}")] {
                let name = format!("{prefix}{}", letter.repeat(length / letter.len()));
                let stored = stored_name(7, 0, "", &name);
                assert!(stored.len() <= NAME_BYTES_MAX, "{stored}");
                let is_whole = name.len() <= NAME_BYTES_MAX - 13 - 6;
                assert_eq!(stored == format!("000000000007-{name}"), is_whole, "{stored}");
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_and_an_interrupted_move_is_recognised() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        check_moves(staging.path(), target.path());
    }

    /// A FIFO under the name that comes next once stopped the loader for good.
    #[test]
    fn what_is_no_file_is_stepped_around_and_never_waited_for() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(staging.path().join("0"), b"bytes").unwrap();
        let file = StagedFile {
            staged: "0".to_owned(),
            name: "a.tsfile".to_owned(),
            length_bytes: 5,
            crc32: 0,
            sha256: Sha256::digest(b"bytes").into(),
        };
        let taken = target.path().join("000000000007-a.tsfile");
        rustix::fs::mkfifoat(rustix::fs::CWD, &taken, rustix::fs::Mode::RWXU).unwrap();
        fs::create_dir(target.path().join("000000000007.1-a.tsfile")).unwrap();
        let files = [file];
        let placed = place(staging.path(), target.path(), 7, &files).unwrap();
        assert_eq!(placed[0].1.as_deref(), Some("000000000007.2-a.tsfile"));
    }

    #[test]
    fn the_same_holds_across_file_systems() {
        let Ok(target) = tempfile::tempdir_in("/dev/shm") else { return };
        let staging = tempfile::tempdir().unwrap();
        check_moves(staging.path(), target.path());
    }

    /// It was opened to be written, which waits for a reader.
    #[test]
    fn what_is_in_the_place_of_a_copy_is_replaced_and_never_waited_for() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (staging.path().join("a"), target.path().join("a"));
        fs::write(&from, b"bytes").unwrap();
        let beside = target.path().join(".incoming");
        rustix::fs::mkfifoat(rustix::fs::CWD, &beside, rustix::fs::Mode::RWXU).unwrap();
        copy_file(&from, &to).unwrap();
        assert!(fs::read(&to).unwrap() == b"bytes" && !beside.exists());
    }

    /// A part of a copy once stayed behind and took the room that others needed.
    #[test]
    fn a_copy_that_fails_leaves_nothing_beside_its_target() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (staging.path().join("a"), target.path().join("a"));
        fs::write(&from, b"bytes").unwrap();
        // a directory in the way: the copy is made and cannot be renamed
        fs::create_dir(&to).unwrap();
        assert!(copy_file(&from, &to).is_err());
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
        fs::remove_dir(&to).unwrap();
        copy_file(&from, &to).unwrap();
        assert!(!from.exists() && fs::read(&to).unwrap() == b"bytes");
    }

    /// The receiver ended at such a name, and at every start again. Too long is a path here.
    #[test]
    fn a_name_that_the_target_refuses_is_replaced_by_its_digest() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut directory = target.path().to_owned();
        while directory.as_os_str().len() < 3700 {
            directory.push("d".repeat(200));
        }
        directory.push("d".repeat(3990 - directory.as_os_str().len() - 1));
        fs::create_dir_all(&directory).unwrap();
        let stage = |staged: &str, name: String| {
            fs::write(staging.path().join(staged), staged).unwrap();
            let (crc32, sha256) = (0, Sha256::digest(staged).into());
            StagedFile { staged: staged.to_owned(), name, length_bytes: 1, crc32, sha256 }
        };
        // at 88 the TsFile fits under its own name, its mods do not
        for length in [88, 100] {
            let main = format!("{}.tsfile", "x".repeat(length - 7));
            let files = [stage("0", main.clone()), stage("1", format!("{main}.mods"))];
            for round in ["at first", "after an interruption"] {
                let placed = place(staging.path(), &directory, length as u64, &files).unwrap();
                let names: Vec<_> =
                    placed.into_iter().map(|(_, name)| name.expect(round)).collect();
                assert!(names[0].ends_with(".tsfile") && names[0].len() < 60, "{names:?}");
                assert_eq!(names[1], format!("{}.mods", names[0]));
                assert_eq!(fs::read(directory.join(&names[0])).unwrap(), b"0", "{round}");
            }
            // the sequence began again: another file of the same name
            let other = [stage("2", main)];
            let placed = place(staging.path(), &directory, length as u64, &other).unwrap();
            let stored = placed[0].1.as_ref().unwrap();
            assert!(stored.starts_with(&format!("{length:012}.1-")), "{stored}");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);
            fs::read_dir(&directory)
                .unwrap()
                .for_each(|it| fs::remove_file(it.unwrap().path()).unwrap());
        }
    }

    /// It was once copied until the disk was full, every second.
    #[test]
    fn what_cannot_fit_is_not_copied() {
        let (staging, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (staging.path().join("a"), target.path().join("a"));
        let free = tidegate_durable::free_bytes(target.path()).unwrap();
        // it has a length and no bytes
        File::create(&from).unwrap().set_len(free.saturating_add(1 << 30)).unwrap();
        let error = copy_file(&from, &to).unwrap_err();
        assert!(error.to_string().contains("no room for"), "{error}");
        assert!(crate::disk::may_pass(&error) && from.exists());
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }

    #[track_caller]
    fn check_moves(staging: &Path, target: &Path) {
        let stage = |staged: &str, name: &str, bytes: &[u8]| {
            fs::write(staging.join(staged), bytes).unwrap();
            StagedFile {
                staged: staged.to_owned(),
                name: name.to_owned(),
                length_bytes: bytes.len() as u64,
                crc32: 0,
                sha256: Sha256::digest(bytes).into(),
            }
        };
        let names = |files: &[StagedFile]| -> Vec<Option<String>> {
            let placed = place(staging, target, 1, files).unwrap();
            placed.into_iter().map(|(_, name)| name).collect()
        };
        let first = [stage("0", "a.tsfile", b"one"), stage("1", "a.tsfile.mods", b"mods")];
        let expected = ["000000000001-a.tsfile", "000000000001-a.tsfile.mods"];
        let expected = expected.map(|name| Some(name.to_owned()));
        assert_eq!(names(&first), expected);
        assert_eq!(names(&first), expected, "after an interruption");
        // a copy that was interrupted before its source was removed
        fs::write(staging.join("0"), b"one").unwrap();
        assert_eq!(names(&first), expected);
        // the sequence began again: another file of the same name
        let second = [stage("2", "a.tsfile", b"two")];
        let beside = [Some("000000000001.1-a.tsfile".to_owned())];
        assert_eq!(names(&second), beside);
        assert_eq!(names(&second), beside, "after an interruption");
        assert_eq!(fs::read(target.join("000000000001-a.tsfile")).unwrap(), b"one");
        assert_eq!(fs::read(target.join("000000000001.1-a.tsfile")).unwrap(), b"two");
        let lost = StagedFile { staged: "9".to_owned(), sha256: [0; 32], ..second[0].clone() };
        assert_eq!(names(&[lost]), [None]);
    }
}
