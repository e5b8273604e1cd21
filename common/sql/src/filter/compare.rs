//! How values compare with literals.
//!
//! Numbers compare as numbers, whatever their types, and exactly: IoTDB goes over doubles, which
//! cannot tell large whole numbers apart. A literal with a point is taken in the series' own
//! precision, so that `= 0.1` finds 0.1 in a FLOAT. NaN is larger than every number, as in IoTDB.
//! A DATE is the number yyyymmdd, and compares with a text of the form 2024-05-01, too. A BLOB compares
//! with bytes alone, and LIKE is for texts, as in IoTDB.

use core::cmp::Ordering;
use core::fmt;

use tidegate_model::DataType;
use tidegate_model::Value;

use super::Condition;
use super::Filter;
use super::Literal;
use super::ValueTest;
use super::any;
use crate::Path;
use crate::time::days_in_month;

impl Filter {
    /// Whether each series can be compared as the filter compares it.
    ///
    /// # Arguments
    ///
    /// - `types`: the type of the series of that number; `None` if there is no such series
    ///
    /// # Returns
    /// The first one that cannot. [`Filter::evaluate`] takes such a comparison for unknown.
    pub fn check_types(
        &self,
        types: &dyn Fn(usize) -> Option<DataType>,
    ) -> Result<(), TypeMismatch> {
        self.check(&self.condition, types)
    }

