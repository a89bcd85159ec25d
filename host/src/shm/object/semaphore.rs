//! Semaphores.

use super::ground::Ground;
use super::patience::Patience;
use super::{Outcome, Party};

pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

#[derive(Debug)]
pub(crate) struct Semaphore {
    ground: Ground,
    permits: u32,
    bounded: bool,
}

impl Semaphore {
    pub(crate) fn open(ground: Ground, permits: u32, bounded: bool) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn acquire(&self, party: Party, patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn release(&self, party: Party, permits: u32) -> Outcome<()> {
        todo!()
    }
    /// Permits that are left.
    pub(crate) fn value(&self) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
