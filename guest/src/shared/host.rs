//! The host's functions for shared objects, and the one place where they are called.
//!
//! What each does, and what its status means, stands in `wasmpool_abi::shared`.
#![allow(unsafe_code, reason = "calls out of the sandbox are foreign functions")]

use std::ptr;

use wasmpool_abi::shared::{CellOp, Op, RecordOp, SliceOp, ViewMode};

/// Whether there is a host at all.
pub(super) const fn is_there() -> bool {
    true
}

/// Documented in `wasmpool_abi::shared`, whose `IMPORT_*` are the functions' names.
mod raw {
    #[link(wasm_import_module = "wasmpool")]
    unsafe extern "C" {
        pub(super) fn shared_open(name: *const u8, name_bytes: usize, kind: i32, element: i32) -> i64;
        pub(super) fn shared_close(handle: i32) -> i32;
        pub(super) fn shared_refusal(buffer: *mut u8, capacity: usize) -> i32;
        pub(super) fn shared_cell(handle: i32, op: i32, index: i64, a: i64, b: i64, out: *mut i64) -> i32;
        pub(super) fn shared_slice(handle: i32, op: i32, start: i64, bytes: *mut u8, count: i64) -> i32;
        pub(super) fn shared_op(handle: i32, op: i32, argument: i64, limit: i64, out: *mut i64) -> i32;
        pub(super) fn shared_put(handle: i32, bytes: *const u8, length: usize, limit: i64) -> i32;
        pub(super) fn shared_get(
            handle: i32,
            limit: i64,
            buffer: *mut u8,
            capacity: usize,
            out: *mut i64,
        ) -> i32;
        pub(super) fn shared_record(
            handle: i32,
            op: i32,
            key: *const u8,
            key_bytes: usize,
            index: i64,
            value: *const u8,
            value_bytes: usize,
            buffer: *mut u8,
            capacity: usize,
            out: *mut i64,
        ) -> i32;
        pub(super) fn shared_staged(buffer: *mut u8) -> i32;
        pub(super) fn shared_wait(handles: *const i32, count: usize, limit: i64, out: *mut u8) -> i32;
        pub(super) fn shared_map(handle: i32, mode: i32, start: i64, end: i64) -> i64;
        pub(super) fn shared_unmap(address: usize) -> i32;
    }
}

pub(super) fn open(name: &str, kind: i32, element: i32) -> i64 {
    // SAFETY: the host reads `name_bytes` bytes from `name`, which is a `str` of that length.
    unsafe { raw::shared_open(name.as_ptr(), name.len(), kind, element) }
}

pub(super) fn close(handle: i32) -> i32 {
    // SAFETY: only numbers are passed, and the host checks them.
    unsafe { raw::shared_close(handle) }
}

/// Copies the text of the last refusal, cut to `buffer`, and returns its length.
pub(super) fn refusal(buffer: &mut [u8]) -> usize {
    // SAFETY: the host writes at most `capacity` bytes to `buffer`, which is borrowed exclusively and that long.
    let length = unsafe { raw::shared_refusal(buffer.as_mut_ptr(), buffer.len()) };
    usize::try_from(length).unwrap_or(0).min(buffer.len())
}

#[inline]
pub(super) fn cell(handle: i32, op: CellOp, index: i64, a: i64, b: i64, out: &mut i64) -> i32 {
    // SAFETY: the host writes 8 bytes to `out`, which is borrowed exclusively and that long.
    unsafe { raw::shared_cell(handle, op as i32, index, a, b, out) }
}

/// Copies as many elements of `element_bytes` each as fit `bytes`.
pub(super) fn read(handle: i32, start: i64, bytes: &mut [u8], element_bytes: usize) -> i32 {
    let count = (bytes.len() / element_bytes) as i64;
    // SAFETY: the host writes `count` elements of that size, which are no more bytes than `bytes` has; it is borrowed
    // exclusively.
    unsafe { raw::shared_slice(handle, SliceOp::Read as i32, start, bytes.as_mut_ptr(), count) }
}

/// Copies all elements of `element_bytes` each that are in `bytes`.
pub(super) fn write(handle: i32, start: i64, bytes: &[u8], element_bytes: usize) -> i32 {
    let count = (bytes.len() / element_bytes) as i64;
    // SAFETY: for this operation the host only reads, `count` elements of that size, which are no more bytes than
    // `bytes` has.
    unsafe { raw::shared_slice(handle, SliceOp::Write as i32, start, bytes.as_ptr().cast_mut(), count) }
}

