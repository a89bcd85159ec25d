//! Locks that users take: one that anyone may release, and one that its holder may take again.

use super::ground::Ground;
use super::patience::Patience;
use super::{Outcome, Party};

pub(crate) use super::mutex::Found;

/// Bytes of the region.
pub(crate) const BYTES: usize = super::ground::PAGE_BYTES;

/// A lock; [`super::cells::Cells`] and [`super::condition::Condition`] have one, too.
#[derive(Debug)]
pub(crate) struct Lock {
    ground: Ground,
    is_reentrant: bool,
}

impl Lock {
    /// A lock whose words lie in the header of `ground` (those of the object's own part, from byte 8 on).
    pub(crate) fn open(ground: Ground, is_reentrant: bool) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn acquire(&self, party: Party, patience: &Patience<'_>) -> Outcome<Found> {
        todo!()
    }
    /// Re-entrant: by its holder only; otherwise by anyone, as Python has it.
    pub(crate) fn release(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn is_held(&self) -> bool {
        todo!()
    }
    /// Whether `party` holds it, and how often.
    pub(crate) fn depth(&self, party: Party) -> u32 {
        todo!()
    }
    /// Gives back all that `party` holds at once, for a condition's wait; `restore` takes it back.
    pub(crate) fn release_all(&self, party: Party) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn restore(&self, party: Party, depth: u32) -> Outcome<Found> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
