//! The functions that a worker gives to its guests, and the one place where they are called.
#![allow(unsafe_code, reason = "calls out of the sandbox are foreign functions")]

use wasmpool_abi::Done;
use wasmpool_abi::current::{RECORD_BYTES, Record};

use crate::pull::{self, Host};
use crate::shared;

/// Documented in `wasmpool_abi`: the module's name is its `IMPORT_MODULE`, the functions' are its `IMPORT_*`.
mod raw {
    #[link(wasm_import_module = "wasmpool")]
    unsafe extern "C" {
        pub(super) fn next(buffer: *mut u8, capacity: usize) -> i64;
        pub(super) fn fetch(buffer: *mut u8);
        pub(super) fn done(kind: i32, bytes: *const u8, length: usize);
        pub(super) fn panicked(message: *const u8, length: usize);
        pub(super) fn current(record: *mut u8);
    }
}

/// Serves a block of calls for the worker in which this instance lives.
pub(crate) fn serve(call: &mut dyn FnMut(&[u8], &mut Vec<u8>) -> Done) {
    pull::serve(&mut Worker, call);
}

/// Tells the worker why the trap that follows will happen.
pub(crate) fn panicked(message: &str) {
    // SAFETY: the host reads `length` bytes from `message`, which is a `str` of that length.
    unsafe { raw::panicked(message.as_ptr(), message.len()) }
}

/// Asks the worker who and where the running call is.
pub(crate) fn current() -> Record {
    let mut bytes = [0; RECORD_BYTES];
    // SAFETY: the host writes `RECORD_BYTES` bytes to `record`, which is a buffer of just that length.
    unsafe { raw::current(bytes.as_mut_ptr()) };
    Record::from_bytes(&bytes)
}

/// The worker in which this instance lives.
struct Worker;

impl Host for Worker {
    fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        // What is kept of the call before is told apart from now on.
        shared::call::begin();
        // SAFETY: the host writes at most `capacity` bytes to `buffer`, which is borrowed exclusively and that long.
        let length = unsafe { raw::next(buffer.as_mut_ptr(), buffer.len()) };
        // `NO_MORE_CALLS` is negative, and lengths are not.
        usize::try_from(length).ok()
    }

    fn fetch(&mut self, buffer: &mut [u8]) {
        // SAFETY: the host writes as many bytes as `next` has just returned; `pull::serve` made that much room in
        // `buffer`, which is borrowed exclusively.
        unsafe { raw::fetch(buffer.as_mut_ptr()) }
    }

    fn done(&mut self, kind: Done, bytes: &[u8]) {
        // SAFETY: the host reads `length` bytes from `bytes`, which is a slice of that length.
        unsafe { raw::done(kind as i32, bytes.as_ptr(), bytes.len()) }
    }
}
