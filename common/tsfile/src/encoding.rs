//! The numbers under which a TsFile names encodings and compressors.

use core::fmt;

/// How the values or times of a page are encoded.
///
/// FREQ, DIFF and BITMAP have numbers but no decoder in any IoTDB since 1.0; files that name them
/// are refused by that name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Encoding {
    /// Every value as it is.
    Plain,
    /// Texts once each, then numbers of them.
    Dictionary,
    /// Runs of equal values and packed ones.
    Rle,
    /// Never written.
    Diff,
    /// Differences of differences from their minimum, packed.
    Ts2Diff,
    /// Never written.
    Bitmap,
    /// The first form of GORILLA.
    GorillaV1,
    /// First value and step.
    Regular,
    /// Differing bits of successive values.
    Gorilla,
    /// Zigzag variable-length numbers.
    Zigzag,
    /// Frequencies; only ever written by development versions.
    Freq,
    /// Like GORILLA, against one of many earlier values.
    Chimp,
    /// Predicted values, packed differences.
    Sprintz,
    /// Run lengths of the widths of differences.
    Rlbe,
    /// Integer parts and decimals apart; DOUBLE only, library 2.2 and later.
    Camel,
}

impl Encoding {
    /// Every encoding, by code.
    pub const ALL: [Self; 15] = [
        Self::Plain,
        Self::Dictionary,
        Self::Rle,
        Self::Diff,
        Self::Ts2Diff,
        Self::Bitmap,
        Self::GorillaV1,
        Self::Regular,
        Self::Gorilla,
        Self::Zigzag,
        Self::Freq,
        Self::Chimp,
        Self::Sprintz,
        Self::Rlbe,
        Self::Camel,
    ];

    /// The encoding of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The code in chunk headers and table schemas.
    pub fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Dictionary => 1,
            Self::Rle => 2,
            Self::Diff => 3,
            Self::Ts2Diff => 4,
            Self::Bitmap => 5,
            Self::GorillaV1 => 6,
            Self::Regular => 7,
            Self::Gorilla => 8,
            Self::Zigzag => 9,
            Self::Freq => 10,
            Self::Chimp => 11,
            Self::Sprintz => 12,
            Self::Rlbe => 13,
            Self::Camel => 14,
        }
    }

    /// IoTDB's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Dictionary => "DICTIONARY",
            Self::Rle => "RLE",
            Self::Diff => "DIFF",
            Self::Ts2Diff => "TS_2DIFF",
            Self::Bitmap => "BITMAP",
            Self::GorillaV1 => "GORILLA_V1",
            Self::Regular => "REGULAR",
            Self::Gorilla => "GORILLA",
            Self::Zigzag => "ZIGZAG",
            Self::Freq => "FREQ",
            Self::Chimp => "CHIMP",
            Self::Sprintz => "SPRINTZ",
            Self::Rlbe => "RLBE",
            Self::Camel => "CAMEL",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_for_one_encoding() {
        for code in 0..=u8::MAX {
            assert_eq!(Encoding::from_code(code).is_some(), code < 15);
            assert!(Encoding::from_code(code).is_none_or(|found| found.code() == code));
        }
    }
}
