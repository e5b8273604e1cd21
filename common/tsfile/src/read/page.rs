//! Bodies of pages: times and values out of bytes.

use core::ops::Range;
use core::ops::RangeInclusive;

use tidegate_codec::Reader;
use tidegate_model::DataType;

use super::batch::BatchColumn;
use super::chunk::ChunkHeader;
use super::chunk::PageHeader;
use super::rows::ALL_TIMES;
use crate::Encoding;
use crate::EncodingError;
use crate::Extremes;
use crate::Limits;
use crate::ReadError;
use crate::RlbeMeaning;
use crate::Statistics;
use crate::TsFileVersion;
use crate::ValueStatistics;
use crate::Values;
use crate::decode_times;
use crate::decode_values;
use crate::encodings::TimesPart;
use crate::encodings::decode_times_between;
use crate::encodings::decode_values_between;

/// What is known of a page besides its own bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageContext<'a> {
    pub(crate) version: TsFileVersion,
    pub(crate) limits: Limits,
    pub(crate) chunk: &'a ChunkHeader,
    pub(crate) page: &'a PageHeader,
    /// Of the page's points: from its header, or of a chunk of one page from the index.
    pub(crate) statistics: Option<&'a Statistics>,
    /// How the times of series with times of their own are encoded, which no file says.
    pub(crate) time_encoding: Encoding,
    /// What RLBE means where no statistics tell.
    pub(crate) rlbe: Option<RlbeMeaning>,
}

