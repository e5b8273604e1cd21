//! RLE: runs of one value, and runs of packed ones.
//!
//! A section is `uvar` length in bytes, `u8` width, then runs: `uvar` header; if it is even, half of it
//! is how often the value that follows repeats, in as few whole bytes as hold the width, least
//! significant first for 32 bits and most significant first for 64; if it is odd, half of it is the
//! number of groups, `u8` is how many values of the last group count, and then come the groups of eight
//! packed values. IoTDB's writer makes one section a page.

use core::marker::PhantomData;

use tidegate_codec::Writer;

use super::EncodingError;
use super::Refusal;
use super::bits;
use super::bits::BitWriter;
use super::input::Input;
use super::input::Output;
use super::number::Number;

/// Values in one group of a packed run.
const GROUP: usize = 8;

pub(super) fn decode<T: Number, V: Copy>(
    input: &mut Input<'_>,
    out: &mut Output<'_, V>,
    mut map: impl FnMut(T) -> V,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let length = input.uvar_count("the length of a section")?;
        let mut section = input.sub(length, "as many bytes as a section claims")?;
        let offset = section.position();
        let width = u32::from(section.u8("the width of the values of a section")?);
        if width > T::BITS {
            return Err(section.malformed_at(offset, "a width from 0 to that of the type"));
        }
        while !(section.is_empty() || out.is_exact() && out.room() == 0) {
            run(&mut section, width, out, &mut map)?;
        }
    }
    Ok(())
}

fn run<T: Number, V: Copy>(
    section: &mut Input<'_>,
    width: u32,
    out: &mut Output<'_, V>,
    mut map: impl FnMut(T) -> V,
) -> Result<(), EncodingError> {
    let offset = section.position();
    let header = section.uvar_count("the header of a run")?;
    let half = header >> 1;
    if header & 1 == 0 {
        out.claim(half, section)?;
        let bytes = section.take(width.div_ceil(8) as usize, "the value of a run")?;
        let join = |bits: u64, byte: &u8| (bits << 8) | u64::from(*byte);
        let bits = match T::BITS {
            32 => bytes.iter().rev().fold(0, join),
            _ => bytes.iter().fold(0, join),
        };
        for _ in 0..half {
            out.push(map(T::from_bits(bits)));
        }
        return Ok(());
    }
    let n_last = usize::from(section.u8("how many values of the last group count")?);
    let full = half.checked_sub(1).filter(|_| n_last <= GROUP);
    let Some(full) = full else {
        return Err(section.malformed_at(offset, "a packed run of at least one group of eight"));
    };
    let n = full.saturating_mul(GROUP).saturating_add(n_last);
    out.claim(n, section)?;
    let n_bytes = half.saturating_mul(width as usize);
    let packed = section.take(n_bytes, "as many packed bytes as a run claims")?;
    bits::unpack(packed, n, width, out.values(), |bits| map(T::from_bits(bits)));
    Ok(())
}

/// Most groups in one packed run of IoTDB's writer: the header is one byte.
const GROUPS_MAX: u8 = 63;
/// Most values in one run of equal ones of IoTDB's writer.
const REPEATS_MAX: u32 = 0x7fff;
/// Equal values before they become a run of their own.
const REPEATS_MIN: u32 = 8;

pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let all = values.iter().fold(1, |all, value| all | value.to_bits());
    let width = u64::BITS.saturating_sub(all.leading_zeros());
    let mut section = Section::<T> {
        width,
        bytes: vec![width as u8],
        packed: Vec::new(),
        n_groups: 0,
        waiting: Vec::with_capacity(GROUP),
        before: 0,
        n_repeats: 0,
        number: PhantomData,
    };
    for value in values {
        section.add(value.to_bits());
    }
    let bytes = section.finish();
    Writer::new(out).uvar(bytes.len().try_into()?);
    out.extend_from_slice(&bytes);
    Ok(())
}

/// A section that is being written, step by step as IoTDB's writer does, so that the bytes are the same.
struct Section<T> {
    width: u32,
    bytes: Vec<u8>,
    /// Groups of the packed run at the end, which is not in `bytes` yet.
    packed: Vec<u8>,
    n_groups: u8,
    /// Values that are no group yet; those that are counted as repeats from the eighth on are not here.
    waiting: Vec<u64>,
    before: u64,
    /// How often `before` came in a row, since the last group.
    n_repeats: u32,
    number: PhantomData<T>,
}

impl<T: Number> Section<T> {
    fn add(&mut self, value: u64) {
        if value == self.before {
            self.n_repeats = self.n_repeats.saturating_add(1);
            if (REPEATS_MIN..=REPEATS_MAX).contains(&self.n_repeats) {
                return;
            }
            if self.n_repeats > REPEATS_MAX {
                self.n_repeats = REPEATS_MAX;
                self.put_repeats();
                self.n_repeats = 1;
            }
        } else {
            if self.n_repeats >= REPEATS_MIN {
                self.put_repeats();
            }
            self.n_repeats = 1;
            self.before = value;
        }
        self.waiting.push(value);
        if self.waiting.len() == GROUP {
            self.put_group();
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let n_waiting = self.waiting.len();
        if self.n_repeats >= REPEATS_MIN {
            self.put_repeats();
        } else if n_waiting > 0 {
            self.waiting.resize(GROUP, 0);
            self.put_group();
            self.end_packed(n_waiting as u8);
        }
        self.end_packed(GROUP as u8);
        self.bytes
    }

    fn put_repeats(&mut self) {
        self.end_packed(GROUP as u8);
        Writer::new(&mut self.bytes).uvar(self.n_repeats << 1);
        let n_bytes = self.width.div_ceil(8) as usize;
        match T::BITS {
            32 => self.bytes.extend(self.before.to_le_bytes().iter().take(n_bytes)),
            _ => {
                let bytes = self.before.to_be_bytes();
                self.bytes.extend(bytes.iter().skip(bytes.len().saturating_sub(n_bytes)));
            }
        }
        self.n_repeats = 0;
        self.waiting.clear();
    }

    fn put_group(&mut self) {
        if self.n_groups == GROUPS_MAX {
            self.end_packed(GROUP as u8);
        }
        let mut packed = BitWriter::new(&mut self.packed);
        for value in self.waiting.drain(..) {
            packed.put(value, self.width);
        }
        packed.finish();
        self.n_repeats = 0;
        self.n_groups = self.n_groups.saturating_add(1);
    }

    /// Ends the packed run, of whose last group `n_last` values count.
    fn end_packed(&mut self, n_last: u8) {
        if self.n_groups > 0 {
            self.bytes.push(self.n_groups << 1 | 1);
            self.bytes.push(n_last);
            self.bytes.append(&mut self.packed);
            self.n_groups = 0;
        }
    }
}
