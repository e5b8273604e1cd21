//! Hostile bytes: seeded mutations of everything real, with the memory they cost counted.

#![allow(unsafe_code)] // SAFETY: a counting allocator can be written in no other way; see below

mod support;

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

use support::conversations;
use support::decode_cut;
use support::from_hex;
use support::manifest_path;
use support::sorted_dir;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

thread_local! {
    /// The largest single allocation of this thread since it was last reset.
    static LARGEST_BYTES: Cell<usize> = const { Cell::new(0) };
    /// All bytes that this thread allocated since it was last reset.
    static TOTAL_BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches thread-local cells
// without destructors, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST_BYTES.set(LARGEST_BYTES.get().max(layout.size()));
        TOTAL_BYTES.set(TOTAL_BYTES.get() + layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f` and returns what it allocated: the largest piece, and all together.
fn allocated<T>(f: impl FnOnce() -> T) -> (T, usize, usize) {
    LARGEST_BYTES.set(0);
    TOTAL_BYTES.set(0);
    let found = f();
    (found, LARGEST_BYTES.get(), TOTAL_BYTES.get())
}

/// Every payload there is, up to a size that keeps this quick, once each.
fn payloads() -> Vec<Vec<u8>> {
    let captured = conversations()
        .into_iter()
        .flat_map(|conversation| decode_cut(&conversation.up, &[], FrameLimits::default()).0)
        .map(|frame| frame.payload);
    let golden = sorted_dir(&manifest_path("tests/golden"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "hex"))
        .map(|path| from_hex(&std::fs::read_to_string(path).unwrap()));
    let mut found: Vec<Vec<u8>> = captured.chain(golden).filter(|it| it.len() < 3000).collect();
    found.sort();
    found.dedup();
    assert!(found.len() > 150, "found {}", found.len());
    found
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    const HOSTILE: [i32; 10] =
        [-1, -2, 0, 1, 0x7fff, 0xffff, 0x00ff_ffff, 0x0400_0000, i32::MAX, i32::MIN];
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        match random.u8(0..6) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.u8(..)),
            4 => {
                bytes.remove(at);
            }
            _ => {
                let value = random.choice(HOSTILE).unwrap().to_be_bytes();
                let end = bytes.len().min(at + 4);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
        }
    }
}

#[test]
fn mutated_payloads_never_panic_never_allocate_and_come_back_as_they_were() {
    let payloads = payloads();
    let mut n_good = 0;
    for seed in 0..100_000u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut payload = random.choice(&payloads).unwrap().clone();
        mutate(&mut random, &mut payload);
        let (decoded, _, total) = allocated(|| Payload::decode(&payload));
        assert_eq!(total, 0, "seed {seed}: decoding takes memory");
        let Ok(decoded) = decoded else { continue };
        n_good += 1;
        let mut encoded = Vec::with_capacity(payload.len());
        decoded.encode(&mut encoded).unwrap();
        assert!(encoded == payload, "seed {seed}: {decoded:?}");
        let (summary, ..) = allocated(|| decoded.request.summary().to_string());
        assert!(summary.len() < 4000, "seed {seed}: {summary}");
        if let Request::Tablet(tablet) = &decoded.request {
            let (_, _, total) = allocated(|| tablet.to_model());
            assert!(total < 200 * payload.len() + 10_000, "seed {seed}: {total} bytes");
        }
        if let Request::Compressed(compressed) = &decoded.request {
            const CAP: usize = 1 << 16;
            let (inner, largest, _) = allocated(|| compressed.decompress(CAP));
            // xz: the dictionary of its preset, whatever the cap.
            assert!(largest <= CAP.max(9 << 20), "seed {seed}: {largest} bytes");
            assert!(inner.is_err() || inner.unwrap().len() <= CAP, "seed {seed}");
        }
    }
    assert!(n_good > 10_000, "the mutations are too harsh: {n_good} good ones");
}

#[test]
fn mutated_streams_never_panic_never_allocate_and_fail_alike_however_they_are_cut() {
    let streams: Vec<Vec<u8>> = conversations()
        .into_iter()
        .map(|conversation| conversation.up)
        .filter(|stream| stream.len() < 3000)
        .collect();
    let mut n_errors = 0;
    for seed in 0..20_000u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut stream = random.choice(&streams).unwrap().clone();
        mutate(&mut random, &mut stream);
        let mut decoder = FrameDecoder::new(FrameLimits::default());
        let (found, _, total) = allocated(|| {
            let mut input = &stream[..];
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(_)) => (),
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        });
        assert_eq!(total, 0, "seed {seed}: the frame decoder takes memory");
        n_errors += usize::from(found.is_err());
        let limits = FrameLimits::default();
        let cut = random.usize(..=stream.len());
        assert!(
            decode_cut(&stream, &[cut], limits) == decode_cut(&stream, &[], limits),
            "seed {seed}, cut at {cut}"
        );
    }
    assert!(n_errors > 5000, "{n_errors}");
}

#[test]
fn claims_of_millions_of_elements_cost_nothing() {
    for head in [
        "01 0033 7fffffff",
        "01 0009 00100000",
        "01 0006 7fffffff",
        "01 0006 00000000 7fffffff",
        "01 0003 00000001 61 7fffffff 01 7fffffff",
        "01 0002 000f 7fffffff",
        "01 0064 002c 7fffffff",
        "01 0064 07d3 feffffff0f",
        "01 012c ff",
        "01 012c 01 00 7fffffff",
    ] {
        let payload = [from_hex(head), vec![0; 1000]].concat();
        let (_, _, total) = allocated(|| {
            if let Ok(Payload { request: Request::Compressed(compressed), .. }) =
                Payload::decode(&payload)
            {
                assert!(compressed.decompress(1 << 20).is_err());
            }
        });
        assert!(total < 1000, "{head}: {total} bytes");
    }
}

#[test]
fn predicates_nest_so_deep_and_no_deeper() {
    let nested = |depth: usize| {
        let mut payload = from_hex("01 0064 07d3 02 00 0000000000000000 0000000000000001 047431");
        for _ in 0..depth {
            payload.extend_from_slice(&[3, 2]);
        }
        payload.extend_from_slice(&from_hex("00 00 06646231 00000000 00000000"));
        payload
    };
    support::check_payload(&nested(16));
    for depth in [17, 100, 1_000_000] {
        let payload = nested(depth);
        let error = Payload::decode(&payload).unwrap_err();
        assert!(error.to_string().contains("16 deep"), "{depth}: {error}");
    }
}
