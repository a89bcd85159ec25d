//! Semaphores.
//!
//! ```text
//!   8  added     u64   permits released beyond those there were, for good
//!  16  changes   u32   raised before each change of a word below, so that readers notice
//!  20  mark      u32   see `table`
//! 192  held      u64 for each party: permits that it holds
//! ```
//!
//! What each party holds is the truth; the permits that are left are derived: those at first, plus `added`, minus all
//! that are held. So a party that dies gives back what it holds by one store of zero, and there is no count that this
//! store would have to agree with.
//!
//! Python lets anyone release. Who releases more than it holds takes the debt off others who hold some: then their
//! own release later takes it off somebody else, or adds a permit. A release of several permits is several stores,
//! each of which gives back some; who dies in between has released some of them.
//!
//! Words are changed under the object's mutex, with one exception: the word of a dead party, or of one whose call
//! ends, is set to zero at any time. So a debt is taken off by compare-exchange; the order that fails is to read 3,
//! to let the holder be buried, and to store 2, which nobody would ever give back. And what the mutex's holder has
//! counted as held can only become less, so that no permit is given out that is not there.

use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::atomic::{AtomicU32, AtomicU64, fence};
use super::crash::crash_point;
use super::ground::{Entered, Ground, header};
use super::patience::Patience;
use super::table::{self, Table};
use super::{Outcome, Party};

/// Bytes of the region.
pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

const ADDED: usize = 8;
const CHANGES: usize = 16;
const MARK: usize = 20;
const HELD: usize = header::BYTES;
const _: () = assert!(HELD + table::BYTES <= BYTES);

/// Most permits, as in Python.
const PERMITS_MAX: u64 = i32::MAX as u64;

/// Counts that may be disturbed before a reader takes what it got.
const COUNTS_MAX: u32 = 64;

/// A debt taken off is disturbed by a burying only, once; more often only by who writes what it must not.
const TAKES_MAX: u32 = 64;

/// A number of permits.
#[derive(Debug)]
pub(crate) struct Semaphore {
    ground: Ground,
    permits: u64,
    bounded: bool,
}

impl Semaphore {
    /// A semaphore on `ground` with so many permits at first; never more, if it is bounded.
    pub(crate) fn open(ground: Ground, permits: u32, bounded: bool) -> Self {
        Self { ground, permits: u64::from(permits), bounded }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Takes a permit. The next may go to whoever comes first, not to who waits longest, as in Python.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`], and what [`Ground::enter`] and the notice say.
    pub(crate) fn acquire(&self, party: Party, patience: &Patience<'_>) -> Outcome<()> {
        patience.wait_for(self.ground.bell(header::BELL_A), || self.acquire_now(party))
    }

    /// Gives back `permits`, first those that `party` holds, then what others owe.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`] for no permits; [`Refusal::TooMany`] for more than are held, if it is bounded, or for more
    /// than there can be; nothing is changed then. And what [`Ground::enter`] says.
    pub(crate) fn release(&self, party: Party, permits: u32) -> Outcome<()> {
        if permits == 0 {
            return Err(Refusal::Invalid);
        }
        self.give_back(&self.enter(party)?, party, u64::from(permits))?;
        crash_point!("semaphore: released, nobody woken");
        self.ground.bell(header::BELL_A).ring();
        Ok(())
    }

    /// Permits that are left.
    ///
    /// While others acquire and release all the time, it may be a number that there was not at any one instant.
    ///
    /// # Errors
    ///
    /// What [`Ground::check`] says.
    pub(crate) fn value(&self) -> Outcome<u32> {
        self.ground.check()?;
        let mut value = 0;
        for _ in 0..COUNTS_MAX {
            // SYNC semaphore: all changes before the last that has begun.
            let changes = self.changes().load(Ordering::Acquire);
            // A count that others disturb can exceed what there is; that is no reason to spoil the semaphore.
            value = self.there_are()?.saturating_sub(self.held()?);
            // SYNC semaphore: a change whose word was seen above is seen to have begun.
            fence(Ordering::Acquire);
            if self.changes().load(Ordering::Relaxed) == changes {
                break;
            }
        }
        Ok(value as u32)
    }

    /// Gives back all permits of a call of `party` that ends.
    pub(crate) fn end_call(&self, party: Party) {
        if self.ground.is_writable() && self.clear(party) {
            self.ground.bell(header::BELL_A).ring();
        }
    }

    /// Gives back all permits of a dead party, and wakes everyone.
    pub(crate) fn bury(&self, party: Party) {
        if self.ground.is_writable() {
            self.clear(party);
        }
        self.ground.bury(party);
    }

