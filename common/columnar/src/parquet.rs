//! Groups of rows as row groups of a Parquet file.

use core::ops::Range;
use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::basic::Encoding;
use parquet::basic::LogicalType;
use parquet::basic::Repetition;
use parquet::basic::TimeUnit;
use parquet::basic::Type as Physical;
use parquet::basic::ZstdLevel;
use parquet::data_type as types;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::EnabledStatistics;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedColumnWriter;
use parquet::file::writer::SerializedFileWriter;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnPath;
use parquet::schema::types::Type;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::ByteValues;
use tidegate_tsfile::Values;

use crate::ColumnarError;
use crate::writer::TIME;
use crate::writer::Table;

/// Rows that are given to the encoder at once.
const SLICE_ROWS: usize = 8192;

pub(crate) struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
}

impl<W: Write + Send> ParquetFile<W> {
    pub(crate) fn new(out: W, table: &Table) -> Result<Self, ColumnarError> {
        let metadata =
            table.all_metadata().into_iter().map(|(key, value)| KeyValue::new(key, value));
        let time = ColumnPath::from(TIME);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // those of pages would be held to the end of the file
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_column_dictionary_enabled(time.clone(), false)
            .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
            .set_key_value_metadata(Some(metadata.collect()))
            .build();
        let mut fields =
            vec![field(TIME, DataType::Timestamp, table.precision, Repetition::REQUIRED)?];
        for column in &table.columns {
            let (name, data_type) = (&column.name, column.data_type);
            fields.push(field(name, data_type, table.precision, Repetition::OPTIONAL)?);
        }
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer })
    }

    pub(crate) fn write(&mut self, rows: &Batch) -> Result<(), ColumnarError> {
        let mut group = self.writer.next_row_group()?;
        let mut column = next_column(&mut group)?;
        for times in rows.times.chunks(SLICE_ROWS) {
            column.typed::<types::Int64Type>().write_batch(times, None, None)?;
        }
        column.close()?;
        for own in &rows.columns {
            let mut column = next_column(&mut group)?;
            write_column(&mut column, own)?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<W, ColumnarError> {
        Ok(self.writer.into_inner()?)
    }
}

fn next_column<'g, W: Write + Send>(
    group: &'g mut SerializedRowGroupWriter<'_, W>,
) -> Result<SerializedColumnWriter<'g>, ColumnarError> {
    let missing = || ParquetError::General(String::from("fewer columns than in the schema"));
    Ok(group.next_column()?.ok_or_else(missing)?)
}

fn field(
    name: &str,
    data_type: DataType,
    precision: Precision,
    repetition: Repetition,
) -> Result<Arc<Type>, ColumnarError> {
    let unit = match precision {
        Precision::Ms => TimeUnit::MILLIS,
        Precision::Us => TimeUnit::MICROS,
        Precision::Ns => TimeUnit::NANOS,
    };
    let (physical, logical) = match data_type {
        DataType::Boolean => (Physical::BOOLEAN, None),
        DataType::Int32 => (Physical::INT32, None),
        DataType::Int64 => (Physical::INT64, None),
        DataType::Float => (Physical::FLOAT, None),
        DataType::Double => (Physical::DOUBLE, None),
        DataType::Date => (Physical::INT32, Some(LogicalType::Date)),
        DataType::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(true, unit))),
        DataType::Text | DataType::String => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        _ => (Physical::BYTE_ARRAY, None),
    };
    let field = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical);
    Ok(Arc::new(field.build()?))
}

/// Writes values and, in place of each row, whether it has one.
fn write_column(
    out: &mut SerializedColumnWriter<'_>,
    column: &BatchColumn,
) -> Result<(), ColumnarError> {
    let mut value = 0usize;
    let mut levels = Vec::with_capacity(SLICE_ROWS);
    let mut presence = column.presence.iter();
    loop {
        levels.clear();
        levels.extend(presence.by_ref().take(SLICE_ROWS).map(i16::from));
        if levels.is_empty() {
            return Ok(());
        }
        let n_values = levels.iter().filter(|level| **level > 0).count();
        let own = value..value.saturating_add(n_values);
        value = own.end;
        match &column.values {
            Values::Boolean(all) => put::<types::BoolType>(out, all, own, &levels)?,
            Values::Int32(all) => put::<types::Int32Type>(out, all, own, &levels)?,
            Values::Int64(all) => put::<types::Int64Type>(out, all, own, &levels)?,
            Values::Float(all) => put::<types::FloatType>(out, all, own, &levels)?,
            Values::Double(all) => put::<types::DoubleType>(out, all, own, &levels)?,
            Values::Bytes(all) => {
                let all = slices(all, own);
                let own = 0..all.len();
                put::<types::ByteArrayType>(out, &all, own, &levels)?;
            }
        }
    }
}

fn put<T: types::DataType>(
    out: &mut SerializedColumnWriter<'_>,
    all: &[T::T],
    own: Range<usize>,
    levels: &[i16],
) -> Result<(), ColumnarError> {
    let values = all.get(own).unwrap_or_default();
    out.typed::<T>().write_batch(values, Some(levels), None)?;
    Ok(())
}

/// Values in one allocation that they share.
fn slices(values: &ByteValues, own: Range<usize>) -> Vec<ByteArray> {
    let mut bytes = Vec::new();
    let mut spans = Vec::with_capacity(own.len());
    for value in own.filter_map(|at| values.get(at)) {
        spans.push((bytes.len(), value.len()));
        bytes.extend_from_slice(value);
    }
    let bytes = ByteArray::from(bytes);
    spans.into_iter().map(|(start, length)| bytes.slice(start, length)).collect()
}
