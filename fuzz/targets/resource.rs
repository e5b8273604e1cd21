//! Whatever a `.resource` file holds, its parts make sense and its progress index comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_codec::Reader;
use tidegate_tsfile::Progress;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::Resource;

fuzz_target!(|bytes: &[u8]| {
    let Ok(resource) = Resource::parse(bytes) else { return };
    let range = resource.range();
    assert_eq!(range.is_none(), resource.devices.is_empty());
    for extent in &resource.devices {
        let range = range.unwrap();
        assert!(range.start <= range.end);
        assert_eq!(range.union(extent.range.widened()), range);
    }
    let Progress::Known(index) = &resource.progress else { return };
    let mut encoded = Vec::new();
    index.encode(&mut encoded).unwrap();
    let mut reader = Reader::new(&encoded);
    assert_eq!(ProgressIndex::decode(&mut reader).as_ref(), Ok(index));
    assert!(reader.is_empty());
    assert_eq!(&index.clone().joined(index), index);
    assert!(index.is_covered_by(index));
    assert!(!index.to_string().is_empty());
});
