//! Columns in memory: appending, sorting, and values of another type.

use core::ops::Range;

use tidegate_model::DataType;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Values;

/// Appends rows `rows` of `other`, the first of which has its value, if any, at `value` of `other`'s
/// values. Returns at which value the row behind the last one has its own.
pub(crate) fn append(
    column: &mut BatchColumn,
    other: &BatchColumn,
    rows: Range<usize>,
    value: usize,
) -> usize {
    let mut n_values = 0usize;
    if other.presence.is_all() {
        n_values = rows.len();
        column.presence.push_many(true, n_values);
    } else {
        for row in rows {
            let is_there = other.presence.get(row);
            n_values = n_values.saturating_add(usize::from(is_there));
            column.presence.push(is_there);
        }
    }
    let end = value.saturating_add(n_values);
    let is_of_type = column.values.extend_from(&other.values, value..end);
    assert!(is_of_type, "columns are of one type before they are joined");
    end
}

/// Points in the order of their times; of equal times the last one.
pub(crate) fn sorted(times: &[i64], values: &Values, data_type: DataType) -> (Vec<i64>, Values) {
    if times.is_sorted_by(|one, other| one < other) {
        return (times.to_vec(), values.clone());
    }
    let mut order: Vec<usize> = (0..times.len()).collect();
    let time = |at: &usize| times.get(*at).copied().unwrap_or_default();
    order.sort_by_key(time);
    let (mut out_times, mut out) = (Vec::with_capacity(times.len()), Values::new(data_type));
    for (place, at) in order.iter().enumerate() {
        let next = order.get(place.saturating_add(1)).map(time);
        if next != Some(time(at)) {
            out_times.push(time(at));
            out.extend_from(values, *at..at.saturating_add(1));
        }
    }
    (out_times, out)
}

/// Whether every value of one type is one of another, so that nothing is lost.
pub(crate) fn is_convertible(from: DataType, to: DataType) -> bool {
    use DataType as T;
    match (from, to) {
        _ if from == to => true,
        (T::Int32, T::Int64 | T::Double) | (T::Float, T::Double) => true,
        (T::Int64, T::Timestamp) | (T::Timestamp, T::Int64) => true,
        // as IoTDB does when a type is altered, though large ones are rounded
        (T::Int32, T::Float) | (T::Int64, T::Double) => true,
        (T::Text, T::String | T::Blob) | (T::String, T::Text | T::Blob) => true,
        _ => false,
    }
}

/// A column with the values of another type; the types are convertible.
pub(crate) fn converted(column: &BatchColumn, to: DataType) -> BatchColumn {
    let values = match (&column.values, Values::new(to)) {
        (Values::Int32(values), Values::Int64(_)) => {
            Values::Int64(values.iter().map(|value| i64::from(*value)).collect())
        }
        (Values::Int32(values), Values::Float(_)) => {
            Values::Float(values.iter().map(|value| *value as f32).collect())
        }
        (Values::Int32(values), Values::Double(_)) => {
            Values::Double(values.iter().map(|value| f64::from(*value)).collect())
        }
        (Values::Int64(values), Values::Double(_)) => {
            Values::Double(values.iter().map(|value| *value as f64).collect())
        }
        (Values::Float(values), Values::Double(_)) => {
            Values::Double(values.iter().map(|value| f64::from(*value)).collect())
        }
        (values, _) => values.clone(),
    };
    BatchColumn { data_type: to, values, presence: column.presence.clone() }
}
