//! Leases: which elements of an array are in somebody's own memory, and what else may be done with them meanwhile.
//!
//! ```text
//! bar        u64   lower half: every lease that bars lies below this index; upper half: leases begun, modulo 2^32
//! entry      u64   party, 16 bits | mode + 1, 8 bits | bit 31: begun, not yet valid; 0 is free
//!            u64   first element
//!            u64   end
//! ```
//!
//! | lease | another view of the same elements | host calls on them |
//! |---|---|---|
//! | shared | shared ones | all |
//! | read-only | read-only ones | reads |
//! | exclusive | none | none |
//!
//! Who only watches ([`ViewMode::Watched`]) takes none, since he keeps nobody out, and often may not write here.
//!
//! It does not matter whose they are: a call that has a plain slice of elements must not change them behind its own
//! compiler's back either. A lease *bars* when host calls have to look at it, which is one load as long as there is
//! none.
//!
//! # Taking and giving back
//!
//! Leases are taken under the object's mutex and given back without it. A taker (1) writes its entry as begun,
//! (2) writes the range, (3) raises `bar` above it, counting up the upper half, (4) makes the entry valid by one
//! store. Whoever gives back (1) frees the entry by one compare-exchange, (2) reads `bar`, (3) looks for the highest
//! entry that bars, those that are only begun included, (4) lowers `bar` to it by compare-exchange.
//!
//! So `bar` is never too low: if the lowering read it before a taker raised it, the count differs and the
//! compare-exchange fails; if after, it sees the entry that the taker has begun before. It may be too high after a
//! death or a lost race, which costs host calls a look at free entries until the next lease ends.
//!
//! What dies between (1) and (4) leaves an entry that is begun; burying its party frees it.
//!
//! A host call looks at the leases before it stores, and a lease may be taken between the two. It takes as long as
//! one store; who cannot live with that takes the object's lock around both, as one does for any other story of more
//! than one step.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmpool_abi::shared::{Refusal, ViewMode};

use super::crash::crash_point;
use super::ground::{Ground, header};
use super::{Outcome, Party};

/// Most leases of an array at a time.
pub(super) const LEASES_MAX: usize = 256;

const BAR: usize = header::BYTES;
const ENTRIES: usize = BAR + 64;
const ENTRY_BYTES: usize = 24;

/// First byte after the table.
pub(super) const END: usize = ENTRIES + LEASES_MAX * ENTRY_BYTES;

const BEGUN: u64 = 1 << 31;
const MODE_SHIFT: u32 = 16;

/// What a host call does with elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The leases of one array.
#[derive(Clone, Copy)]
pub(super) struct Leases<'a> {
    ground: &'a Ground,
}

/// What is written in an entry.
struct Held {
    mode: ViewMode,
    is_valid: bool,
}

impl<'a> Leases<'a> {
    pub(super) fn new(ground: &'a Ground) -> Self {
        Self { ground }
    }

    /// Succeeds if a host call may do this with these elements.
    ///
    /// # Errors
    ///
    /// [`Refusal::Leased`], [`Refusal::Poisoned`].
    #[inline]
    pub(super) fn admit(self, access: Access, elements: Range<u64>) -> Outcome<()> {
        // SYNC lease bar: the entries of leases that are known to bar.
        match self.bar().load(Ordering::Acquire) as u32 {
            0 => Ok(()),
            bar => self.admit_slowly(bar as usize, access, elements),
        }
    }

    #[cold]
    fn admit_slowly(self, bar: usize, access: Access, elements: Range<u64>) -> Outcome<()> {
        for index in 0..bar.min(LEASES_MAX) {
            let Some(held) = self.read(index)? else { continue };
            let refused = match held.mode {
                ViewMode::Shared | ViewMode::Watched => false,
                ViewMode::ReadOnly => access == Access::Write,
                ViewMode::Exclusive => true,
            };
            if refused && held.is_valid && overlap(&self.range(index), &elements) {
                return Err(Refusal::Leased);
            }
        }
        Ok(())
    }

    /// Enters a lease, and answers where.
    ///
    /// # Errors
    ///
    /// [`Refusal::Leased`], [`Refusal::TooManyOpen`], [`Refusal::Invalid`] for a mode that has none, and what entering the object can come to.
    pub(super) fn take(self, party: Party, mode: ViewMode, elements: Range<u64>) -> Outcome<u32> {
        if mode == ViewMode::Watched {
            return Err(Refusal::Invalid);
        }
        // Nothing to repair: entries of the dead are freed by who buries them.
        let _entered = self.ground.enter(party, || Ok(()))?;
        let index = self.find_room(mode, &elements)?;
        let entry = party.number() as u64 | (mode as u64 + 1) << MODE_SHIFT;
        // Relaxed: `raise` and the last store release it.
        self.owner(index).store(entry | BEGUN, Ordering::Relaxed);
        crash_point!("lease: begun, without a range");
        self.start(index).store(elements.start, Ordering::Relaxed);
        crash_point!("lease: begun, half a range");
        self.end(index).store(elements.end, Ordering::Relaxed);
        crash_point!("lease: begun, not in force");
        if bars(mode) {
            self.raise(index);
            crash_point!("lease: host calls look, not valid");
        }
        // SYNC lease entry: who finds the entry valid sees its range.
        self.owner(index).store(entry, Ordering::Release);
        crash_point!("lease: valid, mutex held");
        Ok(index as u32)
    }

