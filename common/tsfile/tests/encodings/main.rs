//! Encodings: the pages of IoTDB's libraries, there and back, and hostile bytes.

#[path = "../support/counting.rs"]
mod counting;
mod golden;
mod hostile;
mod limits;
mod not_a_number;
mod round_trips;
#[path = "../support/mod.rs"]
mod support;

use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::EncodingError;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;
use tidegate_tsfile::decode_times;
use tidegate_tsfile::decode_values;
use tidegate_tsfile::encode_times;
use tidegate_tsfile::encode_values;

/// Values as something in which a NaN equals itself and 0 is not -0.
fn bits(values: &Values) -> Vec<Vec<u8>> {
    match values {
        Values::Boolean(values) => values.iter().map(|value| vec![u8::from(*value)]).collect(),
        Values::Int32(values) => values.iter().map(|value| value.to_be_bytes().into()).collect(),
        Values::Int64(values) => values.iter().map(|value| value.to_be_bytes().into()).collect(),
        Values::Float(values) => values.iter().map(|value| value.to_be_bytes().into()).collect(),
        Values::Double(values) => values.iter().map(|value| value.to_be_bytes().into()).collect(),
        Values::Bytes(values) => values.iter().map(<[u8]>::to_vec).collect(),
    }
}

fn decode(
    encoding: Encoding,
    data_type: Option<DataType>,
    rlbe: RlbeMeaning,
    bytes: &[u8],
    n: usize,
) -> Result<Values, EncodingError> {
    let Some(data_type) = data_type else {
        let mut times = Vec::new();
        return decode_times(encoding, bytes, n, &mut times).map(|()| Values::Int64(times));
    };
    let mut values = Values::new(data_type);
    decode_values(encoding, data_type, rlbe, bytes, n, &mut values).map(|()| values)
}

fn encode(
    encoding: Encoding,
    data_type: Option<DataType>,
    values: &Values,
) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    match (data_type, values) {
        (None, Values::Int64(times)) => encode_times(encoding, times, &mut bytes)?,
        (None, _) => panic!("no times"),
        (Some(data_type), _) => {
            encode_values(encoding, data_type, values, 0..values.len(), &mut bytes)?;
        }
    }
    Ok(bytes)
}

#[test]
fn every_page_of_iotdbs_libraries_is_decoded_to_what_was_written() {
    let pages = golden::pages();
    for page in &pages {
        let n = page.values.len();
        let found = decode(page.encoding, page.data_type, page.rlbe, &page.bytes, n);
        assert_eq!(found.as_ref().map(bits), Ok(bits(&page.values)), "{}", page.name());
    }
    assert_eq!(pages.len(), 119);
}

#[test]
fn blocks_one_behind_another_are_the_values_of_all() {
    let mut n_pages = 0;
    for page in golden::pages() {
        let is_scaled = matches!(page.values, Values::Float(_) | Values::Double(_))
            && matches!(page.encoding, Encoding::Rle | Encoding::Ts2Diff);
        let is_stream = matches!(
            page.encoding,
            Encoding::Chimp | Encoding::Dictionary | Encoding::Gorilla | Encoding::GorillaV1
        );
        if is_scaled || is_stream {
            continue;
        }
        let bytes = page.bytes.repeat(3);
        let n = 3 * page.values.len();
        let found = decode(page.encoding, page.data_type, page.rlbe, &bytes, n);
        let whole = vec![bits(&page.values); 3].concat();
        assert!(found.as_ref().map(bits) == Ok(whole), "{}", page.name());
        n_pages += 1;
    }
    assert_eq!(n_pages, 83);
}

#[test]
fn what_is_encoded_are_the_bytes_of_iotdbs_libraries() {
    let mut n_same = 0;
    for page in golden::pages() {
        let found = match encode(page.encoding, page.data_type, &page.values) {
            Err(EncodingError::Unsupported { .. }) => continue,
            found => found.unwrap(),
        };
        let mut bytes = page.bytes.clone();
        if page.encoding == Encoding::Ts2Diff {
            // The padding of the last byte is what the block before has left there.
            *bytes.last_mut().unwrap() &= found.last().unwrap();
        }
        assert_eq!(found, bytes, "{}", page.name());
        n_same += 1;
    }
    assert_eq!(n_same, 79);
}
