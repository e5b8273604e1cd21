//! What our reader finds in a TsFile, in the very lines of the programs in `tests/java/tsfile`.

use std::collections::BTreeSet;
use std::fmt::Write;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::Extremes;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::ValueStatistics;
use tidegate_tsfile::Values;

/// The lines of one series, under `device,measurement`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SeriesLines {
    pub(super) name: String,
    pub(super) lines: String,
}

/// All points of a file, series by series in the order of its index; series without any are left
/// out.
pub(super) fn points(file: &TsFile<impl ReadAt>) -> Result<Vec<SeriesLines>, ReadError> {
    let mut found = Vec::new();
    let mut batch = Batch::default();
    for device in file.devices() {
        let device = device?;
        let device_name = escaped(&device.id().path);
        let series = file.series(&device)?.collect::<Result<Vec<_>, _>>()?;
        let time = series.iter().find(|it| it.kind == SeriesKind::Time);
        for one in series.iter().filter(|it| it.kind != SeriesKind::Time) {
            let everything = Selection::default();
            let mut rows = match time {
                Some(time) => file.aligned_rows(time, std::slice::from_ref(one), everything)?,
                None => file.rows(one, everything)?,
            };
            let name = format!("{device_name},{}", escaped(&one.measurement));
            let mut lines = String::new();
            while rows.next_into(&mut batch)? {
                push_batch(&name, &batch, &mut lines);
            }
            if !lines.is_empty() {
                found.push(SeriesLines { name, lines });
            }
        }
    }
    Ok(found)
}

/// Appends the points of the first column of a batch.
fn push_batch(name: &str, batch: &Batch, lines: &mut String) {
    let Some(column) = batch.columns.first() else { return };
    let there = batch.times.iter().zip(column.presence.iter());
    let times = there.filter(|(_, is_there)| *is_there).map(|(time, _)| time);
    for (at, time) in times.enumerate() {
        let type_name = column.data_type.as_str();
        let _ = write!(lines, "{name},{time},{type_name},");
        push_value(&column.values, at, lines);
        lines.push('\n');
    }
}

fn push_value(values: &Values, at: usize, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match values {
        Values::Boolean(values) => write!(out, "{}", values[at]),
        Values::Int32(values) => write!(out, "{}", values[at]),
        Values::Int64(values) => write!(out, "{}", values[at]),
        Values::Float(values) => write!(out, "f:{:08x}", values[at].to_bits()),
        Values::Double(values) => write!(out, "d:{:016x}", values[at].to_bits()),
        Values::Bytes(values) => {
            push_hex(values.get(at).unwrap_or_default(), out);
            Ok(())
        }
    };
}

/// A value in the form of points.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float(value) => format!("f:{:08x}", value.to_bits()),
        Value::Double(value) => format!("d:{:016x}", value.to_bits()),
        Value::Bytes(value) => {
            let mut out = String::new();
            push_hex(value, &mut out);
            out
        }
    }
}

fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("x:");
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// What would end a field or a line is `%` and two digits.
pub(super) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            ',' | '%' | '\\' | '\n' | '\r' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Lines of points as the series that they are of.
pub(super) fn series_of(text: &str) -> Vec<SeriesLines> {
    let mut found: Vec<SeriesLines> = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut commas = line.match_indices(',').map(|(at, _)| at);
        let name = &line[..commas.nth(1).unwrap_or(line.len())];
        match found.last_mut() {
            Some(last) if last.name == name => last.lines.push_str(line),
            _ => found.push(SeriesLines { name: name.to_owned(), lines: line.to_owned() }),
        }
    }
    found
}

/// What the index says, in the lines of `stats`.
pub(super) fn index(file: &TsFile<impl ReadAt>) -> Result<String, ReadError> {
    let mut out = format!("file,{},{}\n", file.version().byte(), file.data_end());
    for device in file.devices() {
        let device = device?;
        let name = escaped(&device.id().path);
        let series = file.series(&device)?.collect::<Result<Vec<_>, _>>()?;
        let is_aligned = series.first().is_some_and(|it| it.kind == SeriesKind::Time);
        let _ = writeln!(out, "device,{name},{}", if is_aligned { "aligned" } else { "plain" });
        for one in &series {
            push_series(&name, one, &mut out);
        }
    }
    Ok(out)
}

fn push_series(device: &str, series: &SeriesMetadata, out: &mut String) {
    let name = format!("{device},{}", escaped(&series.measurement));
    let data_type = series.data_type.map_or("VECTOR", DataType::as_str);
    let _ = write!(out, "series,{name},{data_type},");
    push_statistics(&series.statistics, out);
    for chunk in &series.chunks {
        let _ = write!(out, "chunk,{name},{},", chunk.offset);
        push_statistics(&chunk.statistics, out);
    }
}

fn push_statistics(statistics: &Statistics, out: &mut String) {
    let _ = write!(out, "{}", statistics.count);
    if statistics.count > 0 {
        let _ = write!(out, ",{},{}", statistics.start_time, statistics.end_time);
        push_fields(&statistics.values, out);
    }
    out.push('\n');
}