    /// A free entry, unless a lease is in the way of this one.
    fn find_room(self, mode: ViewMode, elements: &Range<u64>) -> Outcome<usize> {
        let mut free = None;
        for index in 0..LEASES_MAX {
            let Some(held) = self.read(index)? else {
                free = free.or(Some(index));
                continue;
            };
            let compatible = held.mode == mode && mode != ViewMode::Exclusive;
            if held.is_valid && !compatible && overlap(&self.range(index), elements) {
                return Err(Refusal::Leased);
            }
        }
        free.ok_or(Refusal::TooManyOpen)
    }

    /// Frees one entry, if it is the party's.
    pub(super) fn give_back(self, party: Party, index: u32) {
        if (index as usize) < LEASES_MAX && self.free(index as usize, party) {
            self.lower();
        }
    }

    /// Frees all entries of a party, living or dead, without waiting for anyone.
    pub(super) fn give_back_all(self, party: Party) {
        let mut freed = false;
        for index in 0..LEASES_MAX {
            freed |= self.free(index, party);
        }
        if freed || self.bar().load(Ordering::Relaxed) as u32 != 0 {
            self.lower();
        }
    }

    fn free(self, index: usize, party: Party) -> bool {
        let entry = self.owner(index).load(Ordering::Relaxed);
        // Release: who finds the entry free sees what was done through the view.
        party_of(entry) == party.number()
            && self.owner(index).compare_exchange(entry, 0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Puts `bar` above an entry that is begun.
    fn raise(self, index: usize) {
        let mut bar = self.bar().load(Ordering::Relaxed);
        loop {
            let count = (bar >> 32).wrapping_add(1) << 32;
            let raised = count | u64::from(bar as u32).max(index as u64 + 1);
            // SYNC lease bar: with `admit` and `lower`. A try fails only when somebody has lowered it.
            match self.bar().compare_exchange_weak(bar, raised, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => bar = now,
            }
        }
    }

    /// Puts `bar` right above the highest entry that bars, unless leases are being taken meanwhile.
    fn lower(self) {
        // SYNC lease bar: sees the entries of those who raised it.
        let seen = self.bar().load(Ordering::Acquire);
        let highest = (0..LEASES_MAX).rev().find(|index| match self.read(*index) {
            Ok(held) => held.is_some_and(|held| bars(held.mode)),
            Err(_) => true,
        });
        let lowered = seen >> 32 << 32 | highest.map_or(0, |index| index as u64 + 1);
        // Release: passes on what was seen. A failure leaves it too high, which is harmless.
        let _ = self.bar().compare_exchange(seen, lowered, Ordering::Release, Ordering::Relaxed);
    }

    /// Who has an entry, if anyone.
    fn read(self, index: usize) -> Outcome<Option<Held>> {
        // SYNC lease entry: its range is visible.
        let entry = self.owner(index).load(Ordering::Acquire);
        if entry == 0 {
            return Ok(None);
        }
        let code = (entry & !BEGUN) >> MODE_SHIFT;
        let mode = i32::try_from(code).ok().and_then(|code| ViewMode::from_code(code.wrapping_sub(1)));
        let mode = mode.filter(|mode| *mode != ViewMode::Watched).ok_or_else(|| self.ground.poison())?;
        Ok(Some(Held { mode, is_valid: entry & BEGUN == 0 }))
    }

    fn range(self, index: usize) -> Range<u64> {
        // Relaxed: the entry's own load acquired them.
        self.start(index).load(Ordering::Relaxed)..self.end(index).load(Ordering::Relaxed)
    }

    /// Leases that there are now, for tests.
    #[cfg(test)]
    pub(super) fn owners(self) -> Vec<usize> {
        let entries = (0..LEASES_MAX).map(|index| self.owner(index).load(Ordering::Acquire));
        entries.filter(|entry| *entry != 0 && entry & BEGUN == 0).map(party_of).collect()
    }

    /// What `bar` says, for tests.
    #[cfg(test)]
    pub(super) fn bar_index(self) -> u32 {
        self.bar().load(Ordering::Relaxed) as u32
    }

    fn bar(self) -> &'a AtomicU64 {
        self.ground.word64(BAR)
    }

    fn owner(self, index: usize) -> &'a AtomicU64 {
        self.ground.word64(ENTRIES + index * ENTRY_BYTES)
    }

    fn start(self, index: usize) -> &'a AtomicU64 {
        self.ground.word64(ENTRIES + index * ENTRY_BYTES + 8)
    }

    fn end(self, index: usize) -> &'a AtomicU64 {
        self.ground.word64(ENTRIES + index * ENTRY_BYTES + 16)
    }
}

fn party_of(entry: u64) -> usize {
    (entry & 0xffff) as usize
}

/// Whether host calls have to look at leases of this mode.
fn bars(mode: ViewMode) -> bool {
    mode != ViewMode::Shared
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    // Empty ranges have nothing in common with any.
    a.start.max(b.start) < a.end.min(b.end)
}
