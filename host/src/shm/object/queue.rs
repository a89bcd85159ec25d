//! Queues: an item is in the queue, in one party's hand, or gone, and no death makes it two of these or none.
//!
//! ```text
//!   0  header     see `ground`; bell A: items (who takes), bell B: room (who puts)
//!   8  buried     u32   times that orphaned hands were announced
//!  12  adopted    u32   `buried`, as it was when the orphans were last dealt with
//!  16  closed     u32   1 once nothing can be put any more
//!  20  wants_room u32   1 once somebody found no room and waits for it
//!  24  returned   u64   items that ever returned to the front
//!  32  ends       u64, u64   head and tail of the items
//!  48  counts     u32, u64   the heap's
//! 192  bell C     all items done (who joins)
//! 256  done       u64   items that `task_done` ever counted
//! 320  hands      see `hand`
//!      items      a ring of `items_max` + PARTIES_MAX entries
//!      reported   a ring of twice as many, only if orphans are reported
//!      heap       the bytes of all of them
//! ```
//!
//! What every put and get reads and writes lies on the mutex's own line of the cache: whoever has taken the mutex has
//! that line, and each further line on which both sides meet would be another journey from core to core.
//!
//! # What commits what
//!
//! All changes but the marking of orphans are made under the object's mutex, and each has one store that decides it:
//!
//! | operation | commit |
//! |---|---|
//! | put | the items' `tail` + 1; bytes and place were written before |
//! | get | the items' `head` + 1; the hand announces the item before |
//! | acknowledge | the hand becomes empty; the bytes are freed after |
//! | task_done | `done` + 1; the hand announces it before, is emptied after |
//! | give back | the items' `head` - 1; the hand announces it before, is emptied after |
//! | report | the reported `tail` + 1; the hand announces it before, is emptied after |
//! | take_reported | the reported `head` + 1; the bytes were copied before, are freed after |
//!
//! Where the commit is not in the hand itself, the hand says in which phase it is and what the counter was before:
//!
//! | phase | the counter is as noted | the counter has moved by one |
//! |---|---|---|
//! | taking | empty | taken |
//! | finishing | taken | empty |
//! | returning | taken | empty |
//! | reporting | taken | empty |
//!
//! Only who holds the mutex is ever in one of these, so there is at most one, and when that party dies the next who
//! enters decides it by the table ([`Queue::repair`]), before the counter can move again. Then the heap is marked anew
//! from the rings and the hands. Nothing is counted twice, and whatever a death left allocated is free again.
//!
//! How items leave the hands of the dead stands in `orphans`, what is seen without the mutex in `glance`.
//!
//! # Wake-ups
//!
//! A put rings only when it found the queue empty. A getter that sleeps has looked after it announced itself; what it
//! saw was an empty queue; so whatever was put since then was put by somebody who found it empty, or behind such a
//! one, and a bell wakes all. Reading `head` before `tail` is what makes the look sound (see `ring`).
//!
//! Room is made by everyone who frees or takes something, and nearly nobody waits for it. Who finds none and waits sets
//! `wants_room` under the mutex; who makes room takes the flag down under the mutex, and rings. While the flag stands,
//! nothing was freed since, so a putter that has tried once need not enter again.
//!
//! Who dies between a commit and its ring is made up for by `bury`, which rings every bell.
//!
//! # Order
//!
//! Items leave in the order in which they were committed, of all producers. What is given back goes to the front: it is
//! older than all that is there. Items that were taken by several parties who die one after another return in the
//! order of their deaths.

mod done;
mod glance;
pub(crate) mod hand;
pub(crate) mod layout;
mod orphans;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground, ObjectBell, header};
use super::heap::{Heap, Place};
use super::mutex::Mutex;
use super::patience::Patience;
use super::ring::Ring;
use super::spec::{Orphaned, QueueShape, check_value};
use super::{Outcome, Party};
use hand::{Hand, Phase};
pub(crate) use layout::bytes;
use layout::{
    BELL_DONE, CLOSED, COUNTS, ENDS, HANDS, ITEMS, Layout, RETURNED, WANTS_ROOM, entries_max,
    reported_entries_max, reported_max,
};

/// A queue, joinable or not; see the module.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(super) ground: Ground,
    shape: QueueShape,
    pub(super) items: Ring,
    reported: Option<Ring>,
    pub(super) heap: Heap,
}