fn push_fields(values: &ValueStatistics, out: &mut String) {
    let mut texts = |texts: &[&[u8]]| {
        for text in texts {
            out.push(',');
            push_hex(text, out);
        }
    };
    let _ = match values {
        ValueStatistics::None => Ok(()),
        ValueStatistics::Text { first, last } => {
            texts(&[first, last]);
            Ok(())
        }
        ValueStatistics::String { first, last, min, max } => {
            texts(&[first, last, min, max]);
            Ok(())
        }
        ValueStatistics::Boolean { first, last, n_true } => write!(out, ",{first},{last},{n_true}"),
        ValueStatistics::Int32(it) => {
            write!(out, ",{},{},{},{},{}", it.min, it.max, it.first, it.last, it.sum)
        }
        ValueStatistics::Int64(it) => {
            let Extremes { min, max, first, last, sum } = it;
            write!(out, ",{min},{max},{first},{last},d:{:016x}", sum.to_bits())
        }
        ValueStatistics::Float(it) => {
            let numbers = [it.min, it.max, it.first, it.last].map(f32::to_bits);
            numbers
                .iter()
                .try_for_each(|bits| write!(out, ",f:{bits:08x}"))
                .and_then(|()| write!(out, ",d:{:016x}", it.sum.to_bits()))
        }
        ValueStatistics::Double(it) => {
            let numbers = [it.min, it.max, it.first, it.last, it.sum].map(f64::to_bits);
            numbers.iter().try_for_each(|bits| write!(out, ",d:{bits:016x}"))
        }
    };
}

/// Which ways to store values a file has: type, encoding, compression, and whether aligned.
pub(super) fn ways(file: &TsFile<impl ReadAt>) -> Result<BTreeSet<String>, ReadError> {
    let mut found = BTreeSet::new();
    for entry in DataEntries::new(file.source())? {
        let DataEntry::Chunk(chunk) = entry? else { continue };
        let Some(data_type) = chunk.data_type else { continue };
        let kind = if chunk.kind == SeriesKind::Value { "aligned" } else { "plain" };
        found.insert(format!("{data_type} {} {} {kind}", chunk.encoding, chunk.compression));
    }
    Ok(found)
}

/// The first line in which two texts differ, if they do.
pub(super) fn difference(found: &str, expected: &str, nans: Nans) -> Option<String> {
    if found == expected {
        return None;
    }
    let (mut found, mut expected) = (found.lines(), expected.lines());
    for number in 1usize.. {
        let (ours, theirs) = (found.next(), expected.next());
        if ours != theirs && !(nans == Nans::Alike && are_nans(ours, theirs)) {
            let shown = |line: Option<&str>| match line {
                Some(line) => line.chars().take(LINE_CHARS_SHOWN).collect::<String>(),
                None => "nothing".to_owned(),
            };
            let (ours, theirs) = (shown(ours), shown(theirs));
            return Some(format!("line {number}: ours {ours:?}, theirs {theirs:?}"));
        }
        if ours.is_none() {
            break;
        }
    }
    None
}

/// Whether two lines are the same but for the bits of a NaN.
fn are_nans(ours: Option<&str>, theirs: Option<&str>) -> bool {
    let parts = |line: Option<&str>| -> Option<(String, bool)> {
        let (front, bits) = line?.rsplit_once(',')?;
        let is_nan = match bits.split_at_checked(2)? {
            ("f:", bits) => f32::from_bits(u32::from_str_radix(bits, 16).ok()?).is_nan(),
            ("d:", bits) => f64::from_bits(u64::from_str_radix(bits, 16).ok()?).is_nan(),
            _ => false,
        };
        Some((front.to_owned(), is_nan))
    };
    matches!((parts(ours), parts(theirs)), (Some((ours, true)), Some((theirs, true))) if ours == theirs)
}

/// Whether one NaN is as good as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nans {
    /// Every bit counts.
    Exact,
    /// RLBE of the older libraries adds to NaNs: which of two comes out is up to the machine.
    Alike,
}

/// A BLOB can be long.
const LINE_CHARS_SHOWN: usize = 240;

/// The first difference between points series by series, whatever the order of the series.
pub(super) fn difference_of(
    mut found: Vec<SeriesLines>,
    mut expected: Vec<SeriesLines>,
    nans: Nans,
) -> Option<String> {
    found.sort_unstable();
    expected.sort_unstable();
    let (mut ours, mut theirs) = (found.iter(), expected.iter());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (Some(ours), Some(theirs)) if ours.name == theirs.name => {
                if let Some(difference) = difference(&ours.lines, &theirs.lines, nans) {
                    return Some(difference);
                }
            }
            (ours, theirs) => {
                let name = |it: Option<&SeriesLines>| it.map(|it| it.name.clone());
                return Some(format!("series: ours {:?}, theirs {:?}", name(ours), name(theirs)));
            }
        }
    }
}
