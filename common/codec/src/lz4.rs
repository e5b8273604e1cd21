//! LZ4 blocks, of which the beginning alone can be decompressed.
//!
//! A block is a chain of sequences: a token with two lengths of four bits, more bytes of the first length if
//! it is 15, literals, the distance of a match in two bytes, least significant first, and more bytes of the
//! second length, to which 4 is added. The last sequence ends behind its literals.

// Positions stay inside of slices by the checks beside them, and lengths are added up with care.
#![allow(clippy::arithmetic_side_effects)]

use core::ops::Range;

/// Fills `output` with the first bytes that `input` stands for; `None` if these are fewer or if what stands
/// for them is damaged. What follows is not looked at.
pub(crate) fn fill(input: &[u8], output: &mut [u8]) -> Option<()> {
    let (mut from, mut to) = (0usize, 0usize);
    while to < output.len() {
        let token = *input.get(from)?;
        from += 1;
        // Almost all sequences are short, and most of them far from both ends.
        if let Some((read_bytes, made_bytes)) = short(token, input, from, output, to) {
            from += read_bytes;
            to += made_bytes;
            continue;
        }
        let n_literals = length(input, &mut from, token >> 4)?;
        copy_literals(input, from, output, &mut to, n_literals)?;
        if to == output.len() {
            break;
        }
        from = from.checked_add(n_literals)?;
        let distance = input.get(from..)?.first_chunk()?;
        from += 2;
        let n_matching = length(input, &mut from, token & 15)?.checked_add(MATCH_MIN)?;
        copy_match(output, &mut to, u16::from_le_bytes(*distance).into(), n_matching)?;
    }
    Some(())
}

/// A sequence whose lengths are in its token, if there is room around it; the bytes that were read and
/// made.
#[inline(always)]
fn short(
    token: u8,
    input: &[u8],
    from: usize,
    output: &mut [u8],
    to: usize,
) -> Option<(usize, usize)> {
    let (n_literals, n_matching) = (usize::from(token >> 4), usize::from(token & 15));
    if n_literals == 15 || n_matching == 15 {
        return None;
    }
    let source: &[u8; 18] = input.get(from..)?.first_chunk()?;
    let literals: &[u8; 16] = source.first_chunk()?;
    *output.get_mut(to..)?.first_chunk_mut()? = *literals;
    let distance = usize::from(u16::from_le_bytes(*source.get(n_literals..)?.first_chunk()?));
    let (at, n_matching) = (to + n_literals, n_matching + MATCH_MIN);
    copy_short_match(output, at, distance, n_matching)?;
    Some((n_literals + 2, n_literals + n_matching))
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

/// Bytes that are copied at once. More than there are do no harm where others follow: they are written
/// over.
const STEP: usize = 16;

/// Copies [`STEP`] bytes inside of `bytes`.
#[inline(always)]
fn step(bytes: &mut [u8], from: usize, to: usize) -> Option<()> {
    let taken = *bytes.get(from..)?.first_chunk::<STEP>()?;
    *bytes.get_mut(to..)?.first_chunk_mut::<STEP>()? = taken;
    Some(())
}

/// Copies `n` bytes of `input` from `from` on to `output`, or as many as it has room for.
#[inline(always)]
fn copy_literals(
    input: &[u8],
    from: usize,
    output: &mut [u8],
    to: &mut usize,
    n: usize,
) -> Option<()> {
    let rest = output.get_mut(*to..)?;
    let source = input.get(from..)?;
    match (rest.first_chunk_mut::<STEP>(), source.first_chunk::<STEP>()) {
        (Some(rest), Some(source)) if n <= STEP => *rest = *source,
        _ => {
            let n = n.min(rest.len());
            rest.get_mut(..n)?.copy_from_slice(source.get(..n)?);
            *to += n;
            return Some(());
        }
    }
    *to += n;
    Some(())
}

/// Copies `n` bytes that stand `distance` before `to`, or as many as there is room for. They may be
/// among those that are being written.
#[inline(always)]
fn copy_match(output: &mut [u8], to: &mut usize, distance: usize, n: usize) -> Option<()> {
    let from = to.checked_sub(distance)?;
    let end = to.checked_add(n)?;
    let is_apart = distance >= STEP || distance >= n;
    if is_apart && end.saturating_add(2 * STEP) <= output.len() {
        // Most matches are no longer than this, and whether one is cannot be foreseen.
        step(output, from, *to)?;
        step(output, from + STEP, *to + STEP)?;
        let mut at = *to + 2 * STEP;
        while at < end {
            step(output, at - distance, at)?;
            at += STEP;
        }
        *to = end;
        return Some(());
    }
    let end = end.min(output.len());
    copy_slowly(output, from, *to..end)?;
    *to = end;
    Some(())
}

/// As [`copy_match`], but of a match of at most 18 bytes that is not among those that are written, and
/// with room behind it; else nothing is copied.
#[inline(always)]
fn copy_short_match(output: &mut [u8], to: usize, distance: usize, n: usize) -> Option<()> {
    if n > SHORT || distance < n {
        return None;
    }
    let from = to.checked_sub(distance)?;
    let taken: [u8; SHORT] = *output.get(from..)?.first_chunk()?;
    *output.get_mut(to..)?.first_chunk_mut()? = taken;
    Some(())
}

/// The longest match that the token of LZ4 can say alone.
const SHORT: usize = 18;

/// As [`copy_match`] near the end, or over a small distance.
#[inline(never)]
fn copy_slowly(output: &mut [u8], from: usize, to: Range<usize>) -> Option<()> {
    if from == to.start {
        return None;
    }
    let output = output.get_mut(..to.end)?;
    let mut at = to.start;
    while at < to.end {
        // What was copied repeats what stands before it, so that twice as much can follow.
        let n = (to.end - at).min(at - from);
        output.copy_within(from..from + n, at);
        at += n;
    }
    Some(())
}
