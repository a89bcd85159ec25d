//! Dictionaries: records found by a key, changed by one store each.
//!
//! A table is a power of two of slots, at least twice as many as there can be records. A slot is free (0), removed (1)
//! or the place of a record. A record is looked for from the slot that its hash names, one slot after the other, up
//! to a free one; removed ones are passed.
//!
//! ```text
//!   0  version       u64
//!   8  born          u64   the version that the key had first: the order of keys
//!  16  hash          u32   of the key
//!  20  key length    u32
//!  24  key, value
//! ```
//!
//! | change | written before | the store | given back behind it |
//! |---|---|---|---|
//! | set, replace of what is there | a record | the slot | the record before |
//! | set, replace of what is not | a record | the slot, free or removed so far | |
//! | delete, pop | | the slot: removed, or free if the next one is | the record |
//! | extend | records; the other table | state | the records before |
//! | clear | the other table, empty | state | all records |
//!
//! How readers and deaths get on with that is in `records`; all changes count the generation up here, because a
//! reader of everything looks at slots in another order than that in which they are filled.
//!
//! A key is never in two slots: it is added to the first removed slot on its way only after the whole way was
//! searched, and moved never. Removed slots are cleaned up by filling the other table anew, once they are more than a
//! quarter; so, but for deaths just then, a quarter is free. A search ends behind the last slot in any case.
//!
//! What lies where, and the search, stand in `slots`; what fills the other table in `tables`.
//!
//! Length and number of removed slots are derived, under the mutex, behind the store that commits. While somebody is
//! inside or died there, [`Dict::len`] counts.
//!
//! Keys are hashed with a seed that guests do not know, so that they cannot choose keys that collide; who may write
//! to the pages can make searches long, but not endless.

mod slots;
mod tables;

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground};
use super::list::Version;
use super::records::{self, LENGTH, REMOVED, Records, Table, begin_element, element_bytes};
use super::spec::RecordsShape;
use super::{Outcome, Party};
use slots::{BORN, FREE, Found, KEY, Key, REMOVED_SLOT, Record};
use tables::Batch;

/// Looks at the mutex before [`Dict::len`] counts by itself.
const RESTS: u32 = 64;

/// Bytes of the region; nothing when there can be no such dictionary.
pub(crate) fn bytes(shape: RecordsShape) -> Option<usize> {
    records::bytes(shape, slots_of(shape))
}

fn slots_of(shape: RecordsShape) -> usize {
    (2 * shape.records_max as usize).next_power_of_two().max(8)
}

/// A dictionary.
#[derive(Debug)]
pub(crate) struct Dict {
    records: Records,
    hasher: FixedState,
}

impl Dict {
    /// A dictionary on `ground`, which has [`bytes`] bytes.
    pub(crate) fn open(ground: Ground, shape: RecordsShape, seed: u64) -> Self {
        let records = Records::open(ground, shape, slots_of(shape));
        Self { records, hasher: FixedState::with_seed(seed) }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        self.records.ground()
    }

    /// Its sizes.
    pub(crate) fn shape(&self) -> RecordsShape {
        self.records.shape()
    }

    /// How many records there are.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the dictionary without a pause.
    pub(crate) fn len(&self) -> Outcome<u32> {
        self.ground().check()?;
        for _ in 0..RESTS {
            if self.records.is_at_rest() {
                // Relaxed: each value was right when it was stored, and the one at rest is visible.
                return match self.derived(LENGTH).load(Ordering::Relaxed) {
                    length if length <= u64::from(self.shape().records_max) => Ok(length as u32),
                    _ => Err(self.ground().poison()),
                };
            }
            std::hint::spin_loop();
        }
        self.records.look(|| {
            let slots = self.records.table(self.active()?);
            // SYNC record: not followed, but counted as of one instant.
            let length = slots.iter().filter(|slot| slot.load(Ordering::Acquire) > REMOVED_SLOT).count();
            self.checked(length as u64).map(|()| length as u32)
        })
    }

    /// Copies the record under `key` to the end of `into`, and answers its version.
    ///
    /// # Errors
    ///
    /// [`Refusal::Missing`], [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the dictionary without a
    /// pause.
    pub(crate) fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Outcome<Version> {
        let key = self.key(key);
        let end = into.len();
        self.records.look(|| {
            into.truncate(end);
            match self.find(self.active()?, key)? {
                Found::Here(_, record) => {
                    self.read(record, into);
                    Ok(self.version(record))
                }
                Found::Nowhere(_) => Err(Refusal::Missing),
            }
        })
    }

    /// Whether there is a record under `key`.
    ///
    /// # Errors
    ///
    /// As [`Self::get`], but for [`Refusal::Missing`].
    pub(crate) fn contains(&self, key: &[u8]) -> Outcome<bool> {
        let key = self.key(key);
        self.records.look(|| {
            let found = self.find(self.active()?, key)?;
            Ok(matches!(found, Found::Here(..)))
        })
    }

