//! Damaged and invented bytes: no panic, no values but those asked for, no memory that they decide.

use fastrand::Rng;
use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::EncodingError;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;

use crate::bits;
use crate::counting;
use crate::decode;
use crate::golden;
use crate::golden::Page;

/// Decodes and holds what must be true of whatever comes of it.
fn check(page: &Page, bytes: &[u8], n: usize) -> Option<Values> {
    let (found, allocated) =
        counting::allocated_bytes(|| decode(page.encoding, page.data_type, page.rlbe, bytes, n));
    // A byte string has 16 bytes beside its own and its number, and vectors grow to twice that.
    let budget = 4096 + 64 * n + 8 * bytes.len();
    assert!(allocated <= budget, "{}: {allocated} bytes of memory", page.name());
    match found {
        Ok(values) if page.data_type.is_some() => {
            assert_eq!(values.len(), n, "{}", page.name());
            Some(values)
        }
        Ok(times) => {
            assert!(times.len() <= n, "{}", page.name());
            Some(times)
        }
        Err(EncodingError::Malformed { offset, expected, .. }) => {
            assert!(offset <= bytes.len(), "{}: {expected} at byte {offset}", page.name());
            None
        }
        Err(EncodingError::TooMany { max, .. }) => {
            assert!(max <= n, "{}", page.name());
            None
        }
        Err(error) => panic!("{}: {error}", page.name()),
    }
}

#[test]
fn a_page_that_is_cut_anywhere_is_refused_or_what_it_was() {
    let mut n_refused = 0;
    for page in golden::pages() {
        let (whole, n) = (bits(&page.values), page.values.len());
        for end in 0..page.bytes.len() {
            let Some(found) = check(&page, &page.bytes[..end], n) else {
                n_refused += 1;
                continue;
            };
            // Of times nobody says how many there were; of values only what stands behind them is missing.
            assert!(whole.starts_with(&bits(&found)), "{} up to byte {end}", page.name());
            if page.data_type.is_some() {
                let behind = page.bytes.len() - end;
                assert!(behind <= 18, "{}: {behind} bytes for nothing", page.name());
            }
        }
    }
    assert!(n_refused > 50_000, "{n_refused}");
}

#[test]
fn a_flipped_bit_never_panics_or_makes_more_values() {
    for page in golden::pages() {
        let n = page.values.len();
        let random = &mut Rng::with_seed(7);
        let mut bytes = page.bytes.clone();
        for at in 0..bytes.len() {
            // All bits of what is likely to be a header, one of each byte behind.
            let flips = if at < 40 { 0..8 } else { random.u8(0..8)..8 };
            for flip in flips.take(if at < 40 { 8 } else { 1 }) {
                bytes[at] ^= 1 << flip;
                check(&page, &bytes, n);
                bytes[at] ^= 1 << flip;
            }
        }
    }
}

#[test]
fn more_values_than_a_page_has_are_refused() {
    for page in golden::pages() {
        let n = page.values.len();
        // Behind the last value these have a sentinel, and bits of padding that could be values.
        let has_sentinel = matches!(
            page.encoding,
            Encoding::Chimp | Encoding::Gorilla | Encoding::GorillaV1 | Encoding::Sprintz
        );
        for asked in [0, 1, 2, n - 1, n + 1, n + 8, 2 * n + 300] {
            let found = check(&page, &page.bytes, asked);
            if page.data_type.is_some() && asked > n + 16 * usize::from(has_sentinel) {
                assert_eq!(found, None, "{}", page.name());
            }
        }
    }
}

/// Bytes in which small numbers are frequent, so that headers are often possible.
fn invented(random: &mut Rng) -> Vec<u8> {
    let n = random.usize(0..200);
    let byte = |_| match random.u8(0..4) {
        0 => 0,
        1 => random.u8(0..16),
        2 => random.u8(..),
        _ => 0xff,
    };
    (0..n).map(byte).collect()
}

#[test]
fn invented_bytes_never_panic_and_never_take_more_memory_than_was_asked_for() {
    let types = DataType::ALL.into_iter().map(Some).chain([None]);
    for data_type in types {
        for encoding in Encoding::ALL {
            for rlbe in [RlbeMeaning::BitDifference, RlbeMeaning::FloatDifference] {
                let values = Values::new(data_type.unwrap_or(DataType::Int64));
                let libraries = "invented".to_owned();
                let page = Page { data_type, encoding, rlbe, libraries, bytes: vec![], values };
                if let Err(EncodingError::Unsupported { .. }) =
                    decode(encoding, data_type, rlbe, &[0], 1)
                {
                    continue;
                }
                for seed in 0..1500 {
                    let random = &mut Rng::with_seed(seed);
                    let bytes = invented(random);
                    check(&page, &bytes, random.usize(0..300));
                }
            }
        }
    }
}
