//! JSON, one object a line for each row. Null is `null`; numbers that JSON does not have are texts.
//!
//! Readers keep one of several equal keys. So the second column of a name has ` (2)` behind it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Write;

use tidegate_model::DataType;
use tidegate_tsfile::Batch;

use super::Cursor;
use crate::Head;
use crate::Sink;
use crate::text::Text;

/// Writes json.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    text: Text,
    has_time: bool,
    /// Names with their quotes and colons.
    names: Vec<String>,
    line: String,
    cell: String,
}

impl<W: Write> Json<W> {
    /// Writes to `out`, which had better be buffered.
    pub fn new(out: W, text: Text) -> Self {
        let (line, cell) = (String::new(), String::new());
        Self { out, text, has_time: false, names: Vec::new(), line, cell }
    }
}

impl<W: Write> Sink for Json<W> {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.has_time = head.has_time;
        let names = head.columns.iter().map(|column| column.name.as_str());
        for key in keys(names, head.has_time) {
            let mut name = String::new();
            quote(&mut name, &key);
            name.push(':');
            self.names.push(name);
        }
        Ok(())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        let mut cursor = Cursor::new(rows);
        for time in &rows.times {
            self.line.clear();
            self.line.push('{');
            if self.has_time {
                self.line.push_str("\"Time\":");
                self.cell.clear();
                self.text.write_time(&mut self.cell, *time);
                match self.text.offset {
                    Some(_) => quote(&mut self.line, &self.cell),
                    None => self.line.push_str(&self.cell),
                }
            }
            for (at, (column, name)) in rows.columns.iter().zip(&self.names).enumerate() {
                if self.has_time || at > 0 {
                    self.line.push(',');
                }
                self.line.push_str(name);
                let Some(value) = cursor.value(rows, at) else {
                    self.line.push_str("null");
                    continue;
                };
                self.cell.clear();
                self.text.write_at(&mut self.cell, column.data_type, &column.values, value);
                match is_bare(&self.text, column.data_type, &self.cell) {
                    true => self.line.push_str(&self.cell),
                    false => quote(&mut self.line, &self.cell),
                }
            }
            cursor.next(rows);
            self.line.push_str("}\n");
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A key for each column, no two of them equal. A name that is there but once is its key.
fn keys<'n>(names: impl Iterator<Item = &'n str> + Clone, has_time: bool) -> Vec<String> {
    let time = has_time.then_some("Time");
    let mut taken: HashSet<String> = names.clone().chain(time).map(str::to_owned).collect();
    let mut numbers: HashMap<&str, usize> = time.map(|name| (name, 1)).into_iter().collect();
    let key = |name: &'n str| {
        let number = numbers.entry(name).or_default();
        *number = number.saturating_add(1);
        if *number == 1 {
            return name.to_owned();
        }
        loop {
            let key = format!("{name} ({number})");
            if taken.insert(key.clone()) {
                return key;
            }
            *number = number.saturating_add(1);
        }
    };
    names.map(key).collect()
}

/// Whether a value stands without quotes.
fn is_bare(text: &Text, data_type: DataType, cell: &str) -> bool {
    match data_type {
        DataType::Boolean | DataType::Int32 | DataType::Int64 => true,
        DataType::Float | DataType::Double => !cell.contains(['N', 'I']),
        DataType::Timestamp => text.offset.is_none(),
        _ => false,
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\u{0}'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => out.push(char),
        }
    }
    out.push('"');
}
