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
//! Length and number of removed slots are derived, under the mutex, behind the store that commits. While somebody is
//! inside or died there, [`Dict::len`] counts.
//!
//! Keys are hashed with a seed that guests do not know, so that they cannot choose keys that collide; who may write
//! to the pages can make searches long, but not endless.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground};
use super::heap::Place;
use super::list::Version;
use super::records::{self, LENGTH, REMOVED, Records, State, Table, begin_element};
use super::spec::RecordsShape;
use super::{Outcome, Party};

/// A slot that no search passes.
const FREE: u64 = 0;

/// A slot that searches pass: there was a record.
const REMOVED_SLOT: u64 = 1;

/// Where a record has what.
const BORN: usize = 8;
const TAG: usize = 16;
const KEY: usize = 24;

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

/// A record in the heap.
#[derive(Clone, Copy)]
struct Record {
    place: Place,
    offset: usize,
    key_bytes: usize,
}

/// What a search for a key came to.
enum Found {
    /// The key is in this slot.
    Here(usize, Record),
    /// It is nowhere; this slot is where it belongs.
    Nowhere(usize),
}

/// A key and its hash.
#[derive(Clone, Copy)]
struct Key<'a> {
    bytes: &'a [u8],
    hash: u32,
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
    /// They are a sequence as [`wasmpool_abi::shared::split_first`] takes it apart. A key that was removed and added
    /// again counts from then.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the dictionary without a pause.
    pub(crate) fn all(&self, into: &mut Vec<u8>) -> Outcome<()> {
        let end = into.len();
        self.records.look(|| {
            into.truncate(end);
            let mut bytes_left = self.records.bytes_max();
            let mut found = Vec::new();
            for record in self.records_of(self.active()?) {
                let record = record?;
                bytes_left = bytes_left.checked_sub(record.place.bytes()).ok_or(Refusal::Poisoned)?;
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

    fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        Key { bytes, hash: hasher.finish() as u32 }
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

    /// Moves all records to the other table, without the removed slots.
    fn clean_up(&self, active: Table) -> Outcome<()> {
        let other = active.other();
        self.empty(other);
        let slots = self.records.table(other);
        let mut length = 0;
        for record in self.records_of(active) {
            let record = record?;
            let hash = self.word(record, TAG) as u32;
            let mut way = way(hash, slots.len());
            // Relaxed, here and below: the state's store releases the table.
            let free = way.find(|at| slots[*at].load(Ordering::Relaxed) == FREE).ok_or(Refusal::Poisoned)?;
            slots[free].store(record.place.0, Ordering::Relaxed);
            crash_point!("dict: the other table half filled");
            length += 1;
        }
        self.checked(length)?;
        self.switch(other);
        self.derive(length, 0);
        Ok(())
    }

    /// Builds the other table with a batch of records in it, and makes it the active one.
    fn commit_batch(&self, entries: &[(&[u8], &[u8])], batch: &mut Batch) -> Outcome<()> {
        let active = self.active()?;
        let (length, removed) = self.sizes()?;
        let other = active.other();
        let slots = self.records.table(other);
        for (from, to) in self.records.table(active).iter().zip(slots) {
            // Relaxed: the state's store releases the table.
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            crash_point!("dict: the other table half copied");
        }
        for (key, value) in entries {
            let key = self.key(key);
            let (slot, old) = match self.find(other, key)? {
                Found::Here(slot, old) => (slot, Some(old)),
                Found::Nowhere(slot) => (slot, None),
            };
            match old {
                Some(old) => batch.replaced.push(old.place),
                None => {
                    batch.added += 1;
                    self.room_for(length + batch.added)?;
                    batch.reused += slots[slot].load(Ordering::Relaxed);
                }
            }
            let new = self.write(key, value, old)?;
            batch.written.push(new);
            slots[slot].store(new.0, Ordering::Relaxed);
            crash_point!("dict: one of a batch in the other table");
        }
        self.switch(other);
        self.derive(length + batch.added, removed.saturating_sub(batch.reused));
        Ok(())
    }

    fn room_for(&self, length: u64) -> Outcome<()> {
        if length <= u64::from(self.shape().records_max) { Ok(()) } else { Err(Refusal::NoRoom) }
    }

    /// Makes every slot of a table free that is not the active one.
    fn empty(&self, table: Table) {
        for slot in self.records.table(table) {
            // A page that was never touched stays untouched. Relaxed: the state's store releases the table.
            if slot.load(Ordering::Relaxed) != FREE {
                slot.store(FREE, Ordering::Relaxed);
                crash_point!("dict: the other table half empty");
            }
        }
    }

    /// Makes a table the active one. The one that was so far can be overwritten then.
    fn switch(&self, active: Table) {
        self.records.commit_state(State { active, length: 0 });
        crash_point!("dict: switched, not counted");
        self.records.retire();
        crash_point!("dict: switched");
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

    /// Writes a record that nobody refers to yet, in the place of `old` in the order of keys.
    fn write(&self, key: Key<'_>, value: &[u8], old: Option<Record>) -> Outcome<Place> {
        let bytes = KEY.saturating_add(key.bytes.len()).saturating_add(value.len());
        let place = self.records.allocate(bytes)?;
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

    /// Looks for a key in a table.
    fn find(&self, table: Table, key: Key<'_>) -> Outcome<Found> {
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
    fn records_of(&self, table: Table) -> impl Iterator<Item = Outcome<Record>> {
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

    fn version(&self, record: Record) -> Version {
        self.word(record, 0)
    }

    fn word(&self, record: Record, at: usize) -> u64 {
        // Relaxed: who found the record acquired it.
        self.ground().word64(record.offset + at).load(Ordering::Relaxed)
    }

    /// Copies a value to the end of `into`.
    fn read(&self, record: Record, into: &mut Vec<u8>) {
        let value = record.offset + KEY + record.key_bytes;
        self.records.region().load_to(value, record.value_bytes(), into);
    }
}

impl Record {
    fn value_bytes(self) -> usize {
        self.place.bytes() - KEY - self.key_bytes
    }
}

/// What an extension has done so far.
struct Batch {
    /// Records that are to be visible.
    written: Vec<Place>,
    /// Records that are not to be any more; some of those written, when a key comes twice.
    replaced: Vec<Place>,
    added: u64,
    /// Removed slots that are not so any more.
    reused: u64,
}

/// The slots in which a key with this hash can be, in order: all of them, once.
fn way(hash: u32, slots: usize) -> impl Iterator<Item = usize> {
    let first = hash as usize;
    (0..slots).map(move |step| (first + step) & (slots - 1))
}

#[cfg(test)]
mod tests;
