//! Which rows go because they are too old, or too many.
//!
//! Age needs a clock, and clocks are wrong at times: after a battery has died, a mistyped date, a bad
//! time server. What has gone does not come back. So a clock that moves ahead is believed once it has
//! stayed there for a day. Until the daemon has run for a day nothing is known of the clock, and
//! rows of an origin are no older than its newest row says.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;

use tidegate_model::Precision;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_store::Volume;

/// A clock that moved ahead is believed after this.
const BELIEVED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Looks at the clock within this time are one.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What is worth a line in the log.
const AHEAD_MS_MIN: i64 = 60 * 60 * 1000;
/// Origins of which it is told that their newest file is too long.
const OVERSIZED_MAX: usize = 1024;

/// What is kept of each origin.
#[derive(Debug)]
pub(super) struct Retention {
    /// Rows older than this go; 0 for none.
    keep_ms: u64,
    /// What files of an origin may take; 0 for anything.
    bytes_max: u64,
    clock: Clock,
    is_doubted: bool,
    /// Origins whose newest file takes more than that, which was told.
    oversized: BTreeSet<String>,
}

/// The present time, as far as it is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Believed {
    pub(super) now_ms: i64,
    /// Whether the clock has been watched for long enough.
    pub(super) is_settled: bool,
}

impl Retention {
    pub(super) fn new(keep_ms: u64, bytes_max: u64) -> Self {
        Self {
            keep_ms,
            bytes_max,
            clock: Clock::default(),
            is_doubted: false,
            oversized: BTreeSet::new(),
        }
    }

    /// Whether anything ever goes.
    pub(super) fn is_on(&self) -> bool {
        self.keep_ms > 0 || self.bytes_max > 0
    }

    /// Looks at the clock.
    ///
    /// # Arguments
    ///
    /// - `running`: how long the daemon has run, of a clock that nobody sets
    pub(super) fn look(&mut self, wall_ms: i64, running: Duration) -> Believed {
        let believed = self.clock.look(wall_ms, running);
        let ahead_ms = wall_ms.saturating_sub(believed.now_ms);
        let is_doubted = ahead_ms >= AHEAD_MS_MIN;
        if is_doubted != self.is_doubted && self.keep_ms > 0 {
            match is_doubted {
                true => tracing::warn!(
                    ahead_ms,
                    "the clock has moved ahead; rows expire by it once it has stayed there for a day"
                ),
                false => tracing::info!("rows expire by the clock again"),
            }
        }
        self.is_doubted = is_doubted;
        believed
    }

    /// Lets go what is too old, or too much, but for the newest file.
    pub(super) fn apply<V: Volume>(
        &mut self,
        origin: &str,
        store: &mut Store<V>,
        believed: Believed,
    ) -> Result<(), StoreError> {
        let before = files_of(store);
        let applied = self.let_go(origin, store, believed);
        let left = files_of(store);
        let n_files = before.0.saturating_sub(left.0);
        if n_files > 0 {
            let bytes = before.1.saturating_sub(left.1);
            tracing::info!(
                origin,
                n_files,
                bytes,
                "files of the store removed, too old or too much"
            );
        }
        applied
    }

    fn let_go<V: Volume>(
        &mut self,
        origin: &str,
        store: &mut Store<V>,
        believed: Believed,
    ) -> Result<(), StoreError> {
        if let Some(start) = self.start(store, believed) {
            store.expire(start)?;
        }
        if self.bytes_max > 0 {
            let left_bytes = store.shrink(self.bytes_max)?;
            if self.is_to_be_told(origin, left_bytes) {
                tracing::warn!(
                    origin,
                    file_bytes = left_bytes,
                    receiver_store_max_bytes = self.bytes_max,
                    "the newest file of a store is longer than receiver_store_max_bytes; it is kept, raise the key"
                );
            }
        }
        Ok(())
    }

