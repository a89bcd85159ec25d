//! A lock in shared memory that says who holds it, and that outlives its holder.
//!
//! ```text
//! bits 0..15   party that holds it, 0 for nobody
//! bit  30      died: the last holder died, or its call ended, while it held the mutex
//! bit  31      waiters: somebody may be asleep on the word
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | nobody | party | compare-exchange by that party; `died` is cleared and told to it |
//! | party | party + waiters | compare-exchange by one who is about to sleep |
//! | party | nobody | compare-exchange by who releases it, who then wakes one sleeper if `waiters` was set |
//! | party | nobody + died | compare-exchange by the supervisor after the party's death, or by the party when its call ends; wakes all |
//!
//! Taking it is one compare-exchange that names the holder, so there is no instant at which it is held by nobody
//! knows whom. One who has slept takes it with `waiters` set, because it cannot know whether others still sleep; and
//! one who gives up sets it too, because the wake-up that it may have used up was meant for somebody else.
//!
//! The order that fails: a sleeper that is woken, gives up because its time is over, and leaves the word as it is. A
//! newcomer may have taken the free mutex before, without `waiters`, and its release wakes nobody.
//!
//! A sleeper that dies after it was woken takes the wake-up along; that is why every death wakes all
//! ([`Ground::ring_all`](super::ground::Ground::ring_all)).

use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::atomic::{AtomicU32, Ordering};
use super::census::{Census, Held};
use super::crash::crash_point;
use super::patience::{LOCK_PAUSE_MAX, MUTEX_PAUSE_MAX, MUTEX_SPINS, Patience};
use super::{Outcome, PARTIES_MAX, Party, futex};

/// Bits of the word that name the holder.
const HOLDER: u32 = 0xffff;
const DIED: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;

/// Attempts to take it from a dead party: the first sleeper changes the word once, and more often only who writes what
/// it must not. The thread that buries must not wait for that one to stop.
const ABANDON_TRIES_MAX: u32 = 8;

/// First and longest sleep without a look around, each twice the one before; wake-ups do not depend on it. Whoever
/// scribbles wakes nobody.
const SLEEP_MIN: Duration = Duration::from_millis(1);
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// A mutex over one word; see the module.
#[derive(Clone, Copy)]
pub(crate) struct Mutex<'a> {
    word: &'a AtomicU32,
    /// Who knows about holders, where somebody does.
    census: Option<&'a dyn Census>,
}

/// How a mutex was found when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As its last holder left it.
    Released,
    /// Its last holder died, or its call ended, without releasing it.
    Abandoned,
}

/// What comes of wanting a mutex that one holds already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// It is a mistake.
    Refused,
    /// Somebody else may release it: only who would wait for ever is refused.
    Awaited,
}

impl<'a> Mutex<'a> {
    /// A mutex over a word that is zero at first, and that nobody touches in another way.
    pub(crate) fn new(word: &'a AtomicU32) -> Self {
        Self { word, census: None }
    }

    /// The same mutex, whose holders somebody knows about.
    pub(crate) fn judged_by(self, census: Option<&'a dyn Census>) -> Self {
        Self { census, ..self }
    }

    /// Takes it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`] when the patience ends first, [`Refusal::WouldDeadlock`] when `party` holds it already
    /// and would wait, [`Refusal::Poisoned`] when it is held by a party that cannot be, or that is known
    /// not to hold it.
    pub(crate) fn lock(self, party: Party, patience: &Patience<'_>) -> Outcome<Found> {
        self.lock_with(party, patience, Own::Refused)
    }

    /// Takes a mutex that anyone may release, so that waiting for oneself can come to an end.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`], but [`Refusal::WouldDeadlock`] only when the wait has no limit.
    pub(crate) fn lock_releasable(self, party: Party, patience: &Patience<'_>) -> Outcome<Found> {
        self.lock_with(party, patience, Own::Awaited)
    }

    fn lock_with(self, party: Party, patience: &Patience<'_>, own: Own) -> Outcome<Found> {
        // SYNC mutex: what the last holder did is visible to the next, and what this one noted to who judges it.
        match self.word.compare_exchange(0, number(party), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(Found::Released),
            Err(_) => self.lock_slowly(party, patience, own),
        }
    }

