//! Events.

use super::Outcome;
use super::ground::Ground;
use super::patience::Patience;

pub(crate) const BYTES: usize = super::ground::PAGE_BYTES;

#[derive(Debug)]
pub(crate) struct Event {
    ground: Ground,
}

impl Event {
    pub(crate) fn open(ground: Ground) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn set(&self) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn clear(&self) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn is_set(&self) -> Outcome<bool> {
        todo!()
    }
    /// Waits until it is set, or has been set since this began.
    pub(crate) fn wait(&self, patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn bury(&self) {
        todo!()
    }
}
