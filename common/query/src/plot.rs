//! A series drawn with the dots of Braille characters.
//!
//! Each column of dots knows the least and the greatest value of its times, so that one spike among
//! millions of points is seen. Points are looked at once and not kept.

use core::fmt::Write;
use core::ops::RangeInclusive;

/// Columns and rows of characters that are drawn.
const WIDTH_MIN: usize = 10;
const HEIGHT_MIN: usize = 2;
const SIZE_MAX: usize = 1000;

/// A picture that is being made.
#[derive(Debug)]
pub struct Plot {
    start: i64,
    end: i64,
    height: usize,
    /// First, least, greatest and last value of each column of dots.
    columns: Vec<Option<Bar>>,
    n_points: u64,
    n_not_finite: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    min: f64,
    max: f64,
    last: f64,
}

impl Plot {
    /// A picture of these times, of so many characters beside and below each other.
    pub fn new(times: &RangeInclusive<i64>, width: usize, height: usize) -> Self {
        let width = width.clamp(WIDTH_MIN, SIZE_MAX);
        let height = height.clamp(HEIGHT_MIN, SIZE_MAX);
        let columns = vec![None; width.saturating_mul(2)];
        Self {
            start: *times.start(),
            end: *times.end(),
            height,
            columns,
            n_points: 0,
            n_not_finite: 0,
        }
    }

    /// Adds a point within the times, none before another; NaN and what is infinite is counted only.
    pub fn add(&mut self, time: i64, value: f64) {
        if time < self.start || time > self.end {
            return;
        }
        if !value.is_finite() {
            self.n_not_finite = self.n_not_finite.saturating_add(1);
            return;
        }
        let span = u128::from(self.end.abs_diff(self.start)).saturating_add(1);
        let place =
            u128::from(time.abs_diff(self.start)).saturating_mul(self.columns.len() as u128);
        let place = usize::try_from(place.checked_div(span).unwrap_or(0)).unwrap_or(0);
        if let Some(column) = self.columns.get_mut(place) {
            let bar = column.get_or_insert(Bar { min: value, max: value, last: value });
            bar.min = bar.min.min(value);
            bar.max = bar.max.max(value);
            bar.last = value;
            self.n_points = self.n_points.saturating_add(1);
        }
    }

    /// How many points were drawn.
    pub fn n_points(&self) -> u64 {
        self.n_points
    }

    /// How many points were left out, since they are NaN or infinite.
    pub fn n_not_finite(&self) -> u64 {
        self.n_not_finite
    }

    /// The picture, with values at its left and times below it.
    ///
    /// # Arguments
    ///
    /// - `time`: shows a time
    pub fn render(&self, time: &dyn Fn(i64) -> String) -> String {
        let bars = self.columns.iter().flatten();
        let least = bars.clone().map(|bar| bar.min).fold(f64::INFINITY, f64::min);
        let greatest = bars.map(|bar| bar.max).fold(f64::NEG_INFINITY, f64::max);
        if self.n_points == 0 {
            return String::from("no points\n");
        }
        let dots = self.dots(least, greatest);
        let n_rows = self.height.saturating_sub(1).max(1) as f64;
        let step = greatest / n_rows - least / n_rows;
        // values at every fourth row, at the first and at the last one; a single one where its dots are
        let is_flat = greatest == least;
        let is_marked = |row: usize| match is_flat {
            true => row == self.middle(),
            false => row.is_multiple_of(4) || row.saturating_add(1) == self.height,
        };
        let labels: Vec<String> =
            (0..self.height).map(|row| label(greatest - step * row as f64, step)).collect();
        let margin = labels.iter().map(String::len).max().unwrap_or(0);
        let mut out = String::new();
        for (row, label) in labels.iter().enumerate() {
            let (label, axis) = if is_marked(row) { (label.as_str(), '┤') } else { ("", '│') };
            // to a text nothing fails
            let _ = write!(out, "{label:>margin$} {axis}");
            let line: String = dots.iter().filter_map(|column| column.get(row)).collect();
            out.push_str(line.trim_end_matches('\u{2800}'));
            out.push('\n');
        }
        let width = dots.len();
        let _ = writeln!(out, "{:margin$} └{}", "", "─".repeat(width));
        let (first, last) = (time(self.start), time(self.end));
        let gap = width.saturating_sub(first.len()).saturating_sub(last.len());
        let _ = match gap {
            _ if self.start == self.end => writeln!(out, "{:margin$}  {first}", ""),
            0 => writeln!(out, "{:margin$}  {first}\n{:margin$}  to {last}", "", ""),
            _ => writeln!(out, "{:margin$}  {first}{:gap$}{last}", "", ""),
        };
        out
    }

