//! Conditions.

use super::ground::Ground;
use super::lock::Lock;
use super::patience::Patience;
use super::{Outcome, Party};

pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

#[derive(Debug)]
pub(crate) struct Condition {
    ground: Ground,
    lock: Lock,
}

impl Condition {
    pub(crate) fn open(ground: Ground) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }
    /// Waits for a notification with the lock released, and takes the lock again, whatever came of it.
    /// TimedOut: not notified in time; the lock is held again.
    pub(crate) fn wait(&self, party: Party, patience: &Patience<'_>) -> Outcome<super::lock::Found> {
        todo!()
    }
    /// Wakes up to `waiters`, those first who have waited longest; says how many.
    pub(crate) fn notify(&self, party: Party, waiters: u32) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
