//! What a worker calls besides the tasks: once per instance, and after blocks of numeric calls.
#![allow(
    unsafe_code,
    reason = "exports, and the constructors that the linker collects, are foreign functions"
)]

use std::panic::{self, PanicHookInfo};

use crate::{imports, pull};

unsafe extern "C" {
    /// Written by the linker: runs the constructors of libc and of everything else linked in.
    fn __wasm_call_ctors();
}

/// Prepares a new instance; the host calls it once, before anything else.
///
/// Because the module has this function, `wasm-ld` takes it for a reactor. Without it, every export would be wrapped into
/// code that runs constructors and destructors on each call.
// SAFETY: the name is that of `wasmpool_abi::INITIALIZE_EXPORT`; no other crate linked into a reactor defines it,
// or the linker would refuse the second.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: the constructors run once: the host calls this function once per instance, and nothing else does.
    unsafe { __wasm_call_ctors() }
    panic::set_hook(Box::new(tell));
}

/// Writes out what a block of numeric calls has printed, which no pull loop does for them.
// SAFETY: the name, `wasmpool_abi::FLUSH_EXPORT`, is in wasmpool's own name space.
#[unsafe(export_name = "wasmpool:flush")]
extern "C" fn flush() {
    pull::flush_stdout();
}

/// Tells the host of a panic; the trap that ends the call follows.
fn tell(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("(a value that is no text)");
    match panic.location() {
        Some(place) => imports::panicked(&format!("panicked at {place}: {message}")),
        None => imports::panicked(&format!("panicked: {message}")),
    }
    // Last, for it may panic itself: standard output is locked if the panic came out of a `print!`.
    pull::flush_stdout();
}
