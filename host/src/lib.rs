//! Process pools for WebAssembly tasks that nobody has to trust.
//!
//! A [`Pool`] starts one worker process per core; each runs tasks of WebAssembly modules in a sandbox of its own.
//! Whoever knows Python's `multiprocessing` knows the verbs.
//!
//! ```no_run
//! fn main() -> Result<(), wasmpool::Error> {
//!     wasmpool::init();
//!     let pool = wasmpool::Pool::builder().workers(4).build()?;
//!     let tasks = pool.load("tasks.wasm")?;
//!     let cube = tasks.task::<i64, i64>("cube")?;
//!     println!("{:?}", cube.map(0..10)?);
//!     Ok(())
//! }
//! ```
//!
//! Workers are this same executable, started again: call [`init`] first thing in `main`, or put [`test_support!`] into
//! tests and other programs that have no `main` of their own.
//!
//! # Where things are
//!
//! `shm` (regions, bells) ← `channel` (what supervisor and worker exchange) ← `sandbox` (all of wasmtime), `process`
//! (starting and hearing of deaths), `schedule` (decisions) ← `worker`, `pool` ← `cli` ← `main.rs`. Imports go from
//! right to left only; `worker` and `pool` never see each other. `host/README.md` draws the map.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "wasmpool runs on 64-bit, little-endian Linux only: it is built on memfd seals, pidfds and futexes, and it hands \
     numbers to WebAssembly as they lie in memory"
);

mod channel;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod pool;
mod printable;
mod process;
mod sandbox;
mod schedule;
pub mod shared;
mod shm;
mod worker;

/// What fuzzers drive, for tests.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

/// Processes that lie, for tests.
#[cfg(feature = "lies")]
#[doc(hidden)]
pub mod lies {
    pub use crate::worker::liar::{Lie, Script, main};
}

pub use channel::control::DirRights;
pub use channel::ring::Stream;
pub use pool::{
    AnyResult, Builder, CALL_TIME_DEFAULT, COMPILE_MEMORY_DEFAULT, COMPILE_TIME_DEFAULT, Command, Completed,
    Completion, DETERMINISTIC_FUEL_DEFAULT, DETERMINISTIC_TIME_DEFAULT, DIRECTORIES_MAX, Error, ErrorKind,
    Failure, FailureKind, Handle, Imap, MEMORY_BYTES_DEFAULT, MODULE_BYTES_DEFAULT, Module, Outcome,
    Outcomes, PRINTED_BYTES_DEFAULT, PROCESSES_MAX, Pool, Priority, Process, ScopeEnd, Sentinel, Stats,
    Stdin, Task, Times, WORKERS_MAX, active_children, as_completed, cpu_count, wait_all, wait_any,
};
pub use process::child::Exit;

use process::reentry::{self, Role};

/// Makes this executable able to start its own workers. Call it first thing in `main`.
///
/// In a process that a pool has started it does not return: that process becomes a worker. Everywhere else it only
/// remembers the executable, and costs microseconds. It is the counterpart of Python's `if __name__ == "__main__"`.
pub fn init() {
    match Role::of_this_process() {
        Some(Role::Worker) => worker::main(),
        Some(Role::Compiler) => worker::compiler::main(),
        Some(Role::Command) => worker::command::main(),
        Some(Role::Trial) => worker::trial::main(),
        None => reentry::remember_executable(),
    }
}

/// Lets modules do in their workers what only code that has broken out of WebAssembly can: tests of the jail need to.
///
/// It counts for this process alone, so a program must call it before [`init`], which is where its workers' lives
/// begin. The `wasmpool` command never does.
#[cfg(feature = "break-out")]
#[doc(hidden)]
pub fn allow_break_outs() {
    sandbox::break_out::allow();
}

/// Calls [`init`] before `main`, for tests and other programs whose `main` is not their own.
///
/// Put it once into the crate, beside the tests:
///
/// ```
/// wasmpool::test_support!();
/// ```
#[macro_export]
macro_rules! test_support {
    () => {
        $crate::test_support!(@before {});
    };
    (break_outs) => {
        $crate::test_support!(@before { $crate::allow_break_outs(); });
    };
    (@before $before:block) => {
        #[allow(unsafe_code, reason = "a function that runs before main")]
        const _: () = {
            extern "C" fn init() {
                $before
                $crate::init();
            }
            // SAFETY: the C library calls every function of this section once, after the standard library has found
            // the arguments and before `main`.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static INIT: extern "C" fn() = init;
        };
    };
}
