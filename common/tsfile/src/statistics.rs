//! Statistics: what a file says of the points of a page, a chunk or a series.

use core::cmp::Ordering;
use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::DataType;

use crate::ByteValues;
use crate::Values;

/// Bytes of a text that are shown to people.
const SHOWN_BYTES_MAX: usize = 100;

/// Longest text in a statistics block.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// Number of points, their times, and what their type keeps of their values.
///
/// Of a column of an aligned device they are those of the rows in which the column is not null; of
/// its time column those of all rows.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct Statistics {
    /// Number of points.
    pub count: u32,
    /// Least time; `i64::MAX` if there is no point.
    pub start_time: i64,
    /// Greatest time; `i64::MIN` if there is no point.
    pub end_time: i64,
    /// Of the values.
    pub values: ValueStatistics,
}

/// What is kept of values, by their type.
///
/// Where there is no point, numbers are zero and texts empty.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum ValueStatistics {
    /// BLOB, OBJECT and the time column.
    None,
    /// BOOLEAN.
    Boolean {
        /// Of the least time.
        first: bool,
        /// Of the greatest time.
        last: bool,
        /// How many are true.
        n_true: i64,
    },
    /// INT32 and DATE.
    Int32(Extremes<i32, i64>),
    /// INT64 and TIMESTAMP.
    Int64(Extremes<i64, f64>),
    /// FLOAT.
    Float(Extremes<f32, f64>),
    /// DOUBLE.
    Double(Extremes<f64, f64>),
    /// TEXT.
    Text {
        /// Of the least time.
        first: Box<[u8]>,
        /// Of the greatest time.
        last: Box<[u8]>,
    },
    /// STRING.
    String {
        /// Of the least time.
        first: Box<[u8]>,
        /// Of the greatest time.
        last: Box<[u8]>,
        /// The least by bytes.
        min: Box<[u8]>,
        /// The greatest by bytes.
        max: Box<[u8]>,
    },
}

/// Of numbers: `T` is their type, `S` that of their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct Extremes<T, S> {
    /// The least.
    pub min: T,
    /// The greatest.
    pub max: T,
    /// Of the least time.
    pub first: T,
    /// Of the greatest time.
    pub last: T,
    /// All together; of INT32 wrapping.
    pub sum: S,
}

/// Texts are cut: one of them may be as long as a value.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("no points");
        }
        write!(f, "{} points from {} to {}", self.count, self.start_time, self.end_time)?;
        match &self.values {
            ValueStatistics::None => Ok(()),
            ValueStatistics::Boolean { first, last, n_true } => {
                write!(f, ", first {first}, last {last}, {n_true} true")
            }
            ValueStatistics::Int32(of) => of.fmt(f),
            ValueStatistics::Int64(of) => of.fmt(f),
            ValueStatistics::Float(of) => of.fmt(f),
            ValueStatistics::Double(of) => of.fmt(f),
            ValueStatistics::Text { first, last } => {
                write!(f, ", first {}, last {}", Shown(first), Shown(last))
            }
            ValueStatistics::String { first, last, min, max } => {
                let (min, max, first, last) = (Shown(min), Shown(max), Shown(first), Shown(last));
                write!(f, ", least {min}, greatest {max}, first {first}, last {last}")
            }
        }
    }
}

/// With the point that tells floating numbers from whole ones.
impl<T: fmt::Debug, S: fmt::Debug> fmt::Display for Extremes<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, first, last, sum } = self;
        write!(f, ", least {min:?}, greatest {max:?}, first {first:?}, last {last:?}, sum {sum:?}")
    }
}

/// A text in quotes, of which no more is shown than tells it.
struct Shown<'t>(&'t [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, is_cut) = match self.0.get(..SHOWN_BYTES_MAX) {
            Some(shown) => (shown, self.0.len() > SHOWN_BYTES_MAX),
            None => (self.0, false),
        };
        write!(f, "{:?}{}", String::from_utf8_lossy(shown), if is_cut { "..." } else { "" })
    }
}

