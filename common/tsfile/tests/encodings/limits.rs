//! What is refused, what is not, and by which name.

use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::EncodingError;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;
use tidegate_tsfile::decode_times;
use tidegate_tsfile::decode_values;
use tidegate_tsfile::encode_values;

use crate::decode;
use crate::encode;
use crate::golden;

const BITS: RlbeMeaning = RlbeMeaning::BitDifference;

fn ints(bytes: &[u8], encoding: Encoding, n: usize) -> Result<Values, EncodingError> {
    decode(encoding, Some(DataType::Int32), BITS, bytes, n)
}

fn texts(bytes: &[u8], encoding: Encoding, n: usize) -> Result<Values, EncodingError> {
    decode(encoding, Some(DataType::Text), BITS, bytes, n)
}

fn times(bytes: &[u8], encoding: Encoding, max: usize) -> Result<Values, EncodingError> {
    decode(encoding, None, BITS, bytes, max)
}

fn too_many(encoding: Encoding, max: usize) -> Result<Values, EncodingError> {
    Err(EncodingError::TooMany { encoding, max })
}

fn malformed(
    encoding: Encoding,
    offset: usize,
    expected: &'static str,
) -> Result<Values, EncodingError> {
    Err(EncodingError::Malformed { encoding, offset, expected })
}

