//! Dictionaries.

use super::ground::Ground;
use super::list::Version;
use super::spec::RecordsShape;
use super::{Outcome, Party};

pub(crate) fn bytes(shape: RecordsShape) -> Option<usize> {
    todo!()
}

#[derive(Debug)]
pub(crate) struct Dict {
    ground: Ground,
    shape: RecordsShape,
    seed: u64,
}

impl Dict {
    pub(crate) fn open(ground: Ground, shape: RecordsShape, seed: u64) -> Self {
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
    /// Missing.
    pub(crate) fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Outcome<Version> {
        todo!()
    }
    pub(crate) fn contains(&self, key: &[u8]) -> Outcome<bool> {
        todo!()
    }
    pub(crate) fn set(&self, party: Party, key: &[u8], value: &[u8]) -> Outcome<()> {
        todo!()
    }
    /// Version 0: only if there is none yet.
    pub(crate) fn replace(&self, party: Party, key: &[u8], version: Version, value: &[u8]) -> Outcome<()> {
        todo!()
    }
    /// The record, after adding `value` if there was none.
    pub(crate) fn get_or_set(
        &self,
        party: Party,
        key: &[u8],
        value: &[u8],
        into: &mut Vec<u8>,
    ) -> Outcome<()> {
        todo!()
    }
    /// All or none.
    pub(crate) fn extend(&self, party: Party, entries: &[(&[u8], &[u8])]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn delete(&self, party: Party, key: &[u8]) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn pop(&self, party: Party, key: &[u8], into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn clear(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    /// A sequence of keys and values in turn, in the order in which keys were added, as of one instant.
    pub(crate) fn all(&self, into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}
