//! Pages that IoTDB's own libraries encoded, see golden/encodings/README.md.

use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;

use crate::support::from_hex;

/// One page.
pub(crate) struct Page {
    /// `None` for times.
    pub(crate) data_type: Option<DataType>,
    pub(crate) encoding: Encoding,
    pub(crate) rlbe: RlbeMeaning,
    /// Which libraries write it so.
    pub(crate) libraries: String,
    pub(crate) bytes: Vec<u8>,
    /// What it is decoded to.
    pub(crate) values: Values,
}

impl Page {
    pub(crate) fn name(&self) -> String {
        let data_type = self.data_type.map_or_else(|| "TIME".to_owned(), |of| of.to_string());
        format!(
            "{} values of {data_type} as {} {}",
            self.values.len(),
            self.encoding,
            self.libraries
        )
    }
}

pub(crate) fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    let mut values = (None, Values::new(DataType::Int64));
    for line in include_str!("../golden/encodings/pages.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["values", data_type, count, content] => {
                values = parse_values(data_type, content);
                assert_eq!(values.1.len().to_string(), count);
            }
            ["page", encoding, libraries, bytes] => {
                let encoding = Encoding::ALL.into_iter().find(|of| of.as_str() == encoding);
                // One page of both meanings would be a page of whole numbers only.
                let rlbe = match libraries {
                    "v4" => RlbeMeaning::BitDifference,
                    _ => RlbeMeaning::FloatDifference,
                };
                pages.push(Page {
                    data_type: values.0,
                    encoding: encoding.unwrap(),
                    rlbe,
                    libraries: libraries.to_owned(),
                    bytes: from_hex(bytes),
                    values: values.1.clone(),
                });
            }
            _ => panic!("{line}"),
        }
    }
    pages
}

fn parse_values(data_type: &str, content: &str) -> (Option<DataType>, Values) {
    let data_type = DataType::ALL.into_iter().find(|of| of.to_string() == data_type);
    let mut values = Values::new(data_type.unwrap_or(DataType::Int64));
    match &mut values {
        Values::Boolean(values) => values.extend(from_hex(content).iter().map(|byte| *byte == 1)),
        Values::Int32(values) => values.extend(words(content).map(i32::from_be_bytes)),
        Values::Int64(values) => values.extend(words(content).map(i64::from_be_bytes)),
        Values::Float(values) => values.extend(words(content).map(f32::from_be_bytes)),
        Values::Double(values) => values.extend(words(content).map(f64::from_be_bytes)),
        Values::Bytes(values) => content.split(',').for_each(|value| values.push(&from_hex(value))),
    }
    (data_type, values)
}

fn words<const N: usize>(content: &str) -> impl Iterator<Item = [u8; N]> {
    from_hex(content)
        .chunks_exact(N)
        .map(|word| word.try_into().unwrap())
        .collect::<Vec<_>>()
        .into_iter()
}
