//! The table of IoTDB's command line.
//!
//! Columns are as wide as the first rows need; a longer cell that comes later moves those behind it
//! in its row. Nothing that a value says reaches the terminal as a control character.

use std::io;
use std::io::Write;

use tidegate_tsfile::Batch;

use super::Cursor;
use crate::Head;
use crate::Sink;
use crate::text::Text;

/// Rows that decide how wide columns are: as many as IoTDB shows at once.
const MEASURED_ROWS: usize = 1000;
/// Texts of those rows that are held; the first of them decide if there are more.
const MEASURED_BYTES_MAX: usize = 16 << 20;

/// Writes a table.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    text: Text,
    has_time: bool,
    names: Vec<String>,
    /// Rows that were not written yet, cell by cell.
    held: Vec<String>,
    n_held: usize,
    held_bytes: usize,
    /// Once they are known.
    widths: Option<Vec<usize>>,
    n_rows: u64,
}

impl<W: Write> Table<W> {
    /// Writes to `out`, which had better be buffered.
    pub fn new(out: W, text: Text) -> Self {
        Self {
            out,
            text,
            has_time: false,
            names: Vec::new(),
            held: Vec::new(),
            n_held: 0,
            held_bytes: 0,
            widths: None,
            n_rows: 0,
        }
    }

    /// Writes the head and the rows that were held.
    fn settle(&mut self) -> io::Result<()> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| width(name)).collect();
        let n_columns = widths.len().max(1);
        for row in self.held.chunks(n_columns) {
            for (width_max, cell) in widths.iter_mut().zip(row) {
                *width_max = (*width_max).max(width(cell));
            }
        }
        border(&mut self.out, &widths)?;
        line(&mut self.out, &widths, &self.names)?;
        border(&mut self.out, &widths)?;
        for row in self.held.chunks(n_columns) {
            line(&mut self.out, &widths, row)?;
        }
        self.held = Vec::new();
        self.widths = Some(widths);
        Ok(())
    }
}

impl<W: Write> Sink for Table<W> {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.has_time = head.has_time;
        self.names.extend(head.has_time.then(|| String::from("Time")));
        self.names.extend(head.columns.iter().map(|column| shown(column.name.clone())));
        Ok(())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        let mut cursor = Cursor::new(rows);
        let mut cells = Vec::new();
        for time in &rows.times {
            if self.has_time {
                let mut cell = String::new();
                self.text.write_time(&mut cell, *time);
                cells.push(cell);
            }
            for (at, column) in rows.columns.iter().enumerate() {
                let mut cell = String::new();
                match cursor.value(rows, at) {
                    Some(value) => {
                        self.text.write_at(&mut cell, column.data_type, &column.values, value);
                    }
                    None => cell.push_str("null"),
                }
                cells.push(shown(cell));
            }
            cursor.next(rows);
            self.n_rows = self.n_rows.saturating_add(1);
            if let Some(widths) = &self.widths {
                line(&mut self.out, widths, &cells)?;
                cells.clear();
                continue;
            }
            let bytes: usize = cells.iter().map(String::len).sum();
            self.held_bytes = self.held_bytes.saturating_add(bytes);
            self.held.append(&mut cells);
            self.n_held = self.n_held.saturating_add(1);
            if self.n_held >= MEASURED_ROWS || self.held_bytes >= MEASURED_BYTES_MAX {
                self.settle()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.widths.is_none() {
            self.settle()?;
        }
        border(&mut self.out, self.widths.as_deref().unwrap_or_default())?;
        match self.n_rows {
            0 => self.out.write_all(b"Empty set.\n")?,
            n_rows => writeln!(self.out, "Total line number = {n_rows}")?,
        }
        self.out.flush()
    }
}

fn border(out: &mut impl Write, widths: &[usize]) -> io::Result<()> {
    let mut text = String::from("+");
    for width in widths {
        text.extend(core::iter::repeat_n('-', *width));
        text.push('+');
    }
    text.push('\n');
    out.write_all(text.as_bytes())
}

fn line(out: &mut impl Write, widths: &[usize], cells: &[String]) -> io::Result<()> {
    let mut text = String::from("|");
    for (wanted, cell) in widths.iter().zip(cells) {
        text.extend(core::iter::repeat_n(' ', wanted.saturating_sub(width(cell))));
        text.push_str(cell);
        text.push('|');
    }
    text.push('\n');
    out.write_all(text.as_bytes())
}

/// Columns of a terminal: two for the wide characters of East Asia.
fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.chars().map(|char| if is_wide(char) { 2 } else { 1 }).sum(),
    }
}

fn is_wide(char: char) -> bool {
    matches!(
        u32::from(char),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
            | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd
    )
}

/// Without control characters.
fn shown(cell: String) -> String {
    match cell.chars().any(char::is_control) {
        false => cell,
        true => {
            let mut out = String::new();
            for char in cell.chars() {
                match char.is_control() {
                    true => out.extend(char.escape_default()),
                    false => out.push(char),
                }
            }
            out
        }
    }
}
