//! Which call runs: what a handle or a view of an earlier one is told apart by.
//!
//! The host forgets handles and takes views away when their call ends. A program can keep what it made of them all the
//! same, in a `thread_local`, and find in a later call that a number names another object and an address other memory.
//! Lifetimes do not forbid it, since a handle is owned and a leaked one lasts for ever. So handles and views know their
//! call, and are good for nothing in another one.
//!
//! The pull loop counts the calls. A task of numbers has no such loop around it: there the host looks for what was left
//! behind, as it does everywhere for plain slices, which know nothing (see [`super::lease`]).

/// A call of this instance; natively, of a `TestPool::run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call(u64);

impl Call {
    /// No call at all.
    pub(super) const NONE: Self = Self(u64::MAX);
}

#[cfg(target_family = "wasm")]
mod counter {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Calls that this instance has begun. 64 bits are never counted around, 32 are within hours.
    static CALLS: AtomicU64 = AtomicU64::new(0);

    // Relaxed, and no addition in one step: an instance has one thread.
    #[inline(always)]
    pub(super) fn get() -> u64 {
        CALLS.load(Ordering::Relaxed)
    }

    pub(super) fn set(call: u64) {
        CALLS.store(call, Ordering::Relaxed);
    }
}

#[cfg(not(target_family = "wasm"))]
mod counter {
    use std::cell::Cell;

    thread_local! {
        /// The call that this thread runs, or 0.
        static CALL: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn get() -> u64 {
        CALL.get()
    }

    pub(super) fn set(call: u64) {
        CALL.set(call);
    }
}

/// The running call.
#[inline(always)]
pub(super) fn current() -> Call {
    Call(counter::get())
}

/// Begins the next call.
#[cfg(target_family = "wasm")]
pub(crate) fn begin() {
    counter::set(counter::get() + 1);
}

/// Begins a call that no other has the number of, and returns the one that it interrupts.
#[cfg(not(target_family = "wasm"))]
pub(super) fn begin_within() -> Call {
    use std::sync::atomic::{AtomicU64, Ordering};

    static LAST: AtomicU64 = AtomicU64::new(0);
    let interrupted = current();
    // Relaxed: nothing but the number matters.
    counter::set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    interrupted
}

/// Goes on with a call that was interrupted.
#[cfg(not(target_family = "wasm"))]
pub(super) fn resume(call: Call) {
    counter::set(call.0);
}
