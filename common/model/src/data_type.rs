//! The data types of time series, by IoTDB's numbers.

use core::fmt;

/// Type of the values of one series.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DataType {
    /// True or false.
    Boolean,
    /// 32 bits.
    Int32,
    /// 64 bits.
    Int64,
    /// IEEE 754 single.
    Float,
    /// IEEE 754 double.
    Double,
    /// Text; IoTDB does not check that it is UTF-8.
    Text,
    /// 1.3.3 and later: a time stamp in the cluster's precision, as 64 bits.
    Timestamp,
    /// 1.3.3 and later: a day as yyyymmdd in 32 bits.
    Date,
    /// 1.3.3 and later: bytes.
    Blob,
    /// 1.3.3 and later: text with statistics.
    String,
    /// 2.0.10 and later: a reference to a large object.
    Object,
}

impl DataType {
    /// Every type, by code.
    pub const ALL: [Self; 11] = [
        Self::Boolean,
        Self::Int32,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::Text,
        Self::Timestamp,
        Self::Date,
        Self::Blob,
        Self::String,
        Self::Object,
    ];

    /// The type of a code. 6 and 7 (VECTOR, UNKNOWN) are no types of values.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Boolean),
            1 => Some(Self::Int32),
            2 => Some(Self::Int64),
            3 => Some(Self::Float),
            4 => Some(Self::Double),
            5 => Some(Self::Text),
            8 => Some(Self::Timestamp),
            9 => Some(Self::Date),
            10 => Some(Self::Blob),
            11 => Some(Self::String),
            12 => Some(Self::Object),
            _ => None,
        }
    }

    /// The code in TsFiles and on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Boolean => 0,
            Self::Int32 => 1,
            Self::Int64 => 2,
            Self::Float => 3,
            Self::Double => 4,
            Self::Text => 5,
            Self::Timestamp => 8,
            Self::Date => 9,
            Self::Blob => 10,
            Self::String => 11,
            Self::Object => 12,
        }
    }

    /// How many bytes every value takes, if all take the same.
    pub fn fixed_bytes(self) -> Option<usize> {
        match self {
            Self::Boolean => Some(1),
            Self::Int32 | Self::Date | Self::Float => Some(4),
            Self::Int64 | Self::Timestamp | Self::Double => Some(8),
            Self::Text | Self::Blob | Self::String | Self::Object => None,
        }
    }

    /// IoTDB's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Text => "TEXT",
            Self::Timestamp => "TIMESTAMP",
            Self::Date => "DATE",
            Self::Blob => "BLOB",
            Self::String => "STRING",
            Self::Object => "OBJECT",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_for_one_type() {
        for code in 0..=u8::MAX {
            if let Some(found) = DataType::from_code(code) {
                assert_eq!(found.code(), code);
            }
        }
        for (i, data_type) in DataType::ALL.into_iter().enumerate() {
            assert_eq!(DataType::from_code(data_type.code()), Some(data_type));
            assert!(DataType::ALL[..i].iter().all(|other| other.code() < data_type.code()));
        }
    }
}
