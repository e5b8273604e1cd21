//! What a receiver's store answers to SQL, asked by its own program as a user would, and points as the
//! client of IoTDB prints them, so that both can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_query::text::Text;
use tidegate_store::Device;
use tidegate_store::Look;
use tidegate_store::Pattern;
use tidegate_store::Scan;

use crate::harness::RECEIVER;
use crate::harness::ReceiverSetup;

/// An answer: the names of the columns, and rows of cells, `None` for null.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// With `Time` in front where there is one.
    pub names: Vec<String>,
    /// In the order in which they came.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Asks a receiver's store, whether its daemon runs or not; times are numbers.
///
/// # Errors
///
/// What the program says.
pub fn ask(receiver: &ReceiverSetup, statement: &str) -> Result<Answer> {
    let text = print(receiver, statement, &["--format", "csv", "--time", "epoch"])?;
    Answer::from_csv(&text).with_context(|| statement.to_owned())
}

impl Answer {
    /// Reads a line of names and the rows behind it.
    ///
    /// # Errors
    ///
    /// What is no such text.
    pub fn from_csv(text: &str) -> Result<Self> {
        let mut lines = csv(text)?.into_iter();
        let names = lines.next().context("no line of names")?;
        let names = names.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { names, rows: lines.collect() })
    }
}

/// What a statement prints.
///
/// # Errors
///
/// What the program says.
pub fn print(receiver: &ReceiverSetup, statement: &str, options: &[&str]) -> Result<String> {
    run(receiver, &[&["sql", "-e", statement], options].concat())
}

/// The picture of a series.
///
/// # Errors
///
/// What the program says.
pub fn plot(receiver: &ReceiverSetup, series: &str) -> Result<String> {
    run(receiver, &["plot", series])
}

fn run(receiver: &ReceiverSetup, arguments: &[&str]) -> Result<String> {
    let output = Command::new(receiver.binaries().path(RECEIVER))
        .args(arguments)
        .arg("--conf")
        .arg(receiver.conf())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {RECEIVER} {arguments:?}"))?;
    if !output.status.success() {
        bail!("{RECEIVER} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{arguments:?}: no UTF-8"))
}

/// Every point below a pattern: the lines of `points` of `tests/java/Drive.java`, in their order.
///
/// # Errors
///
/// What the program says.
pub fn points(receiver: &ReceiverSetup, pattern: &str) -> Result<String> {
    let first_column = |answer: Answer| -> Vec<String> {
        answer.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    };
    let mut types = BTreeMap::new();
    for row in ask(receiver, &format!("SHOW TIMESERIES {pattern}"))?.rows {
        if let [Some(series), _, Some(data_type), ..] = row.as_slice() {
            types.insert(series.clone(), data_type.clone());
        }
    }
    let mut devices = first_column(ask(receiver, &format!("SHOW DEVICES {pattern}"))?);
    devices.sort();
    let mut text = String::new();
    for device in devices {
        let answer = ask(receiver, &format!("SELECT * FROM {device}"))?;
        let mut order: Vec<usize> = (1..answer.names.len()).collect();
        order.sort_by_key(|&column| &answer.names[column]);
        for row in &answer.rows {
            let time = row.first().cloned().flatten().context("a row without a time")?;
            for &column in &order {
                let (series, Some(cell)) = (&answer.names[column], &row[column]) else { continue };
                let data_type = types.get(series).with_context(|| {
                    format!("{series} is selected, and SHOW TIMESERIES does not know it")
                })?;
                text.push_str(&format!("{},{time},{data_type},{}\n", quoted(series), quoted(cell)));
            }
        }
    }
    with_our_digits(&text)
}

