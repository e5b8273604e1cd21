//! Comma-separated values: RFC 4180, with a line of names.
//!
//! Null is nothing, and an empty text is `""`. A text that begins as a formula does is left as it is:
//! it is data, and whoever opens it in a spreadsheet imports it as text.

use std::io;
use std::io::Write;

use tidegate_tsfile::Batch;

use super::Cursor;
use crate::Head;
use crate::Sink;
use crate::text::Text;

/// Writes csv.
#[derive(Debug)]
pub struct Csv<W> {
    out: W,
    text: Text,
    has_time: bool,
    line: String,
    cell: String,
}

impl<W: Write> Csv<W> {
    /// Writes to `out`, which had better be buffered.
    pub fn new(out: W, text: Text) -> Self {
        Self { out, text, has_time: false, line: String::new(), cell: String::new() }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Sink for Csv<W> {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.has_time = head.has_time;
        let time = head.has_time.then_some("Time");
        let names = head.columns.iter().map(|column| column.name.as_str());
        self.line.clear();
        for (at, name) in time.into_iter().chain(names).enumerate() {
            if at > 0 {
                self.line.push(',');
            }
            quote(&mut self.line, name);
        }
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        let mut cursor = Cursor::new(rows);
        for time in &rows.times {
            self.line.clear();
            if self.has_time {
                self.text.write_time(&mut self.line, *time);
            }
            for (at, column) in rows.columns.iter().enumerate() {
                if self.has_time || at > 0 {
                    self.line.push(',');
                }
                if let Some(value) = cursor.value(rows, at) {
                    self.cell.clear();
                    self.text.write_at(&mut self.cell, column.data_type, &column.values, value);
                    quote(&mut self.line, &self.cell);
                }
            }
            cursor.next(rows);
            self.line.push('\n');
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn quote(out: &mut String, cell: &str) {
    if !cell.is_empty() && !cell.contains([',', '"', '\n', '\r']) {
        out.push_str(cell);
        return;
    }
    out.push('"');
    for char in cell.chars() {
        if char == '"' {
            out.push('"');
        }
        out.push(char);
    }
    out.push('"');
}