    /// The row of dots in the middle.
    fn middle(&self) -> usize {
        let n_dots = self.height.saturating_mul(4);
        ((0.5 * n_dots.saturating_sub(1) as f64).round() as usize) / 4
    }

    /// Characters, column by column, each from above.
    fn dots(&self, least: f64, greatest: f64) -> Vec<Vec<char>> {
        let n_dots = self.height.saturating_mul(4);
        let level = |value: f64| -> usize {
            // halves, since the difference of two doubles may be infinite
            let span = greatest / 2.0 - least / 2.0;
            let part = if span > 0.0 { (greatest / 2.0 - value / 2.0) / span } else { 0.5 };
            (part * n_dots.saturating_sub(1) as f64).round() as usize
        };
        let mut bits = vec![vec![0u8; self.height]; self.columns.len().div_ceil(2)];
        let mut before: Option<f64> = None;
        for (at, bar) in self.columns.iter().enumerate() {
            let Some(Bar { min, max, last }) = *bar else {
                before = None;
                continue;
            };
            // from where the last column ended, so that a line is one
            let (low, high) = before.map_or((min, max), |it| (min.min(it), max.max(it)));
            before = Some(last);
            for dot in level(high)..=level(low).min(n_dots.saturating_sub(1)) {
                let cell = bits.get_mut(at / 2).and_then(|column| column.get_mut(dot / 4));
                if let Some(cell) = cell {
                    *cell |= bit(at % 2, dot % 4);
                }
            }
        }
        let char = |bits: u8| char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ');
        bits.into_iter().map(|column| column.into_iter().map(char).collect()).collect()
    }
}

/// The dot of a Braille character.
fn bit(column: usize, row: usize) -> u8 {
    match (column, row) {
        (0, 3) => 0x40,
        (_, 3) => 0x80,
        (0, row) => 1 << row,
        (_, row) => 8 << row,
    }
}

/// With as many digits as tell two rows apart.
fn label(value: f64, step: f64) -> String {
    let size = value.abs().max(step.abs());
    match size != 0.0 && !(1e-4..1e9).contains(&size) {
        true => format!("{value:.3e}"),
        false => {
            let digits = match step.abs() {
                0.0 => 2.0,
                step => (1.0 - step.log10().floor()).clamp(0.0, 6.0),
            };
            format!("{value:.*}", digits as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spike_among_many_points_is_seen() {
        let mut plot = Plot::new(&(0..=999_999), 40, 8);
        for time in 0..1_000_000 {
            plot.add(time, if time == 700_123 { 100.0 } else { (time % 7) as f64 });
        }
        let picture = plot.render(&|time| time.to_string());
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), 10);
        assert!(lines[0].starts_with("100"), "{picture}");
        let column =
            lines[0].chars().skip_while(|char| *char != '┤').position(|char| char > '\u{2800}');
        assert_eq!(column, Some(1 + 28), "{picture}");
        let below = lines[4].chars().filter(|char| *char > '\u{2800}').count();
        assert_eq!(below, 1, "{picture}");
        assert!(lines[9].trim().starts_with('0') && lines[9].ends_with("999999"), "{picture}");
        assert_eq!(plot.n_points(), 1_000_000);
    }

    #[test]
    fn any_values_and_times_give_a_picture() {
        for values in [[0.0, 0.0], [f64::MAX, f64::MIN], [f64::NAN, 1.0], [5e-324, 0.0]] {
            let mut plot = Plot::new(&(i64::MIN..=i64::MAX), 20, 4);
            plot.add(i64::MIN, values[0]);
            plot.add(i64::MAX, values[1]);
            let picture = plot.render(&|_| String::from("t"));
            assert_eq!(picture.lines().count(), 6, "{picture}");
        }
        assert_eq!(Plot::new(&(0..=1), 20, 4).render(&|_| String::new()), "no points\n");
    }
    /// Its value stood at every fourth row, as if it had that height.
    #[test]
    fn one_value_and_one_time_are_written_once() {
        let mut plot = Plot::new(&(7..=7), 20, 8);
        plot.add(7, 5.0);
        let picture = plot.render(&|time| format!("at {time}"));
        assert_eq!(picture.matches("5.00").count(), 1, "{picture}");
        assert_eq!(picture.matches("at 7").count(), 1, "{picture}");
        let row = picture.lines().find(|line| line.contains("5.00")).unwrap();
        assert!(row.contains('┤') && row.chars().any(|it| it > '\u{2800}'), "{picture}");
    }

    #[test]
    fn what_is_not_finite_is_counted_and_not_drawn() {
        let mut plot = Plot::new(&(0..=9), 20, 4);
        for (time, value) in
            [f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY].into_iter().enumerate()
        {
            plot.add(time as i64, value);
        }
        plot.add(10, f64::NAN);
        assert_eq!((plot.n_points(), plot.n_not_finite()), (1, 3));
    }
}