/// The rows of a table, one a line behind a line of names, by tags and time; a column of another name is
/// an error. SQL cannot ask for them, so the store is read as a program would.
///
/// # Errors
///
/// What the store says, or what does not fit.
pub fn table(
    receiver: &ReceiverSetup,
    database: &str,
    table: &str,
    tags: &[&str],
    fields: &[&str],
) -> Result<String> {
    let pattern = Pattern::Table { database: database.into(), table: Some(table.into()) };
    let scan = Scan { patterns: vec![pattern], measurements: None, times: i64::MIN..=i64::MAX };
    let mut rows: BTreeMap<(Vec<String>, i64), Vec<String>> = BTreeMap::new();
    let mut unknown = None;
    for origin in fs::read_dir(receiver.files())? {
        let origin = origin?.path();
        if !origin.is_dir() {
            continue;
        }
        let Some(look) = Look::at(&origin).with_context(|| origin.display().to_string())? else {
            continue;
        };
        look.snapshot.scan(&scan, &mut |device, series, batch| {
            let Device::Table { segments, .. } = device else { return true };
            let tag = |at: usize| segments.0.get(at + 1).cloned().flatten().unwrap_or_default();
            let tags: Vec<String> = (0..tags.len()).map(|at| quoted(&tag(at))).collect();
            for (series, column) in series.iter().zip(&batch.columns) {
                let Some(at) = fields.iter().position(|it| **it == *series.measurement) else {
                    unknown = Some(series.measurement.clone());
                    return false;
                };
                for (time, cell) in batch.times.iter().zip(column.cells()) {
                    let row = rows.entry((tags.clone(), *time));
                    let cells = row.or_insert_with(|| vec![String::new(); fields.len()]);
                    if let Some(value) = cell {
                        cells[at] = shown(column.data_type, &value);
                    }
                }
            }
            true
        })?;
    }
    if let Some(unknown) = unknown {
        bail!("{database}.{table}: expected {fields:?}, found {unknown}");
    }
    let mut text = [&["time"], tags, fields].concat().join(",");
    text.push('\n');
    for ((tags, time), cells) in rows {
        let line = [vec![time.to_string()], tags, cells].concat().join(",");
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// A value as Java prints it, where its numbers have few digits.
fn shown(data_type: DataType, value: &Value) -> String {
    let text = Text { precision: Precision::Ms, offset: None };
    let mut out = String::new();
    text.write_value(&mut out, data_type, value);
    match value {
        Value::Bytes(_) => quoted(&out),
        _ => out,
    }
}

/// As `tests/java/Cells.java` quotes.
pub fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    match text.is_empty() || text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// Lines `series,time,type,value` with the digits that Rust prints, whoever has printed them.
///
/// # Errors
///
/// A line of another form.
pub fn with_our_digits(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut fields = line.splitn(4, ',');
        let [Some(series), Some(time), Some(data_type), Some(value)] =
            [fields.next(), fields.next(), fields.next(), fields.next()]
        else {
            bail!("expected series, time, type and value, but found {line:?}");
        };
        let float = || value.parse::<f32>().with_context(|| line.to_owned());
        let double = || value.parse::<f64>().with_context(|| line.to_owned());
        let value = match data_type {
            "FLOAT" => format!("{:?}", float()?),
            "DOUBLE" => format!("{:?}", double()?),
            _ => value.to_owned(),
        };
        out.push_str(&format!("{series},{time},{data_type},{value}\n"));
    }
    Ok(out)
}

/// Lines of comma-separated cells; nothing between two commas is null, `""` an empty text.
fn csv(text: &str) -> Result<Vec<Vec<Option<String>>>> {
    let (mut lines, mut cells) = (Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let cell = match rest.strip_prefix('"') {
            Some(behind) => {
                let (cell, behind) = quoted_cell(behind)?;
                rest = behind;
                Some(cell)
            }
            None => {
                let end = rest.find([',', '\n']).context("a line without an end")?;
                let (cell, behind) = rest.split_at(end);
                rest = behind;
                (!cell.is_empty()).then(|| cell.to_owned())
            }
        };
        cells.push(cell);
        match rest.as_bytes().first() {
            Some(b',') => (),
            Some(b'\n') => lines.push(std::mem::take(&mut cells)),
            _ => bail!("expected a comma or the end of a line behind a cell: {rest:.40}"),
        }
        rest = &rest[1..];
    }
    Ok(lines)
}

/// The cell behind a quote, and what stands behind its end.
fn quoted_cell(mut rest: &str) -> Result<(String, &str)> {
    let mut cell = String::new();
    loop {
        let end = rest.find('"').context("a quote without an end")?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(behind) => {
                cell.push('"');
                rest = behind;
            }
            None => return Ok((cell, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_an_empty_text_and_quotes_hide_commas_and_line_ends() {
        let lines = csv("a,\"b \"\"c\"\"\"\n,\"\"\n\"x,\ny\",\n").expect("csv");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines,
            [[some("a"), some("b \"c\"")], [None, some("")], [some("x,\ny"), None]].map(Vec::from)
        );
        csv("a,\"b").expect_err("no end");
        csv("\"a\"b\n").expect_err("something behind a cell");
    }
}
