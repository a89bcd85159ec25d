//! The functions of [`wasmpool_abi::nesting`], or none outside of a pool.
#![allow(unsafe_code, reason = "calls out of the sandbox are foreign functions")]

/// Whether there is a pool.
pub(super) const fn is_there() -> bool {
    cfg!(target_family = "wasm")
}

#[cfg(target_family = "wasm")]
mod raw {
    #[link(wasm_import_module = "wasmpool")]
    unsafe extern "C" {
        pub(super) fn nested_submit(
            name: *const u8,
            name_length: usize,
            inputs: *const u8,
            length: usize,
        ) -> i64;
        pub(super) safe fn nested_wait(number: i64) -> i64;
        pub(super) fn nested_fetch(buffer: *mut u8);
        pub(super) safe fn nested_forget(number: i64);
    }
}

/// The number of what was submitted, or a negative refusal.
#[cfg(target_family = "wasm")]
pub(super) fn submit(name: &str, inputs: &[u8]) -> i64 {
    // SAFETY: the host reads as many bytes as the two slices have.
    unsafe { raw::nested_submit(name.as_ptr(), name.len(), inputs.as_ptr(), inputs.len()) }
}

/// The answer to what was submitted.
///
/// # Errors
///
/// The refusal.
#[cfg(target_family = "wasm")]
pub(super) fn wait(number: i64) -> Result<Vec<u8>, i64> {
    let length = raw::nested_wait(number);
    let mut answer = vec![0; usize::try_from(length).map_err(|_| length)?];
    // SAFETY: the host writes as many bytes as it has just told, for which there is room.
    unsafe { raw::nested_fetch(answer.as_mut_ptr()) }
    Ok(answer)
}

/// Has what was submitted cancelled.
#[cfg(target_family = "wasm")]
pub(super) fn forget(number: i64) {
    raw::nested_forget(number);
}

#[cfg(not(target_family = "wasm"))]
mod nowhere {
    /// Never called: nothing is submitted where there is no pool.
    const NOBODY: i64 = wasmpool_abi::nesting::Refusal::NoCall as i64;

    pub(in super::super) fn submit(_name: &str, _inputs: &[u8]) -> i64 {
        NOBODY
    }

    pub(in super::super) fn wait(_number: i64) -> Result<Vec<u8>, i64> {
        Err(NOBODY)
    }

    pub(in super::super) fn forget(_number: i64) {}
}

#[cfg(not(target_family = "wasm"))]
pub(super) use nowhere::{forget, submit, wait};
