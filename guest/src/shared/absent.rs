//! The host's functions where there is no host: natively, where nothing can be opened.
#![allow(unsafe_code, reason = "the same signatures as where there is a host")]

use wasmpool_abi::shared::{CellOp, Op, RecordOp, ViewMode};

/// Whether there is a host at all.
pub(super) const IS_THERE: bool = false;

macro_rules! absent {
    ($($(#[$attribute:meta])* $name:ident($($type:ty),*) $(-> $answer:ty)?;)+) => {$(
        pub(super) fn $name($(_: $type),*) $(-> $answer)? {
            unreachable!("no object can be opened, so that nothing can be asked of one");
        }
    )+};
}

absent! {
    open(&str, i32, i32) -> i64;
    close(i32) -> i32;
    refusal(&mut [u8]) -> usize;
    cell(i32, CellOp, i64, i64, i64, &mut i64) -> i32;
    read(i32, i64, &mut [u8], usize) -> i32;
    write(i32, i64, &[u8], usize) -> i32;
    fill(i32, i64, &[u8], i64) -> i32;
    op(i32, Op, i64, i64, &mut i64) -> i32;
    put(i32, &[u8], i64) -> i32;
    get(i32, i64, &mut [u8], &mut i64) -> i32;
    record(i32, RecordOp, &[u8], i64, &[u8], &mut [u8], &mut i64) -> i32;
    part(i32, i64, usize, &mut [u8], &mut i64) -> i32;
    staged(&mut [u8]);
    wait(&[i32], i64, &mut [u8]) -> i32;
    map(i32, ViewMode, i64, i64) -> i64;
}

/// # Safety
///
/// As where there is a host.
pub(super) unsafe fn unmap(_: usize) -> i32 {
    unreachable!("no object can be opened, so that nothing can be mapped")
}
