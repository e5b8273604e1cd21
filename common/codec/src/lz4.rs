//! LZ4 blocks, of which the beginning alone can be decompressed.
//!
//! A block is a chain of sequences: a token with two lengths of four bits, more bytes of the first length if
//! it is 15, literals, the distance of a match in two bytes, least significant first, and more bytes of the
//! second length, to which 4 is added. The last sequence ends behind its literals.

// Positions stay inside of slices by the checks beside them, and lengths are added up with care.
#![allow(clippy::arithmetic_side_effects)]

use crate::copies::STEP;
use crate::copies::copy_literals;
use crate::copies::copy_match;
use crate::copies::step;

/// Fills `output` with the first bytes that `input` stands for; `None` if these are fewer or if what stands
/// for them is damaged. What follows is not looked at.
pub(crate) fn fill(input: &[u8], output: &mut [u8]) -> Option<()> {
    decompress::<false>(input, output)
}

/// Fills `output` with all that `input` stands for; `None` if that is not as many bytes, or if it is
/// damaged.
pub(crate) fn fill_exactly(input: &[u8], output: &mut [u8]) -> Option<()> {
    decompress::<true>(input, output)
}

fn decompress<const IS_WHOLE: bool>(input: &[u8], output: &mut [u8]) -> Option<()> {
    let (mut from, mut to) = (0usize, 0usize);
    while IS_WHOLE || to < output.len() {
        // Almost all sequences are short, and far from both ends.
        while let Some((read_bytes, made_bytes)) = short(input, from, output, to) {
            from += read_bytes;
            to += made_bytes;
        }
        if !IS_WHOLE && to == output.len() {
            break;
        }
        let token = *input.get(from)?;
        from += 1;
        let n_literals = length(input, &mut from, token >> 4)?;
        let room = output.len() - to;
        copy_literals(input, from, output, &mut to, n_literals)?;
        from = from.checked_add(n_literals)?;
        if IS_WHOLE {
            if n_literals > room {
                return None;
            }
            if from == input.len() {
                return (to == output.len()).then_some(());
            }
        } else if to == output.len() {
            break;
        }
        let distance = input.get(from..)?.first_chunk()?;
        from += 2;
        let n_matching = length(input, &mut from, token & 15)?.checked_add(MATCH_MIN)?;
        if IS_WHOLE && n_matching > output.len() - to {
            return None;
        }
        copy_match(output, &mut to, u16::from_le_bytes(*distance).into(), n_matching)?;
    }
    Some(())
}

/// A sequence with lengths of one byte at most, if there is room around it and the match is not among what
/// it stands for; the bytes that were read and made.
#[inline(always)]
fn short(input: &[u8], from: usize, output: &mut [u8], to: usize) -> Option<(usize, usize)> {
    let source: &[u8; 1 + STEP + 3] = input.get(from..)?.first_chunk()?;
    let token = usize::from(source[0]);
    let (n_literals, bits) = (token >> 4, token & 15);
    if n_literals == 15 {
        return None;
    }
    let literals: &[u8; STEP] = source.get(1..)?.first_chunk()?;
    let behind = source.get(1 + n_literals..)?;
    let distance = usize::from(u16::from_le_bytes(*behind.first_chunk()?));
    let at = to + n_literals;
    let taken_from = at.checked_sub(distance)?;
    if bits < 15 {
        let n_matching = bits + MATCH_MIN;
        let end = at + SHORT;
        if distance < n_matching || end > output.len() {
            return None;
        }
        *output.get_mut(to..)?.first_chunk_mut()? = *literals;
        let taken: [u8; SHORT] = *output.get(taken_from..)?.first_chunk()?;
        *output.get_mut(at..)?.first_chunk_mut()? = taken;
        return Some((n_literals + 3, n_literals + n_matching));
    }
    let more = usize::from(*behind.get(2)?);
    let n_matching = 15 + more + MATCH_MIN;
    if more == 255 || distance < STEP || at + n_matching + STEP > output.len() {
        return None;
    }
    *output.get_mut(to..)?.first_chunk_mut()? = *literals;
    let mut done = 0;
    while done < n_matching {
        step(output, taken_from + done, at + done)?;
        done += STEP;
    }
    Some((n_literals + 4, n_literals + n_matching))
}

/// Shortest match.
const MATCH_MIN: usize = 4;