/// Sets `count` elements to the one that `element` is the bytes of.
pub(super) fn fill(handle: i32, start: i64, element: &[u8], count: i64) -> i32 {
    // SAFETY: for this operation the host only reads, one element, and `element` is one.
    unsafe { raw::shared_slice(handle, SliceOp::Fill as i32, start, element.as_ptr().cast_mut(), count) }
}

#[inline]
pub(super) fn op(handle: i32, op: Op, argument: i64, limit: i64, out: &mut i64) -> i32 {
    // SAFETY: the host writes 8 bytes to `out`, which is borrowed exclusively and that long.
    unsafe { raw::shared_op(handle, op as i32, argument, limit, out) }
}

#[inline]
pub(super) fn put(handle: i32, bytes: &[u8], limit: i64) -> i32 {
    // SAFETY: the host reads `length` bytes from `bytes`, which is a slice of that length.
    unsafe { raw::shared_put(handle, bytes.as_ptr(), bytes.len(), limit) }
}

#[inline]
pub(super) fn get(handle: i32, limit: i64, buffer: &mut [u8], out: &mut i64) -> i32 {
    // SAFETY: the host writes at most `capacity` bytes to `buffer`, which is that long, and 8 bytes to `out`; both are
    // borrowed exclusively.
    unsafe { raw::shared_get(handle, limit, buffer.as_mut_ptr(), buffer.len(), out) }
}

#[inline]
pub(super) fn record(
    handle: i32,
    op: RecordOp,
    key: &[u8],
    index: i64,
    value: &[u8],
    buffer: &mut [u8],
    out: &mut i64,
) -> i32 {
    // SAFETY: the host reads the bytes of `key` and `value`, which are slices of the lengths given; it writes at most
    // `capacity` bytes to `buffer`, which is that long, and 8 bytes to `out`; both are borrowed exclusively.
    unsafe {
        raw::shared_record(
            handle,
            op as i32,
            key.as_ptr(),
            key.len(),
            index,
            value.as_ptr(),
            value.len(),
            buffer.as_mut_ptr(),
            buffer.len(),
            out,
        )
    }
}

/// [`RecordOp::All`] of a part of a list: `count` records from `first` on.
pub(super) fn part(handle: i32, first: i64, count: usize, buffer: &mut [u8], out: &mut i64) -> i32 {
    let (none, op) = (ptr::null(), RecordOp::All as i32);
    // SAFETY: for this operation on a list the host reads no memory; it writes at most `capacity` bytes to `buffer`,
    // which is that long, and 8 bytes to `out`; both are borrowed exclusively.
    unsafe {
        raw::shared_record(handle, op, none, count, first, none, 0, buffer.as_mut_ptr(), buffer.len(), out)
    }
}

/// Copies what was staged; `buffer` has its length.
pub(super) fn staged(buffer: &mut [u8]) {
    // SAFETY: the host writes as many bytes as the function before has told, which is the length of `buffer`; it is
    // borrowed exclusively.
    unsafe { raw::shared_staged(buffer.as_mut_ptr()) };
}

/// Writes one byte per handle to `ready`, which has as many.
pub(super) fn wait(handles: &[i32], limit: i64, ready: &mut [u8]) -> i32 {
    assert_eq!(handles.len(), ready.len(), "one byte for each handle");
    // SAFETY: the host reads `count` handles, and writes that many bytes to `ready`, which is borrowed exclusively; both
    // have that length.
    unsafe { raw::shared_wait(handles.as_ptr(), handles.len(), limit, ready.as_mut_ptr()) }
}

pub(super) fn map(handle: i32, mode: ViewMode, start: i64, end: i64) -> i64 {
    // SAFETY: only numbers are passed, and the host checks them. It maps the view over room that it makes for it, so
    // that no memory in use changes.
    unsafe { raw::shared_map(handle, mode as i32, start, end) }
}

/// Takes the view at `address` away.
///
/// # Safety
///
/// Nobody may touch the view's memory afterwards.
pub(super) unsafe fn unmap(address: usize) -> i32 {
    // SAFETY: the caller promises that the memory which goes is not used any more.
    unsafe { raw::shared_unmap(address) }
}
