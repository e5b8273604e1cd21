//! Decompressed is exactly what was declared, what was compressed comes back, and a beginning is that of
//! the whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_codec::PipeCompression;

const CAP: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some((head, data)) = data.split_first_chunk::<3>() else { return };
    let [code, high, low] = *head;
    let Some(by) = PipeCompression::from_code(code % 5) else { return };
    let declared = usize::from(high) << 8 | usize::from(low);
    if let Ok(found) = by.decompress(data, declared, CAP) {
        assert_eq!(found.len(), declared);
        check_beginning(by, data, &found, usize::from(low));
    } else if by.has_beginning() {
        let _ = by.decompress_beginning(data, &mut vec![0; declared]);
    }
    let packed = by.compress(data).unwrap();
    assert_eq!(by.decompress(&packed, data.len(), data.len()).as_deref(), Ok(data));
    check_beginning(by, &packed, data, usize::from(low) << 4);
});

fn check_beginning(by: PipeCompression, packed: &[u8], whole: &[u8], n_bytes: usize) {
    if by.has_beginning() {
        let mut found = vec![0; n_bytes.min(whole.len())];
        by.decompress_beginning(packed, &mut found).unwrap();
        assert!(whole.starts_with(&found));
    }
}
