//! Barriers.

use super::ground::Ground;
use super::patience::Patience;
use super::{CallEnd, Outcome, Party};

pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

#[derive(Debug)]
pub(crate) struct Barrier {
    ground: Ground,
    parties: u32,
}

impl Barrier {
    pub(crate) fn open(ground: Ground, parties: u32) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn parties(&self) -> u32 {
        self.parties
    }
    /// Says that a call of `party` takes part: if it ends abnormally, the barrier breaks.
    pub(crate) fn join(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    /// Waits for all parties; answers the index of this one. A time-out breaks the barrier (Broken).
    pub(crate) fn wait(&self, party: Party, patience: &Patience<'_>) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn abort(&self) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn reset(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn is_broken(&self) -> Outcome<bool> {
        todo!()
    }
    pub(crate) fn waiting(&self) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party, end: CallEnd) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
