//! Files that were not finished: everything up to the last point at which a flush was complete.

use std::collections::HashMap;

use tidegate_model::DataType;

use super::batch::BatchColumn;
use super::chunk::ChunkHeader;
use super::chunk::Pages;
use super::file::Index;
use super::index::ChunkMetadata;
use super::index::SeriesKind;
use super::index::SeriesMetadata;
use super::page::PageContext;
use super::recent::Recent;
use super::rows::ALL_TIMES;
use super::source::Window;
use super::walk::DataEntries;
use super::walk::DataEntry;
use crate::DeviceId;
use crate::Encoding;
use crate::Limits;
use crate::ReadAt;
use crate::ReadError;
use crate::RlbeMeaning;
use crate::Statistics;
use crate::TsFile;
use crate::TsFileVersion;

/// What has to be known of a file that was not finished, since only its end would tell.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // what only statistics tell
pub struct Unfinished {
    /// How the times of series with times of their own are encoded.
    pub time_encoding: Encoding,
    /// What RLBE means for FLOAT and DOUBLE in v4. If it is `None`, such pages are trouble, unless
    /// both meanings give the same values: nobody may guess values.
    pub rlbe: Option<RlbeMeaning>,
    /// How much memory may be taken.
    pub limits: Limits,
}

impl Default for Unfinished {
    fn default() -> Self {
        Self { time_encoding: Encoding::Ts2Diff, rlbe: None, limits: Limits::default() }
    }
}

/// What could be read of a file without its tail.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered<R> {
    /// The file, with an index in memory of what can be trusted.
    pub file: TsFile<R>,
    /// Where what can be trusted ends.
    pub end: u64,
    /// Why it ends before the end of the file: the first thing behind it that cannot be read, if
    /// the reason is not that the bytes just end.
    pub trouble: Option<ReadError>,
}

impl<R: ReadAt> TsFile<R> {
    /// Reads a file that was not finished, or whose tail is lost.
    ///
    /// A chunk group counts if another entry stands behind it, as IoTDB's own recovery has it: the
    /// last one may have been cut in the middle of a chunk's successor. Memory taken: the metadata
    /// of all chunks.
    pub fn open_unfinished(source: R, known: Unfinished) -> Result<Recovered<R>, ReadError> {
        let Unfinished { time_encoding, limits, .. } = known;
        let mut entries = DataEntries::new(&source)?;
        let version = entries.version();
        let mut found = Found::default();
        let mut end = entries.position();
        let mut trouble = None;
        let reader = GroupReader { source: &source, version, known };
        let mut times = Vec::new();
        loop {
            let position = entries.position();
            match entries.next() {
                Some(Ok(DataEntry::Chunk(header))) => {
                    match reader.statistics(&header, &mut times) {
                        Ok(statistics) => found.pending.push((header, statistics)),
                        Err(error) => {
                            trouble = Some(error);
                            break;
                        }
                    }
                }
                Some(Ok(DataEntry::Group { device, .. })) => {
                    found.settle();
                    end = position;
                    found.device = Some(device);
                }
                Some(Ok(DataEntry::PlanIndexes { .. } | DataEntry::Separator { .. })) => {
                    found.settle();
                    end = entries.position();
                }
                Some(Err(error)) => {
                    trouble = Some(error);
                    break;
                }
                None => break,
            }
        }
        let index = Index::Found { devices: found.devices, end };
        let recent = Recent::default();
        let file = Self { source, version, limits, time_encoding, index, recent };
        Ok(Recovered { file, end, trouble })
    }
}

/// What a walk has found so far.
#[derive(Default)]
struct Found {
    devices: Vec<(DeviceId, Vec<SeriesMetadata>)>,
    /// Where in `devices` a device is.
    places: HashMap<DeviceId, usize>,
    /// Where among the series of a device a measurement is.
    series: HashMap<(usize, Box<str>), usize>,
    /// Chunks of a group that is not known to be complete.
    pending: Vec<(ChunkHeader, Statistics)>,
    /// Device of that group.
    device: Option<DeviceId>,
}

impl Found {
    /// The group is complete.
    fn settle(&mut self) {
        let chunks = core::mem::take(&mut self.pending);
        let Some(device) = self.device.take().filter(|_| !chunks.is_empty()) else { return };
        let at = *self.places.entry(device.clone()).or_insert(self.devices.len());
        if at == self.devices.len() {
            self.devices.push((device, Vec::new()));
        }
        let Some((_, series)) = self.devices.get_mut(at) else { return };
        for (header, statistics) in chunks {
            let chunk = ChunkMetadata { offset: header.offset, statistics: statistics.clone() };
            let key = (at, header.measurement.clone());
            let place = *self.series.entry(key).or_insert(series.len());
            if let Some(known) = series.get_mut(place) {
                known.statistics.merge(&statistics);
                known.chunks.push(chunk);
                continue;
            }
            series.push(SeriesMetadata {
                kind: header.kind,
                measurement: header.measurement,
                data_type: header.data_type,
                statistics,
                chunks: vec![chunk],
            });
        }
    }
}

/// Finds out what the index would say of chunks.
struct GroupReader<'s, R> {
    source: &'s R,
    version: TsFileVersion,
    known: Unfinished,
}

impl<R: ReadAt> GroupReader<'_, R> {
    /// Statistics of a chunk: those of its pages, or of a page without any those of its points.
    ///
    /// `times` keeps those of a time chunk of one page for the value chunks behind it.
    fn statistics(
        &self,
        header: &ChunkHeader,
        times: &mut Vec<i64>,
    ) -> Result<Statistics, ReadError> {
        let Self { source, version, known } = *self;
        let Unfinished { time_encoding, rlbe, limits } = known;
        let mut total = Statistics::empty(header.data_type);
        let window = Window::one_of(1);
        let mut pages = Pages::open(source, header.offset, header.end(), window, limits)?;
        let mut buffer = Vec::new();
        while let Some(page) = pages.next(source)? {
            if let Some(statistics) = &page.statistics {
                total.merge(statistics);
                continue;
            }
            if page.uncompressed_bytes == 0 {
                continue;
            }
            let context = PageContext {
                version,
                limits,
                chunk: header,
                page: &page,
                statistics: None,
                time_encoding,
                rlbe,
            };
            let body = pages.body(source, &page, &mut buffer)?;
            let data_type = header.data_type.unwrap_or(DataType::Int64);
            match header.kind {
                SeriesKind::Time => {
                    context.decode_times(body, times)?;
                    total.merge(&Statistics::of(None, times, None));
                }
                SeriesKind::Plain => {
                    let (mut own, mut column) = (Vec::new(), BatchColumn::new(data_type));
                    context.decode_plain(body, &ALL_TIMES, &mut own, &mut column)?;
                    total.merge(&Statistics::of(header.data_type, &own, Some(&column.values)));
                }
                SeriesKind::Value => {
                    let mut column = BatchColumn::new(data_type);
                    context.decode_column(body, times.len(), 0..times.len(), &mut column)?;
                    let there = times.iter().zip(column.presence.iter());
                    let own: Vec<i64> =
                        there.filter(|(_, is_there)| *is_there).map(|(time, _)| *time).collect();
                    total.merge(&Statistics::of(header.data_type, &own, Some(&column.values)));
                }
            }
        }
        Ok(total)
    }
}
