//! Conditions as text that reads back as the same condition.

use core::fmt;

use super::Comparison;
use super::Condition;
use super::Filter;
use super::Like;
use super::Literal;
use super::TimeTest;
use super::ValueTest;
use crate::Path;
use crate::statement::list;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.condition, &self.series)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("TRUE"),
            Self::Boolean(false) => f.write_str("FALSE"),
            Self::Bytes(bytes) => {
                f.write_str("X'")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
                f.write_str("'")
            }
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.pattern().replace('\'', "''"))?;
        match self.escape() {
            Self::ESCAPE => Ok(()),
            '\'' => f.write_str(" ESCAPE ''''"),
            escape => write!(f, " ESCAPE '{escape}'"),
        }
    }
}

fn show(f: &mut fmt::Formatter<'_>, condition: &Condition, series: &[Path]) -> fmt::Result {
    match condition {
        Condition::And(members) => joined(f, " AND ", members, series),
        Condition::Constant(constant) => f.write_str(match constant {
            Some(true) => "TRUE",
            Some(false) => "FALSE",
            None => "NULL",
        }),
        Condition::Not(inner) => match &**inner {
            Condition::Value { test: ValueTest::IsNull, .. } => {
                leaf(f, inner, series, "IS NOT NULL")
            }
            _ => {
                f.write_str("NOT (")?;
                show(f, inner, series)?;
                f.write_str(")")
            }
        },
        Condition::Or(members) => joined(f, " OR ", members, series),
        Condition::Time(TimeTest::Between(low, high)) => {
            write!(f, "time BETWEEN {low} AND {high}")
        }
        Condition::Time(TimeTest::Compare(comparison, time)) => {
            write!(f, "time {comparison} {time}")
        }
        Condition::Time(TimeTest::In(times)) => {
            list(f, "time IN (", times)?;
            f.write_str(")")
        }
        Condition::Value { .. } => leaf(f, condition, series, "IS NULL"),
    }
}

/// What is said about a value; `null` is said for that there is none.
fn leaf(
    f: &mut fmt::Formatter<'_>,
    condition: &Condition,
    paths: &[Path],
    null: &str,
) -> fmt::Result {
    let Condition::Value { series, test } = condition else { return Ok(()) };
    match paths.get(*series) {
        Some(path) => write!(f, "{path}")?,
        None => write!(f, "`series {series}`")?,
    }
    match test {
        ValueTest::Between(low, high) => write!(f, " BETWEEN {low} AND {high}"),
        ValueTest::Compare(comparison, literal) => write!(f, " {comparison} {literal}"),
        ValueTest::In(literals) => {
            list(f, " IN (", literals)?;
            f.write_str(")")
        }
        ValueTest::IsNull => write!(f, " {null}"),
        ValueTest::Like(like) => write!(f, " LIKE {like}"),
    }
}

/// Members with a word between, those that have members themselves in parentheses.
fn joined(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    members: &[Condition],
    series: &[Path],
) -> fmt::Result {
    for (idx, it) in members.iter().enumerate() {
        if idx != 0 {
            f.write_str(word)?;
        }
        match it {
            Condition::And(_) | Condition::Or(_) => {
                f.write_str("(")?;
                show(f, it, series)?;
                f.write_str(")")?;
            }
            _ => show(f, it, series)?,
        }
    }
    Ok(())
}
