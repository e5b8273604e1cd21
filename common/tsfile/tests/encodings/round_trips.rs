//! Values of every shape come back as they were, bit by bit.

use fastrand::Rng;
use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::EncodingError;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;
use tidegate_tsfile::decode_times;
use tidegate_tsfile::decode_values;
use tidegate_tsfile::encode_times;
use tidegate_tsfile::encode_values;

use crate::bits;
use crate::decode;
use crate::encode;

/// Around the blocks of TS_2DIFF, the groups of RLE, its packed runs of 63 groups and its runs of
/// 32,767, and the rings of CHIMP.
const LENGTHS: [usize; 19] =
    [1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 130, 258, 504, 505, 1000, 3000, 32_767, 66_000];

/// What often has a meaning of its own.
const EXTREMES: [u64; 12] = [
    0,
    1,
    u64::MAX,
    i64::MAX as u64,
    i64::MIN as u64,
    0x8000_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fc0_0000,
    0x7fc0_0001_ffc0_1234,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0001,
];

/// `n` numbers of one shape, as bits.
fn shape(random: &mut Rng, n: usize) -> Vec<u64> {
    let start = random.u64(..);
    let step = random.u64(..) >> random.u8(0..64);
    let width = random.u8(1..64);
    let mut value = start;
    match random.u8(0..7) {
        0 => vec![start >> random.u8(0..64); n],
        1 => (0..n as u64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect(),
        2 => (0..n).map(|_| random.u64(..) >> (64 - width)).collect(),
        3 => (0..n)
            .map(|_| {
                value = value.wrapping_add(random.u64(..) >> (64 - width)).wrapping_sub(step);
                value
            })
            .collect(),
        4 => (0..n)
            .map(|_| {
                if random.u8(0..20) == 0 {
                    value = random.u64(..) >> (64 - width);
                }
                value
            })
            .collect(),
        5 => (0..n).map(|_| *random.choice(&EXTREMES).unwrap()).collect(),
        // Floats of few decimals, as sensors have them.
        _ => (0..n).map(|_| (f64::from(random.u16(..)) / 100.0).to_bits()).collect(),
    }
}

fn values(data_type: DataType, random: &mut Rng, n: usize) -> Values {
    let numbers = shape(random, n);
    let mut values = Values::new(data_type);
    for number in numbers {
        match &mut values {
            Values::Boolean(values) => values.push(number & 1 == 1),
            Values::Int32(values) => values.push(number as i32),
            Values::Int64(values) => values.push(number as i64),
            Values::Float(values) if n.is_multiple_of(2) => {
                values.push(f64::from_bits(number) as f32)
            }
            Values::Float(values) => values.push(f32::from_bits(number as u32)),
            Values::Double(values) => values.push(f64::from_bits(number)),
            Values::Bytes(values) => {
                let bytes = number.to_le_bytes();
                values.push(&bytes[..number as usize % (bytes.len() + 1)]);
            }
        }
    }
    values
}

#[test]
fn all_that_is_encoded_comes_back_bit_by_bit() {
    let mut n_trips = 0;
    for seed in 0..30u64 {
        for data_type in DataType::ALL {
            for encoding in Encoding::ALL {
                let random = &mut Rng::with_seed(seed << 8 | u64::from(encoding.code()));
                let n = match random.bool() {
                    true => {
                        LENGTHS[(seed as usize + usize::from(data_type.code())) % LENGTHS.len()]
                    }
                    false => random.usize(1..400),
                };
                let values = values(data_type, random, n);
                let what = format!("{n} values of {data_type} as {encoding}, seed {seed}");
                let bytes = match encode(encoding, Some(data_type), &values) {
                    Err(EncodingError::Unsupported { .. }) => continue,
                    found => found.expect(&what),
                };
                let meaning = RlbeMeaning::BitDifference;
                let found = decode(encoding, Some(data_type), meaning, &bytes, n).expect(&what);
                assert!(bits(&found) == bits(&values), "{what}");
                n_trips += 1;
            }
        }
    }
    // BOOLEAN 2, four types of integers 6, FLOAT and DOUBLE 3, TEXT and STRING 2, BLOB and OBJECT 1.
    assert_eq!(n_trips, 30 * (2 + 4 * 6 + 2 * 3 + 2 * 2 + 2));
}

#[test]
fn no_values_are_no_bytes() {
    for data_type in DataType::ALL.into_iter().map(Some).chain([None]) {
        for encoding in Encoding::ALL {
            let none = Values::new(data_type.unwrap_or(DataType::Int64));
            assert_eq!(encode(encoding, data_type, &none), Ok(vec![]));
            let meaning = RlbeMeaning::BitDifference;
            assert_eq!(decode(encoding, data_type, meaning, &[], 0), Ok(none));
        }
    }
}

#[test]
fn all_times_come_back() {
    for encoding in [Encoding::Plain, Encoding::Rle, Encoding::Ts2Diff] {
        for seed in 0..200 {
            let random = &mut Rng::with_seed(seed);
            let n = LENGTHS[seed as usize % (LENGTHS.len() - 2)];
            let times: Vec<i64> = shape(random, n).into_iter().map(|bits| bits as i64).collect();
            let (mut bytes, mut found) = (vec![1], vec![2]);
            encode_times(encoding, &times, &mut bytes).unwrap();
            decode_times(encoding, &bytes[1..], n, &mut found).unwrap();
            assert_eq!((bytes[0], found[0]), (1, 2), "what was there stays");
            assert!(found[1..] == times, "{n} times as {encoding}, seed {seed}");
        }
    }
}

#[test]
fn a_page_of_a_range_is_a_page_of_only_these_values() {
    for data_type in DataType::ALL {
        for encoding in Encoding::ALL {
            let random = &mut Rng::with_seed(encoding.code().into());
            let all = values(data_type, random, 500);
            let (start, end) = (random.usize(0..250), random.usize(250..500));
            let mut some = Values::new(data_type);
            assert!(some.extend_from(&all, start..end));
            let mut bytes = Vec::new();
            let encoded = encode_values(encoding, data_type, &all, start..end, &mut bytes);
            assert_eq!(encoded.map(|()| bytes), encode(encoding, Some(data_type), &some));
        }
    }
}

#[test]
fn pages_are_appended_one_behind_another() {
    for data_type in DataType::ALL {
        for encoding in Encoding::ALL {
            let random = &mut Rng::with_seed(encoding.code().into());
            let (mut joined, mut found) = (Values::new(data_type), Values::new(data_type));
            for n in [300, 0, 1, 130] {
                let page = values(data_type, random, n);
                let Ok(bytes) = encode(encoding, Some(data_type), &page) else {
                    continue;
                };
                assert!(joined.extend_from(&page, 0..n));
                let meaning = RlbeMeaning::BitDifference;
                decode_values(encoding, data_type, meaning, &bytes, n, &mut found).unwrap();
                assert_eq!(bits(&found), bits(&joined));
            }
        }
    }
}
