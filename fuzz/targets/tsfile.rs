//! Whatever a TsFile holds, with its index or without: no panic, no endless walk, rows in order, and
//! `verify` comes to an end.

#![no_main]

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
        let _ = read(&file);
        let verified = file.verify();
        assert!(verified.n_points <= verified.n_pages * 100_000);
    }
    let known = Unfinished { limits, ..Unfinished::default() };
    if let Ok(recovered) = TsFile::open_unfinished(bytes, known) {
        assert!(recovered.end <= bytes.len() as u64);
        let _ = read(&recovered.file);
    }
});

fn read<R: ReadAt>(file: &TsFile<R>) -> Result<(), ReadError> {
    let mut batch = Batch::default();
    for device in file.devices() {
        let device = device?;
        let series: Vec<_> = file.series(&device)?.collect::<Result<_, _>>()?;
        let time = series.iter().find(|it| it.kind == SeriesKind::Time);
        for one in series.iter().filter(|it| it.kind != SeriesKind::Time) {
            let everything = Selection::default();
            let mut rows = match time {
                Some(time) => file.aligned_rows(time, std::slice::from_ref(one), everything)?,
                None => file.rows(one, everything)?,
            };
            while rows.next_into(&mut batch)? {
                assert!(batch.times.windows(2).all(|pair| pair[0] < pair[1]));
                assert_eq!(batch.columns[0].presence.len(), batch.len());
                assert_eq!(batch.columns[0].presence.count(), batch.columns[0].values.len());
            }
        }
    }
    Ok(())
}
