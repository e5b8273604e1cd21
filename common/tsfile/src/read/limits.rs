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
    /// Most cells that the pages which are held at once make, rows times columns: of one chunk, or of
    /// all that overlap at one time.
    pub page_cells_max: usize,
    /// Largest index node or block of series metadata; also that of the whole file's metadata.
    pub metadata_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes_max: 256 << 20,
            page_rows_max: 16 << 20,
            page_cells_max: 64 << 20,
            metadata_bytes_max: 256 << 20,
        }
    }
}
