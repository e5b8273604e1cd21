//! What LZ4 and snappy blocks are made of: literals, and copies of what stands before them.
//!
//! More bytes than there are may be copied where others follow, which are written over it.

// Positions stay inside of slices by the checks beside them, and lengths are added up with care.
#![allow(clippy::arithmetic_side_effects)]

use core::ops::Range;

/// Bytes that are copied at once. More than there are do no harm where others follow: they are written
/// over.
pub(crate) const STEP: usize = 16;

/// Copies [`STEP`] bytes inside of `bytes`.
#[inline(always)]
pub(crate) fn step(bytes: &mut [u8], from: usize, to: usize) -> Option<()> {
    let taken = *bytes.get(from..)?.first_chunk::<STEP>()?;
    *bytes.get_mut(to..)?.first_chunk_mut::<STEP>()? = taken;
    Some(())
}

/// Copies `n` bytes of `input` from `from` on to `output`, or as many as it has room for.
#[inline(always)]
pub(crate) fn copy_literals(
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
pub(crate) fn copy_match(
    output: &mut [u8],
    to: &mut usize,
    distance: usize,
    n: usize,
) -> Option<()> {
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