impl Queue {
    /// A queue on pages that were zero when it was made.
    ///
    /// # Panics
    ///
    /// When the ground is smaller than [`bytes`] of the shape.
    pub(crate) fn open(ground: Ground, shape: QueueShape) -> Self {
        let layout = Layout::new(shape).expect("a queue that was made has a size");
        assert!(layout.end <= ground.region().len(), "a queue lies on all of its pages");
        let ground = ground.with_third_bell(BELL_DONE);
        let ring = |offset, entries| Ring::open(ground.clone(), offset, entries);
        Self {
            items: ring(ITEMS, entries_max(shape)).with_ends_at(ENDS),
            reported: layout.reported.map(|offset| ring(offset, reported_entries_max(shape))),
            heap: Heap::open(ground.clone(), layout.heap, shape.bytes_max).with_counts_at(COUNTS),
            ground,
            shape,
        }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Its sizes and rules.
    pub(crate) fn shape(&self) -> QueueShape {
        self.shape
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] or [`Refusal::TimedOut`] when there was no room in time, [`Refusal::Closed`],
    /// [`Refusal::TooLarge`] when there can never be room.
    pub(crate) fn put(&self, party: Party, item: &[u8], patience: &Patience<'_>) -> Outcome<()> {
        if check_value(item.len()).is_err() || !self.heap.fits(item.len()) {
            self.ground.check_writable()?;
            return Err(Refusal::TooLarge);
        }
        if self.try_put(party, item, !patience.is_none())? {
            return Ok(());
        }
        if patience.is_none() {
            return Err(Refusal::Full);
        }
        patience.wait_for(self.room_bell(), || {
            if self.is_as_full_as_before() {
                return self.ground.check().map(|()| None);
            }
            Ok(self.try_put(party, item, true)?.then_some(()))
        })
    }

    /// Takes the next item into the party's hand and copies it to the end of `into`.
    ///
    /// What was in the hand is acknowledged, also when there is no next item.
    ///
    /// # Errors
    ///
    /// [`Refusal::Empty`] or [`Refusal::TimedOut`] when there was none in time, [`Refusal::Closed`] once the queue is
    /// closed and empty.
    pub(crate) fn get(&self, party: Party, patience: &Patience<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.ground.check_writable()?;
        let place = match self.try_get(party)? {
            Some(place) => place,
            None if patience.is_none() => return Err(Refusal::Empty),
            None => patience.wait_for(self.items_bell(), || self.try_get(party))?,
        };
        // Without the mutex: as long as it is in hand, nobody else touches it.
        self.heap.read(place, into);
        crash_point!("queue: item taken and copied");
        Ok(())
    }

    /// Says that the item in hand, if there is one, is dealt with.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    pub(crate) fn acknowledge(&self, party: Party) -> Outcome<()> {
        self.ground.check_writable()?;
        let hand = self.hand(party);
        if !hand.is_taken() {
            return Ok(());
        }
        let entered = self.enter(party)?;
        self.release(hand)?;
        self.leave_with_room(entered);
        Ok(())
    }

    /// Waits until there is an item, without taking it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`], [`Refusal::Closed`] once the queue is closed and empty.
    pub(crate) fn wait(&self, patience: &Patience<'_>) -> Outcome<()> {
        patience.wait_for(self.items_bell(), || {
            self.ground.check()?;
            let is_closed = self.is_closed();
            match self.len()? {
                0 if is_closed => Err(Refusal::Closed),
                0 => Ok(None),
                _ => Ok(Some(())),
            }
        })
    }

    /// How many items are in it, those included that will return to it from the hands of the dead.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`].
    pub(crate) fn len(&self) -> Outcome<u32> {
        self.ground.check()?;
        let glance = self.glance()?;
        let waiting = glance.counters.tail.wrapping_sub(glance.counters.head);
        let waiting_max = entries_max(self.shape);
        if waiting > waiting_max && glance.is_exact {
            return Err(self.ground.poison());
        }
        let returning = if self.shape.orphaned == Orphaned::GivenBack { glance.orphans } else { 0 };
        Ok((waiting.min(waiting_max) + returning) as u32)
    }

