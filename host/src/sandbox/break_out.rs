//! Break-outs: system calls that a module makes as if it had left WebAssembly behind. For tests of the jail only.
//!
//! The jail must hold whatever happens inside the process, and no test can wait for the next bug of an engine. So a
//! module gets what such a bug would give it: any system call with any arguments.
//!
//! Two things keep this out of every product. It is built only with the feature `break-out`, which nothing but the
//! tests asks for; and as cargo may build the command with it in the same run, the functions are linked only in a
//! process whose own program has called [`allow`] before [`crate::init`].
#![allow(unsafe_code, reason = "the calls that the jail is there for")]

use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::{Caller, Extern, Linker};

use super::guest::Guest;

/// Module name under which guests import these functions.
pub(crate) const MODULE: &str = "wasmpool_test";

static IS_ALLOWED: AtomicBool = AtomicBool::new(false);

/// Lets this process link modules that break out.
pub(crate) fn allow() {
    // Relaxed: there is one thread.
    IS_ALLOWED.store(true, Ordering::Relaxed);
}

/// Whether this process links modules that break out.
pub(crate) fn is_allowed() -> bool {
    // Relaxed: as above, or long ago.
    IS_ALLOWED.load(Ordering::Relaxed)
}

/// Adds the functions, where they are allowed.
///
/// # Errors
///
/// When the linker has functions of these names already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    if !is_allowed() {
        return Ok(());
    }
    linker.func_wrap(MODULE, "syscall", |number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| {
        syscall(number, [a, b, c, d, e, f])
    })?;
    linker.func_wrap(MODULE, "address", address)?;
    Ok(())
}

/// Makes a system call; returns what it returns, or the error's number below zero.
fn syscall(number: i64, arguments: [i64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: none. The module may tear this process apart, as one that has broken out may; nothing but this process
    // is at stake, and showing that is what the call is for.
    let returned = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if returned == -1 { -i64::from(last_errno()) } else { returned }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Where a byte of the module's memory lies in the process.
fn address(mut caller: Caller<'_, Guest>, offset: i32) -> i64 {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    memory.map_or(0, |memory| memory.data_ptr(&caller) as i64 + i64::from(offset))
}