    /// Sets the record under `key`, or adds it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`], [`Refusal::NoRoom`] (there must be room for the old and the new record at once), and
    /// what entering the object can come to: [`Refusal::ReadOnly`], [`Refusal::Poisoned`], [`Refusal::TimedOut`].
    pub(crate) fn set(&self, party: Party, key: &[u8], value: &[u8]) -> Outcome<()> {
        let key = self.key(key);
        let _entered = self.enter(party)?;
        self.spoilt_if(self.put(key, value))
    }

    /// Sets the record under `key` if it still has this version; with version 0, adds it if there is none.
    ///
    /// # Errors
    ///
    /// [`Refusal::Changed`] otherwise, and as [`Self::set`].
    pub(crate) fn replace(&self, party: Party, key: &[u8], version: Version, value: &[u8]) -> Outcome<()> {
        let key = self.key(key);
        let _entered = self.enter(party)?;
        self.spoilt_if(self.active().and_then(|active| {
            let now = match self.find(active, key)? {
                Found::Here(_, record) => self.version(record),
                Found::Nowhere(_) => 0,
            };
            if now == version { self.put(key, value) } else { Err(Refusal::Changed) }
        }))
    }

    /// Copies the record under `key` to the end of `into`, after adding `value` if there was none.
    ///
    /// # Errors
    ///
    /// As [`Self::set`], but for those of changes when there is a record.
    pub(crate) fn get_or_set(
        &self,
        party: Party,
        key: &[u8],
        value: &[u8],
        into: &mut Vec<u8>,
    ) -> Outcome<()> {
        match self.get(key, into) {
            Err(Refusal::Missing) => {}
            got => return got.map(drop),
        }
        let key = self.key(key);
        let _entered = self.enter(party)?;
        self.spoilt_if(self.active().and_then(|active| match self.find(active, key)? {
            Found::Here(_, record) => {
                self.read(record, into);
                Ok(())
            }
            Found::Nowhere(_) => {
                self.put(key, value)?;
                into.extend_from_slice(value);
                Ok(())
            }
        }))
    }