    /// Lets nothing be put any more; what is there can still be taken.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    pub(crate) fn close(&self, party: Party) -> Outcome<()> {
        let entered = self.enter(party)?;
        // SYNC closed: all items that were put before.
        self.ground.word32(CLOSED).store(1, Release);
        crash_point!("queue: closed, nobody told");
        drop(entered);
        self.ground.ring_all();
        Ok(())
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        // SYNC closed
        self.ground.word32(CLOSED).load(Acquire) != 0
    }

    /// Puts an item in if there is room; otherwise says so to those who make room, if the caller waits for it.
    fn try_put(&self, party: Party, item: &[u8], waits: bool) -> Outcome<bool> {
        let entered = self.enter(party)?;
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        let span = self.items.span()?;
        let has_room = span.len() < u64::from(self.shape.items_max) && self.has_room_for_reports()?;
        let Some(place) = has_room.then(|| self.heap.allocate(item.len())).flatten() else {
            if waits {
                // Relaxed: the mutex orders it for those who take it down.
                self.ground.word32(WANTS_ROOM).store(1, Relaxed);
            }
            return Ok(false);
        };
        crash_point!("queue: room found, nothing in it");
        self.heap.write(place, 0, item);
        crash_point!("queue: item written, not put");
        self.items.push(span, place);
        crash_point!("queue: item put, mutex held");
        drop(entered);
        crash_point!("queue: item put, nobody told");
        if span.is_empty() {
            self.items_bell().ring();
        }
        Ok(true)
    }

    /// Empties the party's hand and takes the next item into it, if there is one.
    fn try_get(&self, party: Party) -> Outcome<Option<Place>> {
        let hand = self.hand(party);
        // Before the look: nothing is put once it is set.
        let is_closed = self.is_closed();
        if !hand.is_taken() && self.is_empty_at_a_glance() {
            self.ground.check()?;
            return if is_closed { Err(Refusal::Closed) } else { Ok(None) };
        }
        let entered = self.enter(party)?;
        self.release(hand)?;
        let span = self.items.span()?;
        let mut taken = None;
        if !span.is_empty() {
            let place = self.items.place(span.head, &self.heap)?;
            // Relaxed: changed under the mutex only.
            let returned = self.ground.word64(RETURNED).load(Relaxed);
            hand.announce(place, span.head.wrapping_add(returned), span.head);
            self.items.pop(span);
            crash_point!("queue: the head has passed, the hand is still taking");
            hand.settle(Phase::Taken);
            taken = Some(place);
        }
        crash_point!("queue: item taken, mutex held");
        // Still under the mutex: once it is free, somebody may put a last item and close.
        let is_drained = taken.is_none() && self.is_closed();
        self.leave_with_room(entered);
        crash_point!("queue: item taken, not copied");
        if is_drained { Err(Refusal::Closed) } else { Ok(taken) }
    }

    /// Takes the mutex, and leaves nothing undone that the dead left behind.
    pub(super) fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        let entered = self.ground.enter(party, || self.repair())?;
        if self.has_orphans() {
            self.adopt().map_err(|_| self.ground.poison())?;
            // Relaxed: as in `try_put`. A repair may have found room that the dead had left allocated.
            self.ground.word32(WANTS_ROOM).store(0, Relaxed);
            crash_point!("queue: orphans adopted, nobody told");
            self.ground.ring_all();
        }
        Ok(entered)
    }

    /// Gives the mutex back after something was taken or freed, and wakes those who wait for room.
    fn leave_with_room(&self, entered: Entered<'_>) {
        let wants_room = self.ground.word32(WANTS_ROOM);
        let was_wanted = wants_room.load(Relaxed) != 0;
        if was_wanted {
            // Relaxed: whoever reads it without the mutex has announced itself before, and the bell's fences order
            // its announcement and this store.
            wants_room.store(0, Relaxed);
        }
        crash_point!("queue: room made, mutex held");
        drop(entered);
        crash_point!("queue: room made, nobody told");
        if was_wanted {
            self.room_bell().ring();
        }
    }

    /// Empties a hand, if something is in it. The mutex is held.
    fn release(&self, hand: Hand<'_>) -> Outcome<()> {
        let state = hand.state().map_err(|_| self.ground.poison())?;
        match (state.phase, state.is_orphaned) {
            (Phase::Empty, _) => Ok(()),
            (Phase::Taken, false) => {
                let place = self.check(hand.place())?;
                hand.settle(Phase::Empty);
                crash_point!("queue: acknowledged, not freed");
                self.heap.free(place);
                Ok(())
            }
            _ => Err(self.ground.poison()),
        }
    }

    fn has_room_for_reports(&self) -> Outcome<bool> {
        let Some(reported) = &self.reported else { return Ok(true) };
        Ok(reported.span()?.len() < reported_max(self.shape))
    }

    fn check(&self, place: u64) -> Outcome<Place> {
        self.heap.check(place).map_err(|_| self.ground.poison())
    }

    pub(super) fn hand(&self, party: Party) -> Hand<'_> {
        Hand::of(&self.ground, HANDS, party)
    }

    fn hands(&self) -> impl Iterator<Item = Hand<'_>> {
        Hand::all(&self.ground, HANDS)
    }

    fn mutex(&self) -> Mutex<'_> {
        Mutex::new(self.ground.word32(header::MUTEX))
    }

    fn items_bell(&self) -> ObjectBell<'_> {
        self.ground.bell(header::BELL_A)
    }

    fn room_bell(&self) -> ObjectBell<'_> {
        self.ground.bell(header::BELL_B)
    }

    fn done_bell(&self) -> ObjectBell<'_> {
        self.ground.bell(BELL_DONE)
    }
}
