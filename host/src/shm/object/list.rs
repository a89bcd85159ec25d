//! Lists.

use super::ground::Ground;
use super::spec::RecordsShape;
use super::{Outcome, Party};

pub(crate) fn bytes(shape: RecordsShape) -> Option<usize> {
    todo!()
}

#[derive(Debug)]
pub(crate) struct List {
    ground: Ground,
    shape: RecordsShape,
}

/// Tells one content of a record from every other that it ever had. Never 0.
pub(crate) type Version = u64;

impl List {
    pub(crate) fn open(ground: Ground, shape: RecordsShape) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn shape(&self) -> RecordsShape {
        self.shape
    }
    pub(crate) fn len(&self) -> Outcome<u32> {
        todo!()
    }
    /// Indices are negative from the end, as Python's. OutOfRange.
    pub(crate) fn get(&self, index: i64, into: &mut Vec<u8>) -> Outcome<Version> {
        todo!()
    }
    pub(crate) fn set(&self, party: Party, index: i64, value: &[u8]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn replace(&self, party: Party, index: i64, version: Version, value: &[u8]) -> Outcome<()> {
        todo!()
    }
    /// NoRoom. Answers the index.
    pub(crate) fn append(&self, party: Party, value: &[u8]) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn extend(&self, party: Party, values: &[&[u8]]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn insert(&self, party: Party, index: i64, value: &[u8]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn delete(&self, party: Party, index: i64) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn pop(&self, party: Party, index: i64, into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn clear(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    /// A sequence of records `first..first + count` (as far as there are), as of one instant, to the end of `into`.
    pub(crate) fn all(&self, first: u64, count: Option<u64>, into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
