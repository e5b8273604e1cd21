//! What becomes of a NaN: Java keeps the bits that tell one from another where it adds, and so must we.

use tidegate_model::DataType;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Values;

use crate::bits;
use crate::decode;

/// A block of RLBE with four words of this width, in one run.
fn block(width_bits: usize, width: usize, words: [u64; 4]) -> Vec<u8> {
    let mut text = format!("{width:0width_bits$b}");
    // Four, as a sum of Fibonacci numbers: 1 and 3, and the mark of the end.
    text.push_str("1011");
    words.iter().for_each(|word| text.push_str(&format!("{word:0width$b}")));
    let mut bytes = 4i32.to_be_bytes().to_vec();
    for chunk in text.as_bytes().chunks(8) {
        let bits = String::from_utf8_lossy(chunk);
        bytes.push(u8::from_str_radix(&format!("{bits:0<8}"), 2).unwrap());
    }
    bytes
}

/// A NaN as difference was added by the processor, in whichever order the compiler chose, so the bits
/// of the wrong one came out, and not always those of the same.
#[test]
fn a_float_behind_a_nan_of_rlbe_has_the_bits_of_the_first_nan_and_is_quiet() {
    let (signalling, other) = (0x7f80_0001_u32, 0x7fc0_0007_u32);
    let quiet = 0x7fc0_0001_u32;
    let one = 1f32.to_bits();
    for (words, expected) in [
        ([one, signalling, 2f32.to_bits(), other], [one, quiet, quiet, quiet]),
        ([signalling, one, other, other], [signalling, quiet, quiet, quiet]),
        ([other, signalling, one, one], [other; 4]),
    ] {
        let bytes = block(6, 31, words.map(u64::from));
        let found =
            decode(Encoding::Rlbe, Some(DataType::Float), RlbeMeaning::FloatDifference, &bytes, 4);
        let expected = Values::Float(expected.map(f32::from_bits).to_vec());
        assert_eq!(found.as_ref().map(bits), Ok(bits(&expected)), "{words:x?}");
    }
}

#[test]
fn a_double_behind_a_nan_of_rlbe_has_the_bits_of_the_first_nan_and_is_quiet() {
    let (signalling, other) = (0x7ff0_0000_0000_0001_u64, 0x7ff8_0000_0000_0007_u64);
    let quiet = 0x7ff8_0000_0000_0001_u64;
    let one = 1f64.to_bits();
    for (words, expected) in [
        ([one, signalling, 2f64.to_bits(), other], [one, quiet, quiet, quiet]),
        ([signalling, one, other, other], [signalling, quiet, quiet, quiet]),
        ([other, signalling, one, one], [other; 4]),
    ] {
        let bytes = block(7, 63, words);
        let found =
            decode(Encoding::Rlbe, Some(DataType::Double), RlbeMeaning::FloatDifference, &bytes, 4);
        let expected = Values::Double(expected.map(f64::from_bits).to_vec());
        assert_eq!(found.as_ref().map(bits), Ok(bits(&expected)), "{words:x?}");
    }
}

/// The other meaning adds bits, whatever they say.
#[test]
fn bit_differences_of_rlbe_know_no_nan() {
    let one = 1f32.to_bits();
    let bytes = block(6, 31, [u64::from(one), 1, 0x7f80_0001 - u64::from(one) - 1, 0]);
    let found =
        decode(Encoding::Rlbe, Some(DataType::Float), RlbeMeaning::BitDifference, &bytes, 4);
    let expected = [one, one + 1, 0x7f80_0001, 0x7f80_0001].map(f32::from_bits);
    assert_eq!(found.as_ref().map(bits), Ok(bits(&Values::Float(expected.to_vec()))));
}