impl PageContext<'_> {
    /// Times and values of a page of a series with times of its own.
    ///
    /// `wanted` are the times that are asked for: `batch` gets those in it, and no others. Returns
    /// the first and the last time that were decoded, which may be others.
    pub(crate) fn decode_plain(
        &self,
        body: &[u8],
        wanted: &RangeInclusive<i64>,
        times: &mut Vec<i64>,
        column: &mut BatchColumn,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        column.clear();
        let mut reader = Reader::new(body);
        let length = reader.uvar("length of the times of a page");
        let encoded_times = length
            .and_then(|length| {
                reader.take(usize::try_from(length).unwrap_or(usize::MAX), "times of a page")
            })
            .map_err(|_| {
                let expected = "times that end in their page";
                ReadError::unsound(self.page.offset, expected, "more bytes")
            })?;
        let part = self.decode_unnamed_times(encoded_times, wanted, times)?;
        let ends = times.first().copied().zip(times.last().copied());
        let rows = rows_of(part, wanted, times);
        let values = &mut column.values;
        let first = self.values(reader.take_rest(), part.n_rows, rows.clone(), values)?;
        values.keep(rows.start.saturating_sub(first)..rows.end.saturating_sub(first));
        column.presence.push_many(true, rows.len());
        Ok(ends)
    }

    /// Times of a page of a time column.
    pub(crate) fn decode_times(&self, body: &[u8], times: &mut Vec<i64>) -> Result<(), ReadError> {
        times.clear();
        decode_times(self.chunk.encoding, body, self.limits.page_rows_max, times)
            .map_err(|source| self.encoding_error("times", source))?;
        let all = TimesPart::all(times);
        self.check_times(times, all.n_rows, all.ends)
    }

    /// Times of a page of a time column that may be among `wanted`, and which of all these are.
    fn decode_times_between(
        &self,
        encoding: Encoding,
        body: &[u8],
        wanted: &RangeInclusive<i64>,
        times: &mut Vec<i64>,
    ) -> Result<TimesPart, ReadError> {
        let is_all = self.statistics.map_or(*wanted == ALL_TIMES, |known| {
            wanted.contains(&known.start_time) && wanted.contains(&known.end_time)
        });
        let max = self.limits.page_rows_max;
        let part = match is_all {
            true => {
                times.clear();
                let decoded = decode_times(encoding, body, max, times);
                decoded.map(|()| TimesPart::all(times))
            }
            false => decode_times_between(encoding, body, max, wanted, times),
        };
        let part = part.map_err(|source| self.encoding_error("times", source))?;
        self.check_times(times, part.n_rows, part.ends)?;
        Ok(part)
    }

    /// Times of a page of a time column that are `wanted`, and no others.
    pub(crate) fn decode_rows(
        &self,
        body: &[u8],
        wanted: &RangeInclusive<i64>,
        times: &mut Vec<i64>,
    ) -> Result<PageRows, ReadError> {
        let part = self.decode_times_between(self.chunk.encoding, body, wanted, times)?;
        let ends = times.first().copied().zip(times.last().copied());
        let wanted = rows_of(part, wanted, times);
        Ok(PageRows { n_rows: part.n_rows, wanted, ends })
    }

    /// Rows of a column of a page of an aligned device.
    ///
    /// # Arguments
    ///
    /// - `n_rows`: how many rows the page has
    /// - `wanted`: which of them are asked for: `column` gets these and no others
    pub(crate) fn decode_column(
        &self,
        body: &[u8],
        n_rows: usize,
        wanted: Range<usize>,
        column: &mut BatchColumn,
    ) -> Result<(), ReadError> {
        column.clear();
        if self.page.uncompressed_bytes == 0 {
            column.presence.push_many(false, wanted.len());
            return Ok(());
        }
        let mut reader = Reader::new(body);
        let mut bits = || {
            let found = usize::try_from(reader.i32("rows")?).unwrap_or(usize::MAX);
            Ok((found, reader.take(found.div_ceil(8), "bitmap")?))
        };
        let (found, bits) = bits().map_err(|_: tidegate_codec::Error| {
            let expected = "a bitmap that ends in its page";
            ReadError::unsound(self.page.offset, expected, "more rows than bytes")
        })?;
        if found != n_rows {
            let expected = "as many rows as its time page has";
            let found = format!("{found} instead of {n_rows}");
            return Err(ReadError::unsound(self.page.offset, expected, found));
        }
        let BatchColumn { presence, values, .. } = column;
        presence.set_bits(bits, n_rows);
        let n_values = presence.count();
        if wanted == (0..n_rows) {
            self.values(reader.take_rest(), n_values, 0..n_values, values)?;
            return Ok(());
        }
        let range = presence.rank(wanted.start)..presence.rank(wanted.end);
        presence.keep(wanted);
        let first = self.values(reader.take_rest(), n_values, range.clone(), values)?;
        values.keep(range.start.saturating_sub(first)..range.end.saturating_sub(first));
        Ok(())
    }

    /// How much of the body of a page of a series with times of its own most likely has all points up to
    /// the time `end`; `None` if that is most of it or cannot be told.
    pub(crate) fn n_bytes_up_to(&self, end: i64) -> Option<usize> {
        let Statistics { start_time, end_time, .. } = *self.statistics?;
        let length = end_time.checked_sub(start_time)?;
        let wanted = end.checked_sub(start_time)?;
        // All times come before the first value.
        self.n_bytes_for(wanted, length).map(|n_bytes| n_bytes.saturating_add(TIMES_BYTES))
    }

    /// The same for the wanted rows of a page of a column.
    pub(crate) fn n_bytes_of(&self, rows: &PageRows) -> Option<usize> {
        let (wanted, all) = (i64::try_from(rows.wanted.end), i64::try_from(rows.n_rows));
        self.n_bytes_for(wanted.ok()?, all.ok()?)
    }

    /// The same for `wanted` parts of `all`.
    fn n_bytes_for(&self, wanted: i64, all: i64) -> Option<usize> {
        let is_integer = !matches!(self.chunk.data_type, Some(DataType::Float | DataType::Double));
        let has_front = match self.chunk.encoding {
            Encoding::Plain | Encoding::Gorilla | Encoding::Chimp => true,
            Encoding::Ts2Diff => is_integer,
            _ => false,
        };
        if wanted >= all || !has_front {
            return None;
        }
        let all_bytes = f64::from(self.page.uncompressed_bytes);
        // Some more than their share, since not all values are equally long.
        let n_bytes = all_bytes * (wanted as f64 / all as f64 + 0.03125) + 512.0;
        (n_bytes < all_bytes).then_some(n_bytes as usize)
    }

    /// Tries the encodings that times may have until one fits what is known of them.
    fn decode_unnamed_times(
        &self,
        input: &[u8],
        wanted: &RangeInclusive<i64>,
        times: &mut Vec<i64>,
    ) -> Result<TimesPart, ReadError> {
        // Without statistics, all times must be in order for an encoding to fit.
        let everything = &ALL_TIMES;
        let wanted = if self.statistics.is_some() { wanted } else { everything };
        let others = TIME_ENCODINGS.into_iter().filter(|other| *other != self.time_encoding);
        let mut first = self.decode_times_between(self.time_encoding, input, wanted, times);
        for encoding in others {
            if first.is_ok() {
                break;
            }
            let other = self.decode_times_between(encoding, input, wanted, times);
            first = other.or(first);
        }
        first
    }

    /// Times ascend, and are those of the statistics.
    fn check_times(
        &self,
        times: &[i64],
        n_rows: usize,
        ends: Option<(i64, i64)>,
    ) -> Result<(), ReadError> {
        let pairs = || times.iter().zip(times.iter().skip(1));
        // Looking at all pairs without a way out is what a compiler makes wide instructions of.
        if pairs().fold(false, |disorder, (before, after)| disorder | (before >= after)) {
            let time = pairs().find(|(before, after)| before >= after).map_or(0, |(_, it)| *it);
            return Err(ReadError::Unordered { offset: self.page.offset, time });
        }
        let Some(statistics) = self.statistics else { return Ok(()) };
        let count = usize::try_from(statistics.count).unwrap_or(usize::MAX);
        let found = (n_rows, ends);
        let expected = (count, Some((statistics.start_time, statistics.end_time)));
        if found != expected && (count, n_rows) != (0, 0) {
            let what = "number, first and last time of its statistics";
            let shown = |(n_rows, ends): (usize, Option<(i64, i64)>)| match ends {
                Some((first, last)) => format!("{n_rows} points from {first} to {last}"),
                None => format!("{n_rows} points"),
            };
            let found = format!("{}, instead of {}", shown(found), shown(expected));
            return Err(ReadError::unsound(self.page.offset, what, found));
        }
        Ok(())
    }

    /// Values `wanted` of `n_values`, and perhaps more; which of all values the first one is.
    fn values(
        &self,
        input: &[u8],
        n_values: usize,
        wanted: Range<usize>,
        values: &mut Values,
    ) -> Result<usize, ReadError> {
        let (encoding, Some(data_type)) = (self.chunk.encoding, self.chunk.data_type) else {
            return Ok(0);
        };
        if encoding == Encoding::Rlbe || wanted == (0..n_values) {
            return self.all_values(input, n_values, values).map(|()| 0);
        }
        decode_values_between(encoding, data_type, input, n_values, wanted, values)
            .map_err(|source| self.encoding_error(&self.chunk.measurement, source))
    }

    /// Exactly `n_values` values.
    fn all_values(
        &self,
        input: &[u8],
        n_values: usize,
        values: &mut Values,
    ) -> Result<(), ReadError> {
        values.clear();
        let Some(data_type) = self.chunk.data_type else { return Ok(()) };
        let mut decode = |meaning| {
            values.clear();
            decode_values(self.chunk.encoding, data_type, meaning, input, n_values, values)
                .map_err(|source| self.encoding_error(&self.chunk.measurement, source))
        };
        if self.chunk.encoding != Encoding::Rlbe || self.version == TsFileVersion::V3 {
            return decode(RlbeMeaning::FloatDifference);
        }
        if let (Some(known), None) = (self.rlbe, self.statistics) {
            return decode(known);
        }
        // The libraries of v4 wrote the one and then the other, and no file says which.
        decode(RlbeMeaning::BitDifference)?;
        let as_bits = values.clone();
        values.clear();
        let old = RlbeMeaning::FloatDifference;
        let decoded = decode_values(self.chunk.encoding, data_type, old, input, n_values, values);
        if decoded.is_err() {
            *values = as_bits;
            return Ok(());
        }
        let Some(known) = self.statistics else {
            if *values == as_bits {
                return Ok(());
            }
            let expected = "statistics that tell which RLBE this is";
            let found = "a page without, in a file that was not finished";
            return Err(ReadError::unsound(self.page.offset, expected, found));
        };
        let fit = |values| Fit::of(&Statistics::of_values(data_type, 0, 0, values), known);
        // Differences of bits lose nothing, so that what has other statistics is none of these.
        let is_bits = fit(&as_bits).is_some_and(|bits| match fit(values) {
            Some(floats) => bits > floats || bits == floats && !may_be_floats(&as_bits),
            None => true,
        });
        if is_bits {
            *values = as_bits;
        }
        Ok(())
    }

    fn encoding_error(&self, column: &str, source: EncodingError) -> ReadError {
        ReadError::Encoding { offset: self.page.offset, column: column.into(), source }
    }
}

