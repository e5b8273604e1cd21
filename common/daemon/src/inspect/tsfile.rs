//! What stands in a TsFile: what it says of itself, chunk groups, chunks, pages, index, health.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;
use serde_json::json;
use tidegate_model::DataType;
use tidegate_tsfile::ChunkHeader;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::Device;
use tidegate_tsfile::Extremes;
use tidegate_tsfile::PageHeader;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::Unfinished;
use tidegate_tsfile::ValueStatistics;
use tidegate_tsfile::pages_of;

use super::Inspect;
use super::WRITING;
use super::companions;
use super::points;
use super::shown;
use crate::files::PositionedFile;
use crate::text::plain;

/// Prints what is in a file; returns what is wrong with it.
pub(super) fn inspect(path: &Path, what: Inspect, out: &mut dyn Write) -> Result<Option<String>> {
    let open = || PositionedFile::open(path).with_context(|| format!("opening {}", shown(path)));
    let (file, unfinished) = match TsFile::open(open()?) {
        Ok(file) => (file, None),
        // A file that is being written has no tail yet; whatever else is wrong is said below.
        Err(
            error @ (ReadError::Ends(_) | ReadError::Malformed { .. } | ReadError::Unsound { .. }),
        ) => {
            let found = TsFile::open_unfinished(open()?, Unfinished::default());
            let found = found.with_context(|| shown(path))?;
            let why = match found.trouble {
                Some(trouble) => format!("{error}; readable up to byte {}: {trouble}", found.end),
                None => format!("{error}; readable up to byte {}", found.end),
            };
            (found.file, Some(why))
        }
        Err(error) => return Err(error).with_context(|| shown(path)),
    };
    if what.as_points {
        let (deleted, damage) = match what.with_deleted {
            true => (Vec::new(), None),
            false => companions::deletions_beside(path)?,
        };
        points::print(&file, &deleted, out).with_context(|| shown(path))?;
        let damage: Vec<String> = unfinished.into_iter().chain(damage).collect();
        return Ok((!damage.is_empty()).then(|| damage.join("; ")));
    }
    let mut printer = Printer { file: &file, what, out };
    match what.as_json {
        true => printer.json(unfinished),
        false => printer.text(unfinished),
    }
}

