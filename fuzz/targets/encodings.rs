//! Whatever the values of a page are: exactly so many as were asked for or an error, and what comes
//! out goes in again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;
use tidegate_tsfile::decode_times;
use tidegate_tsfile::decode_values;
use tidegate_tsfile::encode_values;

fuzz_target!(|bytes: &[u8]| {
    let [choice, type_choice, count, input @ ..] = bytes else { return };
    let encoding = Encoding::ALL[usize::from(*choice) % Encoding::ALL.len()];
    let data_type = DataType::ALL[usize::from(*type_choice) % DataType::ALL.len()];
    let n_values = usize::from(*count) * 40;
    for meaning in [RlbeMeaning::BitDifference, RlbeMeaning::FloatDifference] {
        let mut values = Values::new(data_type);
        if decode_values(encoding, data_type, meaning, input, n_values, &mut values).is_err() {
            continue;
        }
        assert_eq!(values.len(), n_values);
        let mut out = Vec::new();
        if encode_values(encoding, data_type, &values, 0..n_values, &mut out).is_ok() {
            let mut again = Values::new(data_type);
            decode_values(encoding, data_type, meaning, &out, n_values, &mut again).unwrap();
            // By text, in which a NaN equals itself.
            assert_eq!(format!("{values:?}"), format!("{again:?}"));
        }
    }
    let mut times = Vec::new();
    if decode_times(encoding, input, 10_000, &mut times).is_ok() {
        assert!(times.len() <= 10_000);
    }
});