    fn acquire_now(&self, party: Party) -> Outcome<Option<()>> {
        let _entered = self.enter(party)?;
        if self.left()? == 0 {
            return Ok(None);
        }
        let word = self.table().claim(party);
        let held = held_in(word).ok_or_else(|| self.ground.poison())?;
        self.begin_change();
        // SYNC semaphore: releases the beginning. A plain store: only this party, and who releases for it under the
        // mutex, write to the word while the party lives.
        word.store(held + 1, Ordering::Release);
        crash_point!("semaphore: acquired");
        Ok(Some(()))
    }

    fn give_back(&self, _entered: &Entered<'_>, party: Party, permits: u64) -> Outcome<()> {
        let surplus = permits.saturating_sub(self.held()?);
        if (self.bounded && surplus > 0) || self.left()? + permits > PERMITS_MAX {
            return Err(Refusal::TooMany);
        }
        self.begin_change();
        let mut debt = self.take_off(self.table().word(party), permits - surplus)?;
        for (_, word) in self.table().used() {
            if debt == 0 {
                break;
            }
            debt = self.take_off(word, debt)?;
        }
        // A debt that is left belonged to a party that was buried meanwhile: its permits are back already, as if it
        // had died just after this.
        if surplus > 0 {
            let added = self.added()?;
            self.ground.word64(ADDED).store(added + surplus, Ordering::Release);
            crash_point!("semaphore: permits added");
        }
        Ok(())
    }

    /// Takes up to `debt` off what a party holds, and answers what is left of the debt.
    fn take_off(&self, word: &AtomicU64, debt: u64) -> Outcome<u64> {
        for _ in 0..TAKES_MAX {
            let held = held_in(word).ok_or_else(|| self.ground.poison())?;
            let off = held.min(debt);
            if off == 0 {
                return Ok(debt);
            }
            crash_point!("semaphore: debt found, not taken off");
            // SYNC semaphore: releases the beginning.
            if word.compare_exchange(held, held - off, Ordering::Release, Ordering::Relaxed).is_ok() {
                crash_point!("semaphore: some given back");
                return Ok(debt - off);
            }
        }
        Err(self.ground.poison())
    }

    /// Sets what `party` holds to nothing, and answers whether that changed anything. Needs no mutex.
    fn clear(&self, party: Party) -> bool {
        let word = self.table().word(party);
        if word.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.begin_change();
        // SYNC semaphore: releases the beginning.
        word.swap(0, Ordering::AcqRel);
        crash_point!("semaphore: cleared, nobody woken");
        true
    }

    fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        // A death leaves nothing to repair: every store by itself is a change that counts.
        self.ground.enter(party, || Ok(()))
    }

    /// Permits that are left, for who holds the mutex.
    fn left(&self) -> Outcome<u64> {
        self.there_are()?.checked_sub(self.held()?).ok_or_else(|| self.ground.poison())
    }

    /// All permits, held or not.
    fn there_are(&self) -> Outcome<u64> {
        let all = self.permits + self.added()?;
        if all > PERMITS_MAX.max(self.permits) { Err(self.ground.poison()) } else { Ok(all) }
    }

    fn added(&self) -> Outcome<u64> {
        match self.ground.word64(ADDED).load(Ordering::Acquire) {
            0 => Ok(0),
            added if added <= PERMITS_MAX && !self.bounded => Ok(added),
            _ => Err(self.ground.poison()),
        }
    }

    /// All permits that are held.
    fn held(&self) -> Outcome<u64> {
        // The sum is in range: at most 1023 numbers below 2^31.
        self.table()
            .used()
            .try_fold(0, |sum, (_, word)| Some(sum + held_in(word)?))
            .ok_or_else(|| self.ground.poison())
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.ground, MARK, HELD)
    }

    fn changes(&self) -> &AtomicU32 {
        self.ground.word32(CHANGES)
    }

    fn begin_change(&self) {
        // SYNC semaphore: releases the changes before, so that who counts from here on counts them; this one is
        // released by the store that follows.
        self.changes().fetch_add(1, Ordering::Release);
        crash_point!("semaphore: change begun");
    }
}

/// What a party holds, if its word can be true.
fn held_in(word: &AtomicU64) -> Option<u64> {
    // SYNC semaphore: acquires the beginning of the change that wrote it.
    Some(word.load(Ordering::Acquire)).filter(|held| *held <= PERMITS_MAX)
}
