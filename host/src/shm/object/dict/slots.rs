//! Slots and the records that they refer to: how a key is looked for, and what lies where; the picture is the dict's.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::super::Outcome;
use super::super::crash::crash_point;
use super::super::heap::Place;
use super::super::list::Version;
use super::super::records::Table;
use super::super::spec::check_value;
use super::Dict;

/// A slot that no search passes.
pub(super) const FREE: u64 = 0;

/// A slot that searches pass: there was a record.
pub(super) const REMOVED_SLOT: u64 = 1;

/// Where a record has what.
pub(super) const BORN: usize = 8;
pub(super) const TAG: usize = 16;
pub(super) const KEY: usize = 24;

/// A record in the heap.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) offset: usize,
    pub(super) key_bytes: usize,
}

/// What a search for a key came to.
pub(super) enum Found {
    /// The key is in this slot.
    Here(usize, Record),
    /// It is nowhere; this slot is where it belongs.
    Nowhere(usize),
}

/// A key and its hash.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    bytes: &'a [u8],
    hash: u32,
}

impl Dict {
    pub(super) fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        Key { bytes, hash: hasher.finish() as u32 }
    }

    /// Looks for a key in a table.
    pub(super) fn find(&self, table: Table, key: Key<'_>) -> Outcome<Found> {
        let slots = self.records.table(table);
        let mut removed = None;
        for at in way(key.hash, slots.len()) {
            // SYNC record
            match slots[at].load(Ordering::Acquire) {
                FREE => return Ok(Found::Nowhere(removed.unwrap_or(at))),
                REMOVED_SLOT => removed = removed.or(Some(at)),
                word => {
                    let record = self.record(word)?;
                    if self.is_under(record, key) {
                        return Ok(Found::Here(at, record));
                    }
                }
            }
        }
        // Everywhere a record is more than there can be.
        removed.map(Found::Nowhere).ok_or(Refusal::Poisoned)
    }

    /// The records that a table refers to.
    pub(super) fn records_of(&self, table: Table) -> impl Iterator<Item = Outcome<Record>> {
        // SYNC record
        let words = self.records.table(table).iter().map(|slot| slot.load(Ordering::Acquire));
        words.filter(|word| *word > REMOVED_SLOT).map(|word| self.record(word))
    }

    /// The record that a slot refers to.
    fn record(&self, word: u64) -> Outcome<Record> {
        let (offset, place) = self.records.find(word, KEY)?;
        // Relaxed: who read the word acquired it.
        let tag = self.ground().word64(offset + TAG).load(Ordering::Relaxed);
        let key_bytes = (tag >> 32) as usize;
        let is_inside = key_bytes <= place.bytes() - KEY;
        if is_inside { Ok(Record { place, offset, key_bytes }) } else { Err(Refusal::Poisoned) }
    }

    fn is_under(&self, record: Record, key: Key<'_>) -> bool {
        record.key_bytes == key.bytes.len()
            && self.word(record, TAG) as u32 == key.hash
            && self.records.region().holds(record.offset + KEY, key.bytes)
    }

    pub(super) fn version(&self, record: Record) -> Version {
        self.word(record, 0)
    }

    pub(super) fn word(&self, record: Record, at: usize) -> u64 {
        // Relaxed: who found the record acquired it.
        self.ground().word64(record.offset + at).load(Ordering::Relaxed)
    }

    /// Writes a record that nobody refers to yet, in the place of `old` in the order of keys.
    pub(super) fn write(&self, key: Key<'_>, value: &[u8], old: Option<Record>) -> Outcome<Place> {
        let bytes = key.bytes.len().saturating_add(value.len());
        check_value(bytes)?;
        let place = self.records.allocate(KEY + bytes)?;
        let (offset, _) = self.records.find(place.0, KEY)?;
        let version = self.records.next_version();
        let born = old.map_or(version, |old| self.word(old, BORN));
        let tag = u64::from(key.hash) | (key.bytes.len() as u64) << 32;
        for (at, word) in [(0, version), (BORN, born), (TAG, tag)] {
            // Relaxed: whoever commits the record releases it.
            self.ground().word64(offset + at).store(word, Ordering::Relaxed);
        }
        self.records.region().store(offset + KEY, key.bytes);
        self.records.region().store(offset + KEY + key.bytes.len(), value);
        crash_point!("dict: a record that nobody refers to");
        Ok(place)
    }

    /// Copies a value to the end of `into`.
    pub(super) fn read(&self, record: Record, into: &mut Vec<u8>) {
        let value = record.offset + KEY + record.key_bytes;
        self.records.region().load_to(value, record.value_bytes(), into);
    }
}

impl Record {
    pub(super) fn value_bytes(self) -> usize {
        self.place.bytes() - KEY - self.key_bytes
    }
}

/// The slots in which a key with this hash can be, in order: all of them, once.
pub(super) fn way(hash: u32, slots: usize) -> impl Iterator<Item = usize> {
    let first = hash as usize;
    (0..slots).map(move |step| (first + step) & (slots - 1))
}