impl Statistics {
    /// Of no point.
    ///
    /// `data_type` is `None` for a time column.
    pub fn empty(data_type: Option<DataType>) -> Self {
        let none = || Box::from([]);
        let values = match data_type {
            Some(DataType::Boolean) => {
                ValueStatistics::Boolean { first: false, last: false, n_true: 0 }
            }
            Some(DataType::Int32 | DataType::Date) => ValueStatistics::Int32(Extremes::default()),
            Some(DataType::Int64 | DataType::Timestamp) => {
                ValueStatistics::Int64(Extremes::default())
            }
            Some(DataType::Float) => ValueStatistics::Float(Extremes::default()),
            Some(DataType::Double) => ValueStatistics::Double(Extremes::default()),
            Some(DataType::Text) => ValueStatistics::Text { first: none(), last: none() },
            Some(DataType::String) => {
                ValueStatistics::String { first: none(), last: none(), min: none(), max: none() }
            }
            _ => ValueStatistics::None,
        };
        Self { count: 0, start_time: i64::MAX, end_time: i64::MIN, values }
    }

    /// Of points in the order of their times.
    ///
    /// # Arguments
    ///
    /// - `times`: one per value, ascending
    /// - `values`: `None` for a time column
    pub fn of(data_type: Option<DataType>, times: &[i64], values: Option<&Values>) -> Self {
        let (Some(&start), Some(&end)) = (times.first(), times.last()) else {
            return Self::empty(data_type);
        };
        let (Some(data_type), Some(values)) = (data_type, values) else {
            let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
            let values = ValueStatistics::None;
            return Self { count, start_time: start, end_time: end, values };
        };
        Self::of_values(data_type, start, end, values)
    }

    /// Of values in the order of their times, the least and greatest of which are given.
    pub(crate) fn of_values(data_type: DataType, start: i64, end: i64, values: &Values) -> Self {
        let mut found = Self::empty(Some(data_type));
        found.count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        (found.start_time, found.end_time) = (start, end);
        match (&mut found.values, values) {
            (ValueStatistics::Boolean { first, last, n_true }, Values::Boolean(values)) => {
                *first = values.first().copied().unwrap_or_default();
                *last = values.last().copied().unwrap_or_default();
                *n_true = values.iter().map(|value| i64::from(*value)).sum();
            }
            (ValueStatistics::Int32(found), Values::Int32(values)) => {
                *found = extremes(values, 0i64, |sum, value| sum.wrapping_add(i64::from(value)));
            }
            (ValueStatistics::Int64(found), Values::Int64(values)) => {
                // Java adds a long to a double, too, and rounds each time.
                *found = extremes(values, NO_SUM, |sum, value| sum + value as f64);
            }
            (ValueStatistics::Float(found), Values::Float(values)) => {
                *found = extremes(values, NO_SUM, |sum, value| sum + f64::from(value));
            }
            (ValueStatistics::Double(found), Values::Double(values)) => {
                *found = extremes(values, NO_SUM, |sum, value| sum + value);
            }
            (ValueStatistics::Text { first, last }, Values::Bytes(values)) => {
                (*first, *last) = ends(values);
            }
            (ValueStatistics::String { first, last, min, max }, Values::Bytes(values)) => {
                (*first, *last) = ends(values);
                *min = values.iter().min().unwrap_or_default().into();
                *max = values.iter().max().unwrap_or_default().into();
            }
            _ => (),
        }
        found
    }

