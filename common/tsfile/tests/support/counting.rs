//! An allocator that counts, for tests of how much memory hostile bytes cost.

#![allow(unsafe_code)] // SAFETY: a counting allocator can be written in no other way; see below
#![allow(unreachable_pub)] // a module of several tests

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

thread_local! {
    /// All bytes that this thread allocated since it was last reset.
    static TOTAL_BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches thread-local cells
// without destructors, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
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
