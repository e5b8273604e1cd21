//! Opening a file of which the points are wanted, also if its index is damaged: then chunks are found by a
//! walk over the data.

use super::share::Share;
use super::share::Wanted;
use super::unread::UnreadPart;
use crate::ReadAt;
use crate::ReadError;
use crate::TsFile;
use crate::Unfinished;
use crate::read::file::SEPARATOR;

/// A file of which the points are wanted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<R> {
    /// The file; without its own index if that is damaged.
    pub file: TsFile<R>,
    /// What is wrong with its index, if anything is.
    pub trouble: Option<String>,
    /// What may be in the file besides and was not found.
    pub unread: Option<UnreadPart>,
}

/// Opens a file.
///
/// Reads all of the index that concerns what is wanted, so that whoever reads on need not stop amidst.
///
/// # Errors
/// Of a file in which nothing can be found: it is encrypted, say, or of tables, whose schemas stand in the
/// index alone. Also if bytes cannot be fetched, which may be otherwise the next time.
pub fn open_to_extract<R: ReadAt + Copy>(
    source: R,
    wanted: &Wanted,
    is_table_model: bool,
) -> Result<Opened<R>, ReadError> {
    let (error, file) = match TsFile::open(source) {
        Ok(file) => match index_trouble(&file, wanted, is_table_model) {
            None => return Ok(Opened { file, trouble: None, unread: None }),
            Some(error) => (error, Some(file)),
        },
        Err(error) => (error, None),
    };
    if matches!(error, ReadError::Io { .. } | ReadError::Encrypted { .. }) {
        return Err(error);
    }
    let trouble = format!("its index is damaged: {error}");
    // Who reads by what is left of the index names what is not.
    let by_index = |file| Opened { file, trouble: Some(trouble.clone()), unread: None };
    if is_table_model {
        return file.map(by_index).ok_or(error);
    }
    let walked = match TsFile::open_unfinished(source, Unfinished::default()) {
        Ok(walked) => walked,
        Err(walk) => {
            let is_gone = matches!(walk, ReadError::Io { .. });
            return if is_gone { Err(walk) } else { file.map(by_index).ok_or(error) };
        }
    };
    let mut last = [0];
    if let Some(at) = walked.end.checked_sub(1) {
        let io = |source| ReadError::Io { offset: at, length_bytes: 1, source };
        source.read_at(at, &mut last).map_err(io)?;
    }
    let is_whole = walked.trouble.is_none() && last == [SEPARATOR];
    if let Some(file) = file.filter(|_| !is_whole) {
        let [by_walk, by_it] =
            [&walked.file, &file].map(|file| n_points(file, wanted, is_table_model));
        if by_it > by_walk {
            return Ok(by_index(file));
        }
    }
    let (end, behind) = (walked.end, walked.trouble.map(|it| format!(", {it}")));
    let unread = (!is_whole).then(|| UnreadPart {
        device: None,
        measurement: None,
        times: None,
        n_points: None,
        why: format!(
            "{trouble}; by a walk over the data nothing is found behind byte {end}{}",
            behind.unwrap_or_default()
        ),
    });
    Ok(Opened { file: walked.file, trouble: Some(trouble), unread })
}

/// Why the index cannot be read where it is wanted, if it cannot.
fn index_trouble<R: ReadAt>(
    file: &TsFile<R>,
    wanted: &Wanted,
    is_table_model: bool,
) -> Option<ReadError> {
    let walk = || {
        for device in file.devices() {
            let device = device?;
            if wanted.covers(device.id(), is_table_model) != Share::Nothing {
                file.series(&device)?.try_for_each(|series| series.map(drop))?;
            }
        }
        Ok(())
    };
    walk().err()
}

/// How many points of devices that are wanted can be found.
fn n_points<R: ReadAt>(file: &TsFile<R>, wanted: &Wanted, is_table_model: bool) -> u64 {
    let devices = file.devices().filter_map(Result::ok);
    let devices = devices.filter(|it| wanted.covers(it.id(), is_table_model) != Share::Nothing);
    let of_device = |device| {
        let all = file.series(&device).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        all.unwrap_or_default().into_iter().map(|one| u64::from(one.statistics.count)).sum::<u64>()
    };
    devices.map(of_device).fold(0, u64::saturating_add)
}
