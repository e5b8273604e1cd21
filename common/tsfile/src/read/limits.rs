//! How much memory the structures of a file may take.

/// Caps on what is read at once. Sound files of IoTDB's default settings stay far below.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Largest body of a page, compressed or not. IoTDB closes a page at 64 KiB, but one value may
    /// be larger.
    pub page_bytes_max: usize,
    /// Most rows of a page. IoTDB closes a page at 10,000.
    pub page_rows_max: usize,
    /// Most cells of a page, rows times columns: of wide devices the time that it takes.
    pub page_cells_max: usize,
    /// Most cells of rows that are given at once, if one row has no more: pages of more come in several
    /// parts, but in no more than sixteen, and those of series with times of their own in one. All chunks
    /// that overlap at one time hold 16 times as many at most.
    pub batch_cells_max: usize,
    /// Largest index node or block of series metadata; also that of the whole file's metadata.
    pub metadata_bytes_max: usize,
}

/// A batch of numbers has 32 MiB at most.
const BATCH_CELLS_MAX: usize = 4 << 20;
/// Rows that are gathered are given once their texts and blobs have so many bytes, though they may be
/// fewer than could be gathered: a value may be as long as a page.
pub const BATCH_BYTES: usize = 8 << 20;
/// More rows at once do not make a merge faster.
const BATCH_ROWS: usize = 8192;

impl Limits {
    /// Most rows of so many columns that are given at once.
    pub(crate) fn batch_rows_max(&self, n_columns: usize) -> usize {
        self.batch_cells_max.checked_div(n_columns).unwrap_or(usize::MAX).max(1)
    }

    /// Most rows of so many columns that are merged at once.
    pub(crate) fn merged_rows_max(&self, n_columns: usize) -> usize {
        self.batch_rows_max(n_columns).min(BATCH_ROWS)
    }
}

/// How many rows of so many columns are merged at once, with the default limits.
pub fn rows_of_merge(n_columns: usize) -> usize {
    Limits::default().merged_rows_max(n_columns)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes_max: 256 << 20,
            page_rows_max: 16 << 20,
            page_cells_max: 256 << 20,
            batch_cells_max: BATCH_CELLS_MAX,
            metadata_bytes_max: 256 << 20,
        }
    }
}
