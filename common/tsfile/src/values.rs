//! Values of one column, in the memory form that decoders fill and encoders read.

use core::ops::Range;

use tidegate_model::DataType;
use tidegate_model::Value;

/// The values of one column without its nulls, all of one type.
///
/// DATE is kept as [`Int32`](Self::Int32) (yyyymmdd), TIMESTAMP as [`Int64`](Self::Int64), and
/// TEXT, STRING, BLOB and OBJECT as [`Bytes`](Self::Bytes); the [`DataType`] stands beside it.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per width, as in the file
pub enum Values {
    /// BOOLEAN.
    Boolean(Vec<bool>),
    /// INT32 and DATE.
    Int32(Vec<i32>),
    /// INT64 and TIMESTAMP.
    Int64(Vec<i64>),
    /// FLOAT.
    Float(Vec<f32>),
    /// DOUBLE.
    Double(Vec<f64>),
    /// TEXT, STRING, BLOB and OBJECT.
    Bytes(ByteValues),
}

impl Values {
    /// No value yet, of this type.
    pub fn new(data_type: DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean(Vec::new()),
            DataType::Int32 | DataType::Date => Self::Int32(Vec::new()),
            DataType::Int64 | DataType::Timestamp => Self::Int64(Vec::new()),
            DataType::Float => Self::Float(Vec::new()),
            DataType::Double => Self::Double(Vec::new()),
            _ => Self::Bytes(ByteValues::default()),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Boolean(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Boolean(values) => values.clear(),
            Self::Int32(values) => values.clear(),
            Self::Int64(values) => values.clear(),
            Self::Float(values) => values.clear(),
            Self::Double(values) => values.clear(),
            Self::Bytes(values) => values.clear(),
        }
    }

    /// Forgets the values from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Boolean(values) => values.truncate(len),
            Self::Int32(values) => values.truncate(len),
            Self::Int64(values) => values.truncate(len),
            Self::Float(values) => values.truncate(len),
            Self::Double(values) => values.truncate(len),
            Self::Bytes(values) => values.truncate(len),
        }
    }

    /// Forgets all values but these.
    pub(crate) fn keep(&mut self, range: Range<usize>) {
        fn keep<T>(values: &mut Vec<T>, range: Range<usize>) {
            values.truncate(range.end);
            values.drain(..range.start.min(values.len()));
        }
        match self {
            Self::Boolean(values) => keep(values, range),
            Self::Int32(values) => keep(values, range),
            Self::Int64(values) => keep(values, range),
            Self::Float(values) => keep(values, range),
            Self::Double(values) => keep(values, range),
            Self::Bytes(values) => {
                let mut kept = ByteValues::default();
                kept.extend_from(values, range);
                *values = kept;
            }
        }
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<Value> {
        Some(match self {
            Self::Boolean(values) => Value::Boolean(*values.get(index)?),
            Self::Int32(values) => Value::Int32(*values.get(index)?),
            Self::Int64(values) => Value::Int64(*values.get(index)?),
            Self::Float(values) => Value::Float(*values.get(index)?),
            Self::Double(values) => Value::Double(*values.get(index)?),
            Self::Bytes(values) => Value::Bytes(values.get(index)?.to_vec()),
        })
    }

    /// Appends one value; `false` if it is of another type, and nothing is appended.
    pub fn push(&mut self, value: &Value) -> bool {
        match (self, value) {
            (Self::Boolean(values), Value::Boolean(value)) => values.push(*value),
            (Self::Int32(values), Value::Int32(value)) => values.push(*value),
            (Self::Int64(values), Value::Int64(value)) => values.push(*value),
            (Self::Float(values), Value::Float(value)) => values.push(*value),
            (Self::Double(values), Value::Double(value)) => values.push(*value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            _ => return false,
        }
        true
    }

    /// Appends values `range` of `other`; `false` if it is of another type or has fewer, and
    /// nothing is appended.
    pub fn extend_from(&mut self, other: &Self, range: Range<usize>) -> bool {
        fn extend<T: Copy>(own: &mut Vec<T>, other: &[T], range: Range<usize>) -> bool {
            other.get(range).map(|values| own.extend_from_slice(values)).is_some()
        }
        match (self, other) {
            (Self::Boolean(own), Self::Boolean(other)) => extend(own, other, range),
            (Self::Int32(own), Self::Int32(other)) => extend(own, other, range),
            (Self::Int64(own), Self::Int64(other)) => extend(own, other, range),
            (Self::Float(own), Self::Float(other)) => extend(own, other, range),
            (Self::Double(own), Self::Double(other)) => extend(own, other, range),
            (Self::Bytes(own), Self::Bytes(other)) => own.extend_from(other, range),
            _ => false,
        }
    }
}

/// Byte strings in one buffer. Equal ones may share their bytes there.
#[derive(Clone, Debug, Default, Eq)]
pub struct ByteValues {
    /// Where each value begins in `bytes`, and where it ends.
    spans: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    total_bytes: usize,
}

impl ByteValues {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many bytes the values have together. They take less memory where they share bytes.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = *self.spans.get(index)?;
        self.bytes.get(start..end)
    }

    /// All values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|(start, end)| self.bytes.get(*start..*end).unwrap_or_default())
    }

    /// Appends one value.
    pub fn push(&mut self, value: &[u8]) {
        let span = self.store(value);
        self.push_span(span);
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Begins to append values of which many are equal.
    pub(crate) fn dictionary(&mut self) -> Dictionary<'_> {
        Dictionary { values: self, entries: Vec::new() }
    }

    fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
        let end = self.spans.iter().map(|(_, end)| *end).max();
        self.bytes.truncate(end.unwrap_or(0));
        self.total_bytes = self.iter().map(<[u8]>::len).fold(0, usize::saturating_add);
    }

    fn store(&mut self, value: &[u8]) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        (start, self.bytes.len())
    }

    fn push_span(&mut self, span: (usize, usize)) {
        self.total_bytes = self.total_bytes.saturating_add(span.1.saturating_sub(span.0));
        self.spans.push(span);
    }

    fn extend_from(&mut self, other: &Self, range: Range<usize>) -> bool {
        if range.start > range.end || range.end > other.len() {
            return false;
        }
        for index in range {
            self.push(other.get(index).unwrap_or_default());
        }
        true
    }
}

impl PartialEq for ByteValues {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Appends values by the numbers of what they are; made by [`ByteValues::dictionary`].
///
/// A large entry that stands for many values is in memory once, whatever a page claims.
pub(crate) struct Dictionary<'v> {
    values: &'v mut ByteValues,
    entries: Vec<(usize, usize)>,
}

impl Dictionary<'_> {
    /// Adds the next entry; it is no value yet.
    pub(crate) fn add(&mut self, entry: &[u8]) {
        self.entries.push(self.values.store(entry));
    }

    /// Appends entry `number` as a value; `false` if there is none.
    pub(crate) fn push(&mut self, number: usize) -> bool {
        let entry = self.entries.get(number);
        entry.map(|span| self.values.push_span(*span)).is_some()
    }
}
