//! Values and arrays: numbers in shared memory, changed by atomic operations, with a lock for longer stories.

use std::ops::Range;

use wasmpool_abi::shared::{CellOp, Element, ViewMode};

use super::ground::Ground;
use super::lock::Lock;
use super::{Outcome, Party};
use crate::shm::region::Region;

/// Bytes of the region: a page of words, then the elements on pages of their own, so that these can be mapped alone.
pub(crate) fn bytes(element: Element, length: u64) -> Option<usize> {
    todo!()
}

/// A value (one element) or an array.
#[derive(Debug)]
pub(crate) struct Cells {
    ground: Ground,
    element: Element,
    length: u64,
    lock: Lock,
}

/// A range of elements that a view uses; it is given back by [`Cells::unlease`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Its place in the object's table.
    index: u32,
}

impl Cells {
    pub(crate) fn open(ground: Ground, element: Element, length: u64) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn element(&self) -> Element {
        self.element
    }
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
    /// Its lock, re-entrant; no operation below takes it.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }
    /// One atomic operation; answers the value before. `operand` and `new` as the contract's 64 bits.
    /// CompareExchange: `operand` is expected; when it differs the answer is `Ok(Err(current))`.
    pub(crate) fn operate(
        &self,
        op: CellOp,
        index: u64,
        operand: u64,
        new: u64,
    ) -> Outcome<Result<u64, u64>> {
        todo!()
    }
    /// Copies elements out, packed; `into.len()` is a multiple of the element's size.
    pub(crate) fn read(&self, start: u64, into: &mut [u8]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn write(&self, start: u64, from: &[u8]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn fill(&self, elements: Range<u64>, bits: u64) -> Outcome<()> {
        todo!()
    }
    /// Takes a lease for a view of `elements`.
    pub(crate) fn lease(&self, party: Party, mode: ViewMode, elements: Range<u64>) -> Outcome<Lease> {
        todo!()
    }
    pub(crate) fn unlease(&self, party: Party, lease: Lease) {
        todo!()
    }
    /// Where in the region (and so in its file) the elements begin; a multiple of the page size.
    pub(crate) fn elements_at(&self) -> usize {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
