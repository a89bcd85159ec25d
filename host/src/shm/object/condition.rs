//! Conditions: a lock with a place to wait.
//!
//! ```text
//!   8  lock      u32, u32   see `lock`; its holder may take it again
//!  16  next      u64        ticket of the next waiter; written by the lock's holder
//!  24  mark      u32        see `table`
//! 192  places    u64 for each party: bits 0..2 state, bits 2..64 ticket
//! ```
//!
//! | place | by | becomes |
//! |---|---|---|
//! | nothing | its party, holding the lock | waiting, with the next ticket |
//! | waiting | who notifies, or hands a notification on | notified |
//! | waiting | its party, when its time is over | nothing |
//! | notified | its party, holding the lock again | nothing |
//! | any | the supervisor, after the party's death; the party, when its call ends | nothing |
//!
//! Each is one store or compare-exchange of the place, so a waiter is notified or has given up, never both; one whose
//! time is over finds out which. Tickets say who has waited longest.
//!
//! A notification stays in its place until the waiter has the lock again. If the waiter dies before, whoever clears the
//! place finds it there and hands it on to the one who has waited longest then: no notification goes down with the one
//! that it was for. If nobody waits, it has no addressee, like any other. Nobody ever waits for a waiter to confirm
//! that it woke up, on which Python hangs when that one was killed.

use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::atomic::AtomicU64;
use super::crash::crash_point;
use super::ground::{Ground, header};
use super::lock::{Found, Lock};
use super::patience::Patience;
use super::table::{self, Table};
use super::{Outcome, Party};

/// Bytes of the region.
pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

const NEXT: usize = 16;
const MARK: usize = 24;
const PLACES: usize = header::BYTES;
const _: () = assert!(PLACES + table::BYTES <= BYTES);

/// The word of a party; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u64);

impl Place {
    const NOBODY: Self = Self(0);
    const STATE: u64 = 3;
    const WAITING: u64 = 1;
    const NOTIFIED: u64 = 2;

    fn waiting(ticket: u64) -> Self {
        Self(ticket << 2 | Self::WAITING)
    }

    /// The same waiter, notified.
    fn notified(self) -> Self {
        Self(self.0 & !Self::STATE | Self::NOTIFIED)
    }

    fn is_waiting(self) -> bool {
        self.0 & Self::STATE == Self::WAITING
    }

    fn is_notified(self) -> bool {
        self.0 & Self::STATE == Self::NOTIFIED
    }

    fn ticket(self) -> u64 {
        self.0 >> 2
    }
}

/// A lock with a place to wait.
#[derive(Debug)]
pub(crate) struct Condition {
    ground: Ground,
    lock: Lock,
}

