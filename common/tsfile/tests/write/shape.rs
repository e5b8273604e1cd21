//! Random files: what is written into one, and what must come back, from a seed.

use core::num::NonZeroU64;
use std::collections::BTreeMap;

use fastrand::Rng;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::Segments;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableColumn;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Values;
use tidegate_tsfile::WriteError;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::Written;
use tidegate_tsfile::encode_values;

/// A point as something in which a NaN equals itself and 0 is not -0.
pub(crate) type Bits = Vec<u8>;

/// Points by time.
pub(crate) type Points = BTreeMap<i64, Bits>;

/// What is written into one file.
pub(crate) struct Shape {
    pub(crate) options: WriteOptions,
    pub(crate) tables: Vec<TableSchema>,
    pub(crate) devices: Vec<Shaped>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Shaped {
    pub(crate) id: DeviceId,
    pub(crate) is_aligned: bool,
    pub(crate) columns: Vec<SeriesSpec>,
}

/// Something is begun, and batches follow.
pub(crate) struct Step {
    pub(crate) device: usize,
    /// Of a device that is not aligned.
    pub(crate) series: usize,
    pub(crate) batches: Vec<Batch>,
}

/// What must come back of one device: times of rows (aligned), and points by measurement.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) rows: Vec<i64>,
    pub(crate) points: BTreeMap<String, Points>,
}

impl Shape {
    /// Of any version, with the types that it has.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let version = match seed % 2 {
            0 => TsFileVersion::V3,
            _ => TsFileVersion::V4,
        };
        // OBJECT is the last one.
        let n_types = DataType::ALL.len() - usize::from(version == TsFileVersion::V3);
        Self::of(seed, version, &DataType::ALL[..n_types])
    }

    /// Of a version, with some types.
    pub(crate) fn of(seed: u64, version: TsFileVersion, types: &[DataType]) -> Self {
        let random = &mut Rng::with_seed(seed);
        let mut options = WriteOptions::of_version(version);
        // xz costs more than all else together.
        let n_cheap = if random.u8(..20) == 0 { 6 } else { 5 };
        options.compression = Compression::ALL[random.usize(..n_cheap)];
        options.index_degree = random.usize(2..6);
        options.page_rows_max = random.usize(1..60);
        options.page_bytes_max = random.usize(1..600);
        options.chunk_rows_max = random.usize(1..200);
        options.chunk_bytes_max = random.usize(1..3000);
        options.group_bytes_max = random.usize(1..20_000);
        options.time_partition =
            random.bool().then(|| random.u64(1..2000)).and_then(NonZeroU64::new);
        let (mut tables, mut devices) = (Vec::new(), Vec::new());
        if version == TsFileVersion::V4 && random.bool() {
            tables = (0..random.usize(1..3)).map(|at| table(random, at, options, types)).collect();
        }
        for at in 0..random.usize(1..9) {
            devices.push(match random.choice(&tables) {
                Some(table) if random.bool() => device_of_table(random, at, table),
                _ => device(random, at, version, types),
            });
        }
        let steps = steps(random, &devices);
        Self { options, tables, devices, steps }
    }

    pub(crate) fn write<W: std::io::Write>(&self, out: W) -> Result<Written<W>, WriteError> {
        self.write_with(0, out)
    }

    /// With others that compress.
    pub(crate) fn write_with<W: std::io::Write>(
        &self,
        n_helpers: usize,
        out: W,
    ) -> Result<Written<W>, WriteError> {
        let mut writer = TsFileWriter::new(out, self.options)?;
        for _ in 0..n_helpers {
            if let Some(helper) = writer.helper()? {
                std::thread::spawn(|| helper.run());
            }
        }
        for table in &self.tables {
            writer.declare_table(table.clone())?;
        }
        for step in &self.steps {
            let device = &self.devices[step.device];
            match device.is_aligned {
                true => writer.begin_aligned(&device.id, &device.columns)?,
                false => writer.begin_series(&device.id, &device.columns[step.series])?,
            }
            for batch in &step.batches {
                writer.write(batch)?;
            }
        }
        writer.finish()
    }

    /// What must come back by device, without devices that have nothing.
    pub(crate) fn content(&self) -> BTreeMap<String, Content> {
        let mut found: BTreeMap<String, Content> = BTreeMap::new();
        for step in &self.steps {
            let device = &self.devices[step.device];
            for batch in &step.batches {
                let content = found.entry(device.id.path.to_string()).or_default();
                if device.is_aligned {
                    content.rows.extend(&batch.times);
                }
                let columns = match device.is_aligned {
                    true => &device.columns[..],
                    false => &device.columns[step.series..][..1],
                };
                for (spec, column) in columns.iter().zip(&batch.columns) {
                    let name = spec.measurement.to_string();
                    let points = content.points.entry(name).or_default();
                    let cells = batch.times.iter().zip(column.cells());
                    points.extend(cells.filter_map(|(time, cell)| Some((*time, bits(&cell?)))));
                }
            }
        }
        for content in found.values_mut() {
            let is_aligned = !content.rows.is_empty();
            content.points.retain(|_, points| is_aligned || !points.is_empty());
        }
        found.retain(|_, content| !content.points.is_empty() || !content.rows.is_empty());
        found
    }
}