    /// Takes in the statistics of other points of the same series.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        // As IoTDB has it: of two values for one time the one that is merged later counts.
        let earlier = other.start_time <= self.start_time;
        let later = other.end_time >= self.end_time;
        match (&mut self.values, &other.values) {
            (
                ValueStatistics::Boolean { first, last, n_true },
                ValueStatistics::Boolean { first: other_first, last: other_last, n_true: others },
            ) => {
                take_if(earlier, first, other_first);
                take_if(later, last, other_last);
                *n_true = n_true.wrapping_add(*others);
            }
            (ValueStatistics::Int32(own), ValueStatistics::Int32(other)) => {
                own.merge(other, earlier, later);
                own.sum = own.sum.wrapping_add(other.sum);
            }
            (ValueStatistics::Int64(own), ValueStatistics::Int64(other)) => {
                own.merge(other, earlier, later);
                own.sum += other.sum;
            }
            (ValueStatistics::Float(own), ValueStatistics::Float(other)) => {
                own.merge(other, earlier, later);
                own.sum += other.sum;
            }
            (ValueStatistics::Double(own), ValueStatistics::Double(other)) => {
                own.merge(other, earlier, later);
                own.sum += other.sum;
            }
            (
                ValueStatistics::Text { first, last },
                ValueStatistics::Text { first: other_first, last: other_last },
            ) => {
                take_if(earlier, first, other_first);
                take_if(later, last, other_last);
            }
            (
                ValueStatistics::String { first, last, min, max },
                ValueStatistics::String {
                    first: other_first,
                    last: other_last,
                    min: other_min,
                    max: other_max,
                },
            ) => {
                take_if(earlier, first, other_first);
                take_if(later, last, other_last);
                take_if(other_min < min, min, other_min);
                take_if(other_max > max, max, other_max);
            }
            _ => (),
        }
        self.count = self.count.saturating_add(other.count);
        self.start_time = self.start_time.min(other.start_time);
        self.end_time = self.end_time.max(other.end_time);
    }

    /// The same, but that nothing is said of the values ([`ValueStatistics::None`]) where that would take
    /// texts of more than `bytes_max` bytes together: each is as long as a value may be, and to whoever
    /// looks for times they are a burden.
    #[must_use]
    pub fn with_texts_up_to(&self, bytes_max: usize) -> Self {
        let Self { count, start_time, end_time, .. } = *self;
        let values = match self.texts_bytes() > bytes_max {
            true => ValueStatistics::None,
            false => self.values.clone(),
        };
        Self { count, start_time, end_time, values }
    }

    /// How many bytes its texts have together.
    pub(crate) fn texts_bytes(&self) -> usize {
        let texts: &[&[u8]] = match &self.values {
            ValueStatistics::Text { first, last } => &[first, last],
            ValueStatistics::String { first, last, min, max } => &[first, last, min, max],
            _ => &[],
        };
        texts.iter().map(|text| text.len()).fold(0, usize::saturating_add)
    }

    /// Whether some point may have a time from `start` to `end`, both included.
    pub fn overlaps(&self, start: i64, end: i64) -> bool {
        self.count > 0 && self.start_time <= end && self.end_time >= start
    }

    /// Reads a block of a type; `None` is that of a time column.
    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        data_type: Option<DataType>,
    ) -> Result<Self, Error> {
        let mut found = Self::empty(data_type);
        found.count = reader.uvar("number of points of statistics")?;
        found.start_time = reader.i64("start time of statistics")?;
        let offset = reader.position();
        found.end_time = reader.i64("end time of statistics")?;
        // Else whoever asks for some times would be told that there is nothing in them. Of no point a
        // file may say any times: the C++ library writes zeros, or those of the chunk before.
        if found.count > 0 && found.start_time > found.end_time {
            let expected = "an end time of statistics not before their start time";
            return Err(Error::Value { offset, expected, found: found.end_time });
        }
        let text = |reader: &mut Reader<'_>| {
            reader.bin("text of statistics", TEXT_BYTES_MAX).map(Box::from)
        };
        let (least, greatest, first_of, last_of, sum_of) = (
            "minimum of statistics",
            "maximum of statistics",
            "first value of statistics",
            "last value of statistics",
            "sum of statistics",
        );
        match &mut found.values {
            ValueStatistics::None => (),
            ValueStatistics::Boolean { first, last, n_true } => {
                *first = reader.bool("0 or 1 as first value of statistics")?;
                *last = reader.bool("0 or 1 as last value of statistics")?;
                *n_true = reader.i64("number of true values of statistics")?;
            }
            ValueStatistics::Int32(found) => {
                found.min = reader.i32(least)?;
                found.max = reader.i32(greatest)?;
                found.first = reader.i32(first_of)?;
                found.last = reader.i32(last_of)?;
                found.sum = reader.i64(sum_of)?;
            }
            ValueStatistics::Int64(found) => {
                found.min = reader.i64(least)?;
                found.max = reader.i64(greatest)?;
                found.first = reader.i64(first_of)?;
                found.last = reader.i64(last_of)?;
                found.sum = reader.f64(sum_of)?;
            }
            ValueStatistics::Float(found) => {
                found.min = reader.f32(least)?;
                found.max = reader.f32(greatest)?;
                found.first = reader.f32(first_of)?;
                found.last = reader.f32(last_of)?;
                found.sum = reader.f64(sum_of)?;
            }
            ValueStatistics::Double(found) => {
                found.min = reader.f64(least)?;
                found.max = reader.f64(greatest)?;
                found.first = reader.f64(first_of)?;
                found.last = reader.f64(last_of)?;
                found.sum = reader.f64(sum_of)?;
            }
            ValueStatistics::Text { first, last } => {
                *first = text(reader)?;
                *last = text(reader)?;
            }
            ValueStatistics::String { first, last, min, max } => {
                *first = text(reader)?;
                *last = text(reader)?;
                *min = text(reader)?;
                *max = text(reader)?;
            }
        }
        Ok(found)
    }

    /// Writes the block, the mirror of [`decode`](Self::decode).
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.uvar(self.count);
        writer.i64(self.start_time);
        writer.i64(self.end_time);
        match &self.values {
            ValueStatistics::None => (),
            ValueStatistics::Boolean { first, last, n_true } => {
                writer.bool(*first);
                writer.bool(*last);
                writer.i64(*n_true);
            }
            ValueStatistics::Int32(found) => {
                for value in [found.min, found.max, found.first, found.last] {
                    writer.i32(value);
                }
                writer.i64(found.sum);
            }
            ValueStatistics::Int64(found) => {
                for value in [found.min, found.max, found.first, found.last] {
                    writer.i64(value);
                }
                writer.f64(found.sum);
            }
            ValueStatistics::Float(found) => {
                for value in [found.min, found.max, found.first, found.last] {
                    writer.f32(value);
                }
                writer.f64(found.sum);
            }
            ValueStatistics::Double(found) => {
                for value in [found.min, found.max, found.first, found.last, found.sum] {
                    writer.f64(value);
                }
            }
            ValueStatistics::Text { first, last } => {
                writer.bin(first);
                writer.bin(last);
            }
            ValueStatistics::String { first, last, min, max } => {
                for text in [first, last, min, max] {
                    writer.bin(text);
                }
            }
        }
    }
}