/// Rows of a page that are asked for.
#[derive(Clone, Debug)]
pub(crate) struct PageRows {
    /// How many rows the page has.
    pub(crate) n_rows: usize,
    /// Those that are asked for.
    pub(crate) wanted: Range<usize>,
    /// The first and the last time that were decoded.
    pub(crate) ends: Option<(i64, i64)>,
}

/// Leaves those of a part of a page's times that are wanted, and returns which rows they are.
fn rows_of(part: TimesPart, wanted: &RangeInclusive<i64>, times: &mut Vec<i64>) -> Range<usize> {
    let first = times.partition_point(|time| time < wanted.start());
    let behind = times.partition_point(|time| time <= wanted.end()).max(first);
    times.truncate(behind);
    times.drain(..first);
    part.first_row.saturating_add(first)..part.first_row.saturating_add(behind)
}

/// What the times of a page take mostly.
const TIMES_BYTES: usize = 2048;

/// What IoTDB's setting `time_encoder` may be.
const TIME_ENCODINGS: [Encoding; 3] = [Encoding::Ts2Diff, Encoding::Plain, Encoding::Rle];

/// How well values fit their statistics, of which they have the first, last, least and greatest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fit {
    /// All but the sum.
    Ends,
    /// The sum as well.
    Whole,
}

