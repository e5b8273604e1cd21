//! An allocator that counts, for tests of how much memory hostile bytes cost.

#![allow(unsafe_code)] // SAFETY: a counting allocator can be written in no other way; see below
#![allow(dead_code, unreachable_pub)] // a module of several tests; each takes what it needs

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

/// What `f` returns, and all bytes that it allocated, those it freed included.
pub fn allocated_bytes<T>(f: impl FnOnce() -> T) -> (T, usize) {
    TOTAL_BYTES.set(0);
    let found = f();
    (found, TOTAL_BYTES.get())
}

/// What `f` returns, and the most bytes that it held at once.
pub fn peak_bytes<T>(f: impl FnOnce() -> T) -> (T, isize) {
    let before = HELD_BYTES.get();
    PEAK_BYTES.set(before);
    let found = f();
    (found, PEAK_BYTES.get() - before)
}

thread_local! {
    /// All bytes that this thread allocated since it was last reset.
    static TOTAL_BYTES: Cell<usize> = const { Cell::new(0) };
    /// What this thread holds now, and the most it held since it was last reset.
    static HELD_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches thread-local cells
// without destructors, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TOTAL_BYTES.set(TOTAL_BYTES.get() + layout.size());
        let held = HELD_BYTES.get() + layout.size() as isize;
        HELD_BYTES.set(held);
        PEAK_BYTES.set(PEAK_BYTES.get().max(held));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.set(HELD_BYTES.get() - layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