impl<T: Copy + PartialOrd, S> Extremes<T, S> {
    fn merge(&mut self, other: &Self, earlier: bool, later: bool) {
        take_if(earlier, &mut self.first, &other.first);
        take_if(later, &mut self.last, &other.last);
        // Comparisons with NaN are false in Java as they are here.
        take_if(other.min < self.min, &mut self.min, &other.min);
        take_if(other.max > self.max, &mut self.max, &other.max);
    }
}

/// Of values in the order of their times. A NaN in front stays minimum and maximum, as in Java.
fn extremes<T, S>(values: &[T], none: S, add: impl Fn(S, T) -> S) -> Extremes<T, S>
where
    T: Copy + Default + PartialOrd,
    S: Copy,
{
    let first = values.first().copied().unwrap_or_default();
    let last = values.last().copied().unwrap_or_default();
    let (mut min, mut max, mut sum) = (first, first, none);
    for &value in values {
        if matches!(value.partial_cmp(&min), Some(Ordering::Less)) {
            min = value;
        }
        if matches!(value.partial_cmp(&max), Some(Ordering::Greater)) {
            max = value;
        }
        sum = add(sum, value);
    }
    Extremes { min, max, first, last, sum }
}

/// What a sum of floats begins with: zeros that are all negative stay so, as in Java.
const NO_SUM: f64 = -0.0;

fn ends(values: &ByteValues) -> (Box<[u8]>, Box<[u8]>) {
    let last = values.len().checked_sub(1).and_then(|last| values.get(last));
    (values.get(0).unwrap_or_default().into(), last.unwrap_or_default().into())
}

fn take_if<T: Clone>(condition: bool, own: &mut T, other: &T) {
    if condition {
        own.clone_from(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ library writes columns without a value so.
    #[test]
    fn times_may_be_any_where_there_is_no_point_and_are_in_order_where_there_is_one() {
        let decoded = |count, start_time, end_time| {
            let found = Statistics { count, start_time, end_time, values: ValueStatistics::None };
            let mut bytes = Vec::new();
            found.encode(&mut Writer::new(&mut bytes));
            Statistics::decode(&mut Reader::new(&bytes), None).map(|it| it == found)
        };
        for times in [(0, 0), (i64::MAX, i64::MIN), (3, 5), (5, 3)] {
            assert_eq!(decoded(0, times.0, times.1), Ok(true), "{times:?}");
        }
        assert_eq!(decoded(2, 3, 5), Ok(true));
        let expected = "an end time of statistics not before their start time";
        assert!(decoded(2, 5, 3).unwrap_err().to_string().contains(expected));
    }
}
