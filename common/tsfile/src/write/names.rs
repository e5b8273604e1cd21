//! Which names a file may have, and the form in which it has those of devices.

use std::collections::BTreeSet;

use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Value;

use super::error::WriteError;
use super::options::SeriesSpec;
use crate::DeviceId;
use crate::Segments;
use crate::TableSchema;
use crate::TsFileVersion;
use crate::Values;
use crate::device::NAME_BYTES_MAX;
use crate::device::SEGMENTS_MAX;
use crate::encode_values;

/// A device as the file will name it, and a reader of the file give it back.
pub(crate) fn device(id: &DeviceId, version: TsFileVersion) -> Result<DeviceId, WriteError> {
    if version == TsFileVersion::V3 {
        name(&id.path, "path of a device")?;
        return Ok(DeviceId { path: id.path.clone(), segments: None });
    }
    let Segments(given) = match &id.segments {
        Some(segments) => segments.clone(),
        None => Segments::of_path(&id.path),
    };
    // Those at the end are never stored; IoTDB would not find a device that had them.
    let n_segments =
        given.iter().rposition(Option::is_some).map_or(0, |last| last.saturating_add(1));
    let segments: Box<[_]> = given.into_iter().take(n_segments).collect();
    if n_segments > SEGMENTS_MAX {
        let found = format!("{n_segments} segments").into();
        return Err(WriteError::Name { expected: "at most 4096 segments of a device", found });
    }
    for segment in segments.iter().flatten() {
        fits(segment, "segment of a device")?;
    }
    name(segments.first().and_then(Option::as_deref).unwrap_or(""), "table of a device")?;
    let segments = Segments(segments);
    Ok(DeviceId { path: segments.to_string().into(), segments: Some(segments) })
}

/// The table of a device of the table model.
pub(crate) fn table(id: &DeviceId) -> Option<&str> {
    let first = id.segments.as_ref()?.0.first()?.as_deref()?;
    // IoTDB tells the models apart by this, and no table's name has a dot.
    (first != "root" && !first.starts_with("root.")).then_some(first)
}

/// Checks name, type and encoding of a series.
pub(crate) fn series(series: &SeriesSpec, version: TsFileVersion) -> Result<(), WriteError> {
    let SeriesSpec { measurement, data_type, encoding } = series;
    name(measurement, "name of a measurement")?;
    if *data_type == DataType::Object && version == TsFileVersion::V3 {
        let (column, data_type) = (measurement.clone(), *data_type);
        return Err(WriteError::Unknown { version, column, data_type });
    }
    // Asked with one value, since the first page would be too late to refuse.
    let mut one = Values::new(*data_type);
    let zeros = [
        Value::Boolean(false),
        Value::Int32(0),
        Value::Int64(0),
        Value::Float(0.0),
        Value::Double(0.0),
        Value::Bytes(Vec::new()),
    ];
    let n_values = zeros.iter().filter(|zero| one.push(zero)).count();
    encode_values(*encoding, *data_type, &one, 0..n_values, &mut Vec::new())
        .map_err(|source| WriteError::Series { series: measurement.clone(), source })
}

/// Checks the columns of an aligned device by themselves.
pub(crate) fn columns(
    device: &DeviceId,
    columns: &[SeriesSpec],
    version: TsFileVersion,
) -> Result<(), WriteError> {
    let mut known = BTreeSet::new();
    for column in columns {
        series(column, version)?;
        if !known.insert(&column.measurement) {
            return Err(WriteError::Columns {
                device: device.path.clone(),
                expected: "every column once",
                found: column.measurement.clone(),
            });
        }
    }
    Ok(())
}

/// Checks the columns of a device of the table model.
pub(crate) fn columns_of_table(
    table: &str,
    columns: &[SeriesSpec],
    tables: &[TableSchema],
) -> Result<(), WriteError> {
    let refuse = |expected, found: &str| {
        Err(WriteError::Table { table: table.into(), expected, found: found.into() })
    };
    let Some(schema) = tables.iter().find(|schema| &*schema.name == table) else {
        return refuse("to be declared before its devices", "no schema");
    };
    for column in columns {
        let mut fields = schema.columns.iter().filter(|it| it.category == Category::Field);
        match fields.find(|field| field.name == column.measurement) {
            Some(field) if field.data_type == column.data_type => (),
            _ => return refuse("a field of this type in its schema", &column.measurement),
        }
    }
    Ok(())
}

/// Checks a schema.
pub(crate) fn table_schema(schema: &TableSchema, version: TsFileVersion) -> Result<(), WriteError> {
    if version == TsFileVersion::V3 {
        let (table, found) = (schema.name.clone(), version.to_string().into());
        return Err(WriteError::Table { table, expected: "a file of version 4", found });
    }
    name(&schema.name, "name of a table")?;
    schema.columns.iter().try_for_each(|column| name(&column.name, "name of a column"))
}

fn name(found: &str, expected: &'static str) -> Result<(), WriteError> {
    match found.is_empty() {
        true => Err(WriteError::Name { expected, found: found.into() }),
        false => fits(found, expected),
    }
}

fn fits(name: &str, what: &'static str) -> Result<(), WriteError> {
    match name.len() <= NAME_BYTES_MAX {
        true => Ok(()),
        false => {
            Err(WriteError::Name { expected: what, found: format!("{} bytes", name.len()).into() })
        }
    }
}
