//! Decompressed is exactly what was declared, and what was compressed comes back.

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
    }
    let packed = by.compress(data).unwrap();
    assert_eq!(by.decompress(&packed, data.len(), data.len()).as_deref(), Ok(data));
});
