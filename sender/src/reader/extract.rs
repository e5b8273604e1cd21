//! How a file leaves: whole, as tablets, or not at all; and its tablets as requests.

use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tidegate_daemon::files::read_at_most;
use tidegate_model::DataType;
use tidegate_model::Dialect;
use tidegate_model::Tablet;
use tidegate_source::FileItem;
use tidegate_source::ModsSeen;
use tidegate_source::Stall;
use tidegate_source::UnreadPoints;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::Opened;
use tidegate_tsfile::RESOURCE_BYTES_MAX;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Resource;
use tidegate_tsfile::Share;
use tidegate_tsfile::TabletError;
use tidegate_tsfile::TabletOrder;
use tidegate_tsfile::Tablets;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::UnreadPart;
use tidegate_tsfile::Wanted;
use tidegate_tsfile::open_to_extract;
use tidegate_wire::request::encode_tablet_request;

use super::stall;
use crate::catalog;
use crate::pins::with_suffix;

/// Most rows of a tablet, as IoTDB's own pipes make them.
const TABLET_ROWS_MAX: usize = 1024;
/// Most bytes of a tablet, whatever a frame may have: a peer takes it into memory whole.
const TABLET_BYTES_MAX: usize = 4 << 20;

/// A file whose bytes are read with `pread`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'f> {
    pub(super) file: &'f File,
    pub(super) length_bytes: u64,
    /// Set once the disk has not given bytes of it back.
    pub(super) failed: &'f AtomicBool,
}

impl ReadAt for Bytes<'_> {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset).inspect_err(|error| {
            // A file that became shorter is another one, and the disk is not to blame.
            let is_of_disk = error.kind() != io::ErrorKind::UnexpectedEof;
            self.failed.fetch_or(is_of_disk, Ordering::Relaxed);
        })
    }
}

/// How much of a file is wanted, as far as its `.resource` tells.
pub(super) fn share_by_resource(
    item: &FileItem,
    path: &Path,
    wanted: &Wanted,
) -> Result<Share, Stall> {
    if wanted.is_all() {
        return Ok(Share::All);
    }
    if wanted.is_nothing() {
        return Ok(Share::Nothing);
    }
    // That of a pinned file may be gone, or another one's.
    if item.pinned.is_some() {
        return Ok(Share::Some);
    }
    let bytes_max = usize::try_from(RESOURCE_BYTES_MAX).unwrap_or(usize::MAX);
    let Ok(bytes) = read_at_most(&with_suffix(path, RESOURCE_SUFFIX), bytes_max) else {
        return Ok(Share::Some);
    };
    let Ok(resource) = Resource::parse(&bytes) else { return Ok(Share::Some) };
    let share = wanted.share_of_devices(&resource.devices, item.place.region.is_table_model());
    // It is that file's only as long as the file is there.
    let named = fs::metadata(path).map_err(|error| stall(path, "looking at", &error))?;
    match catalog::identity(&named) == item.identity {
        true => Ok(share),
        false => Err(Stall::Moved),
    }
}

/// The deletions of a list that was read whole.
pub(super) fn entries(bytes: &[u8], seen: ModsSeen) -> Vec<ModEntry> {
    seen.kind.entries(bytes, 0).collect()
}

/// A tablet as a request, and what is to be known of it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) payload: Vec<u8>,
    pub(super) is_last: bool,
    /// Whether series were left out since the peer does not know their types.
    pub(super) has_unknown_types: bool,
}

/// The requests that carry the wanted points of a file, read one tablet ahead: the last one must
/// know that it is.
#[derive(Debug)]
pub(super) struct Requests<'f> {
    tablets: Tablets<'f, Bytes<'f>>,
    ahead: VecDeque<Tablet>,
    dialect: Dialect,
    path: &'f Path,
}

/// What is asked of [`Requests`].
#[derive(Clone, Debug)]
pub(super) struct Order<'f> {
    pub(super) item: &'f FileItem,
    pub(super) wanted: Wanted,
    pub(super) deleted: Vec<ModEntry>,
    pub(super) dialect: Dialect,
    pub(super) piece_bytes: u32,
    /// Whether what the disk does not give back is left out.
    pub(super) passes_io_errors: bool,
}

impl<'f> Requests<'f> {
    pub(super) fn new(file: &'f TsFile<Bytes<'f>>, path: &'f Path, order: Order<'f>) -> Self {
        let Order { item, wanted, deleted, dialect, piece_bytes, passes_io_errors } = order;
        let region = &item.place.region;
        let bytes_max = usize::try_from(piece_bytes).unwrap_or(usize::MAX);
        let order = TabletOrder {
            wanted,
            deleted,
            database: region.is_table_model().then(|| region.database.to_string()),
            bytes_max: bytes_max.min(TABLET_BYTES_MAX),
            rows_max: TABLET_ROWS_MAX,
            knows: types_of(dialect),
            passes_io_errors,
        };
        Self { tablets: Tablets::new(file, order), ahead: VecDeque::new(), dialect, path }
    }

