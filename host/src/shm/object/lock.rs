//! Locks that users take: one that anyone may release, and one that its holder may take again.
//!
//! ```text
//!   8  lock    u32   a mutex, see `mutex`: who holds it
//!  12  depth   u32   how often; written by the holder alone, and only in a lock that may be taken again
//! ```
//!
//! The depth means nothing while nobody holds the lock. It is not put back when the lock is released, so that a
//! release is one store; the next holder begins with 1, whatever the last one left, be it dead or not.

use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Ground, header};
use super::mutex::Mutex;
use super::patience::Patience;
use super::{Outcome, Party};

pub(crate) use super::mutex::Found;

/// Bytes of the region.
pub(crate) const BYTES: usize = super::ground::PAGE_BYTES;

/// A lock; [`super::cells::Cells`] and [`super::condition::Condition`] have one, too.
#[derive(Debug)]
pub(crate) struct Lock {
    ground: Ground,
    is_reentrant: bool,
}

impl Lock {
    /// A lock whose words lie in the header of `ground`.
    pub(crate) fn open(ground: Ground, is_reentrant: bool) -> Self {
        Self { ground, is_reentrant }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Takes it, once more if it may be taken again and `party` holds it.
    ///
    /// Who is told [`Found::Abandoned`] holds it, and finds what it guards as a dead or ended call left it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`]; [`Refusal::WouldDeadlock`] for who waits without a limit for what it holds itself (with
    /// a limit it waits, because another may release it); [`Refusal::TooMany`] at a depth of `u32::MAX`; what
    /// [`Ground::check_writable`] and the patience's notice say.
    pub(crate) fn acquire(&self, party: Party, patience: &Patience<'_>) -> Outcome<Found> {
        self.ground.check_writable()?;
        if self.is_reentrant && self.mutex().holder() == Some(party) {
            let deeper = self.own_depth()?.checked_add(1).ok_or(Refusal::TooMany)?;
            self.set_depth(deeper);
            return Ok(Found::Released);
        }
        self.restore(party, 1, patience)
    }

    /// Gives it back: once, by its holder, if it may be taken again; otherwise by anyone, as Python has it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`], and what [`Ground::check_writable`] says.
    pub(crate) fn release(&self, party: Party) -> Outcome<()> {
        self.ground.check_writable()?;
        if !self.is_reentrant {
            return self.mutex().unlock_for_anyone();
        }
        if self.mutex().holder() != Some(party) {
            return Err(Refusal::NotHeld);
        }
        match self.own_depth()? {
            1 => self.mutex().unlock(party),
            depth => {
                self.set_depth(depth - 1);
                Ok(())
            }
        }
    }

    /// Whether anyone holds it.
    pub(crate) fn is_held(&self) -> bool {
        self.mutex().holder().is_some()
    }

    /// How often `party` holds it.
    pub(crate) fn depth(&self, party: Party) -> u32 {
        match self.mutex().holder() {
            Some(holder) if holder == party && self.is_reentrant => self.depth_word(),
            Some(holder) => u32::from(holder == party),
            None => 0,
        }
    }

    /// Gives back all that `party` holds at once, for a condition's wait; answers what [`Self::restore`] takes back.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`], and what [`Ground::check_writable`] says.
    pub(crate) fn release_all(&self, party: Party) -> Outcome<u32> {
        self.ground.check_writable()?;
        if self.mutex().holder() != Some(party) {
            return Err(Refusal::NotHeld);
        }
        let depth = if self.is_reentrant { self.own_depth()? } else { 1 };
        self.mutex().unlock(party)?;
        Ok(depth)
    }

    /// Takes it `depth` times at once; `party` does not hold it.
    ///
    /// # Errors
    ///
    /// As [`Self::acquire`].
    pub(crate) fn restore(&self, party: Party, depth: u32, patience: &Patience<'_>) -> Outcome<Found> {
        let found = self
            .mutex()
            .lock_releasable(party, patience)
            .map_err(|refusal| self.ground.poison_if_impossible(refusal))?;
        crash_point!("lock: taken, depth of the last holder");
        if self.is_reentrant {
            self.set_depth(depth);
        }
        // Spoilt while this waited: nobody shall believe to hold it.
        if let Err(spoilt) = self.ground.check() {
            self.mutex().unlock(party)?;
            return Err(spoilt);
        }
        Ok(found)
    }

    /// Lets go of it if a call of `party` ends while it holds it; the next holder is told.
    pub(crate) fn end_call(&self, party: Party) {
        if self.ground.is_writable() {
            self.mutex().abandon(party);
        }
    }

    /// Removes every trace of a dead party, and wakes everyone; the next holder is told.
    pub(crate) fn bury(&self, party: Party) {
        self.end_call(party);
        self.ground.bury(party);
    }

    fn mutex(&self) -> Mutex<'_> {
        Mutex::new(self.ground.word32(header::LOCK)).judged_by(self.ground.census())
    }

    /// How often the caller, who holds it, does so.
    fn own_depth(&self) -> Outcome<u32> {
        match self.depth_word() {
            0 => Err(self.ground.poison()),
            depth => Ok(depth),
        }
    }

    fn depth_word(&self) -> u32 {
        // Relaxed: means something to the holder alone, who wrote it.
        self.ground.word32(header::DEPTH).load(Ordering::Relaxed)
    }

    fn set_depth(&self, depth: u32) {
        // Relaxed: as above.
        self.ground.word32(header::DEPTH).store(depth, Ordering::Relaxed);
    }
}