impl Condition {
    /// A condition on `ground` with a lock of its own, which its holder may take again.
    pub(crate) fn open(ground: Ground) -> Self {
        Self { lock: Lock::open(ground.clone(), true), ground }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Its lock.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Waits for a notification with the lock released, and takes the lock again, as often as it was held.
    ///
    /// When the lock comes back abandoned, that is told even if the time is over: a wake-up without a reason does no
    /// harm to who looks at what it waits for, as everyone must; a change left half done and not told of does.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`]; [`Refusal::TimedOut`] when nobody notified it in time, and the lock is held again; what
    /// [`Ground::check_writable`] and the notice say. Only if the notice refuses the wait for the lock, or the
    /// condition is spoilt, is the lock not held afterwards.
    pub(crate) fn wait(&self, party: Party, patience: &Patience<'_>) -> Outcome<Found> {
        self.ground.check_writable()?;
        if self.lock.depth(party) == 0 {
            return Err(Refusal::NotHeld);
        }
        let place = self.table().claim(party);
        let waiting = Place::waiting(self.take_ticket());
        // SYNC condition: who notifies holds the lock, which this party releases below.
        place.store(waiting.0, Ordering::Relaxed);
        crash_point!("condition: waiting, lock held");
        let depth = self.lock.release_all(party)?;
        crash_point!("condition: waiting, lock released");
        let notified = patience
            .wait_for(self.ground.bell(header::BELL_A), || self.look(place, waiting))
            .or_else(|refusal| self.give_up(place, waiting, refusal));
        crash_point!("condition: wait over, lock not held");
        let found = self.lock.restore(party, depth, &patience.without_limit()).inspect_err(|_| {
            // Without the lock it cannot act on the notification.
            self.clear(party);
        })?;
        crash_point!("condition: lock held, place not cleared");
        // Relaxed: from here on the notification is used, and nobody looks for it.
        place.store(Place::NOBODY.0, Ordering::Relaxed);
        if found == Found::Abandoned { Ok(found) } else { notified.map(|()| found) }
    }

    /// Wakes up to `waiters`, those first who have waited longest; says how many.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotHeld`], and what [`Ground::check_writable`] says.
    pub(crate) fn notify(&self, party: Party, waiters: u32) -> Outcome<u32> {
        self.ground.check_writable()?;
        if self.lock.depth(party) == 0 {
            return Err(Refusal::NotHeld);
        }
        let notified = self.notify_longest(waiters);
        self.ground.bell(header::BELL_A).ring();
        Ok(notified)
    }

    /// Forgets a call of `party` that ends: lets go of the lock, and hands a notification on that it did not use.
    pub(crate) fn end_call(&self, party: Party) {
        if self.ground.is_writable() {
            self.clear(party);
            self.lock.end_call(party);
        }
    }

    /// Removes every trace of a dead party, hands on what it was notified of, and wakes everyone.
    pub(crate) fn bury(&self, party: Party) {
        if self.ground.is_writable() {
            self.clear(party);
        }
        self.lock.bury(party);
    }

    /// Whether the waiter has been notified.
    fn look(&self, place: &AtomicU64, waiting: Place) -> Outcome<Option<()>> {
        self.ground.check()?;
        // Acquire is not needed: what the notifier did is visible to who has the lock after it.
        match Place(place.load(Ordering::Relaxed)) {
            now if now == waiting => Ok(None),
            now if now == waiting.notified() => Ok(Some(())),
            _ => Err(self.ground.poison()),
        }
    }

    /// Stops waiting because of `why`, unless a notification came in time.
    fn give_up(&self, place: &AtomicU64, waiting: Place, why: Refusal) -> Outcome<()> {
        let nobody = Place::NOBODY.0;
        match place.compare_exchange(waiting.0, nobody, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Err(why),
            Err(now) if Place(now) == waiting.notified() => Ok(()),
            Err(_) => Err(self.ground.poison()),
        }
    }

    /// Empties the place of `party`, and hands on the notification that was in it. Needs no lock, and never waits.
    fn clear(&self, party: Party) {
        let word = self.table().word(party);
        // SYNC condition notified: with a notification, all who waited when it was given, to one of whom it goes on.
        let mut place = Place(word.load(Ordering::Acquire));
        if place.is_waiting() {
            let nobody = Place::NOBODY.0;
            match word.compare_exchange(place.0, nobody, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => place = Place(now),
            }
        }
        if place.is_notified() {
            // Handed on first, then cleared: who dies in between has it handed on twice, which does less harm than
            // never.
            if self.notify_longest(1) > 0 {
                self.ground.bell(header::BELL_A).ring();
            }
            crash_point!("condition: handed on, place not cleared");
            word.store(Place::NOBODY.0, Ordering::Relaxed);
        }
    }

    /// Notifies up to `waiters`, and says how many, without ringing.
    fn notify_longest(&self, waiters: u32) -> u32 {
        let mut waiting: Vec<_> = self
            .table()
            .used()
            .map(|(_, word)| (Place(word.load(Ordering::Relaxed)), word))
            .filter(|(place, _)| place.is_waiting())
            .collect();
        waiting.sort_unstable_by_key(|(place, _)| place.ticket());
        let mut notified = 0;
        for (place, word) in waiting {
            if notified == waiters {
                break;
            }
            // It fails for one who has given up, died, or been notified by somebody else meanwhile.
            // SYNC condition notified: whoever hands it on without the lock sees whom the lock showed to us.
            let now = place.notified().0;
            if word.compare_exchange(place.0, now, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                notified += 1;
                crash_point!("condition: some notified, nobody woken");
            }
        }
        notified
    }

    /// The next ticket, for who holds the lock.
    fn take_ticket(&self) -> u64 {
        // Relaxed: the lock orders it.
        let ticket = self.ground.word64(NEXT).fetch_add(1, Ordering::Relaxed);
        crash_point!("condition: ticket taken");
        ticket
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.ground, MARK, PLACES)
    }
}
