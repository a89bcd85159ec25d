//! The two tables: how the one that nobody looks at is filled, before one store makes it the active one.

use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::super::Outcome;
use super::super::crash::crash_point;
use super::super::heap::Place;
use super::super::records::{State, Table};
use super::Dict;
use super::slots::{FREE, Found, TAG, way};

/// What an extension has done so far.
pub(super) struct Batch {
    /// Records that are to be visible.
    pub(super) written: Vec<Place>,
    /// Records that are not to be any more; some of those written, when a key comes twice.
    pub(super) replaced: Vec<Place>,
    pub(super) added: u64,
    /// Removed slots that are not so any more.
    pub(super) reused: u64,
}

impl Dict {
    /// Builds the other table with a batch of records in it, and makes it the active one.
    pub(super) fn commit_batch(&self, entries: &[(&[u8], &[u8])], batch: &mut Batch) -> Outcome<()> {
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

    /// Moves all records to the other table, without the removed slots.
    pub(super) fn clean_up(&self, active: Table) -> Outcome<()> {
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

    /// Makes every slot of a table free that is not the active one.
    pub(super) fn empty(&self, table: Table) {
        for slot in self.records.table(table) {
            // A page that was never touched stays untouched. Relaxed: the state's store releases the table.
            if slot.load(Ordering::Relaxed) != FREE {
                slot.store(FREE, Ordering::Relaxed);
                crash_point!("dict: the other table half empty");
            }
        }
    }

    /// Makes a table the active one. The one that was so far can be overwritten then.
    pub(super) fn switch(&self, active: Table) {
        self.records.commit_state(State { active, length: 0 });
        crash_point!("dict: switched, not counted");
        self.records.retire();
        crash_point!("dict: switched");
    }
}