    /// Sets or adds records, all or none; of several under one key the last counts.
    ///
    /// More than one cost a copy of the table of slots.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub(crate) fn extend(&self, party: Party, entries: &[(&[u8], &[u8])]) -> Outcome<()> {
        if let [(key, value)] = entries {
            return self.set(party, key, value);
        }
        let _entered = self.enter(party)?;
        if entries.is_empty() {
            return Ok(());
        }
        let mut batch = Batch { written: Vec::new(), replaced: Vec::new(), added: 0, reused: 0 };
        let committed = self.commit_batch(entries, &mut batch);
        for place in if committed.is_ok() { batch.replaced } else { batch.written } {
            self.records.free(place);
        }
        crash_point!("dict: extended, mutex held");
        self.spoilt_if(committed)
    }

    /// Removes the record under `key`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Missing`], and what entering the object can come to.
    pub(crate) fn delete(&self, party: Party, key: &[u8]) -> Outcome<()> {
        self.take(party, key, |_| ())
    }

    /// Removes the record under `key`, and copies it to the end of `into`.
    ///
    /// # Errors
    ///
    /// As [`Self::delete`].
    pub(crate) fn pop(&self, party: Party, key: &[u8], into: &mut Vec<u8>) -> Outcome<()> {
        self.take(party, key, |record| self.read(record, into))
    }

    /// Removes all records.
    ///
    /// # Errors
    ///
    /// What entering the object can come to.
    pub(crate) fn clear(&self, party: Party) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let other = self.spoilt_if(self.active())?.other();
        self.empty(other);
        self.switch(other);
        self.derive(0, 0);
        self.records.free_all();
        crash_point!("dict: cleared, mutex held");
        Ok(())
    }

    /// Copies all keys and values in turn, in the order in which keys were added, as of one instant, to `into`'s end.
    ///
    /// They are a sequence of at most `bytes_max` bytes, as [`wasmpool_abi::shared::split_first`] takes it apart. A key
    /// that was removed and added again counts from then.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`] when there is more; [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the
    /// dictionary without a pause.
    pub(crate) fn all(&self, bytes_max: usize, into: &mut Vec<u8>) -> Outcome<()> {
        let end = into.len();
        self.records.look(|| {
            into.truncate(end);
            let mut bytes_left = self.records.bytes_max();
            let (mut found, mut bytes) = (Vec::new(), 0);
            for record in self.records_of(self.active()?) {
                let record = record?;
                bytes_left = bytes_left.checked_sub(record.place.bytes()).ok_or(Refusal::Poisoned)?;
                bytes += element_bytes(record.key_bytes) + element_bytes(record.value_bytes());
                if bytes > bytes_max {
                    return Err(Refusal::TooLarge);
                }
                found.push((self.word(record, BORN), record));
            }
            self.checked(found.len() as u64)?;
            found.sort_unstable_by_key(|(born, _)| *born);
            for (_, record) in found {
                begin_element(record.key_bytes, into);
                self.records.region().load_to(record.offset + KEY, record.key_bytes, into);
                begin_element(record.value_bytes(), into);
                self.read(record, into);
            }
            Ok(())
        })
    }

    /// Lets others in where a dead party was, and wakes them.
    pub(crate) fn bury(&self, party: Party) {
        self.records.bury(party);
    }

    fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        self.records.enter(party, || self.repair())
    }

    /// Puts in order what a death left half done.
    fn repair(&self) -> Outcome<()> {
        let slots = self.records.table(self.active()?);
        let words = || slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        self.records.repair_heap(words().filter(|word| *word > REMOVED_SLOT))?;
        let length = words().filter(|word| *word > REMOVED_SLOT).count() as u64;
        let removed = words().filter(|word| *word == REMOVED_SLOT).count() as u64;
        self.checked(length)?;
        self.derive(length, removed);
        Ok(())
    }

    fn checked(&self, length: u64) -> Outcome<()> {
        if length <= u64::from(self.shape().records_max) { Ok(()) } else { Err(Refusal::Poisoned) }
    }

    /// What cannot be while the mutex is held is not somebody else's change.
    fn spoilt_if<T>(&self, done: Outcome<T>) -> Outcome<T> {
        done.map_err(|refusal| self.ground().poison_if_impossible(refusal))
    }

    fn active(&self) -> Outcome<Table> {
        Ok(self.records.state()?.active)
    }

    /// Sets or adds one record; the mutex is held.
    fn put(&self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        let active = self.active()?;
        match self.find(active, key)? {
            Found::Here(slot, old) => {
                let new = self.write(key, value, Some(old))?;
                // SYNC record
                self.records.table(active)[slot].store(new.0, Ordering::Release);
                crash_point!("dict: replaced, not counted");
                self.records.retire();
                self.records.free(old.place);
                crash_point!("dict: replaced, mutex held");
            }
            Found::Nowhere(slot) => {
                let (length, removed) = self.sizes()?;
                self.room_for(length + 1)?;
                let new = self.write(key, value, None)?;
                let slot = &self.records.table(active)[slot];
                let reused = slot.load(Ordering::Relaxed);
                // SYNC record
                slot.store(new.0, Ordering::Release);
                crash_point!("dict: added, not counted");
                self.records.retire();
                self.derive(length + 1, removed.saturating_sub(reused));
            }
        }
        Ok(())
    }

    /// Removes the record under a key, after `look` has seen it.
    fn take(&self, party: Party, key: &[u8], look: impl FnOnce(Record)) -> Outcome<()> {
        let key = self.key(key);
        let _entered = self.enter(party)?;
        let active = self.spoilt_if(self.active())?;
        let Found::Here(slot, record) = self.spoilt_if(self.find(active, key))? else {
            return Err(Refusal::Missing);
        };
        let (length, removed) = self.spoilt_if(self.sizes())?;
        look(record);
        let slots = self.records.table(active);
        // No search passes this slot if it would end at the next one. Relaxed: under the mutex.
        let next = slots[(slot + 1) & (slots.len() - 1)].load(Ordering::Relaxed);
        let left = if next == FREE { FREE } else { REMOVED_SLOT };
        // SYNC record
        slots[slot].store(left, Ordering::Release);
        crash_point!("dict: removed, not counted");
        self.records.retire();
        self.derive(length.saturating_sub(1), removed + left);
        self.records.free(record.place);
        crash_point!("dict: removed, mutex held");
        if removed + left > (slots.len() / 4) as u64 {
            self.spoilt_if(self.clean_up(active))?;
        }
        Ok(())
    }

    fn room_for(&self, length: u64) -> Outcome<()> {
        if length <= u64::from(self.shape().records_max) { Ok(()) } else { Err(Refusal::NoRoom) }
    }

    /// Length and number of removed slots; the mutex is held.
    fn sizes(&self) -> Outcome<(u64, u64)> {
        // Relaxed: under the mutex.
        let length = self.derived(LENGTH).load(Ordering::Relaxed);
        let removed = self.derived(REMOVED).load(Ordering::Relaxed);
        self.checked(length)?;
        let slots = slots_of(self.shape()) as u64;
        if removed > slots { Err(Refusal::Poisoned) } else { Ok((length, removed)) }
    }

    fn derive(&self, length: u64, removed: u64) {
        crash_point!("dict: changed, its length as before");
        // Relaxed: the mutex orders them; readers look only while nobody has it.
        self.derived(LENGTH).store(length, Ordering::Relaxed);
        crash_point!("dict: its length changed, its removed slots as before");
        self.derived(REMOVED).store(removed, Ordering::Relaxed);
        crash_point!("dict: sizes changed");
    }

    fn derived(&self, offset: usize) -> &AtomicU64 {
        self.ground().word64(offset)
    }
}

#[cfg(test)]
mod tests;