    /// The next request; `None` behind the last.
    pub(super) fn next_request(&mut self) -> Result<Option<Request>, Stall> {
        while self.ahead.len() < 2 {
            match self.tablets.next_tablet().map_err(|error| tablet_stall(self.path, error))? {
                Some(tablet) => self.ahead.push_back(tablet),
                None => break,
            }
        }
        let Some(tablet) = self.ahead.pop_front() else { return Ok(None) };
        let payload = encode_tablet_request(&tablet, self.dialect).map_err(|error| {
            Stall::Blocked(format!("{}: a tablet of it: {error}", self.path.display()))
        })?;
        let has_unknown_types = self.has_unknown_types();
        Ok(Some(Request { payload, is_last: self.ahead.is_empty(), has_unknown_types }))
    }

    /// What could not be read so far.
    pub(super) fn unread(&self) -> &[UnreadPart] {
        self.tablets.unread().parts()
    }

    /// Whether series were left out so far.
    pub(super) fn has_unknown_types(&self) -> bool {
        self.tablets.n_unknown() > 0
    }
}

/// Types that a peer takes in tablets. An OBJECT stands for a file elsewhere.
pub(super) fn types_of(dialect: Dialect) -> fn(DataType) -> bool {
    match dialect {
        Dialect::V1_2 => |data_type| data_type.code() <= DataType::Text.code(),
        Dialect::V1_3 | Dialect::V2_0 => |data_type| data_type != DataType::Object,
    }
}

/// A file whose points are to leave, or why nothing in it can be found.
pub(super) fn open<'f>(
    bytes: Bytes<'f>,
    path: &Path,
    order: &Order<'_>,
) -> Result<Result<Opened<Bytes<'f>>, UnreadPoints>, Stall> {
    let is_table_model = order.item.place.region.is_table_model();
    match open_to_extract(bytes, &order.wanted, is_table_model) {
        Ok(opened) => Ok(Ok(opened)),
        Err(error) if is_of_bytes(&error, order.passes_io_errors) => {
            let (series, times, n_points) = (None, None, None);
            Ok(Err(UnreadPoints { series, times, n_points, why: error.to_string().into() }))
        }
        Err(error) => Err(read_stall(path, &error)),
    }
}

/// What is told of points that could not be read.
pub(super) fn told(part: &UnreadPart) -> UnreadPoints {
    let series = match (&part.device, &part.measurement) {
        (Some(device), Some(measurement)) => Some(format!("{device}.{measurement}").into()),
        (device, _) => device.as_deref().map(Into::into),
    };
    let UnreadPart { times, n_points, why, .. } = part;
    UnreadPoints { series, times: *times, n_points: *n_points, why: why.as_str().into() }
}

/// Whether an error says something of the bytes of a file, which will be the same the next time.
pub(super) fn is_of_bytes(error: &ReadError, passes_io_errors: bool) -> bool {
    match error {
        ReadError::Io { source, .. } => {
            passes_io_errors && source.kind() != io::ErrorKind::UnexpectedEof
        }
        _ => true,
    }
}

/// What a file that could not be read holds up.
pub(super) fn read_stall(path: &Path, error: &ReadError) -> Stall {
    let text = format!("{}: {error}", path.display());
    match error {
        ReadError::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
            Stall::Moved // truncated under us
        }
        // It may be there later.
        _ => Stall::Blocked(text),
    }
}

fn tablet_stall(path: &Path, error: TabletError) -> Stall {
    match error {
        TabletError::Read(error) => read_stall(path, &error),
        other => Stall::Blocked(format!(
            "{}: {other}; a gateway profile or connector.tidegate.piece-size-bytes that allows more \
             lets it pass",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After ten of these the rest of a file leaves without them; other reasons to wait do not count.
    #[test]
    fn only_a_disk_that_does_not_give_bytes_back_is_to_blame() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        fs::write(&path, [1, 2, 3]).expect("a file");
        let writable = fs::OpenOptions::new().write(true).open(&path).expect("a file");
        let readable = File::open(&path).expect("a file");
        for (file, offset, is_read, is_to_blame) in
            [(&readable, 0, true, false), (&readable, 9, false, false), (&writable, 0, false, true)]
        {
            let failed = AtomicBool::new(false);
            let bytes = Bytes { file, length_bytes: 3, failed: &failed };
            assert_eq!(bytes.read_at(offset, &mut [0; 3]).is_ok(), is_read);
            assert_eq!(failed.into_inner(), is_to_blame);
        }
    }
}
