//! Space for byte strings inside an object: a bitmap of granules, so that no bit pattern can lead out of bounds.

use super::Outcome;
use super::ground::Ground;

/// Bytes of a granule.
pub(crate) const GRANULE_BYTES: u64 = 32;

/// Where a byte string lies: granule in the upper 32 bits, length in bytes in the lower 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

/// Part of an object's pages that holds byte strings.
#[derive(Debug)]
pub(crate) struct Heap {
    ground: Ground,
}

impl Heap {
    /// Bytes that a heap of `bytes_max` takes in the region.
    pub(crate) fn bytes(bytes_max: u64) -> Option<usize> {
        todo!()
    }
    /// A heap at `offset` of the ground.
    pub(crate) fn open(ground: Ground, offset: usize, bytes_max: u64) -> Self {
        todo!()
    }
    /// Finds room; the object's mutex is held.
    pub(crate) fn allocate(&self, bytes: usize) -> Option<Place> {
        todo!()
    }
    pub(crate) fn free(&self, place: Place) {
        todo!()
    }
    /// Forgets everything, before `keep` is told what is in use (repair).
    pub(crate) fn clear(&self) {
        todo!()
    }
    pub(crate) fn keep(&self, place: Place) -> Outcome<()> {
        todo!()
    }
    /// A place that was read from shared memory, checked. Poisoned: it is none.
    pub(crate) fn check(&self, place: u64) -> Outcome<Place> {
        todo!()
    }
    pub(crate) fn write(&self, place: Place, at: usize, bytes: &[u8]) {
        todo!()
    }
    pub(crate) fn read(&self, place: Place, into: &mut Vec<u8>) {
        todo!()
    }
}
