//! Groups of rows as record batches of an Arrow file.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::BinaryArray;
use arrow_array::BooleanArray;
use arrow_array::Date32Array;
use arrow_array::PrimitiveArray;
use arrow_array::RecordBatch;
use arrow_array::StringArray;
use arrow_array::TimestampMicrosecondArray;
use arrow_array::TimestampMillisecondArray;
use arrow_array::TimestampNanosecondArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::types::Float32Type;
use arrow_array::types::Float64Type;
use arrow_array::types::Int32Type;
use arrow_array::types::Int64Type;
use arrow_buffer::BooleanBuffer;
use arrow_buffer::Buffer;
use arrow_buffer::NullBuffer;
use arrow_buffer::OffsetBuffer;
use arrow_buffer::ScalarBuffer;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::FileWriter;
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::DataType as ArrowType;
use arrow_schema::Field;
use arrow_schema::Schema;
use arrow_schema::TimeUnit;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::ByteValues;
use tidegate_tsfile::Presence;
use tidegate_tsfile::Values;

use crate::ColumnarError;
use crate::writer::TIME;
use crate::writer::Table;

const UTC: &str = "UTC";

pub(crate) struct ArrowFile<W> {
    schema: Arc<Schema>,
    precision: Precision,
    writer: FileWriter<W>,
}

impl<W: Write> ArrowFile<W> {
    pub(crate) fn new(out: W, table: &Table) -> Result<Self, ColumnarError> {
        let unit = unit_of(table.precision);
        let mut fields =
            vec![Field::new(TIME, ArrowType::Timestamp(unit, Some(UTC.into())), false)];
        fields.extend(
            table
                .columns
                .iter()
                .map(|column| Field::new(&column.name, arrow_type(column.data_type, unit), true)),
        );
        let metadata: HashMap<String, String> = table.all_metadata().into_iter().collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let options = IpcWriteOptions::default();
        let options = options.try_with_compression(Some(CompressionType::ZSTD))?;
        let writer = FileWriter::try_new_with_options(out, &schema, options)?;
        Ok(Self { schema, precision: table.precision, writer })
    }

    pub(crate) fn write(&mut self, rows: Batch) -> Result<(), ColumnarError> {
        let n_rows = rows.len();
        let mut arrays = vec![times(rows.times.into(), None, self.precision)];
        for column in rows.columns {
            arrays.push(array(column, self.precision, n_rows)?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        Ok(self.writer.write(&batch)?)
    }

    pub(crate) fn finish(self) -> Result<W, ColumnarError> {
        Ok(self.writer.into_inner()?)
    }
}

fn unit_of(precision: Precision) -> TimeUnit {
    match precision {
        Precision::Ms => TimeUnit::Millisecond,
        Precision::Us => TimeUnit::Microsecond,
        Precision::Ns => TimeUnit::Nanosecond,
    }
}

fn arrow_type(data_type: DataType, unit: TimeUnit) -> ArrowType {
    match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int32 => ArrowType::Int32,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float => ArrowType::Float32,
        DataType::Double => ArrowType::Float64,
        DataType::Date => ArrowType::Date32,
        DataType::Timestamp => ArrowType::Timestamp(unit, Some(UTC.into())),
        DataType::Text | DataType::String => ArrowType::Utf8,
        _ => ArrowType::Binary,
    }
}

fn times(times: ScalarBuffer<i64>, nulls: Option<NullBuffer>, precision: Precision) -> ArrayRef {
    match precision {
        Precision::Ms => Arc::new(TimestampMillisecondArray::new(times, nulls).with_timezone(UTC)),
        Precision::Us => Arc::new(TimestampMicrosecondArray::new(times, nulls).with_timezone(UTC)),
        Precision::Ns => Arc::new(TimestampNanosecondArray::new(times, nulls).with_timezone(UTC)),
    }
}

fn array(
    column: BatchColumn,
    precision: Precision,
    n_rows: usize,
) -> Result<ArrayRef, ColumnarError> {
    let BatchColumn { data_type, values, presence } = column;
    let nulls = nulls_of(&presence);
    Ok(match values {
        Values::Boolean(values) => {
            Arc::new(BooleanArray::new(BooleanBuffer::from(spread(values, &presence)), nulls))
        }
        Values::Int32(values) if data_type == DataType::Date => {
            Arc::new(Date32Array::new(spread(values, &presence).into(), nulls))
        }
        Values::Int32(values) => primitive::<Int32Type>(spread(values, &presence), nulls),
        Values::Int64(values) if data_type == DataType::Timestamp => {
            times(spread(values, &presence).into(), nulls, precision)
        }
        Values::Int64(values) => primitive::<Int64Type>(spread(values, &presence), nulls),
        Values::Float(values) => primitive::<Float32Type>(spread(values, &presence), nulls),
        Values::Double(values) => primitive::<Float64Type>(spread(values, &presence), nulls),
        Values::Bytes(values) => {
            let (offsets, bytes) = joined(&values, &presence, n_rows)?;
            match data_type {
                DataType::Text | DataType::String => {
                    Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
                }
                _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
            }
        }
    })
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

/// Arrow has the first row in the lowest bit.
fn nulls_of(presence: &Presence) -> Option<NullBuffer> {
    if presence.is_all() {
        return None;
    }
    let mut bits = Vec::new();
    presence.write_bits(&mut bits);
    bits.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
    Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, presence.len())))
}

/// Values with something in the places of the nulls.
fn spread<T: Copy + Default>(values: Vec<T>, presence: &Presence) -> Vec<T> {
    if presence.is_all() {
        return values;
    }
    let mut values = values.into_iter();
    let value = |is_there| match is_there {
        true => values.next().unwrap_or_default(),
        false => T::default(),
    };
    presence.iter().map(value).collect()
}

fn joined(
    values: &ByteValues,
    presence: &Presence,
    n_rows: usize,
) -> Result<(OffsetBuffer<i32>, Buffer), ColumnarError> {
    let mut offsets = Vec::with_capacity(n_rows.saturating_add(1));
    let mut bytes = Vec::with_capacity(values.total_bytes());
    let mut values = values.iter();
    offsets.push(0);
    for is_there in presence.iter() {
        if is_there {
            bytes.extend_from_slice(values.next().unwrap_or_default());
        }
        offsets.push(i32::try_from(bytes.len()).map_err(|_| ColumnarError::Columns {
            expected: format!("at most {} bytes in one column and batch", i32::MAX),
            found: bytes.len().to_string(),
        })?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok((offsets, Buffer::from_vec(bytes)))
}
