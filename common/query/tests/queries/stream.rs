//! Long answers come in batches.

use std::io;

use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_query::Head;
use tidegate_query::Sink;
use tidegate_tsfile::Batch;

use crate::site::DEVICES;
use crate::site::Kept;
use crate::site::Site;
use crate::support::column;
use crate::support::tablet_request;

/// Counts rows and forgets them.
#[derive(Default)]
struct Counted {
    n_rows: u64,
    n_points: u64,
    batch_points_max: usize,
    last: Option<i64>,
    is_descending: bool,
}

impl Sink for Counted {
    fn head(&mut self, _head: &Head) -> io::Result<()> {
        Ok(())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        for time in &rows.times {
            let is_next = self.last.is_none_or(|last| (last < *time) != self.is_descending);
            assert!(is_next && self.last != Some(*time), "{time} behind {:?}", self.last);
            self.last = Some(*time);
        }
        self.n_rows += rows.len() as u64;
        self.n_points += rows.n_points() as u64;
        self.batch_points_max = self.batch_points_max.max(rows.n_points());
        Ok(())
    }
}

#[test]
fn five_million_points_stream_in_batches_in_either_order() {
    const ROWS: i64 = 1_250_000;
    let mut site = Site::new();
    for start in (0..ROWS).step_by(50_000) {
        let times: Vec<i64> = (start..start + 50_000).collect();
        for (number, (device, aligned)) in DEVICES[..2].iter().enumerate() {
            // the second device is behind by half a row
            let times: Vec<i64> = times.iter().map(|time| time * 2 + number as i64).collect();
            let values = || times.iter().map(|time| Some(Value::Int64(*time))).collect();
            let columns = ["a", "b"].map(|name| column(name, DataType::Int64, values()));
            let tablet = Tablet {
                database: None,
                device: (*device).to_owned(),
                aligned: *aligned,
                times,
                columns: columns.into(),
            };
            site.sequence += 1;
            let _ = site.store.apply_request(site.sequence, 1, &tablet_request(&tablet)).unwrap();
        }
        site.store.flush().unwrap();
    }
    for (order, is_descending) in [("ASC", false), ("DESC", true)] {
        let mut counted = Counted { is_descending, ..Counted::default() };
        let text = format!("SELECT a, b FROM root.p.* ORDER BY TIME {order}");
        site.ask(&text, &mut counted).unwrap();
        assert_eq!(counted.n_rows, 2 * ROWS as u64);
        assert_eq!(counted.n_points, 4 * ROWS as u64);
        assert!(counted.batch_points_max <= 200_000, "{}", counted.batch_points_max);
    }
    let mut counted = Kept::default();
    site.ask("SELECT a FROM root.p.d1 ORDER BY TIME DESC LIMIT 3", &mut counted).unwrap();
    let times: Vec<i64> = counted.rows.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [2 * ROWS - 2, 2 * ROWS - 4, 2 * ROWS - 6]);
}
