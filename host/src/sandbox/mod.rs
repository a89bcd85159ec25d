//! The sandbox: everything that is wasmtime.
//!
//! ```text
//!  supervisor                    compiler process                 worker
//!  ──────────                    ────────────────                 ──────
//!  catalog ── outline            compile ── catalog, driver       wasi ── memory
//!  (original bytes)                 │                               │
//!                                 engine::compiler_engine         engine::worker_engine
//! ```
//!
//! [`engine`] holds all settings. [`outline`] and [`catalog`] say what a module declares and what that means as
//! tasks. [`driver`] writes the loops that call numeric tasks, and [`compile`] turns module and drivers into machine
//! code. [`wasi`] and [`memory`] are what a running task sees of its host, [`files`] what it sees of the file system,
//! [`shared`] what it sees of the objects that workers share, and [`replay`] what it sees of time and chance where both
//! are to be the same each time. By [`nesting`] it calls other tasks of its module. An [`allowance`] bounds what an
//! instance takes of its host's memory. [`initializer`] runs a task in each new instance, and [`snapshot`] makes a module
//! that begins where such an instance stood.
//!
//! What is not here: processes and their confinement, regions, descriptors, scheduling. The supervisor's part never
//! loads machine code; the worker's part never compiles.

pub(crate) mod allowance;
#[cfg(feature = "break-out")]
pub(crate) mod break_out;
pub(crate) mod catalog;
pub(crate) mod compile;
mod current;
pub(crate) mod driver;
mod driver_memory;
pub(crate) mod engine;
pub(crate) mod files;
mod guest;
pub(crate) mod host_calls;
mod initializer;
pub(crate) mod memory;
mod nesting;
mod outline;
mod program;
mod replay;
pub(crate) mod shared;
pub(crate) mod snapshot;
pub(crate) mod tenant;
pub(crate) mod wasi;
