//! How much of a file a pattern and a range of times take, without decoding a page.

use core::ops::RangeInclusive;

use tidegate_model::SeriesPattern;

use crate::ALL_TIMES;
use crate::DeviceExtent;
use crate::DeviceId;
use crate::ReadAt;
use crate::ReadError;
use crate::SeriesKind;
use crate::SeriesMetadata;
use crate::TimeRange;
use crate::TsFile;

/// Which points are wanted.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a pipe filters by
pub struct Wanted {
    /// Which series. Of the tree model: one that does not take all takes no series of a table.
    pub pattern: SeriesPattern,
    /// Which times, both ends included; empty if nothing is wanted.
    pub times: RangeInclusive<i64>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { pattern: SeriesPattern::all(), times: ALL_TIMES }
    }
}

/// How much of a file is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there is no fourth
pub enum Share {
    /// Every point.
    All,
    /// No point.
    Nothing,
    /// It must be looked at point by point.
    Some,
}

impl Share {
    /// What one thing after the other adds up to; `None` before the first.
    fn and(so_far: Option<Self>, next: Self) -> Option<Self> {
        Some(match so_far {
            None => next,
            Some(before) if before == next => next,
            Some(_) => Self::Some,
        })
    }
}

impl Wanted {
    /// Whether it takes everything.
    pub fn is_all(&self) -> bool {
        self.pattern.is_all() && self.times == ALL_TIMES
    }

    /// Whether there can be no such point.
    pub fn is_nothing(&self) -> bool {
        self.times.is_empty()
    }

    /// How much of a file with these devices is wanted, as far as that suffices to tell;
    /// [`Share::Some`] if not.
    ///
    /// # Arguments
    ///
    /// - `extents`: all devices of the file
    /// - `is_table_model`: whether they are of tables
    pub fn share_of_devices(&self, extents: &[DeviceExtent], is_table_model: bool) -> Share {
        if self.is_all() {
            return Share::All;
        }
        if self.is_nothing() {
            return Share::Nothing;
        }
        let shares = extents.iter().map(|extent| {
            let TimeRange { start, end } = extent.range.widened();
            match self.covers(&extent.device, is_table_model) {
                Share::Nothing => Share::Nothing,
                _ if self.misses(start, end) => Share::Nothing,
                Share::All if self.holds(start, end) => Share::All,
                _ => Share::Some,
            }
        });
        let mut so_far = None;
        for share in shares {
            so_far = Share::and(so_far, share);
            if so_far == Some(Share::Some) {
                break;
            }
        }
        so_far.unwrap_or(Share::Some)
    }

    /// How much of a file is wanted, by its index and the statistics in it.
    pub fn share_of<R: ReadAt>(
        &self,
        file: &TsFile<R>,
        is_table_model: bool,
    ) -> Result<Share, ReadError> {
        if self.is_all() {
            return Ok(Share::All);
        }
        let mut so_far = None;
        for device in file.devices() {
            let device = device?;
            let of_device = self.covers(device.id(), is_table_model);
            if of_device == Share::Nothing {
                so_far = Share::and(so_far, Share::Nothing);
            } else {
                for series in file.series(&device)? {
                    if let Some(share) = self.share_of_series(device.id(), of_device, &series?) {
                        so_far = Share::and(so_far, share);
                    }
                }
            }
            if so_far == Some(Share::Some) {
                break;
            }
        }
        Ok(so_far.unwrap_or(Share::All))
    }

    /// `None` if a series says nothing: it has no points, or they are those of others.
    fn share_of_series(
        &self,
        device: &DeviceId,
        of_device: Share,
        series: &SeriesMetadata,
    ) -> Option<Share> {
        let is_taken = match series.kind {
            // Rows of which all columns are null count with their times.
            SeriesKind::Time if of_device != Share::All => return None,
            SeriesKind::Time => true,
            SeriesKind::Plain | SeriesKind::Value => self.takes(device, of_device, series),
        };
        let statistics = &series.statistics;
        (statistics.count > 0).then(|| match is_taken {
            false => Share::Nothing,
            true if self.misses(statistics.start_time, statistics.end_time) => Share::Nothing,
            true if self.holds(statistics.start_time, statistics.end_time) => Share::All,
            true => Share::Some,
        })
    }

    /// How many of a device's series the pattern takes, as far as the device tells.
    pub(crate) fn covers(&self, device: &DeviceId, is_table_model: bool) -> Share {
        let pattern = &self.pattern;
        match is_table_model {
            _ if pattern.is_all() => Share::All,
            true => Share::Nothing,
            false if pattern.covers_device(&device.path) => Share::All,
            false if pattern.may_overlap_device(&device.path) => Share::Some,
            false => Share::Nothing,
        }
    }

    /// Whether a series of a device that [`covers`](Self::covers) said this of is taken.
    pub(crate) fn takes(
        &self,
        device: &DeviceId,
        of_device: Share,
        series: &SeriesMetadata,
    ) -> bool {
        match of_device {
            Share::All => true,
            Share::Nothing => false,
            Share::Some => self.pattern.matches_series(&device.path, &series.measurement),
        }
    }

    fn misses(&self, start: i64, end: i64) -> bool {
        self.times.is_empty() || *self.times.end() < start || end < *self.times.start()
    }

    fn holds(&self, start: i64, end: i64) -> bool {
        *self.times.start() <= start && end <= *self.times.end()
    }
}