    #[cold]
    fn lock_slowly(self, party: Party, patience: &Patience<'_>, own: Own) -> Outcome<Found> {
        let mut spins = MUTEX_SPINS;
        let mut pause = 1;
        let pause_max = if own == Own::Refused { MUTEX_PAUSE_MAX } else { LOCK_PAUSE_MAX };
        let mut asleep = None;
        let mut nap = SLEEP_MIN;
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & HOLDER == 0 {
                let waiters = if asleep.is_some() { WAITERS } else { word & WAITERS };
                let taken = number(party) | waiters;
                // SYNC mutex: as in `lock`; after an abandoning, with the supervisor's release in `abandon`.
                if self.word.compare_exchange(word, taken, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Ok(if word & DIED == 0 { Found::Released } else { Found::Abandoned });
                }
                continue;
            }
            if patience.is_none() {
                return Err(Refusal::TimedOut);
            }
            if word & HOLDER == number(party) && (own == Own::Refused || patience.is_endless()) {
                return Err(Refusal::WouldDeadlock);
            }
            if (word & HOLDER) as usize >= PARTIES_MAX {
                return Err(Refusal::Poisoned);
            }
            if spins > 0 {
                // Longer and longer: each look takes the word's line away from the holder, who wants it back.
                spins = spins.saturating_sub(pause);
                (0..pause).for_each(|_| std::hint::spin_loop());
                pause = (2 * pause).min(pause_max);
                continue;
            }
            if self.is_a_lie(word, own) {
                return Err(Refusal::Poisoned);
            }
            if word & WAITERS == 0 {
                // Relaxed: the bit says nothing about what the mutex guards.
                let marked = word | WAITERS;
                if self.word.compare_exchange(word, marked, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                    continue;
                }
            }
            let Some(rest) = patience.rest(nap) else { return Err(Refusal::TimedOut) };
            if asleep.is_none() {
                asleep = Some(patience.sleeps()?);
            }
            futex::wait(self.word, word | WAITERS, rest);
            nap = (2 * nap).min(SLEEP_MAX);
        }
    }

    /// Whether the holder that the word names is known not to be one; see [`census`](super::census).
    fn is_a_lie(self, word: u32, own: Own) -> bool {
        let held = if own == Own::Refused { Held::Mutex } else { Held::Lock };
        let (Some(census), Some(holder)) = (self.census, Party::new((word & HOLDER) as usize)) else {
            return false;
        };
        let absent = census.absent(holder, held);
        // SYNC mutex: if it did take the mutex, what it noted before is visible to the second look at the census.
        absent.is_some()
            && self.word.load(Ordering::Acquire) & HOLDER == number(holder)
            && census.absent(holder, held) == absent
    }

    /// Gives it back.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`] when `party` does not hold it.
    pub(crate) fn unlock(self, party: Party) -> Outcome<()> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & HOLDER == number(party) {
            match self.release(word) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(Refusal::NotHeld)
    }

    /// Gives it back, whoever holds it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`] when nobody does.
    pub(crate) fn unlock_for_anyone(self) -> Outcome<()> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & HOLDER != 0 {
            match self.release(word) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(Refusal::NotHeld)
    }

    fn release(self, word: u32) -> Result<(), u32> {
        // A compare-exchange, not a swap: somebody else may have released it and a third one taken it meanwhile.
        // SYNC mutex: releases what was done under it.
        self.word.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed)?;
        crash_point!("mutex: free, nobody woken");
        if word & WAITERS != 0 {
            futex::wake_one(self.word);
        }
        Ok(())
    }

    /// Takes it away from a party that is dead or whose call has ended, so that the next holder is told.
    ///
    /// Returns whether the party held it.
    pub(crate) fn abandon(self, party: Party) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        for _ in 0..ABANDON_TRIES_MAX {
            if word & HOLDER != number(party) {
                break;
            }
            // SYNC mutex: what the party did before it died is visible to the next holder, as it is to us.
            match self.word.compare_exchange(word, DIED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    futex::wake_all(self.word);
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    /// Who holds it. May be outdated at once, unless it is the asking party itself.
    pub(crate) fn holder(self) -> Option<Party> {
        Party::new((self.word.load(Ordering::Relaxed) & HOLDER) as usize)
    }
}

fn number(party: Party) -> u32 {
    party.number() as u32
}