    fn check(
        &self,
        condition: &Condition,
        types: &dyn Fn(usize) -> Option<DataType>,
    ) -> Result<(), TypeMismatch> {
        match condition {
            Condition::And(members) | Condition::Or(members) => {
                members.iter().try_for_each(|it| self.check(it, types))
            }
            Condition::Constant(_) | Condition::Time(_) => Ok(()),
            Condition::Not(inner) => self.check(inner, types),
            Condition::Value { series, test } => {
                let Some(data_type) = types(*series) else { return Ok(()) };
                match (test.misfit(data_type), self.series.get(*series)) {
                    (Some(misfit), Some(path)) => {
                        Err(TypeMismatch { series: path.clone(), data_type, misfit })
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// A series is compared with something that it does not compare with.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what there is to say
pub struct TypeMismatch {
    /// The series, as the filter names it.
    pub series: Path,
    /// Its type.
    pub data_type: DataType,
    /// What does not fit it.
    pub misfit: Misfit,
}

/// What does not fit a series.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // what there is in conditions
pub enum Misfit {
    /// `LIKE`, whatever its pattern.
    Like,
    /// A literal of another kind.
    Literal(Literal),
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, data_type, misfit } = self;
        let literal = match misfit {
            Misfit::Like => {
                return write!(
                    f,
                    "{series} is {data_type}: expected a series of TEXT or STRING before LIKE"
                );
            }
            Misfit::Literal(literal) => literal,
        };
        let expected = match (kind_of(*data_type), data_type) {
            (Kind::Boolean, _) => "TRUE or FALSE",
            (Kind::Bytes, _) => "bytes as X'0102'",
            (Kind::Day, _) => "a day as '2024-05-01', or as 20240501",
            (Kind::Number, DataType::Timestamp) => "a time without quotes, or a number",
            (Kind::Number, _) => "a number",
            (Kind::Text, _) => "a text in quotes",
        };
        write!(f, "{series} is {data_type}: expected {expected}, found {literal}")
    }
}

impl core::error::Error for TypeMismatch {}

impl ValueTest {
    /// Whether it holds; `None` if the value is null or of another kind.
    pub fn holds(&self, value: Option<&Value>) -> Option<bool> {
        if let Self::IsNull = self {
            return Some(value.is_none());
        }
        let value = value?;
        match self {
            Self::Between(low, high) => {
                let (low, high) = (compare(value, low)?, compare(value, high)?);
                Some(low.is_ge() && high.is_le())
            }
            Self::Compare(comparison, literal) => {
                compare(value, literal).map(|it| comparison.holds(it))
            }
            Self::In(literals) => any(literals, true, |it| compare(value, it).map(Ordering::is_eq)),
            Self::IsNull => None,
            Self::Like(like) => match value {
                Value::Bytes(bytes) => Some(like.matches(bytes)),
                _ => None,
            },
        }
    }

    fn misfit(&self, data_type: DataType) -> Option<Misfit> {
        let kind = kind_of(data_type);
        let fits = |literal: &Literal| match literal {
            Literal::Boolean(_) => kind == Kind::Boolean,
            Literal::Bytes(_) => kind == Kind::Bytes,
            Literal::Float(_) => kind == Kind::Number,
            // so no time is taken for a day
            Literal::Integer(number) if kind == Kind::Day => DAY_NUMBERS.contains(number),
            Literal::Integer(_) => kind == Kind::Number,
            Literal::Text(text) if kind == Kind::Day => day(text).is_some(),
            Literal::Text(_) => kind == Kind::Text,
        };
        let literals: &[&Literal] = match self {
            Self::Between(low, high) => &[low, high],
            Self::Compare(_, literal) => &[literal],
            Self::In(list) => {
                return list.iter().find(|it| !fits(it)).cloned().map(Misfit::Literal);
            }
            Self::IsNull => &[],
            Self::Like(_) => return (kind != Kind::Text).then_some(Misfit::Like),
        };
        literals.iter().find(|it| !fits(it)).map(|it| Misfit::Literal((*it).clone()))
    }
}

/// Numbers of the form yyyymmdd.
const DAY_NUMBERS: core::ops::RangeInclusive<i64> = 10_000_000..=99_999_999;

/// What values of a type compare with.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Boolean,
    Bytes,
    Day,
    Number,
    Text,
}

fn kind_of(data_type: DataType) -> Kind {
    match data_type {
        DataType::Blob | DataType::Object => Kind::Bytes,
        DataType::Boolean => Kind::Boolean,
        DataType::Date => Kind::Day,
        DataType::String | DataType::Text => Kind::Text,
        _ => Kind::Number,
    }
}

/// How a value is beside a literal; `None` if they are of different kinds.
fn compare(value: &Value, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Value::Boolean(value), Literal::Boolean(literal)) => Some(value.cmp(literal)),
        (Value::Bytes(value), Literal::Bytes(literal)) => Some(value.cmp(literal)),
        (Value::Bytes(value), Literal::Text(literal)) => {
            Some(value.as_slice().cmp(literal.as_bytes()))
        }
        (Value::Double(value), Literal::Float(literal)) => Some(doubles(*value, *literal)),
        (Value::Double(value), Literal::Integer(literal)) => {
            Some(integer_and_double(*literal, *value).reverse())
        }
        (Value::Float(value), Literal::Float(literal)) => {
            // To the nearest FLOAT; beyond the largest one that is infinity.
            Some(doubles(f64::from(*value), f64::from(*literal as f32)))
        }
        (Value::Float(value), Literal::Integer(literal)) => {
            Some(integer_and_double(*literal, f64::from(*value)).reverse())
        }
        (Value::Int32(value), Literal::Float(literal)) => {
            Some(integer_and_double(i64::from(*value), *literal))
        }
        (Value::Int32(value), Literal::Integer(literal)) => Some(i64::from(*value).cmp(literal)),
        // a text fits no other whole number
        (Value::Int32(value), Literal::Text(literal)) => Some(value.cmp(&day(literal)?)),
        (Value::Int64(value), Literal::Float(literal)) => {
            Some(integer_and_double(*value, *literal))
        }
        (Value::Int64(value), Literal::Integer(literal)) => Some(value.cmp(literal)),
        _ => None,
    }
}

/// The number of a day that is written as 2024-05-01.
fn day(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number: i32, digit| {
            let digit = digit.is_ascii_digit().then(|| i32::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
    };
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let (year, month, day) = (number(year)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let is_month = year != 0 && (1..=12).contains(&month);
    let is_day = is_month && (1..=days_in_month(year.into(), month.into())).contains(&day.into());
    is_day
        .then(|| year.checked_mul(10_000)?.checked_add(month.checked_mul(100)?)?.checked_add(day))?
}

fn doubles(left: f64, right: f64) -> Ordering {
    match left.partial_cmp(&right) {
        Some(ordering) => ordering,
        None => left.is_nan().cmp(&right.is_nan()),
    }
}

/// Exactly, also where a double cannot hold the integer.
fn integer_and_double(left: i64, right: f64) -> Ordering {
    /// The first double that no 64-bit integer reaches.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if right.is_nan() || BEYOND <= right {
        return Ordering::Less;
    }
    if right < -BEYOND {
        return Ordering::Greater;
    }
    let whole = right.trunc();
    // Whole, and within the bounds of i64: the cast is exact.
    left.cmp(&(whole as i64)).then(doubles(0.0, right - whole))
}
