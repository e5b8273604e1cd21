//! Writes a layer: its TsFile and what stands beside it, synced, before the catalog may speak of it.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::io::Write;

use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableColumn;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteError;
use tidegate_tsfile::WriteOptions;

use crate::Device;
use crate::StoreError;
use crate::apply::is_name;
use crate::catalog::TableName;
use crate::file::Devices;
use crate::file::LayerFile;
use crate::file::create_anew;
use crate::file::resource_bytes;
use crate::file::write_whole;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::list::List;
use crate::snapshot::Series;
use crate::volume::Sink;
use crate::volume::Volume;

/// What is gathered before it goes to the file system.
const BUFFER_BYTES: usize = 256 * 1024;

type Out<V> = BufWriter<Sink<<<V as Volume>::Dir as Storage>::File>>;

/// A layer that is being written.
pub(crate) struct Builder<V: Volume> {
    layer: Layer,
    dir: V::Dir,
    writer: TsFileWriter<Out<V>>,
    version: TsFileVersion,
    extents: BTreeMap<Device, TimeRange>,
    /// First and last time of what was begun last, and its device.
    begun: Option<(Device, Option<TimeRange>)>,
}

impl<V: Volume> Builder<V> {
    /// Begins the file of a layer, in the place of what may be there.
    ///
    /// # Arguments
    ///
    /// - `tables`: columns of all tables that will come
    pub(crate) fn begin(
        volume: &V,
        layer: Layer,
        version: TsFileVersion,
        tables: Vec<TableSchema>,
    ) -> Result<Self, StoreError> {
        let dir = volume.dir(&layer.directory());
        let dir = dir.map_err(StoreError::io("make", layer.directory()))?;
        let file = create_anew(&dir, &layer.file_name(""));
        let file = file.map_err(StoreError::io("create", layer.path()))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, Sink::new(file));
        let mut options = WriteOptions::default();
        options.version = version;
        let begin = || {
            let mut writer = TsFileWriter::new(out, options)?;
            tables.into_iter().try_for_each(|table| writer.declare_table(table))?;
            Ok(writer)
        };
        let writer = begin().map_err(unwritten(&layer))?;
        Ok(Self { layer, dir, writer, version, extents: BTreeMap::new(), begun: None })
    }

    /// Begins rows of some series that share their times, or of a single one.
    pub(crate) fn device(&mut self, device: &Device, series: &[Series]) -> Result<(), StoreError> {
        self.settle();
        let id = device.id(self.version);
        let spec = |series: &Series| SeriesSpec::new(&series.measurement, series.data_type);
        let specs: Vec<SeriesSpec> = series.iter().map(spec).collect();
        let begun = match specs.as_slice() {
            [one] if series.iter().all(|series| !series.is_aligned) => {
                self.writer.begin_series(&id, one)
            }
            columns => self.writer.begin_aligned(&id, columns),
        };
        begun.map_err(unwritten(&self.layer))?;
        self.begun = Some((device.clone(), None));
        Ok(())
    }

    /// Appends rows to what was begun.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let (Some(start), Some(end)) = (batch.times.first(), batch.times.last()) else {
            return Ok(());
        };
        self.writer.write(batch).map_err(unwritten(&self.layer))?;
        let found = TimeRange { start: *start, end: *end };
        if let Some((_, range)) = &mut self.begun {
            *range = Some(range.map_or(found, |range| range.union(found)));
        }
        Ok(())
    }

    /// Makes everything durable but what the catalog says; `None` if there were no rows.
    pub(crate) fn finish(mut self) -> Result<Option<LayerFile<V::Dir>>, StoreError> {
        self.settle();
        let Self { mut layer, dir, writer, version, extents, .. } = self;
        let Some(range) = extents.values().copied().reduce(TimeRange::union) else {
            drop(writer);
            let name = layer.file_name("");
            dir.remove(&name).map_err(StoreError::io("remove", layer.path()))?;
            return Ok(None);
        };
        let written = writer.finish().map_err(unwritten(&layer))?;
        layer.range = range;
        layer.length_bytes = written.length_bytes;
        let mut out = written.out;
        out.flush().map_err(StoreError::io("write", layer.path()))?;
        let sink = out.into_inner().map_err(std::io::IntoInnerError::into_error);
        let mut sink = sink.map_err(StoreError::io("write", layer.path()))?;
        sink.file.sync().map_err(StoreError::io("sync", layer.path()))?;
        let devices = Devices { extents: extents.into(), ..Devices::default() };
        finish_beside(&dir, &mut layer, version, &devices)?;
        Ok(Some(LayerFile::new(layer, dir, devices, List::default())))
    }

    fn settle(&mut self) {
        if let Some((device, Some(range))) = self.begun.take() {
            let extent = self.extents.entry(device).or_insert(range);
            *extent = extent.union(range);
        }
    }
}