impl Fit {
    fn of(found: &Statistics, known: &Statistics) -> Option<Self> {
        fn of<T: Copy + Into<f64>>(
            found: &Extremes<T, f64>,
            known: &Extremes<T, f64>,
        ) -> Option<Fit> {
            // The library writes every NaN as the same one.
            let same = |a: T, b: T| {
                let (a, b): (f64, f64) = (a.into(), b.into());
                a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
            };
            let is_same = same(found.first, known.first)
                && same(found.last, known.last)
                && same(found.min, known.min)
                && same(found.max, known.max);
            let sums = [found.sum, known.sum];
            let is_whole = found.sum == known.sum || sums.iter().all(|sum| sum.is_nan());
            is_same.then_some(if is_whole { Fit::Whole } else { Fit::Ends })
        }
        match (&found.values, &known.values) {
            (ValueStatistics::Float(found), ValueStatistics::Float(known)) => of(found, known),
            (ValueStatistics::Double(found), ValueStatistics::Double(known)) => of(found, known),
            _ => Some(Self::Whole),
        }
    }
}

/// Whether values that were read as differences of bits may be differences of numbers: of these,
/// every one behind a NaN is a NaN.
fn may_be_floats(as_bits: &Values) -> bool {
    fn all<T: Copy + Into<f64>>(values: &[T], is_nan_between: impl Fn(T, T) -> bool) -> bool {
        let is_nan = |value: &T| -> bool { (*value).into().is_nan() };
        let first = values.iter().position(is_nan).unwrap_or(values.len());
        values.get(first..).unwrap_or_default().windows(2).all(|pair| match pair {
            [before, after] => is_nan_between(*before, *after),
            _ => true,
        })
    }
    match as_bits {
        Values::Float(values) => all(values, |before, after| {
            f32::from_bits(after.to_bits().wrapping_sub(before.to_bits())).is_nan()
        }),
        Values::Double(values) => all(values, |before, after| {
            f64::from_bits(after.to_bits().wrapping_sub(before.to_bits())).is_nan()
        }),
        _ => true,
    }
}
