//! Events: a flag to wait for.
//!
//! ```text
//!   8  changes   u64   how often it was set or cleared: odd while it is set
//! ```
//!
//! A count instead of a flag, because a flag forgets: who began to wait before `set(); clear()` would wake up, find
//! the flag down, and sleep on for what it had waited for. With a count, any change since the wait began is the
//! event, for a wait only begins while the count is even. Setting what is set changes nothing, but rings: the one who
//! set it may have died or been stopped before it rang.
//!
//! No mutex, and nothing that a death could leave half done.

use std::sync::atomic::Ordering;

use super::Outcome;
use super::atomic::AtomicU64;
use super::crash::crash_point;
use super::ground::{Ground, header};
use super::patience::Patience;

/// Bytes of the region.
pub(crate) const BYTES: usize = super::ground::PAGE_BYTES;

/// Where the count of changes is.
pub(super) const CHANGES: usize = 8;

/// A flag to wait for.
#[derive(Debug)]
pub(crate) struct Event {
    ground: Ground,
}

impl Event {
    /// An event on `ground`, not set at first.
    pub(crate) fn open(ground: Ground) -> Self {
        Self { ground }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Sets it, and wakes everyone who waits.
    ///
    /// # Errors
    ///
    /// What [`Ground::check_writable`] says.
    pub(crate) fn set(&self) -> Outcome<()> {
        self.ground.check_writable()?;
        // SYNC event: what was done before is visible to who finds it set, also if it was so already.
        self.word().fetch_or(1, Ordering::AcqRel);
        crash_point!("event: set, nobody woken");
        self.ground.bell(header::BELL_A).ring();
        Ok(())
    }

    /// Clears it.
    ///
    /// # Errors
    ///
    /// What [`Ground::check_writable`] says.
    pub(crate) fn clear(&self) -> Outcome<()> {
        self.ground.check_writable()?;
        // Repeated only while others change it. The answer is unused: no change means that it was clear already.
        let _ = self.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, |changes| {
            is_odd(changes).then(|| changes.wrapping_add(1))
        });
        Ok(())
    }

    /// Whether it is set.
    ///
    /// # Errors
    ///
    /// What [`Ground::check`] says.
    pub(crate) fn is_set(&self) -> Outcome<bool> {
        self.ground.check()?;
        Ok(is_odd(self.changes()))
    }

    /// Waits until it is set, or has been set since this began.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](wasmpool_abi::shared::Refusal::TimedOut), and what [`Ground::check`] and the notice say.
    pub(crate) fn wait(&self, patience: &Patience<'_>) -> Outcome<()> {
        self.ground.check()?;
        let began = self.changes();
        if is_odd(began) {
            return Ok(());
        }
        patience.wait_for(self.ground.bell(header::BELL_A), || {
            self.ground.check()?;
            Ok((self.changes() != began).then_some(()))
        })
    }

    /// Wakes everyone, after a death.
    pub(crate) fn bury(&self) {
        if self.ground.is_writable() {
            self.ground.ring_all();
        }
    }

    fn word(&self) -> &AtomicU64 {
        self.ground.word64(CHANGES)
    }

    fn changes(&self) -> u64 {
        // SYNC event: acquires what was done before it was set.
        self.word().load(Ordering::Acquire)
    }
}

fn is_odd(changes: u64) -> bool {
    changes % 2 == 1
}
