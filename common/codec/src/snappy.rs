//! Snappy blocks, of which the beginning alone can be decompressed.
//!
//! A block is the length of what it stands for, then a chain of elements. The low two bits of a tag say what
//! it is: 0 literals, whose number less 1 is in the other six bits, or from 60 on in the one to four bytes that
//! follow; 1 a copy of 4 to 11 bytes from a distance of eleven bits, of which the tag has the upper three; 2 and
//! 3 a copy of 1 to 64 bytes from a distance of two or four bytes. Everything is least significant byte first.

// Positions stay inside of slices by the checks beside them, and lengths are added up with care. The only
// index is a byte, into a table that has an entry for each.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use crate::copies::copy_literals;
use crate::copies::copy_match;

/// Fills `output` with the first bytes that `input` stands for; `None` if these are fewer or if what stands
/// for them is damaged. What follows is not looked at.
pub(crate) fn fill(input: &[u8], output: &mut [u8]) -> Option<()> {
    if snap::raw::decompress_len(input).ok()? < output.len() {
        return None;
    }
    let length_bytes = input.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let input = input.get(length_bytes..)?;
    let (mut from, mut to) = (0usize, 0usize);
    while to < output.len() {
        let tag = *input.get(from)?;
        from += 1;
        if tag & 3 == 0 {
            let n = literals(input, &mut from, tag >> 2)?.checked_add(1)?;
            copy_literals(input, from, output, &mut to, n)?;
            from = from.checked_add(n)?;
            continue;
        }
        let element = ELEMENTS[usize::from(tag)];
        let distance = u32::from(element.distance) | following(input, from) & element.mask;
        from += usize::from(element.n_bytes);
        if from > input.len() {
            return None;
        }
        copy_match(output, &mut to, distance as usize, element.n.into())?;
    }
    Some(())
}

/// How many literals there are but one.
#[inline(always)]
fn literals(input: &[u8], from: &mut usize, said: u8) -> Option<usize> {
    let Some(n_bytes) = said.checked_sub(59).filter(|n_bytes| *n_bytes > 0) else {
        return Some(said.into());
    };
    let mask = u32::MAX >> (32 - 8 * u32::from(n_bytes));
    let found = following(input, *from) & mask;
    *from += usize::from(n_bytes);
    usize::try_from(found).ok()
}

/// Four bytes from `at` on as a number; zeros behind the end.
#[inline(always)]
fn following(input: &[u8], at: usize) -> u32 {
    match input.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u32::from_le_bytes(*word),
        None => at_end(input, at),
    }
}

#[cold]
fn at_end(input: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    let rest = input.get(at..).unwrap_or_default();
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u32::from_le_bytes(word)
}

/// What a tag says of a copy.
#[derive(Clone, Copy)]
struct Element {
    /// How many bytes are copied.
    n: u8,
    /// How many bytes of the distance follow.
    n_bytes: u8,
    /// What of the four bytes that follow these are.
    mask: u32,
    /// The part of the distance that is in the tag.
    distance: u16,
}