pub(crate) fn bits(value: &Value) -> Bits {
    match value {
        Value::Boolean(value) => vec![u8::from(*value)],
        Value::Int32(value) => value.to_be_bytes().into(),
        Value::Int64(value) => value.to_be_bytes().into(),
        Value::Float(value) => value.to_be_bytes().into(),
        Value::Double(value) => value.to_be_bytes().into(),
        Value::Bytes(value) => value.clone(),
    }
}

fn table(random: &mut Rng, at: usize, options: WriteOptions, types: &[DataType]) -> TableSchema {
    let mut columns = Vec::new();
    let mut column = |name: &str, spec: SeriesSpec, category| {
        columns.push(TableColumn {
            name: name.into(),
            data_type: spec.data_type,
            encoding: spec.encoding,
            compression: options.compression,
            category,
        });
    };
    for tag in ["region", "device"] {
        column(tag, SeriesSpec::new(tag, DataType::String), Category::Tag);
    }
    for field in 0..random.usize(1..6) {
        let name = format!("f{field}");
        let spec = spec(random, &name, types);
        column(&name, spec, Category::Field);
    }
    TableSchema { name: format!("table{at}").into(), columns }
}

fn device_of_table(random: &mut Rng, at: usize, table: &TableSchema) -> Shaped {
    let tag = match random.u8(..3) {
        0 => None,
        1 => Some("".into()),
        _ => Some("north.1".into()),
    };
    let segments = [Some(table.name.clone()), tag, Some(format!("d{at}").into())];
    let segments = Segments(segments.into());
    let id = DeviceId { path: segments.to_string().into(), segments: Some(segments) };
    let fields = table.columns.iter().filter(|it| it.category == Category::Field);
    let spec =
        |it: &TableColumn| SeriesSpec::new(&it.name, it.data_type).with_encoding(it.encoding);
    let mut columns: Vec<SeriesSpec> = fields.map(spec).collect();
    columns.truncate(random.usize(1..=columns.len()));
    Shaped { id, is_aligned: true, columns }
}

fn device(random: &mut Rng, at: usize, version: TsFileVersion, types: &[DataType]) -> Shaped {
    // Above and below what surrogates stand for, where Java's order is not that of bytes.
    let middle = random.choice(["a", "b.c", "\u{fffd}", "\u{10000}", "`x.y`", "a.b.c"]).unwrap();
    let path = format!("root.sg.{middle}.d{at}");
    let segments = (version == TsFileVersion::V4).then(|| Segments::of_path(&path));
    let id = DeviceId { path: path.into(), segments };
    let names = ["\u{fffd}", "\u{10000}", "温度", "s%", "S"];
    let n_columns = if random.u8(..4) == 0 { random.usize(1..40) } else { random.usize(1..5) };
    let name = |at: usize| names.get(at).map_or_else(|| format!("s{at}"), ToString::to_string);
    let mut columns: Vec<SeriesSpec> =
        (0..n_columns).map(|at| spec(random, &name(at), types)).collect();
    random.shuffle(&mut columns);
    Shaped { id, is_aligned: random.bool(), columns }
}