/// A length that begins with four bits of a token.
#[inline(always)]
fn length(input: &[u8], from: &mut usize, bits: u8) -> Option<usize> {
    let mut length = usize::from(bits);
    if bits == 15 {
        loop {
            let more = *input.get(*from)?;
            *from += 1;
            length = length.checked_add(more.into())?;
            if more != u8::MAX {
                break;
            }
        }
    }
    Some(length)
}

/// The longest match that the token of LZ4 can say alone.
const SHORT: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences with lengths and distances of every kind, and what they stand for.
    fn block(random: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>) {
        let (mut block, mut whole) = (Vec::new(), Vec::<u8>::new());
        let length = |random: &mut fastrand::Rng| match random.u8(..8) {
            0 => 0,
            1 => random.usize(..1000),
            2 => 15 + 255 * random.usize(..3),
            _ => random.usize(..20),
        };
        let more = |length: usize, block: &mut Vec<u8>| {
            if let Some(more) = length.checked_sub(15) {
                block.extend(core::iter::repeat_n(255, more / 255));
                block.push((more % 255) as u8);
            }
        };
        let n_sequences = random.usize(1..40);
        for sequence in 1..=n_sequences {
            let n_literals = length(random).max(usize::from(whole.is_empty()));
            let n_more = length(random);
            block.push((n_literals.min(15) << 4 | n_more.min(15)) as u8);
            more(n_literals, &mut block);
            for _ in 0..n_literals {
                let literal = random.u8(..);
                block.push(literal);
                whole.push(literal);
            }
            if sequence == n_sequences {
                break;
            }
            let mut distance = random.usize(1..=whole.len().min(0xffff));
            if random.bool() {
                distance = distance.min(random.usize(1..40));
            }
            block.extend_from_slice(&(distance as u16).to_le_bytes());
            more(n_more, &mut block);
            for _ in 0..n_more + MATCH_MIN {
                whole.extend(whole.get(whole.len() - distance).copied());
            }
        }
        (block, whole)
    }

    /// What the library makes of a block, if that is so many bytes.
    fn of_library(block: &[u8], n_bytes: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; n_bytes];
        let found = lz4_flex::block::decompress_into(block, &mut output).ok()?;
        (found == n_bytes).then_some(output)
    }

    fn whole_of(block: &[u8], n_bytes: usize) -> Option<Vec<u8>> {
        let mut output = vec![0xa5; n_bytes];
        fill_exactly(block, &mut output).map(|()| output)
    }

    #[test]
    fn sequences_of_every_kind_are_read_as_the_library_reads_them() {
        let mut random = fastrand::Rng::with_seed(31);
        for _ in 0..3000 {
            let (block, whole) = block(&mut random);
            assert_eq!(of_library(&block, whole.len()).as_ref(), Some(&whole), "{block:?}");
            assert_eq!(whole_of(&block, whole.len()).as_ref(), Some(&whole), "{block:?}");
            for length in [random.usize(0..=whole.len()), whole.len()] {
                let mut output = vec![0xa5; length];
                assert_eq!(fill(&block, &mut output), Some(()), "{block:?}");
                assert!(whole.starts_with(&output), "{length} of {block:?}");
            }
            assert_eq!(fill(&block, &mut vec![0; whole.len() + 1]), None);
            for wrong in [whole.len() + 1, whole.len() + 100, random.usize(..whole.len())] {
                assert_eq!(whole_of(&block, wrong), None, "{wrong} bytes of {block:?}");
            }
        }
    }

    #[test]
    fn a_damaged_block_is_read_as_the_library_reads_it_or_refused_as_there() {
        let mut random = fastrand::Rng::with_seed(37);
        let mut n_taken = 0;
        for _ in 0..20_000 {
            let (mut block, whole) = block(&mut random);
            match random.u8(..3) {
                0 => block.truncate(random.usize(..block.len())),
                1 => block.push(random.u8(..)),
                _ => *random.choice(block.iter_mut()).unwrap() ^= 1 << random.u8(..8),
            }
            let expected = of_library(&block, whole.len());
            n_taken += usize::from(expected.is_some());
            assert_eq!(whole_of(&block, whole.len()), expected, "{block:?}");
        }
        assert!(n_taken > 1000, "{n_taken}");
    }
}