    /// Whether an origin takes more than it may, for the first time since it did not.
    fn is_to_be_told(&mut self, origin: &str, left_bytes: u64) -> bool {
        if left_bytes <= self.bytes_max {
            self.oversized.remove(origin);
            return false;
        }
        // peers choose how many origins there are
        self.oversized.len() < OVERSIZED_MAX && self.oversized.insert(origin.to_owned())
    }

    /// The first time that is kept, in the unit of the store.
    fn start<V: Volume>(&self, store: &Store<V>, believed: Believed) -> Option<i64> {
        let keep_ms = i64::try_from(self.keep_ms).ok().filter(|keep_ms| *keep_ms > 0)?;
        let per_ms = store.precision().unwrap_or(Precision::Ms).per_ms();
        let newest = store.newest()?;
        let now = believed.now_ms.saturating_mul(per_ms);
        let now = if believed.is_settled { now } else { now.min(newest) };
        Some(now.saturating_sub(keep_ms.saturating_mul(per_ms)))
    }
}

/// How many files a store has, and what they take.
fn files_of<V: Volume>(store: &Store<V>) -> (usize, u64) {
    let bytes = store.layers().map(|layer| layer.length_bytes).fold(0, u64::saturating_add);
    (store.layers().count(), bytes)
}

/// How far the wall clock was ahead of one that nobody sets, at its least within a day.
#[derive(Debug, Default)]
struct Clock {
    /// When, and how far; both ascending, so that the first is the least.
    looks: VecDeque<(Duration, i64)>,
}

