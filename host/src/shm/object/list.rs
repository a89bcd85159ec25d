//! Lists: records in an order, changed by one store each.
//!
//! The state says which table is active and how long it is; the entries below that length are places of records, each
//! of which is a version and a value:
//!
//! ```text
//!   0  version   u64
//!   8  value
//! ```
//!
//! | change | written before | the store | given back behind it |
//! |---|---|---|---|
//! | append, extend | records; entries at and beyond the length | state: length | |
//! | set, replace | a record | the entry | the record before |
//! | insert | a record; the other table | state: table and length | |
//! | delete, pop of the last | | state: length | the record |
//! | delete, pop | the other table | state: table and length | the record |
//! | clear | | state: length | all records |
//!
//! How readers and deaths get on with that is in `records`. Appending takes nothing away, so that it does not count
//! the generation up and no reader has to start anew because of it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground};
use super::heap::Place;
use super::records::{self, Records, State, begin_element, element_bytes};
use super::spec::{RecordsShape, check_value};
use super::{Outcome, Party};

/// Bytes of a record before its value.
const VALUE: usize = size_of::<Version>();

/// Bytes of the region; nothing when there can be no such list.
pub(crate) fn bytes(shape: RecordsShape) -> Option<usize> {
    records::bytes(shape, shape.records_max as usize)
}

/// A list.
#[derive(Debug)]
pub(crate) struct List {
    records: Records,
}

/// Tells one content of a record from every other that it ever had. Never 0.
pub(crate) type Version = u64;

impl List {
    /// A list on `ground`, which has [`bytes`] bytes.
    pub(crate) fn open(ground: Ground, shape: RecordsShape) -> Self {
        Self { records: Records::open(ground, shape, shape.records_max as usize) }
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
    /// [`Refusal::Poisoned`].
    pub(crate) fn len(&self) -> Outcome<u32> {
        self.ground().check()?;
        Ok(self.state()?.length)
    }

    /// Copies a record to the end of `into`, and answers its version. Negative indices count from the end.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the list without a
    /// pause.
    pub(crate) fn get(&self, index: i64, into: &mut Vec<u8>) -> Outcome<Version> {
        let end = into.len();
        self.records.look(|| {
            into.truncate(end);
            let state = self.records.state()?;
            let index = locate(index, state.length)?;
            let (offset, place) = self.find(self.entry(state, index))?;
            Ok(self.read(offset, place, into))
        })
    }

    /// Replaces a record.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::TooLarge`], [`Refusal::NoRoom`] (there must be room for the old and the
    /// new record at once), and what entering the object can come to: [`Refusal::ReadOnly`], [`Refusal::Poisoned`],
    /// [`Refusal::TimedOut`].
    pub(crate) fn set(&self, party: Party, index: i64, value: &[u8]) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        self.exchange(self.entry(state, locate(index, state.length)?), value)
    }

