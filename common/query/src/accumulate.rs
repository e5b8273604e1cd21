//! What points are together: from points, from statistics, or from both.

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_sql::Function;
use tidegate_store::Aggregate;
use tidegate_store::merge_past_nan;
use tidegate_store::statistics_past_nan;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Extremes;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::ValueStatistics;
use tidegate_tsfile::Values;

/// Points of one series.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    data_type: DataType,
    count: u64,
    statistics: Statistics,
    /// First and last value of a type whose statistics have none.
    ends: Option<(Value, Value)>,
}

impl Accumulator {
    pub(crate) fn new(data_type: DataType) -> Self {
        let statistics = Statistics::empty(Some(data_type));
        Self { data_type, count: 0, statistics, ends: None }
    }

    /// Whether statistics of a file say everything that there is to say of a type.
    pub(crate) fn is_in_statistics(data_type: DataType) -> bool {
        !matches!(Statistics::empty(Some(data_type)).values, ValueStatistics::None)
    }

    /// Adds points behind all that were added, none or more.
    pub(crate) fn add(&mut self, times: &[i64], values: &Values) {
        if times.is_empty() {
            return;
        }
        self.count = self.count.saturating_add(times.len() as u64);
        let part = statistics_past_nan(self.data_type, times, values);
        merge_past_nan(&mut self.statistics, &part);
        if !Self::is_in_statistics(self.data_type)
            && let Some(first) = values.get(0)
            && let Some(last) = values.get(values.len().saturating_sub(1))
        {
            self.ends = Some(match self.ends.take() {
                Some((first, _)) => (first, last),
                None => (first, last),
            });
        }
    }

    /// Adds what a store has found.
    pub(crate) fn add_aggregate(&mut self, found: &Aggregate) {
        self.count = self.count.saturating_add(found.count);
        merge_past_nan(&mut self.statistics, &found.statistics);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn end_time(&self) -> i64 {
        self.statistics.end_time
    }

    /// What a function says; `None` is null.
    pub(crate) fn value(&self, function: Function) -> Option<Value> {
        if let Function::Count = function {
            return Some(Value::Int64(i64::try_from(self.count).unwrap_or(i64::MAX)));
        }
        if self.count == 0 {
            return None;
        }
        match function {
            Function::MaxTime => return Some(Value::Int64(self.statistics.end_time)),
            Function::MinTime => return Some(Value::Int64(self.statistics.start_time)),
            _ => (),
        }
        match &self.statistics.values {
            ValueStatistics::None => match (function, self.ends.clone()?) {
                (Function::FirstValue, (first, _)) => Some(first),
                (Function::LastValue, (_, last)) => Some(last),
                _ => None,
            },
            ValueStatistics::Boolean { first, last, .. } => match function {
                Function::FirstValue => Some(Value::Boolean(*first)),
                Function::LastValue => Some(Value::Boolean(*last)),
                _ => None,
            },
            ValueStatistics::Int32(found) => {
                self.number(function, found, Value::Int32, found.sum as f64)
            }
            ValueStatistics::Int64(found) => self.number(function, found, Value::Int64, found.sum),
            ValueStatistics::Float(found) => self.number(function, found, Value::Float, found.sum),
            ValueStatistics::Double(found) => {
                self.number(function, found, Value::Double, found.sum)
            }
            ValueStatistics::Text { first, last } => match function {
                Function::FirstValue => Some(Value::Bytes(first.to_vec())),
                Function::LastValue => Some(Value::Bytes(last.to_vec())),
                _ => None,
            },
            ValueStatistics::String { first, last, min, max } => match function {
                Function::FirstValue => Some(Value::Bytes(first.to_vec())),
                Function::LastValue => Some(Value::Bytes(last.to_vec())),
                Function::MinValue => Some(Value::Bytes(min.to_vec())),
                Function::MaxValue => Some(Value::Bytes(max.to_vec())),
                _ => None,
            },
        }
    }

    fn number<T: Copy, N>(
        &self,
        function: Function,
        found: &Extremes<T, N>,
        value: impl Fn(T) -> Value,
        sum: f64,
    ) -> Option<Value> {
        // a sum begins with 0.0 at IoTDB's, so that zeros that are all negative are not
        let sum = sum + 0.0;
        Some(match function {
            Function::Avg => Value::Double(sum / self.count as f64),
            Function::FirstValue => value(found.first),
            Function::LastValue => value(found.last),
            Function::MaxValue => value(found.max),
            Function::MinValue => value(found.min),
            Function::Sum => Value::Double(sum),
            Function::Count | Function::MaxTime | Function::MinTime => return None,
        })
    }
}

/// The times of the rows in which a column is not null.
pub(crate) fn times_of(times: &[i64], column: &BatchColumn) -> Vec<i64> {
    match column.presence.is_all() {
        true => times.to_vec(),
        false => {
            let rows = times.iter().zip(column.presence.iter());
            rows.filter(|(_, is_there)| *is_there).map(|(time, _)| *time).collect()
        }
    }
}

/// The type of what a function says of a type.
///
/// # Returns
/// The types that the function is for, if that is none of them.
pub(crate) fn type_of(function: Function, data_type: DataType) -> Result<DataType, &'static str> {
    use DataType as T;
    let is_number = matches!(data_type, T::Int32 | T::Int64 | T::Float | T::Double | T::Timestamp);
    match function {
        Function::Count | Function::MaxTime | Function::MinTime => Ok(T::Int64),
        Function::Avg | Function::Sum if is_number => Ok(T::Double),
        Function::Avg | Function::Sum => Err("INT32, INT64, FLOAT, DOUBLE or TIMESTAMP"),
        Function::FirstValue | Function::LastValue => Ok(data_type),
        Function::MaxValue | Function::MinValue => {
            match is_number || matches!(data_type, T::Date | T::String) {
                true => Ok(data_type),
                false => Err("INT32, INT64, FLOAT, DOUBLE, DATE, STRING or TIMESTAMP"),
            }
        }
    }
}
