//! The batch driver's memory: a worker's regions, seen through linear memory.
//!
//! The driver reads inputs and writes results by plain loads and stores, so both regions appear inside its own
//! linear memory, and results reach the supervisor without a copy in the worker:
//!
//! ```text
//! 0          progress page          (page 0 of the up region)
//! 64 KiB     inputs of slots 0, 1   (down region, read-only)
//! ...        results of slots 0, 1  (up region)
//! ```
//!
//! The memory belongs to the host and is imported by the driver alone. The guest's task cannot name it. It is made
//! outside the pool of instances, so when its store goes the whole reservation is unmapped, these pages with it, and
//! no later tenant can find them.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;

use rustix::mm::MremapFlags;
use wasmtime::{AsContextMut, Memory, MemoryType};

use super::engine::WASM_PAGE_BYTES;
use crate::channel::layout::{PAGE, SLOT_BYTES, SLOTS, down, up};
use crate::shm::region::Region;

/// Length of the part before the inputs: one page of linear memory, of which only the first 4 KiB are mapped.
const PROGRESS_BYTES: usize = WASM_PAGE_BYTES as usize;

const INPUT_BYTES: usize = SLOTS * SLOT_BYTES;
const RESULT_BYTES: usize = SLOTS * SLOT_BYTES;
const BYTES: usize = PROGRESS_BYTES + INPUT_BYTES + RESULT_BYTES;

const _: () = assert!(BYTES.is_multiple_of(WASM_PAGE_BYTES as usize) && BYTES < i32::MAX as usize);

/// Address at which the driver finds a slot's inputs.
pub(crate) const fn inputs(slot: usize) -> i32 {
    (PROGRESS_BYTES + slot * SLOT_BYTES) as i32
}

/// Address at which the driver puts a slot's results.
pub(crate) const fn results(slot: usize) -> i32 {
    (PROGRESS_BYTES + INPUT_BYTES + slot * SLOT_BYTES) as i32
}

/// Makes a memory in `store` with the regions mapped over it.
///
/// # Errors
///
/// When there is no address space for it.
pub(crate) fn create(store: impl AsContextMut, down: &Region, up: &Region) -> wasmtime::Result<Memory> {
    create_with(store, down, up).map_err(|error| error.context("the batch driver's memory cannot be made"))
}

fn create_with(mut store: impl AsContextMut, down: &Region, up: &Region) -> wasmtime::Result<Memory> {
    let pages = (BYTES as u64 / WASM_PAGE_BYTES) as u32;
    let memory = Memory::new(&mut store, MemoryType::new(pages, Some(pages)))?;
    let base = memory.data_ptr(&store);
    let parts = [
        (up, 0, PAGE, 0),
        (down, down::inputs(0), INPUT_BYTES, PROGRESS_BYTES),
        (up, up::results(0), RESULT_BYTES, PROGRESS_BYTES + INPUT_BYTES),
    ];
    for (region, from, bytes, to) in parts {
        map_again(region, from, bytes, base.wrapping_add(to))?;
    }
    Ok(memory)
}

/// Maps `bytes` of a region a second time, over the memory at `to`, with the rights of the first mapping.
///
/// It needs no descriptor, so workers close theirs. `to` must be the start of at least `bytes` bytes of linear
/// memory that no Rust reference points into.
fn map_again(region: &Region, from: usize, bytes: usize, to: *mut u8) -> io::Result<()> {
    let from = region.at(from, bytes).as_ptr().cast::<c_void>();
    // SAFETY: an old size of zero asks for a second mapping of the same shared pages and leaves the first alone.
    // `from` is checked to lie in the region, at a page's start as the layout's assertions guarantee. The target is
    // inside the memory made above, which has the length that the offsets were computed for, which nobody else uses
    // yet, and which unmaps its whole reservation when it goes.
    unsafe { rustix::mm::mremap_fixed(from, 0, bytes, MremapFlags::MAYMOVE, to.cast()) }?;
    Ok(())
}