/// Of every tag, so that no kind of copy has to be told from the others.
const ELEMENTS: [Element; 256] = {
    let mut elements = [Element { n: 0, n_bytes: 0, mask: 0, distance: 0 }; 256];
    let mut tag = 0;
    while tag < elements.len() {
        let bits = tag as u8;
        elements[tag] = match bits & 3 {
            1 => Element {
                n: (bits >> 2 & 7) + 4,
                n_bytes: 1,
                mask: 0xff,
                distance: ((bits >> 5) as u16) << 8,
            },
            2 => Element { n: (bits >> 2) + 1, n_bytes: 2, mask: 0xffff, distance: 0 },
            _ => Element { n: (bits >> 2) + 1, n_bytes: 4, mask: u32::MAX, distance: 0 },
        };
        tag += 1;
    }
    elements
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    /// A block of elements of every kind, and what it stands for.
    fn block(random: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>) {
        let (mut elements, mut whole) = (Vec::new(), Vec::<u8>::new());
        for _ in 0..random.usize(1..60) {
            let kind = if whole.is_empty() { 0 } else { random.u8(0..4) };
            let distance = random.usize(1..=whole.len().clamp(1, 3000));
            let n: usize = match kind {
                0 => random.usize(1..300),
                1 => random.usize(4..12),
                _ => random.usize(1..65),
            };
            match kind {
                // Short lengths may be said at length.
                0 => {
                    let least = if n <= 60 { 0 } else { 1 + usize::from(n > 256) };
                    let n_bytes = random.usize(least..5);
                    let bits = if n_bytes == 0 { n - 1 } else { 59 + n_bytes };
                    elements.push((bits << 2) as u8);
                    elements.extend_from_slice(&(n as u32 - 1).to_le_bytes()[..n_bytes]);
                    let literals: Vec<u8> =
                        core::iter::repeat_with(|| random.u8(..)).take(n).collect();
                    elements.extend_from_slice(&literals);
                    whole.extend_from_slice(&literals);
                }
                1 => {
                    let distance = distance.min(2047);
                    elements.push((distance >> 8 << 5 | (n - 4) << 2 | 1) as u8);
                    elements.push(distance as u8);
                    (0..n).for_each(|_| whole.push(whole[whole.len() - distance]));
                }
                _ => {
                    elements.push(((n - 1) << 2) as u8 | kind);
                    let n_bytes = if kind == 2 { 2 } else { 4 };
                    elements.extend_from_slice(&(distance as u32).to_le_bytes()[..n_bytes]);
                    (0..n).for_each(|_| whole.push(whole[whole.len() - distance]));
                }
            }
        }
        let mut block = Vec::new();
        Writer::new(&mut block).uvar(whole.len() as u32);
        block.extend_from_slice(&elements);
        (block, whole)
    }

    #[test]
    fn elements_of_every_kind_are_read_as_the_library_reads_them() {
        let mut random = fastrand::Rng::with_seed(29);
        for _ in 0..2000 {
            let (block, whole) = block(&mut random);
            assert_eq!(snap::raw::Decoder::new().decompress_vec(&block).as_ref(), Ok(&whole));
            for length in [whole.len(), random.usize(0..=whole.len())] {
                let mut output = vec![0xa5; length];
                assert_eq!(fill(&block, &mut output), Some(()), "{block:?}");
                assert!(whole.starts_with(&output), "{length} of {block:?}");
            }
            assert_eq!(fill(&block, &mut vec![0; whole.len() + 1]), None);
        }
    }

    /// It was read as lengths of our own formats are, which have one form only.
    #[test]
    fn a_length_that_is_said_at_length_is_read_as_the_library_reads_it() {
        let block = |length: &[u8]| [length, &[3 << 2], b"abcd"].concat();
        for length in [&[4][..], &[0x84, 0], &[0x84, 0x80, 0x80, 0x80, 0]] {
            let block = block(length);
            let whole = snap::raw::Decoder::new().decompress_vec(&block);
            assert_eq!(whole.as_deref(), Ok(&b"abcd"[..]), "{length:?}");
            for n_bytes in 0..=4 {
                let mut output = vec![0; n_bytes];
                assert_eq!(fill(&block, &mut output), Some(()), "{length:?}");
                assert!(b"abcd".starts_with(&output));
            }
            assert_eq!(fill(&block, &mut [0; 5]), None);
        }
        for length in [&[0x84, 0x80, 0x80, 0x80, 0x80, 0][..], &[0xff; 12]] {
            let block = block(length);
            assert!(snap::raw::Decoder::new().decompress_vec(&block).is_err(), "{length:?}");
            assert_eq!(fill(&block, &mut [0; 4]), None, "{length:?}");
        }
        assert_eq!(fill(&[], &mut []), None);
        assert_eq!(fill(&[0x84], &mut []), None);
    }

    #[test]
    fn a_copy_from_before_the_beginning_is_refused() {
        for distance in [0u8, 2, 255] {
            let block = [20, 0, b'x', 14 << 2 | 2, distance, 0];
            assert_eq!(fill(&block, &mut [0; 16]), None, "{distance}");
        }
        assert_eq!(fill(&[16, 0, b'x', 14 << 2 | 2, 1, 0], &mut [0; 16]), Some(()));
    }
}