struct Printer<'a> {
    file: &'a TsFile<PositionedFile>,
    what: Inspect,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn line(&mut self, line: &str) -> Result<()> {
        self.out.write_all(line.as_bytes()).context(WRITING)?;
        self.out.write_all(b"\n").context(WRITING)
    }

    fn fact(&mut self, name: &str, value: &str) -> Result<()> {
        self.line(&format!("{name:<10}{value}"))
    }

    fn text(&mut self, unfinished: Option<String>) -> Result<Option<String>> {
        let file = self.file;
        self.fact("version", &file.version().to_string())?;
        self.fact("length", &format!("{} bytes", file.source().length_bytes()))?;
        self.fact("data", &format!("up to byte {}", file.data_end()))?;
        for (key, value) in file.properties() {
            self.fact("property", &plain(&format!("{key} = {}", value.unwrap_or("null"))))?;
        }
        for table in file.tables() {
            let columns = table.columns.iter().map(|column| {
                let (name, category) = (plain(&column.name), column.category.as_str());
                format!("{name} {} {category}", column.data_type)
            });
            let columns: Vec<String> = columns.collect();
            self.fact("table", &format!("{} ({})", plain(&table.name), columns.join(", ")))?;
        }
        self.line("\nData, as it stands in the file")?;
        let damage = self.data()?;
        self.line("\nIndex")?;
        let index_damage = self.index().err().map(|error| format!("{error:#}"));
        let mut damage: Vec<String> =
            [unfinished.or(damage), index_damage].into_iter().flatten().collect();
        self.line("\nHealth")?;
        let verified = file.verify();
        self.fact("devices", &verified.n_devices.to_string())?;
        self.fact("series", &verified.n_series.to_string())?;
        self.fact("chunks", &verified.n_chunks.to_string())?;
        self.fact("pages", &verified.n_pages.to_string())?;
        self.fact("points", &verified.n_points.to_string())?;
        for finding in &verified.findings {
            self.fact("wrong", &plain(&finding.to_string()))?;
        }
        let n_wrong = (verified.findings.len() as u64).saturating_add(verified.n_more_findings);
        if n_wrong > 0 && damage.is_empty() {
            damage.push(format!("{n_wrong} findings, see above"));
        }
        if damage.is_empty() {
            self.fact("sound", "structure, statistics, index and bloom filter agree")?;
        }
        Ok((!damage.is_empty()).then(|| plain(&damage.join("; "))))
    }

    /// Prints the data section; returns what ends it too early.
    fn data(&mut self) -> Result<Option<String>> {
        let entries = match DataEntries::new(self.file.source()) {
            Ok(entries) => entries,
            Err(error) => return Ok(Some(error.to_string())),
        };
        for entry in entries {
            match entry {
                Ok(DataEntry::Group { offset, device }) => {
                    self.line(&format!("{offset:>12}  group  {}", plain(&device.path)))?;
                }
                Ok(DataEntry::Chunk(header)) => {
                    self.line(&chunk_text(&header))?;
                    if self.what.with_pages {
                        for page in pages_of(self.file.source(), &header) {
                            match page {
                                Ok(page) => self.line(&page_text(&page))?,
                                Err(error) => return Ok(Some(error.to_string())),
                            }
                        }
                    }
                }
                Ok(DataEntry::PlanIndexes { offset, min, max }) => {
                    self.line(&format!("{offset:>12}  plans  {min} to {max}"))?;
                }
                Ok(DataEntry::Separator { offset }) => {
                    self.line(&format!("{offset:>12}  end of data"))?;
                }
                Err(error) => return Ok(Some(error.to_string())),
            }
        }
        Ok(None)
    }

    fn index(&mut self) -> Result<()> {
        let file = self.file;
        for device in file.devices() {
            let device = device?;
            self.line(&format!("device {}", plain(&device.id().path)))?;
            for series in file.series(&device)? {
                self.line(&series_text(&series?))?;
            }
        }
        Ok(())
    }

    /// One object; its lists are written as they are read.
    fn json(&mut self, unfinished: Option<String>) -> Result<Option<String>> {
        let file = self.file;
        let properties: serde_json::Map<String, Value> =
            file.properties().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let tables: Vec<Value> = file
            .tables()
            .iter()
            .map(|table| {
                let columns: Vec<Value> = table
                    .columns
                    .iter()
                    .map(|column| {
                        json!({
                            "name": column.name,
                            "type": column.data_type.as_str(),
                            "category": column.category.as_str(),
                        })
                    })
                    .collect();
                json!({"name": table.name, "columns": columns})
            })
            .collect();
        let mut damage: Vec<String> = unfinished.into_iter().collect();
        write!(
            self.out,
            "{{\"kind\":\"tsfile\",\"version\":{},\"length_bytes\":{},\"data_end\":{},\
             \"properties\":{},\"tables\":{},\"data\":[",
            file.version().byte(),
            file.source().length_bytes(),
            file.data_end(),
            Value::Object(properties),
            Value::Array(tables),
        )
        .context(WRITING)?;
        let data_damage = self.json_data()?;
        if damage.is_empty() {
            damage.extend(data_damage);
        }
        write!(self.out, "],\"devices\":[").context(WRITING)?;
        if let Err(error) = self.json_devices() {
            damage.push(format!("{error:#}"));
        }
        let verified = file.verify();
        let findings: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
        damage.extend(findings.first().cloned().filter(|_| damage.is_empty()));
        let health = json!({
            "devices": verified.n_devices,
            "series": verified.n_series,
            "chunks": verified.n_chunks,
            "pages": verified.n_pages,
            "points": verified.n_points,
            "findings": findings,
            "more_findings": verified.n_more_findings,
        });
        writeln!(self.out, "],\"health\":{health},\"damage\":{}}}", json!(damage.first()))
            .context(WRITING)?;
        Ok((!damage.is_empty()).then(|| plain(&damage.join("; "))))
    }

    /// The data section, as it stands in the file; returns what ends it too early.
    fn json_data(&mut self) -> Result<Option<String>> {
        let entries = match DataEntries::new(self.file.source()) {
            Ok(entries) => entries,
            Err(error) => return Ok(Some(error.to_string())),
        };
        for (at, entry) in entries.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let value = match entry {
                Ok(DataEntry::Group { offset, device }) => {
                    json!({"entry": "group", "offset": offset, "device": device.path})
                }
                Ok(DataEntry::Chunk(header)) => {
                    if let Some(damage) = self.json_chunk(&header, comma)? {
                        return Ok(Some(damage));
                    }
                    continue;
                }
                Ok(DataEntry::PlanIndexes { offset, min, max }) => {
                    json!({"entry": "plans", "offset": offset, "min": min, "max": max})
                }
                Ok(DataEntry::Separator { offset }) => json!({"entry": "end", "offset": offset}),
                Err(error) => return Ok(Some(error.to_string())),
            };
            write!(self.out, "{comma}{value}").context(WRITING)?;
        }
        Ok(None)
    }

    /// One chunk, with its pages if they are wanted; returns what ends them too early.
    fn json_chunk(&mut self, header: &ChunkHeader, comma: &str) -> Result<Option<String>> {
        let chunk = json!({
            "entry": "chunk",
            "offset": header.offset,
            "measurement": header.measurement,
            "kind": kind_word(header.kind),
            "type": header.data_type.map(DataType::as_str),
            "encoding": header.encoding.to_string(),
            "compression": header.compression.to_string(),
            "is_single_page": header.is_single_page,
            "bytes": header.data_bytes,
        });
        if !self.what.with_pages {
            write!(self.out, "{comma}{chunk}").context(WRITING)?;
            return Ok(None);
        }
        let chunk = chunk.to_string();
        let head = chunk.strip_suffix('}').unwrap_or_default();
        write!(self.out, "{comma}{head},\"pages\":[").context(WRITING)?;
        let mut damage = None;
        for (at, page) in pages_of(self.file.source(), header).enumerate() {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    damage = Some(error.to_string());
                    break;
                }
            };
            let value = json!({
                "offset": page.offset,
                "compressed_bytes": page.compressed_bytes,
                "uncompressed_bytes": page.uncompressed_bytes,
                "statistics": page.statistics.as_ref().map(statistics_json),
            });
            write!(self.out, "{}{value}", if at > 0 { "," } else { "" }).context(WRITING)?;
        }
        write!(self.out, "]}}").context(WRITING)?;
        Ok(damage)
    }

    fn json_devices(&mut self) -> Result<()> {
        let file = self.file;
        for (at, device) in file.devices().enumerate() {
            let device = device?;
            let comma = if at > 0 { "," } else { "" };
            let id = device.id();
            let segments = id.segments.as_ref().map(|it| &it.0);
            let head = json!({"path": id.path, "segments": segments}).to_string();
            let head = head.strip_suffix('}').unwrap_or_default();
            write!(self.out, "{comma}{head},\"series\":[").context(WRITING)?;
            let listed = self.json_series(&device);
            // Also behind what cannot be read, or it would be no JSON.
            write!(self.out, "]}}").context(WRITING)?;
            listed?;
        }
        Ok(())
    }

    fn json_series(&mut self, device: &Device) -> Result<()> {
        for (at, series) in self.file.series(device)?.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let value = self.series_json(&series?)?;
            write!(self.out, "{comma}{value}").context(WRITING)?;
        }
        Ok(())
    }

    fn series_json(&self, series: &SeriesMetadata) -> Result<Value> {
        let chunks: Vec<Value> = series
            .chunks
            .iter()
            .map(|chunk| {
                json!({"offset": chunk.offset, "statistics": statistics_json(&chunk.statistics)})
            })
            .collect();
        Ok(json!({
            "measurement": series.measurement,
            "kind": kind_word(series.kind),
            "type": series.data_type.map(DataType::as_str),
            "statistics": statistics_json(&series.statistics),
            "chunks": chunks,
        }))
    }
}