#[test]
fn a_run_that_claims_more_values_than_the_page_has_is_refused() {
    // Length 3, width 1, five times the value 1.
    let bytes = [3, 1, 5 << 1, 1];
    assert_eq!(ints(&bytes, Encoding::Rle, 5), Ok(Values::Int32(vec![1; 5])));
    assert_eq!(ints(&bytes, Encoding::Rle, 4), too_many(Encoding::Rle, 4));
    assert!(ints(&bytes, Encoding::Rle, 6).is_err());
    assert_eq!(times(&bytes, Encoding::Rle, 5), Ok(Values::Int64(vec![1; 5])));
    assert_eq!(times(&bytes, Encoding::Rle, 4), too_many(Encoding::Rle, 4));
    // Of no width, and 2^31 - 1 of them.
    let bytes = [6, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(times(&bytes, Encoding::Rle, 1000), too_many(Encoding::Rle, 1000));
    // One packed group of eight.
    let bytes = [4, 1, 1 << 1 | 1, 8, 0xff];
    assert_eq!(ints(&bytes, Encoding::Rle, 8), Ok(Values::Int32(vec![1; 8])));
    assert_eq!(ints(&bytes, Encoding::Rle, 7), too_many(Encoding::Rle, 7));
    let bytes = [4, 1, 1 << 1 | 1, 9, 0xff];
    let expected = "a packed run of at least one group of eight";
    assert_eq!(ints(&bytes, Encoding::Rle, 9), malformed(Encoding::Rle, 2, expected));
}

#[test]
fn runs_go_on_in_the_next_section_with_a_width_of_its_own() {
    let bytes = [3, 1, 2 << 1, 1, 4, 9, 1 << 1, 0x03, 0x01];
    assert_eq!(ints(&bytes, Encoding::Rle, 3), Ok(Values::Int32(vec![1, 1, 0x103])));
}

#[test]
fn a_block_that_claims_more_values_than_the_page_has_is_refused() {
    // Two differences of no width.
    let mut block = vec![0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1];
    assert_eq!(ints(&block, Encoding::Ts2Diff, 3), Ok(Values::Int32(vec![1, 6, 11])));
    assert_eq!(ints(&block, Encoding::Ts2Diff, 2), too_many(Encoding::Ts2Diff, 2));
    block[3] = 0xff;
    block[0] = 0x7f;
    assert_eq!(ints(&block, Encoding::Ts2Diff, 300), too_many(Encoding::Ts2Diff, 300));
    block[0] = 0xff;
    let expected = "a number of differences that is not negative";
    assert_eq!(ints(&block, Encoding::Ts2Diff, 3), malformed(Encoding::Ts2Diff, 0, expected));
    let wide = [0, 0, 0, 2, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let expected = "a width from 0 to that of the type";
    assert_eq!(ints(&wide, Encoding::Ts2Diff, 3), malformed(Encoding::Ts2Diff, 4, expected));
    // REGULAR: no gaps, 2^31 - 1 steps of 1 from 0.
    let steps = [0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(ints(&steps, Encoding::Regular, 300), too_many(Encoding::Regular, 300));
    // RLBE: 2^31 - 1 values.
    let block = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(ints(&block, Encoding::Rlbe, 300), too_many(Encoding::Rlbe, 300));
    // SPRINTZ: a block has nine.
    let block = [0, 7];
    assert_eq!(ints(&block, Encoding::Sprintz, 9), Ok(Values::Int32(vec![7; 9])));
    assert_eq!(ints(&block, Encoding::Sprintz, 8), too_many(Encoding::Sprintz, 8));
    // ZIGZAG: five bytes, six values.
    let section = [5, 6, 0, 0, 0, 0, 0];
    let expected = "a variable-length number as wide as the type";
    assert_eq!(ints(&section, Encoding::Zigzag, 5), too_many(Encoding::Zigzag, 5));
    assert_eq!(ints(&section, Encoding::Zigzag, 6), malformed(Encoding::Zigzag, 7, expected));
}

#[test]
fn a_length_beyond_the_page_is_refused() {
    // Lengths are zigzag: 6 is 3, 5 is -3.
    assert!(texts(&[6, 1, 2, 3], Encoding::Plain, 1).is_ok());
    let expected = "as many bytes as a value has";
    assert_eq!(texts(&[6, 1, 2], Encoding::Plain, 1), malformed(Encoding::Plain, 1, expected));
    let expected = "the length of a value";
    assert_eq!(texts(&[5, 1, 2], Encoding::Plain, 1), malformed(Encoding::Plain, 0, expected));
    let expected = "as many bytes as a section claims";
    assert_eq!(ints(&[9, 1, 2, 1], Encoding::Rle, 1), malformed(Encoding::Rle, 1, expected));
}

#[test]
fn a_number_wider_than_the_type_is_refused() {
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(ints(&most, Encoding::Plain, 1), Ok(Values::Int32(vec![i32::MIN])));
    let expected = "a variable-length number of 32 bits";
    for bytes in [[0xff, 0xff, 0xff, 0xff, 0x1f], [0xff, 0xff, 0xff, 0xff, 0x8f]] {
        assert_eq!(ints(&bytes, Encoding::Plain, 1), malformed(Encoding::Plain, 0, expected));
    }
}

#[test]
fn a_number_of_no_entry_is_refused() {
    // One entry of no bytes, then a run of one value in width 1.
    assert!(texts(&[2, 0, 3, 1, 1 << 1, 0], Encoding::Dictionary, 1).is_ok());
    let expected = "numbers of entries";
    let found = texts(&[2, 0, 3, 1, 1 << 1, 1], Encoding::Dictionary, 1);
    assert_eq!(found, malformed(Encoding::Dictionary, 2, expected));
    // Two entries for one value.
    let expected = "no more entries than values";
    let found = texts(&[4, 0, 0, 3, 1, 1 << 1, 1], Encoding::Dictionary, 1);
    assert_eq!(found, malformed(Encoding::Dictionary, 0, expected));
}

/// A page of a few kilobytes may claim a text of that size a hundred thousand times.
#[test]
fn a_long_text_of_many_values_is_in_memory_once() {
    let mut page = vec![2, 0x80, 0x40];
    page.resize(page.len() + 4096, b'x');
    page.extend([5, 1, 0xc0, 0x9a, 0x0c, 0]);
    let n = 100_000;
    let (found, allocated) =
        crate::counting::allocated_bytes(|| texts(&page, Encoding::Dictionary, n).unwrap());
    let Values::Bytes(found) = found else { panic!("texts") };
    assert_eq!((found.len(), found.total_bytes()), (n, 4096 * n));
    assert_eq!(found.get(n - 1), Some(&page[3..4099]));
    assert!(allocated < 8 * 1024 * 1024, "{allocated}");
}

#[test]
fn a_value_that_equals_the_sentinel_is_a_value_but_no_time() {
    let numbers = [1, i64::MIN, i64::MIN, 2];
    let values = Values::Int64(numbers.into());
    for encoding in [Encoding::Gorilla, Encoding::Chimp] {
        let bytes = encode(encoding, Some(DataType::Int64), &values).unwrap();
        assert_eq!(decode(encoding, Some(DataType::Int64), BITS, &bytes, 4), Ok(values.clone()));
        assert_eq!(times(&bytes, encoding, 4), Ok(Values::Int64(vec![1])));
        let bytes = encode(encoding, Some(DataType::Int64), &Values::Int64(vec![3, 1, 2])).unwrap();
        assert_eq!(times(&bytes, encoding, 3), Ok(Values::Int64(vec![3, 1, 2])));
        assert_eq!(times(&bytes, encoding, 2), too_many(encoding, 2));
    }
}

#[test]
fn bitmaps_of_fewer_values_than_the_page_has_are_refused() {
    let float = |bytes: &[u8], n| decode(Encoding::Rle, Some(DataType::Float), BITS, bytes, n);
    // The escape, 8 values in a bitmap of 2 bytes of which the first is multiplied, 1 decimal, 8 times 15.
    let bytes = [0xff, 0xff, 0xff, 0xff, 0x07, 8, 1, 0, 1, 3, 4, 8 << 1, 15];
    let found = Values::Float([&[1.5][..], &[15.0; 7]].concat());
    assert_eq!(float(&bytes, 8), Ok(found));
    let expected = "bitmaps for all values";
    assert_eq!(float(&bytes, 9), malformed(Encoding::Rle, 5, expected));
}

#[test]
fn a_sum_of_sprintz_wraps_as_the_writers_does() {
    // Width 32, first value 0, an error of `int` overflow, and seven of 0.
    for error in [0x7fff_ffffu32, 0x8000_0000] {
        let bytes = [&[32, 0][..], &error.to_be_bytes(), &[0; 28]].concat();
        let found = Values::Int32([&[0][..], &[-0x4000_0000; 8]].concat());
        assert_eq!(ints(&bytes, Encoding::Sprintz, 9), Ok(found));
    }
}

#[test]
fn a_value_that_goes_on_behind_its_block_is_refused() {
    let pages = golden::pages();
    // One of which the number of bits can lose one in its first byte, which has the lowest in zigzag.
    let fits = |page: &&golden::Page| page.encoding == Encoding::Camel && page.bytes[0] & 0x7f >= 2;
    let page = pages.iter().find(fits).unwrap();
    let n = page.values.len();
    let found = |bytes: &[u8]| decode(page.encoding, page.data_type, BITS, bytes, n);
    let mut bytes = page.bytes.clone();
    assert!(found(&bytes).is_ok());
    bytes[0] -= 2;
    let error = found(&bytes).unwrap_err().to_string();
    assert!(error.ends_with("expected one more value inside the block"), "{error}");
}

#[test]
fn a_block_of_one_value_has_no_smallest_difference() {
    let bytes = encode(Encoding::Ts2Diff, Some(DataType::Int32), &Values::Int32(vec![5])).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 5]);
}

#[test]
fn a_window_before_the_first_is_refused() {
    let expected = "the bits of one more value in a window inside the type";
    for encoding in [Encoding::Gorilla, Encoding::Chimp] {
        let bytes = [0, 0, 0, 1, 0b1000_0000, 0, 0, 0, 0, 0];
        assert_eq!(ints(&bytes, encoding, 2), malformed(encoding, 4, expected));
    }
}

#[test]
fn what_follows_the_last_value_is_not_looked_at() {
    for page in golden::pages().into_iter().filter(|page| page.data_type.is_some()) {
        let mut bytes = page.bytes.clone();
        bytes.extend([0xff; 20]);
        let n = page.values.len();
        assert!(decode(page.encoding, page.data_type, page.rlbe, &bytes, n).is_ok());
    }
}

#[test]
fn what_was_there_before_an_error_stays() {
    let mut values = Values::Int32(vec![7]);
    // Five times 1, and then nothing.
    let bytes = [3, 1, 5 << 1, 1];
    let decoded = decode_values(Encoding::Rle, DataType::Int32, BITS, &bytes, 6, &mut values);
    assert!(decoded.is_err());
    assert_eq!(values, Values::Int32(vec![7]));
    let mut times = vec![7];
    assert!(decode_times(Encoding::Rle, &[3, 1, 5 << 1, 1, 1], 9, &mut times).is_err());
    assert_eq!(times, [7]);
    let mut values = Values::new(DataType::Text);
    let decoded = |values: &mut Values| {
        decode_values(Encoding::Plain, DataType::Text, BITS, &[2, b'a', 4, b'b'], 2, values)
    };
    assert!(decoded(&mut values).is_err());
    assert_eq!(values, Values::new(DataType::Text));
}

/// Decoders by type, in the order of the codes; `e` where there is an encoder as well.
const TYPES: [(DataType, &str); 11] = [
    (DataType::Boolean, "PLAIN e, RLE e"),
    (DataType::Int32, INTEGERS),
    (DataType::Int64, INTEGERS),
    (DataType::Float, "PLAIN e, RLE, TS_2DIFF, GORILLA_V1, GORILLA e, CHIMP e, SPRINTZ, RLBE"),
    (
        DataType::Double,
        "PLAIN e, RLE, TS_2DIFF, GORILLA_V1, GORILLA e, CHIMP e, SPRINTZ, RLBE, CAMEL",
    ),
    (DataType::Text, "PLAIN e, DICTIONARY e"),
    (DataType::Timestamp, INTEGERS),
    (DataType::Date, INTEGERS),
    (DataType::Blob, "PLAIN e"),
    (DataType::String, "PLAIN e, DICTIONARY e"),
    (DataType::Object, "PLAIN e"),
];
const INTEGERS: &str =
    "PLAIN e, RLE e, TS_2DIFF e, REGULAR, GORILLA e, ZIGZAG e, CHIMP e, SPRINTZ, RLBE";
const TIMES: &str = "PLAIN e, RLE e, TS_2DIFF e, REGULAR, GORILLA, ZIGZAG, CHIMP, SPRINTZ, RLBE";

#[test]
fn every_other_encoding_is_refused_by_its_name() {
    let types = TYPES.into_iter().map(|(data_type, names)| (Some(data_type), names));
    for (data_type, names) in types.chain([(None, TIMES)]) {
        let mut supported = Vec::new();
        for encoding in Encoding::ALL {
            let unsupported = EncodingError::Unsupported { encoding, data_type };
            if decode(encoding, data_type, BITS, &[0; 64], 1) == Err(unsupported) {
                continue;
            }
            let mut value = Values::new(data_type.unwrap_or(DataType::Int64));
            match &mut value {
                Values::Boolean(values) => values.push(true),
                Values::Int32(values) => values.push(1),
                Values::Int64(values) => values.push(1),
                Values::Float(values) => values.push(1.0),
                Values::Double(values) => values.push(1.0),
                Values::Bytes(values) => values.push(b"a"),
            }
            supported.push(match encode(encoding, data_type, &value) {
                Ok(_) => format!("{encoding} e"),
                Err(error) => {
                    assert_eq!(error, unsupported);
                    encoding.to_string()
                }
            });
        }
        assert_eq!(supported.join(", "), names, "{data_type:?}");
    }
}

#[test]
fn values_of_another_type_and_a_range_beyond_them_are_refused() {
    let encoding = Encoding::Plain;
    let unsupported = EncodingError::Unsupported { encoding, data_type: Some(DataType::Int64) };
    let mut values = Values::Int32(vec![1, 2]);
    let mut bytes = Vec::new();
    let decoded = decode_values(encoding, DataType::Int64, BITS, &[0; 8], 1, &mut values);
    assert_eq!(decoded, Err(unsupported));
    let encoded = encode_values(encoding, DataType::Int64, &values, 0..2, &mut bytes);
    assert_eq!(encoded, Err(unsupported));
    let encoded = encode_values(encoding, DataType::Int32, &values, 1..3, &mut bytes);
    assert_eq!(encoded, Err(EncodingError::TooMany { encoding, max: 2 }));
    assert!(bytes.is_empty());
}