/// Writes what stands beside a TsFile, and makes the names of both durable; the layer knows what it is
/// then.
pub(crate) fn finish_beside<S: Storage>(
    dir: &S,
    layer: &mut Layer,
    version: TsFileVersion,
    devices: &Devices,
) -> Result<(), StoreError> {
    let bytes = resource_bytes(version, devices)?;
    write_whole(dir, &layer.file_name(RESOURCE_SUFFIX), &bytes)?;
    layer.resource = Fingerprint::of(&bytes);
    dir.sync_dir().map_err(StoreError::io("sync", layer.directory()))
}

fn unwritten(layer: &Layer) -> impl Fn(WriteError) -> StoreError {
    let file = layer.path();
    move |source| StoreError::WriteFile { file: file.clone(), source }
}

/// Columns of the tables of these devices, as a file declares them.
///
/// # Arguments
///
/// - `tags`: the names of the tags of each table
/// - `devices`: with the series that will be written of each
pub fn table_schemas<'d>(
    tags: &BTreeMap<TableName, Vec<Box<str>>>,
    devices: impl Iterator<Item = (&'d Device, Vec<Series>)>,
) -> Vec<TableSchema> {
    let mut tables: BTreeMap<TableName, (usize, BTreeMap<Box<str>, DataType>)> = BTreeMap::new();
    for (device, series) in devices {
        let Device::Table { database, segments } = device else { continue };
        let name = device.table_name().unwrap_or_default();
        let (n_tags, fields) = tables.entry((database.clone(), name.into())).or_default();
        *n_tags = (*n_tags).max(segments.0.len().saturating_sub(1));
        fields.extend(series.into_iter().map(|it| (it.measurement, it.data_type)));
    }
    let schema = |(name, (n_tags, fields)): (TableName, (usize, BTreeMap<Box<str>, DataType>))| {
        let known = tags.get(&name).map_or(&[][..], Vec::as_slice);
        let named = known.iter().enumerate().map(|(at, name)| tag_name(at, name));
        // more values than names: a sender that did not say
        let unnamed = (known.len()..n_tags).map(|at| tag_name(at, ""));
        let tag = |name| column(name, DataType::String, Category::Tag);
        let tag_columns = named.chain(unnamed).map(tag);
        let fields = fields.into_iter().map(|(name, it)| column(name, it, Category::Field));
        TableSchema { name: name.1, columns: tag_columns.chain(fields).collect() }
    };
    tables.into_iter().map(schema).collect()
}

/// The name of a tag in files, by its place: one that no file can have would be in the way of all
/// files of its table.
pub(crate) fn tag_name(at: usize, name: &str) -> Box<str> {
    match is_name(name) {
        true => name.into(),
        false => format!("tag{at}").into(),
    }
}

fn column(name: Box<str>, data_type: DataType, category: Category) -> TableColumn {
    let compression = WriteOptions::default().compression;
    let encoding = match category {
        Category::Field => tidegate_tsfile::default_encoding(data_type),
        _ => Encoding::Plain,
    };
    TableColumn { name, data_type, encoding, compression, category }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tags_that_no_file_can_have_are_replaced() {
        let device = Device::table("plant", vec![Some("pumps".into()), None, Some("a".into())]);
        let names = ["".into(), "line".into(), "n".repeat(70_000).into()];
        let tags = BTreeMap::from([(("plant".into(), "pumps".into()), names.to_vec())]);
        let schemas = table_schemas(&tags, [(&device, Vec::new())].into_iter());
        let found: Vec<&str> = schemas[0].columns.iter().map(|it| &*it.name).collect();
        assert_eq!(found, ["tag0", "line", "tag2"]);
    }
}
