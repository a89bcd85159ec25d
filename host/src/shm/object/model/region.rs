//! Pages that consist of the few words that a model needs.

use std::collections::BTreeMap;

use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::PARTIES_MAX;
use super::ground::header;

/// Words of the checker, by their offsets.
pub(in crate::shm::object::model) struct Region {
    words32: BTreeMap<usize, AtomicU32>,
    words64: BTreeMap<usize, AtomicU64>,
}

impl Region {
    /// The header, three bells, a word for each party after it, and 64-bit words where `further` says.
    ///
    /// An object uses a word in one width; the other one lies idle.
    pub(in crate::shm::object::model) fn new(further: impl IntoIterator<Item = usize>) -> Self {
        let bells = [header::BELL_A, header::BELL_B, header::BYTES];
        let bells = bells.into_iter().flat_map(|bell| [bell, bell + 4, bell + 8]);
        let offsets32 = (0..header::BELL_A).step_by(4).chain(bells);
        let parties = (1..PARTIES_MAX).map(|number| header::BYTES + 8 * number);
        let offsets64 = (8..header::BELL_A).step_by(8).chain(parties).chain(further);
        Self {
            words32: offsets32.map(|offset| (offset, AtomicU32::new(0))).collect(),
            words64: offsets64.map(|offset| (offset, AtomicU64::new(0))).collect(),
        }
    }

    pub(in crate::shm::object::model) fn word32(&self, offset: usize) -> &AtomicU32 {
        &self.words32[&offset]
    }

    pub(in crate::shm::object::model) fn word64(&self, offset: usize) -> &AtomicU64 {
        &self.words64[&offset]
    }

    /// As large as an object wants it.
    pub(in crate::shm::object::model) fn len(&self) -> usize {
        usize::MAX
    }

    /// Writes up to eight bytes, as one word: who reads them without a right to may find what was there before.
    pub(in crate::shm::object::model) fn write(&self, offset: usize, from: &[u8]) {
        let mut word = [0; 8];
        word[..from.len()].copy_from_slice(from);
        self.word64(offset).store(u64::from_le_bytes(word), Ordering::Relaxed);
    }

    pub(in crate::shm::object::model) fn read_to(&self, offset: usize, count: usize, into: &mut Vec<u8>) {
        into.extend(&self.word64(offset).load(Ordering::Relaxed).to_le_bytes()[..count]);
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Region")
    }
}