    /// Replaces a record if it still has this version.
    ///
    /// # Errors
    ///
    /// [`Refusal::Changed`] if it does not, and as [`Self::set`].
    pub(crate) fn replace(&self, party: Party, index: i64, version: Version, value: &[u8]) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        let entry = self.entry(state, locate(index, state.length)?);
        let (offset, _) = self.place(entry)?;
        // Relaxed: under the mutex.
        if self.ground().word64(offset).load(Ordering::Relaxed) != version {
            return Err(Refusal::Changed);
        }
        self.exchange(entry, value)
    }

    /// Adds a record at the end, and answers its index.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoRoom`], [`Refusal::TooLarge`], and what entering the object can come to.
    pub(crate) fn append(&self, party: Party, value: &[u8]) -> Outcome<u32> {
        self.add(party, &[value])
    }

    /// Adds records at the end, all or none.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub(crate) fn extend(&self, party: Party, values: &[&[u8]]) -> Outcome<()> {
        self.add(party, values).map(drop)
    }

    fn add(&self, party: Party, values: &[&[u8]]) -> Outcome<u32> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        let length = self.longer(state, values.len())?;
        let entries = &self.records.table(state.active)[state.length as usize..length as usize];
        for (done, (entry, value)) in entries.iter().zip(values).enumerate() {
            match self.put(value) {
                // Relaxed: nobody looks beyond the length, which releases it.
                Ok(place) => entry.store(place.0, Ordering::Relaxed),
                Err(refusal) => {
                    self.take_back(&entries[..done]);
                    return Err(refusal);
                }
            }
            crash_point!("list: an entry beyond the end");
        }
        self.records.commit_state(State { length, ..state });
        crash_point!("list: longer, mutex held");
        Ok(state.length)
    }

    /// Gives back records that were never visible.
    fn take_back(&self, entries: &[AtomicU64]) {
        for entry in entries {
            // A place that somebody scribbled over meanwhile stays taken until the next repair.
            if let Ok((_, place)) = self.place(entry) {
                self.records.free(place);
            }
        }
    }

    /// Adds a record before another, as Python does: an index beyond an end means that end.
    ///
    /// Copies the table of places: its cost grows with the list.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub(crate) fn insert(&self, party: Party, index: i64, value: &[u8]) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        let length = self.longer(state, 1)?;
        let at = clamp(index, state.length) as usize;
        let place = self.put(value)?;
        let other = self.records.table(state.active.other());
        let active = self.records.table(state.active);
        copy(&active[..at], &other[..at]);
        // Relaxed, as in `copy`.
        other[at].store(place.0, Ordering::Relaxed);
        copy(&active[at..state.length as usize], &other[at + 1..length as usize]);
        self.switch(state, length);
        Ok(())
    }

    /// Removes a record. Any but the last costs a copy of the table of places.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], and what entering the object can come to.
    pub(crate) fn delete(&self, party: Party, index: i64) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        self.remove(state, locate(index, state.length)?)
    }

    /// Removes a record, and copies it to the end of `into`.
    ///
    /// # Errors
    ///
    /// As [`Self::delete`].
    pub(crate) fn pop(&self, party: Party, index: i64, into: &mut Vec<u8>) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        let index = locate(index, state.length)?;
        let (offset, place) = self.place(self.entry(state, index))?;
        self.read(offset, place, into);
        self.remove(state, index)
    }

    /// Removes all records.
    ///
    /// # Errors
    ///
    /// What entering the object can come to.
    pub(crate) fn clear(&self, party: Party) -> Outcome<()> {
        let _entered = self.enter(party)?;
        let state = self.state()?;
        self.records.commit_state(State { length: 0, ..state });
        crash_point!("list: empty, not counted");
        self.records.retire();
        self.records.free_all();
        crash_point!("list: empty, mutex held");
        Ok(())
    }

    /// Copies records `first..first + count` (as far as there are), as of one instant, to the end of `into`.
    ///
    /// They are a sequence of at most `bytes_max` bytes, as [`wasmpool_abi::shared::split_first`] takes it apart.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`] when there is more; [`Refusal::Poisoned`]; [`Refusal::TimedOut`] when others change the
    /// list without a pause.
    pub(crate) fn all(
        &self,
        first: u64,
        count: Option<u64>,
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> Outcome<()> {
        let end = into.len();
        self.records.look(|| {
            into.truncate(end);
            let state = self.records.state()?;
            let entries = &self.records.table(state.active)[part(first, count, state.length)];
            let mut bytes_left = self.records.bytes_max();
            for entry in entries {
                // Looked at once: the next look could find another record, of another length.
                let (offset, place) = self.find(entry)?;
                bytes_left = bytes_left.checked_sub(place.bytes()).ok_or(Refusal::Poisoned)?;
                if into.len() - end + element_bytes(place.bytes() - VALUE) > bytes_max {
                    return Err(Refusal::TooLarge);
                }
                begin_element(place.bytes() - VALUE, into);
                self.read(offset, place, into);
            }
            Ok(())
        })
    }

    /// Lets others in where a dead party was, and wakes them.
    pub(crate) fn bury(&self, party: Party) {
        self.records.bury(party);
    }

    fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        self.records.enter(party, || {
            let state = self.records.state()?;
            let entries = &self.records.table(state.active)[..state.length as usize];
            self.records.repair_heap(entries.iter().map(|entry| entry.load(Ordering::Relaxed)))
        })
    }

    /// The state, the mutex being held: what cannot be is not somebody else's change.
    fn state(&self) -> Outcome<State> {
        self.records.state().map_err(|refusal| self.ground().poison_if_impossible(refusal))
    }

    /// The length with `count` records more, if there is room for them in the tables.
    fn longer(&self, state: State, count: usize) -> Outcome<u32> {
        let length = u32::try_from(count).ok().and_then(|count| state.length.checked_add(count));
        length.filter(|length| *length <= self.shape().records_max).ok_or(Refusal::NoRoom)
    }

    /// An entry below the length.
    fn entry(&self, state: State, index: u32) -> &AtomicU64 {
        &self.records.table(state.active)[index as usize]
    }

    /// Writes a record that nobody refers to yet.
    fn put(&self, value: &[u8]) -> Outcome<Place> {
        check_value(value.len())?;
        let place = self.records.allocate(VALUE + value.len())?;
        let (offset, _) = self.records.find(place.0, VALUE)?;
        // Relaxed: whoever commits it releases it.
        self.ground().word64(offset).store(self.records.next_version(), Ordering::Relaxed);
        self.records.region().store(offset + VALUE, value);
        crash_point!("list: a record that nobody refers to");
        Ok(place)
    }

    /// Makes an entry of the active table refer to a new record.
    fn exchange(&self, entry: &AtomicU64, value: &[u8]) -> Outcome<()> {
        let (_, old) = self.place(entry)?;
        let new = self.put(value)?;
        // SYNC record
        entry.store(new.0, Ordering::Release);
        crash_point!("list: replaced, not counted");
        self.records.retire();
        self.records.free(old);
        crash_point!("list: replaced, mutex held");
        Ok(())
    }

    fn remove(&self, state: State, index: u32) -> Outcome<()> {
        let (_, place) = self.place(self.entry(state, index))?;
        let (at, length) = (index as usize, state.length - 1);
        if index == length {
            self.records.commit_state(State { length, ..state });
            crash_point!("list: shorter, not counted");
            self.records.retire();
        } else {
            let other = self.records.table(state.active.other());
            let active = self.records.table(state.active);
            copy(&active[..at], &other[..at]);
            copy(&active[at + 1..state.length as usize], &other[at..length as usize]);
            self.switch(state, length);
        }
        self.records.free(place);
        crash_point!("list: removed, mutex held");
        Ok(())
    }

    /// Makes the other table the active one. The one that was active so far can be overwritten then.
    fn switch(&self, state: State, length: u32) {
        self.records.commit_state(State { active: state.active.other(), length });
        crash_point!("list: switched, not counted");
        self.records.retire();
        crash_point!("list: switched");
    }

    /// Where the record of an entry is, the mutex being held.
    fn place(&self, entry: &AtomicU64) -> Outcome<(usize, Place)> {
        self.find(entry).map_err(|refusal| self.ground().poison_if_impossible(refusal))
    }

    fn find(&self, entry: &AtomicU64) -> Outcome<(usize, Place)> {
        // SYNC record
        self.records.find(entry.load(Ordering::Acquire), VALUE)
    }

    /// Copies a value to the end of `into`; answers its version.
    fn read(&self, offset: usize, place: Place, into: &mut Vec<u8>) -> Version {
        self.records.region().load_to(offset + VALUE, place.bytes() - VALUE, into);
        // Relaxed: who found the place acquired it.
        self.ground().word64(offset).load(Ordering::Relaxed)
    }
}

/// Copies entries to the table that nobody looks at.
fn copy(from: &[AtomicU64], to: &[AtomicU64]) {
    for (from, to) in from.iter().zip(to) {
        // Relaxed: the state's store releases them.
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        crash_point!("list: the other table half written");
    }
}

/// The entry that an index means, negative ones from the end.
fn locate(index: i64, length: u32) -> Outcome<u32> {
    let index = if index < 0 { index + i64::from(length) } else { index };
    u32::try_from(index).ok().filter(|index| *index < length).ok_or(Refusal::OutOfRange)
}

/// Where an insertion goes.
fn clamp(index: i64, length: u32) -> u32 {
    let index = if index < 0 { index + i64::from(length) } else { index };
    index.clamp(0, i64::from(length)) as u32
}

/// The entries from `first` on, at most `count`.
fn part(first: u64, count: Option<u64>, length: u32) -> Range<usize> {
    let first = first.min(length.into());
    let end = count.and_then(|count| first.checked_add(count)).unwrap_or(u64::MAX).min(length.into());
    first as usize..end as usize
}

#[cfg(test)]
mod tests;