fn spec(random: &mut Rng, name: &str, types: &[DataType]) -> SeriesSpec {
    let data_type = *random.choice(types).unwrap();
    let mut one = Values::new(data_type);
    one.push(&value(random, data_type));
    let can = |encoding: &Encoding| {
        encode_values(*encoding, data_type, &one, 0..1, &mut Vec::new()).is_ok()
    };
    let known: Vec<Encoding> = Encoding::ALL.into_iter().filter(can).collect();
    match random.bool() {
        true => SeriesSpec::new(name, data_type),
        false => SeriesSpec::new(name, data_type).with_encoding(*random.choice(&known).unwrap()),
    }
}

fn steps(random: &mut Rng, devices: &[Shaped]) -> Vec<Step> {
    let mut last = BTreeMap::new();
    let mut steps = Vec::new();
    for _ in 0..random.usize(1..24) {
        let device = random.usize(..devices.len());
        let Shaped { is_aligned, columns, .. } = &devices[device];
        let series = if *is_aligned { 0 } else { random.usize(..columns.len()) };
        let specs = if *is_aligned { &columns[..] } else { &columns[series..][..1] };
        let last = last.entry((device, series)).or_insert_with(|| random.i64(-1000..1000));
        let batches = (0..random.usize(..4)).map(|_| batch(random, specs, last)).collect();
        steps.push(Step { device, series, batches });
    }
    // A file without points is another matter.
    let mut last = 100_000;
    let Shaped { is_aligned, columns, .. } = &devices[0];
    let mut specs = &columns[..];
    if !is_aligned {
        specs = &columns[..1];
    }
    let mut batch = batch(random, specs, &mut last);
    batch.times.push(200_000);
    for column in &mut batch.columns {
        column.presence.push(true);
        column.values.push(&value(random, column.data_type));
    }
    steps.push(Step { device: 0, series: 0, batches: vec![batch] });
    steps
}

/// Rows behind `last`, with nulls: none, some, or almost only.
fn batch(random: &mut Rng, specs: &[SeriesSpec], last: &mut i64) -> Batch {
    let mut batch = Batch::new(specs.iter().map(|spec| spec.data_type));
    let stride = random.choice([1, 10, 3]).unwrap();
    for _ in 0..random.usize(..70) {
        *last += if random.u8(..4) == 0 { random.i64(1..9) } else { stride };
        batch.times.push(*last);
    }
    for column in &mut batch.columns {
        let null_in_16 = random.choice([0, 4, 15, 16]).unwrap();
        for _ in 0..batch.times.len() {
            let is_there = random.u8(..16) >= null_in_16;
            column.presence.push(is_there);
            if is_there {
                column.values.push(&value(random, column.data_type));
            }
        }
    }
    batch
}

fn value(random: &mut Rng, data_type: DataType) -> Value {
    let is_extreme = random.u8(..8) == 0;
    match data_type {
        DataType::Boolean => Value::Boolean(random.bool()),
        DataType::Date => {
            let (year, month, day) = (random.i32(1..=9999), random.i32(1..=12), random.i32(1..=28));
            Value::Int32(year * 10_000 + month * 100 + day)
        }
        DataType::Int32 if is_extreme => {
            Value::Int32(random.choice([i32::MIN, i32::MAX, 0, -1]).unwrap())
        }
        DataType::Int32 => Value::Int32(random.i32(-50..200)),
        DataType::Int64 | DataType::Timestamp if is_extreme => {
            Value::Int64(random.choice([i64::MIN, i64::MAX, 0, -1]).unwrap())
        }
        DataType::Int64 | DataType::Timestamp => Value::Int64(random.i64(-50..2000)),
        DataType::Float if is_extreme => {
            let odd = [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
            Value::Float(random.choice(odd).unwrap())
        }
        DataType::Float => Value::Float((random.f32() * 100.0).round() / 4.0),
        DataType::Double if is_extreme => {
            let odd = [-f64::NAN, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX];
            Value::Double(random.choice(odd).unwrap())
        }
        DataType::Double => Value::Double((random.f64() * 100.0).round() / 4.0),
        DataType::Text | DataType::String if random.bool() => {
            let texts = ["on", "off", "", "é", "故障", "fault 17"];
            Value::Bytes(random.choice(texts).unwrap().into())
        }
        DataType::Text | DataType::String => {
            Value::Bytes((0..random.usize(..30)).map(|_| random.alphanumeric() as u8).collect())
        }
        _ => Value::Bytes((0..random.usize(..20)).map(|_| random.u8(..)).collect()),
    }
}
