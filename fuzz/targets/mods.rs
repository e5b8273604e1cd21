//! Mods files of both kinds: a walk in two steps finds what one finds, and no cut is called damage
//! unless what was cut is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;

fuzz_target!(|data: &[u8]| {
    let Some((&[first, second], file)) = data.split_first_chunk::<2>() else { return };
    let kind = if first % 2 == 0 { ModsKind::Binary } else { ModsKind::Text };
    let mut walk = kind.entries(file, 0);
    let all: Vec<ModEntry> = walk.by_ref().collect();
    let whole_bytes = walk.whole_bytes();
    let ending = walk.into_ending();
    let left_bytes = file.len() - whole_bytes;
    match &ending {
        Ending::Whole => assert_eq!(left_bytes, 0),
        Ending::Torn { left_bytes: found } => assert_eq!(left_bytes, *found),
        Ending::Damaged(error) => assert!(!error.to_string().is_empty()),
    }
    for entry in &all {
        assert!(entry.deletion.start <= entry.deletion.end);
        assert!(!entry.deletion.to_string().is_empty());
        if kind == ModsKind::Binary {
            assert_eq!(file[entry.position..][..entry.raw.len()], *entry.raw);
        }
    }

    // A source that was still writing: the file up to a cut, then from the last whole entry on.
    let cut = file.len() * usize::from(second) / 255;
    let mut early = kind.entries(&file[..cut], 0);
    let mut both: Vec<ModEntry> = early.by_ref().collect();
    let resumed = early.whole_bytes();
    if matches!(ending, Ending::Whole | Ending::Torn { .. }) {
        assert!(!matches!(early.ending(), Some(Ending::Damaged(_))));
    }
    let mut late = kind.entries(&file[resumed..], resumed);
    both.extend(late.by_ref());
    assert_eq!((both, late.whole_bytes()), (all, whole_bytes));
    assert_eq!(late.into_ending(), ending);
});