impl Clock {
    fn look(&mut self, wall_ms: i64, running: Duration) -> Believed {
        let running_ms = i64::try_from(running.as_millis()).unwrap_or(i64::MAX);
        let ahead_ms = wall_ms.saturating_sub(running_ms);
        while self.looks.pop_back_if(|(_, known_ms)| *known_ms >= ahead_ms).is_some() {}
        let is_new = |last: &(Duration, i64)| running.saturating_sub(last.0) >= LOOK_EVERY;
        if self.looks.back().is_none_or(is_new) {
            self.looks.push_back((running, ahead_ms));
        }
        let oldest = running.saturating_sub(BELIEVED_AFTER);
        while self.looks.len() > 1 && self.looks.pop_front_if(|(at, _)| *at < oldest).is_some() {}
        let least_ms = self.looks.front().map_or(ahead_ms, |(_, ahead_ms)| *ahead_ms);
        Believed {
            now_ms: running_ms.saturating_add(least_ms),
            is_settled: running >= BELIEVED_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::Writer;
    use tidegate_model::Category;
    use tidegate_model::Column;
    use tidegate_model::DataType;
    use tidegate_model::Tablet;
    use tidegate_model::Value;
    use tidegate_store::DirVolume;
    use tidegate_store::Options;
    use tidegate_wire::RequestType;
    use tidegate_wire::request::PayloadHead;
    use tidegate_wire::request::TabletForm;
    use tidegate_wire::request::encode_tablet;

    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1000;
    const NOW_MS: i64 = 1_700_000_000_000;

    fn hours(n_hours: u64) -> Duration {
        Duration::from_secs(n_hours * 3600)
    }

    /// What is believed of a clock that was off by so much in each hour.
    fn off_by(hours_off: &[i64]) -> Vec<i64> {
        let mut retention = Retention::new(1, 0);
        let look = |(hour, off): (u64, &i64)| {
            let right = NOW_MS + hour as i64 * HOUR_MS;
            (retention.look(right + off * HOUR_MS, hours(hour)).now_ms - right) / HOUR_MS
        };
        (0..).zip(hours_off).map(look).collect()
    }

    #[test]
    fn a_clock_that_moves_ahead_is_believed_once_it_stayed_for_a_day_and_one_that_moves_back_at_once()
     {
        let day = [0; 24];
        let back: Vec<i64> = [&day[..], &[9000; 24], &[0; 3]].concat();
        assert_eq!(off_by(&back), [0; 51]);
        let stays: Vec<i64> = [&day[..], &[9000; 26]].concat();
        assert_eq!(off_by(&stays), [&[0; 48][..], &[9000; 2]].concat());
        assert_eq!(off_by(&[0, 0, -50, 0, 0]), [0, 0, -50, -50, -50]);
    }

    #[test]
    fn looks_at_a_clock_that_drifts_are_bounded() {
        let mut clock = Clock::default();
        for second in 0..200_000_u64 {
            let wall_ms = NOW_MS + second as i64 * 1001;
            let believed = clock.look(wall_ms, Duration::from_secs(second));
            assert!(wall_ms - believed.now_ms <= 87_000, "{second}");
            assert_eq!(believed.is_settled, second >= 86_400);
        }
        assert!(clock.looks.len() <= 1442, "{}", clock.looks.len());
    }

    /// A store of one row an hour, in files of their own.
    fn filled(n_hours: i64) -> (tempfile::TempDir, Store<DirVolume>) {
        let root = tempfile::tempdir().unwrap();
        let mut store = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        store.begin_spool([1; 16]).unwrap();
        for hour in 0..n_hours {
            let column = Column {
                name: String::from("s"),
                data_type: DataType::Int32,
                encoding: 0,
                compressor: 0,
                category: Category::Field,
                values: vec![Some(Value::Int32(7))],
            };
            let tablet = Tablet {
                database: None,
                device: String::from("root.a.d"),
                aligned: false,
                times: vec![NOW_MS + hour * HOUR_MS],
                columns: vec![column],
            };
            let mut request = Vec::new();
            let mut writer = Writer::new(&mut request);
            PayloadHead { request_type: RequestType::TransferTabletRaw }.encode(&mut writer);
            encode_tablet(&tablet, TabletForm::Categories, &mut writer);
            let _ = store.apply_request(hour as u64 + 1, 5, &request).unwrap();
            store.flush().unwrap();
        }
        (root, store)
    }

    /// A machine whose clock is wrong when it starts let go everything that it had.
    #[test]
    fn a_clock_that_is_wrong_from_the_start_takes_no_more_than_the_newest_row_allows() {
        let (_root, mut store) = filled(6);
        let mut retention = Retention::new(3 * HOUR_MS as u64, 0);
        let ten_years_ahead = NOW_MS + 24 * 3650 * HOUR_MS;
        for hour in 0..24 {
            let now = retention.look(ten_years_ahead + hour * HOUR_MS, hours(hour as u64));
            retention.apply("plant", &mut store, now).unwrap();
            assert_eq!(store.layers().count(), 4, "the three hours before the newest, and it");
        }
    }

    /// A bound that was mistyped took all of an origin, and nothing said so.
    #[test]
    fn a_bound_below_the_newest_file_keeps_that_file_and_is_told_once() {
        let (_root, mut store) = filled(6);
        let mut retention = Retention::new(0, 1);
        let now = retention.look(NOW_MS, hours(0));
        for _ in 0..2 {
            retention.apply("plant", &mut store, now).unwrap();
            let left: Vec<u64> = store.layers().map(|it| it.precedence).collect();
            assert_eq!(left, [6]);
        }
        assert!(!retention.is_to_be_told("plant", 2), "it was told");
        assert!(retention.is_to_be_told("other", 2));
        assert!(!retention.is_to_be_told("plant", 1) && retention.is_to_be_told("plant", 2));
        for origin in 0..2 * OVERSIZED_MAX {
            retention.is_to_be_told(&origin.to_string(), 2);
        }
        assert_eq!(retention.oversized.len(), OVERSIZED_MAX);
    }

    #[test]
    fn rows_of_an_origin_that_sends_nothing_any_more_expire_once_the_clock_is_believed() {
        let (_root, mut store) = filled(6);
        let mut retention = Retention::new(3 * HOUR_MS as u64, 0);
        let mut left = Vec::new();
        for hour in 0..=24 {
            let now = retention.look(NOW_MS + (8 + hour) * HOUR_MS, hours(hour as u64));
            retention.apply("plant", &mut store, now).unwrap();
            left.push(store.layers().count());
        }
        assert_eq!((left[23], left[24]), (4, 0));
    }
}