fn kind_word(kind: SeriesKind) -> &'static str {
    match kind {
        SeriesKind::Plain => "plain",
        SeriesKind::Time => "time",
        SeriesKind::Value => "value",
    }
}

fn name_of(kind: SeriesKind, measurement: &str) -> String {
    match kind {
        SeriesKind::Time => "(time)".to_owned(),
        _ => plain(measurement),
    }
}

fn chunk_text(header: &ChunkHeader) -> String {
    let name = name_of(header.kind, &header.measurement);
    let data_type = header.data_type.map_or("VECTOR", DataType::as_str);
    let pages = if header.is_single_page { "one page" } else { "several pages" };
    format!(
        "{:>12}  chunk  {name} {data_type}, {}, {}, {pages}, {} bytes",
        header.offset, header.encoding, header.compression, header.data_bytes
    )
}

fn page_text(page: &PageHeader) -> String {
    let statistics = page
        .statistics
        .as_ref()
        .map(|it| format!(", {}", plain(&it.to_string())))
        .unwrap_or_default();
    match page.uncompressed_bytes {
        0 => format!("{:>12}  page   empty", page.offset),
        length => {
            format!(
                "{:>12}  page   {} of {length} bytes{statistics}",
                page.offset, page.compressed_bytes
            )
        }
    }
}

fn series_text(series: &SeriesMetadata) -> String {
    let name = name_of(series.kind, &series.measurement);
    let data_type = series.data_type.map_or("VECTOR", DataType::as_str);
    let (n_chunks, statistics) = (series.chunks.len(), plain(&series.statistics.to_string()));
    let chunks = if n_chunks == 1 { "chunk" } else { "chunks" };
    format!("  {name} {data_type}, {n_chunks} {chunks}, {statistics}")
}

fn statistics_json(statistics: &Statistics) -> Value {
    fn numbers<T: Copy + Into<Value>, S: Copy + Into<Value>>(of: &Extremes<T, S>) -> Value {
        json!({
            "min": of.min.into(), "max": of.max.into(), "first": of.first.into(),
            "last": of.last.into(), "sum": of.sum.into(),
        })
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = match &statistics.values {
        ValueStatistics::None => Value::Null,
        ValueStatistics::Boolean { first, last, n_true } => {
            json!({"first": first, "last": last, "n_true": n_true})
        }
        ValueStatistics::Int32(of) => numbers(of),
        ValueStatistics::Int64(of) => numbers(of),
        ValueStatistics::Float(of) => numbers(of),
        ValueStatistics::Double(of) => numbers(of),
        ValueStatistics::Text { first, last } => {
            json!({"first": text(first), "last": text(last)})
        }
        ValueStatistics::String { first, last, min, max } => json!({
            "min": text(min), "max": text(max), "first": text(first), "last": text(last),
        }),
    };
    if statistics.count == 0 {
        return json!({"count": 0});
    }
    json!({
        "count": statistics.count,
        "start": statistics.start_time,
        "end": statistics.end_time,
        "values": values,
    })
}
