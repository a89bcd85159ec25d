//! Shared memory between the supervisor and its workers, and sleeping on it.
//!
//! This floor owns pages and wake-ups and nothing else: it does not know what is written on the pages, who runs
//! what, or how a process is started. [`region`] makes and maps sealed memory, [`huge_pages`] makes large ones fast,
//! `runs` copies bytes that others may be changing, [`bell`] is the one way in which any thread or process of wasmpool sleeps until another has something
//! for it, [`futex`] is the system call below it, and [`object`] is what guests and host programs share.

pub(crate) mod bell;
pub(crate) mod futex;
pub(crate) mod huge_pages;
pub(crate) mod object;
pub(crate) mod region;
mod runs;

/// The atomics that the protocols are built on; a model checker puts its own in their place.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[cfg(test)]
#[allow(dead_code, reason = "a model runs only the calls it needs")]
mod model;
