//! Whatever a TsFile holds, with its index or without: no panic, no endless walk, rows in order, whole or in
//! parts, look-ups that those before them do not change, and `verify` comes to an end.

#![no_main]

use std::ops::RangeInclusive;

use libfuzzer_sys::fuzz_target;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Limits;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::Unfinished;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.page_bytes_max = 1 << 20;
    limits.page_rows_max = 100_000;
    if let Ok(file) = TsFile::open_with(bytes, limits) {
        let mut times = Vec::new();
        let whole = read(&file, &mut times);
        let mut in_parts = limits;
        in_parts.batch_cells_max = 7;
        let file_in_parts = TsFile::open_with(bytes, in_parts).unwrap();
        let parts = read(&file_in_parts, &mut Vec::new());
        if let (Ok(whole), Ok(parts)) = (&whole, &parts) {
            assert_eq!(whole, parts);
        }
        let last = times.last().copied().unwrap_or_default();
        for start in times.into_iter().step_by(29).take(6) {
            let between = start..=start.max(last);
            for wanted in [start..=start, between] {
                let fresh = TsFile::open_with(bytes, limits).unwrap();
                let (known, found) = (read_between(&file, &wanted), read_between(&fresh, &wanted));
                assert_eq!(format!("{known:?}"), format!("{found:?}"));
            }
        }
        let verified = file.verify();
        assert!(verified.n_points <= verified.n_pages * 100_000);
    }
    let known = Unfinished { limits, ..Unfinished::default() };
    if let Ok(recovered) = TsFile::open_unfinished(bytes, known) {
        assert!(recovered.end <= bytes.len() as u64);
        let _ = read(&recovered.file, &mut Vec::new());
    }
});

/// How many points there are; `times` gets some of theirs.
fn read<R: ReadAt>(file: &TsFile<R>, times: &mut Vec<i64>) -> Result<usize, ReadError> {
    let everything = Selection::default();
    let mut n_points = 0;
    each_batch(file, &everything, &mut |batch| {
        n_points += batch.n_points();
        times.extend(batch.times.iter().take(200 - times.len().min(200)));
    })?;
    Ok(n_points)
}

/// The rows with these times.
fn read_between<R: ReadAt>(
    file: &TsFile<R>,
    times: &RangeInclusive<i64>,
) -> Result<Vec<Batch>, ReadError> {
    let mut found = Vec::new();
    each_batch(file, &Selection::of_times(times.clone()), &mut |batch| found.push(batch.clone()))?;
    Ok(found)
}

fn each_batch<R: ReadAt>(
    file: &TsFile<R>,
    selection: &Selection,
    see: &mut dyn FnMut(&Batch),
) -> Result<(), ReadError> {
    let mut batch = Batch::default();
    for device in file.devices() {
        let device = device?;
        let series: Vec<_> = file.series(&device)?.collect::<Result<_, _>>()?;
        let time = series.iter().find(|it| it.kind == SeriesKind::Time);
        for one in series.iter().filter(|it| it.kind != SeriesKind::Time) {
            let selection = selection.clone();
            let mut rows = match time {
                Some(time) => file.aligned_rows(time, std::slice::from_ref(one), selection)?,
                None => file.rows(one, selection)?,
            };
            while rows.next_into(&mut batch)? {
                assert!(batch.times.windows(2).all(|pair| pair[0] < pair[1]));
                assert_eq!(batch.columns[0].presence.len(), batch.len());
                assert_eq!(batch.columns[0].presence.count(), batch.columns[0].values.len());
                see(&batch);
            }
        }
    }
    Ok(())
}
