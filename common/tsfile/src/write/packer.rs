//! Bodies of pages: encoded, and compressed here or by others.

use tidegate_codec::PipeCompression;
use tidegate_codec::PipeCompressor;

use super::chunk::Chunk;
use super::crew::Crew;
use super::crew::PageHelper;
use super::crew::Ticket;
use super::error::WriteError;
use super::options::SeriesSpec;
use super::out::encode;
use crate::BatchColumn;
use crate::Compression;
use crate::Encoding;
use crate::Limits;
use crate::Statistics;
use crate::Values;
use crate::encode_times;
use crate::encode_values;

/// How times are encoded: IoTDB's default, and since no file says how those of a series with times
/// of its own are, what every reader tries first.
pub(crate) const TIME_ENCODING: Encoding = Encoding::Ts2Diff;

/// Makes the bodies of pages.
#[derive(Debug)]
pub(crate) struct Packer {
    compression: Compression,
    hands: Hands,
    /// A body before it is compressed.
    body: Vec<u8>,
    /// Times of which only the length stands before them.
    times: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(compression: Compression) -> Result<Self, WriteError> {
        let hands = match compression {
            Compression::Uncompressed => Hands::None,
            Compression::By(by) => {
                let compressor = PipeCompressor::new(by).map_err(WriteError::Compression)?;
                Hands::Own { by, compressor }
            }
        };
        Ok(Self { compression, hands, body: Vec::new(), times: Vec::new() })
    }

    /// Somebody who helps to compress from now on; `None` if nothing is compressed.
    pub(crate) fn helper(&mut self) -> Result<Option<PageHelper>, WriteError> {
        if let Hands::Own { by, .. } = self.hands {
            self.hands = Hands::Crew(Crew::new(by).map_err(WriteError::Compression)?);
        }
        Ok(match &self.hands {
            Hands::Crew(crew) => Some(crew.helper()),
            _ => None,
        })
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// A page of a series with times of its own.
    pub(crate) fn plain(
        &mut self,
        times: &[i64],
        series: &SeriesSpec,
        values: &Values,
        chunk: &mut Chunk,
    ) -> Result<(), WriteError> {
        let Self { body, times: encoded, .. } = self;
        body.clear();
        encoded.clear();
        encode_times(TIME_ENCODING, times, encoded).map_err(of_times)?;
        let length = checked(encoded.len())?;
        encode(body, |writer| {
            writer.uvar(length);
            writer.bytes(encoded);
        })?;
        put_values(series, values, body)?;
        self.finish(Statistics::of(Some(series.data_type), times, Some(values)), chunk)
    }

    /// A page of the time column of an aligned device.
    pub(crate) fn times(&mut self, times: &[i64], chunk: &mut Chunk) -> Result<(), WriteError> {
        self.body.clear();
        encode_times(TIME_ENCODING, times, &mut self.body).map_err(of_times)?;
        self.finish(Statistics::of(None, times, None), chunk)
    }

    /// A page of another column of an aligned device.
    pub(crate) fn column(
        &mut self,
        times: &[i64],
        series: &SeriesSpec,
        column: &BatchColumn,
        chunk: &mut Chunk,
    ) -> Result<(), WriteError> {
        let BatchColumn { values, presence, .. } = column;
        let time = |row: Option<usize>| row.and_then(|row| times.get(row).copied());
        let (Some(start), Some(end)) = (time(presence.first()), time(presence.last())) else {
            return chunk.push_empty_later();
        };
        self.body.clear();
        encode(&mut self.body, |writer| writer.length(presence.len()))?;
        presence.write_bits(&mut self.body);
        put_values(series, values, &mut self.body)?;
        self.finish(Statistics::of_values(series.data_type, start, end, values), chunk)
    }

    fn finish(&mut self, statistics: Statistics, chunk: &mut Chunk) -> Result<(), WriteError> {
        let body_bytes = checked(self.body.len())?;
        match &mut self.hands {
            Hands::None => chunk.push(body_bytes, body_bytes, &self.body, statistics),
            Hands::Own { compressor, .. } => {
                let packed = compressor.compress(&self.body).map_err(WriteError::Compression)?;
                chunk.push(body_bytes, checked(packed.len())?, packed, statistics)
            }
            Hands::Crew(crew) => {
                let body = core::mem::replace(&mut self.body, crew.spare());
                chunk.push_later(crew.hand_in(body), body_bytes, statistics)
            }
        }
    }

    /// The compressed body that a ticket stands for.
    pub(super) fn ask_for(&mut self, body: Ticket) -> Result<Vec<u8>, WriteError> {
        match &mut self.hands {
            Hands::Crew(crew) => crew.ask_for(body).map_err(WriteError::Compression),
            // Tickets are a crew's, and a crew stays.
            _ => Err(WriteError::Failed),
        }
    }

    /// Takes memory back.
    pub(super) fn keep(&self, spare: Vec<u8>) {
        if let Hands::Crew(crew) = &self.hands {
            crew.keep(spare);
        }
    }
}

/// Who compresses.
#[derive(Debug)]
enum Hands {
    /// Nobody.
    None,
    /// Who makes the pages.
    Own { by: PipeCompression, compressor: PipeCompressor },
    /// Others, too.
    Crew(Crew),
}

fn of_times(source: crate::EncodingError) -> WriteError {
    WriteError::Encoding { column: "times".into(), source }
}

fn put_values(series: &SeriesSpec, values: &Values, body: &mut Vec<u8>) -> Result<(), WriteError> {
    encode_values(series.encoding, series.data_type, values, 0..values.len(), body)
        .map_err(|source| WriteError::Encoding { column: series.measurement.clone(), source })
}

/// A length of a page, which our own reader must take.
pub(super) fn checked(found: usize) -> Result<u32, WriteError> {
    let max = Limits::default().page_bytes_max;
    let length = u32::try_from(found).ok().filter(|_| found <= max);
    length.ok_or(WriteError::TooLarge { what: "length of a page", found, max })
}
