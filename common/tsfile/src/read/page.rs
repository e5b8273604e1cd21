//! Bodies of pages: times and values out of bytes.

use tidegate_codec::Reader;

use super::batch::BatchColumn;
use super::chunk::ChunkHeader;
use super::chunk::PageHeader;
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
    /// Times and values of a page of a series with times of its own, up to the time `end`.
    pub(crate) fn decode_plain(
        &self,
        body: &[u8],
        end: i64,
        times: &mut Vec<i64>,
        values: &mut Values,
    ) -> Result<(), ReadError> {
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
        self.decode_unnamed_times(encoded_times, times)?;
        times.truncate(self.n_rows_up_to(end, times));
        self.values(reader.take_rest(), times.len(), values)
    }

    /// Times of a page of a time column.
    pub(crate) fn decode_times(&self, body: &[u8], times: &mut Vec<i64>) -> Result<(), ReadError> {
        times.clear();
        decode_times(self.chunk.encoding, body, self.limits.page_rows_max, times)
            .map_err(|source| self.encoding_error("times", source))?;
        self.check_times(times)
    }

    /// The first rows of a column of a page of an aligned device.
    ///
    /// # Arguments
    ///
    /// - `n_rows`: how many rows the page has
    /// - `n_wanted`: how many of them are decoded
    pub(crate) fn decode_column(
        &self,
        body: &[u8],
        n_rows: usize,
        n_wanted: usize,
        column: &mut BatchColumn,
    ) -> Result<(), ReadError> {
        column.clear();
        if self.page.uncompressed_bytes == 0 {
            column.presence.push_many(false, n_wanted);
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
        let n_decoded = if self.stops_anywhere() { n_wanted } else { n_rows };
        let bits = bits.get(..n_decoded.div_ceil(8)).unwrap_or(bits);
        column.presence.set_bits(bits, n_decoded);
        self.values(reader.take_rest(), column.presence.count(), &mut column.values)?;
        column.keep_first(n_wanted);
        Ok(())
    }

    /// How many rows have to be decoded so that those up to the time `end` are there.
    fn n_rows_up_to(&self, end: i64, times: &[i64]) -> usize {
        match self.stops_anywhere() {
            true => times.partition_point(|time| *time <= end),
            false => times.len(),
        }
    }

    /// Whether the first values of a page can be decoded without the others: not if the encoding
    /// has blocks, of which none may have more values than are asked for.
    fn stops_anywhere(&self) -> bool {
        let value_by_value = [Encoding::Plain, Encoding::Gorilla, Encoding::Chimp];
        value_by_value.contains(&self.chunk.encoding)
    }

    /// Tries the encodings that times may have until one fits what is known of them.
    fn decode_unnamed_times(&self, input: &[u8], times: &mut Vec<i64>) -> Result<(), ReadError> {
        let others = TIME_ENCODINGS.into_iter().filter(|other| *other != self.time_encoding);
        let mut first_error = None;
        for encoding in core::iter::once(self.time_encoding).chain(others) {
            times.clear();
            let decoded = decode_times(encoding, input, self.limits.page_rows_max, times)
                .map_err(|source| self.encoding_error("times", source));
            match decoded.and_then(|()| self.check_times(times)) {
                Ok(()) => return Ok(()),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Times ascend, and are those of the statistics.
    fn check_times(&self, times: &[i64]) -> Result<(), ReadError> {
        let pairs = || times.iter().zip(times.iter().skip(1));
        // Looking at all pairs without a way out is what a compiler makes wide instructions of.
        if pairs().fold(false, |disorder, (before, after)| disorder | (before >= after)) {
            let time = pairs().find(|(before, after)| before >= after).map_or(0, |(_, it)| *it);
            return Err(ReadError::Unordered { offset: self.page.offset, time });
        }
        let Some(statistics) = self.statistics else { return Ok(()) };
        let found = (times.len(), times.first().copied(), times.last().copied());
        let count = usize::try_from(statistics.count).unwrap_or(usize::MAX);
        let expected = (count, Some(statistics.start_time), Some(statistics.end_time));
        if found != expected && (count, times.len()) != (0, 0) {
            let what = "number, first and last time of its statistics";
            let found = format!("{found:?} instead of {expected:?}");
            return Err(ReadError::unsound(self.page.offset, what, found));
        }
        Ok(())
    }

    /// Exactly `n_values` values.
    fn values(&self, input: &[u8], n_values: usize, values: &mut Values) -> Result<(), ReadError> {
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
        if self.statistics.is_some_and(|statistics| fits(values, statistics)) {
            return Ok(());
        }
        let as_bits = values.clone();
        values.clear();
        let old = RlbeMeaning::FloatDifference;
        let decoded = decode_values(self.chunk.encoding, data_type, old, input, n_values, values);
        match self.statistics {
            Some(known) if decoded.is_ok() && nearly_fits(values, known) => (),
            None if *values != as_bits => {
                let expected = "statistics that tell which RLBE this is";
                let found = "a page without, in a file that was not finished";
                return Err(ReadError::unsound(self.page.offset, expected, found));
            }
            _ => *values = as_bits,
        }
        Ok(())
    }

    fn encoding_error(&self, column: &str, source: EncodingError) -> ReadError {
        ReadError::Encoding { offset: self.page.offset, column: column.into(), source }
    }
}

/// What IoTDB's setting `time_encoder` may be.
const TIME_ENCODINGS: [Encoding; 3] = [Encoding::Ts2Diff, Encoding::Plain, Encoding::Rle];

/// Whether first and last value are those of the statistics to the bit.
fn fits(values: &Values, statistics: &Statistics) -> bool {
    match (values, &statistics.values) {
        (Values::Float(values), ValueStatistics::Float(known)) => {
            let bits = |value: Option<&f32>| value.map(|value| value.to_bits());
            bits(values.first()) == Some(known.first.to_bits())
                && bits(values.last()) == Some(known.last.to_bits())
        }
        (Values::Double(values), ValueStatistics::Double(known)) => {
            let bits = |value: Option<&f64>| value.map(|value| value.to_bits());
            bits(values.first()) == Some(known.first.to_bits())
                && bits(values.last()) == Some(known.last.to_bits())
        }
        _ => true,
    }
}

/// Whether first and last value are those of the statistics but for what adding differences rounds.
fn nearly_fits(values: &Values, statistics: &Statistics) -> bool {
    fn near<T: Copy + Into<f64>>(values: &[T], known: &Extremes<T, f64>) -> bool {
        let (first, last) = (known.first.into(), known.last.into());
        let reach: f64 = known.min.into().abs().max(known.max.into().abs());
        let is_near = |found: Option<&T>, known: f64| {
            found.is_some_and(|found| ((*found).into() - known).abs() <= reach * 1e-3)
        };
        is_near(values.first(), first) && is_near(values.last(), last)
    }
    match (values, &statistics.values) {
        (Values::Float(values), ValueStatistics::Float(known)) => near(values, known),
        (Values::Double(values), ValueStatistics::Double(known)) => near(values, known),
        _ => true,
    }
}
