//! Queues: an item is in the queue, in one party's hand, or gone, and no death makes it two of these or none.
//!
//! ```text
//!   0  header     see `ground`; bell A: items (who takes), bell B: room (who puts)
//! 192  bell C     all items done (who joins)
//! 256  buried     u32   times that orphaned hands were announced
//! 260  adopted    u32   `buried`, as it was when the orphans were last dealt with
//! 264  closed     u32   1 once nothing can be put any more
//! 268  wants_room u32   1 once somebody found no room and waits for it
//! 272  returned   u64   items that ever returned to the front
//! 320  done       u64   items that `task_done` ever counted
//! 384  hands      see `hand`
//!      items      a ring of `items_max` + PARTIES_MAX entries
//!      reported   a ring of twice as many, only if orphans are reported
//!      heap       the bytes of all of them
//! ```
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
//! # Orphans
//!
//! [`Queue::bury`] marks the hand and raises `buried`, both by one atomic operation, and never waits. Whoever enters
//! next finds `buried` unlike `adopted` and deals with all marked hands before anything else: they return to the front
//! in the order in which they were taken, or are moved to the reported ones. `adopted` is stored last, so an adopter
//! that dies leaves the rest to the next. Until then they are counted where they will be: [`Queue::len`] and
//! [`Queue::unfinished`] look at the hands themselves while the two differ.
//!
//! The order that fails: a mark by which a party gives its own number away. A hand belongs to the number, not to the
//! process; a new process with this number finds the mark on entering, and the hand empty when it gets to use it.
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

mod hand;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground, ObjectBell, PAGE_BYTES, header};
use super::heap::{Heap, Place};
use super::mutex::Mutex;
use super::patience::Patience;
use super::ring::Ring;
use super::spec::{ITEMS_MAX, Orphaned, QueueShape};
use super::{CallEnd, Outcome, PARTIES_MAX, Party};
use hand::{HANDS_BYTES, Hand, Phase};

const BELL_DONE: usize = header::BYTES;
const BURIED: usize = 256;
const ADOPTED: usize = 260;
const CLOSED: usize = 264;
const WANTS_ROOM: usize = 268;
const RETURNED: usize = 272;
const DONE: usize = 320;
const HANDS: usize = 384;
const ITEMS: usize = HANDS + HANDS_BYTES;

/// Most looks at counters that change meanwhile, before the last look is taken for the truth.
const GLANCES_MAX: u32 = 64;

/// Entries of the ring of items: the items that can be put, and all that can be given back on top of them.
fn entries_max(shape: QueueShape) -> u64 {
    u64::from(shape.items_max.min(ITEMS_MAX)) + PARTIES_MAX as u64
}

/// Items that may wait to be collected before nothing can be put any more.
fn reported_max(shape: QueueShape) -> u64 {
    entries_max(shape)
}

/// Where everything lies that depends on the shape.
struct Layout {
    reported: Option<usize>,
    heap: usize,
    end: usize,
}

impl Layout {
    fn new(shape: QueueShape) -> Option<Self> {
        let after_items = ITEMS.checked_add(Ring::bytes(entries_max(shape))?)?;
        let (reported, heap) = match shape.orphaned {
            Orphaned::GivenBack => (None, after_items),
            Orphaned::Reported => {
                (Some(after_items), after_items.checked_add(Ring::bytes(reported_entries_max(shape))?)?)
            }
        };
        Some(Self { reported, heap, end: heap.checked_add(Heap::bytes(shape.bytes_max)?)? })
    }
}

/// Entries of the ring of reported items: when putting stops, all that is in the queue or in hands can still come.
fn reported_entries_max(shape: QueueShape) -> u64 {
    reported_max(shape) + entries_max(shape)
}

/// Bytes of a queue's region; nothing when no machine has so many.
///
/// Items take whole granules of [`GRANULE_BYTES`](super::heap::GRANULE_BYTES) of `bytes_max`, at least one each.
pub(crate) fn bytes(shape: QueueShape) -> Option<usize> {
    Layout::new(shape)?.end.checked_next_multiple_of(PAGE_BYTES)
}

/// A queue, joinable or not; see the module.
#[derive(Debug)]
pub(crate) struct Queue {
    ground: Ground,
    shape: QueueShape,
    items: Ring,
    reported: Option<Ring>,
    heap: Heap,
}

/// The counters from which everything is derived, as they were at one instant.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counters {
    done: u64,
    reported: u64,
    returned: u64,
    head: u64,
    tail: u64,
    buried: u32,
    adopted: u32,
}

/// What can be seen without the mutex.
struct Glance {
    counters: Counters,
    orphans: u64,
    /// Whether all of it was so at one instant; not when the queue changed during every look.
    is_exact: bool,
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
        let ring = |offset, entries| Ring::open(ground.clone(), offset, entries);
        Self {
            items: ring(ITEMS, entries_max(shape)),
            reported: layout.reported.map(|offset| ring(offset, reported_entries_max(shape))),
            heap: Heap::open(ground.clone(), layout.heap, shape.bytes_max),
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
        if !self.heap.fits(item.len()) {
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
        self.ring_all();
        Ok(())
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        // SYNC closed
        self.ground.word32(CLOSED).load(Acquire) != 0
    }

    /// Counts one item as done, and acknowledges the item in hand.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongKind`] when items are not counted, [`Refusal::TooMany`] when all are done already.
    pub(crate) fn task_done(&self, party: Party) -> Outcome<()> {
        if !self.shape.joinable {
            return Err(Refusal::WrongKind);
        }
        let entered = self.enter(party)?;
        let counters = self.counters();
        if counters.done > counters.tail {
            return Err(self.ground.poison());
        }
        let unfinished = counters.unfinished();
        if unfinished == 0 {
            return Err(Refusal::TooMany);
        }
        let hand = self.hand(party);
        let place = if hand.is_taken() { Some(self.check(hand.place())?) } else { None };
        if place.is_some() {
            hand.begin(Phase::Finishing, false, counters.done);
        }
        // SYNC done: whatever the party did about the item.
        self.ground.word64(DONE).store(counters.done + 1, Release);
        crash_point!("queue: counted as done, still in hand");
        if let Some(place) = place {
            hand.settle(Phase::Empty);
            crash_point!("queue: done, not freed");
            self.heap.free(place);
            self.leave_with_room(entered);
        } else {
            drop(entered);
        }
        crash_point!("queue: done, nobody told");
        if unfinished == 1 {
            self.done_bell().ring();
        }
        Ok(())
    }

    /// Waits until every item that was put is done.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongKind`] when items are not counted, [`Refusal::TimedOut`].
    pub(crate) fn join(&self, patience: &Patience<'_>) -> Outcome<()> {
        patience.wait_for(self.done_bell(), || Ok((self.unfinished()? == 0).then_some(())))
    }

    /// Items that were put and are not yet done.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongKind`] when items are not counted, [`Refusal::Poisoned`].
    pub(crate) fn unfinished(&self) -> Outcome<u64> {
        self.ground.check()?;
        if !self.shape.joinable {
            return Err(Refusal::WrongKind);
        }
        let glance = self.glance()?;
        let reporting = if self.shape.orphaned == Orphaned::Reported { glance.orphans } else { 0 };
        Ok(glance.counters.unfinished().saturating_sub(reporting))
    }

    /// Takes out the items whose takers did not finish with them, oldest first, if they are to be reported.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    pub(crate) fn take_reported(&self, party: Party) -> Outcome<Vec<Vec<u8>>> {
        let entered = self.enter(party)?;
        let mut items = Vec::new();
        let Some(reported) = &self.reported else { return Ok(items) };
        loop {
            let span = reported.span()?;
            if span.is_empty() {
                break;
            }
            let place = reported.place(span.head, &self.heap)?;
            let mut item = Vec::new();
            self.heap.read(place, &mut item);
            crash_point!("queue: reported item copied, still there");
            reported.pop(span);
            crash_point!("queue: reported item collected, not freed");
            self.heap.free(place);
            items.push(item);
        }
        self.leave_with_room(entered);
        Ok(items)
    }

    /// Acknowledges the item in hand, or gives it back or reports it, as the call's end demands.
    pub(crate) fn end_call(&self, party: Party, end: CallEnd) {
        if !self.ground.is_writable() {
            return;
        }
        match end {
            // It can fail only on an object that is spoilt, and there is nobody to tell.
            CallEnd::Normal => drop(self.acknowledge(party)),
            CallEnd::Abnormal if self.hand(party).is_in_use() => {
                self.bury(party);
                // To have it done; whoever comes next would do it, too.
                drop(self.enter(party));
            }
            CallEnd::Abnormal => {}
        }
        if self.mutex().holder() == Some(party) {
            self.bury(party);
        }
    }

    /// Orphans what a dead party has in hand, gives its mutex away, and wakes everyone. Never waits.
    pub(crate) fn bury(&self, party: Party) {
        if !self.ground.is_writable() {
            return;
        }
        let held_mutex = self.mutex().holder() == Some(party);
        // The mark comes before the mutex is free: who repairs finds it.
        if self.hand(party).orphan() || held_mutex {
            // SYNC buried: the marks.
            self.ground.word32(BURIED).fetch_add(1, Release);
        }
        self.mutex().abandon(party);
        self.ring_all();
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
    fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        let entered = self.ground.enter(party, || self.repair())?;
        if self.has_orphans() {
            self.adopt().map_err(|_| self.ground.poison())?;
            // Relaxed: as in `try_put`. A repair may have found room that the dead had left allocated.
            self.ground.word32(WANTS_ROOM).store(0, Relaxed);
            crash_point!("queue: orphans adopted, nobody told");
            self.ring_all();
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

    /// Puts in order what the last holder of the mutex left when it died; see the module.
    fn repair(&self) -> Outcome<()> {
        let span = self.items.span()?;
        let reported = self.reported.as_ref().map(Ring::span).transpose()?.map_or(0, |span| span.tail);
        let done = self.ground.word64(DONE).load(Relaxed);
        for hand in self.hands() {
            // What the phase comes to while the counter is as it was, and once it has moved to the second number.
            let saw = hand.saw();
            let (now, moved, before, after) = match hand.state()?.phase {
                Phase::Empty | Phase::Taken => continue,
                Phase::Taking => (span.head, saw.wrapping_add(1), Phase::Empty, Phase::Taken),
                Phase::Finishing => (done, saw.wrapping_add(1), Phase::Taken, Phase::Empty),
                Phase::Returning => (span.head, saw.wrapping_sub(1), Phase::Taken, Phase::Empty),
                Phase::Reporting => (reported, saw.wrapping_add(1), Phase::Taken, Phase::Empty),
            };
            match now {
                now if now == saw => hand.decide(before)?,
                now if now == moved => hand.decide(after)?,
                _ => return Err(Refusal::Poisoned),
            }
            crash_point!("queue: a hand decided, the heap as it was");
        }
        self.heap.clear();
        self.items.keep_all(&self.heap)?;
        self.reported.iter().try_for_each(|reported| reported.keep_all(&self.heap))?;
        for hand in self.hands() {
            if hand.state()?.phase == Phase::Taken {
                self.heap.keep(self.check(hand.place())?)?;
            }
        }
        Ok(())
    }

    /// Gives back or reports what the orphaned hands hold. The mutex is held, and no phase is open.
    #[cold]
    fn adopt(&self) -> Outcome<()> {
        // SYNC buried
        let buried = self.ground.word32(BURIED).load(Acquire);
        let mut orphans = Vec::new();
        for hand in self.hands() {
            let state = hand.state()?;
            match (state.phase, state.is_orphaned) {
                (_, false) => {}
                // It let go of the item, and then died.
                (Phase::Empty, true) => hand.settle(Phase::Empty),
                (Phase::Taken, true) => orphans.push(hand),
                _ => return Err(Refusal::Poisoned),
            }
        }
        orphans.sort_by_key(|hand| hand.order());
        match self.shape.orphaned {
            // The oldest comes last, and so to the front.
            Orphaned::GivenBack => orphans.into_iter().rev().try_for_each(|hand| self.give_back(hand))?,
            Orphaned::Reported => orphans.into_iter().try_for_each(|hand| self.report(hand))?,
        }
        crash_point!("queue: orphans adopted, not said");
        // SYNC adopted: where the orphans are now.
        self.ground.word32(ADOPTED).store(buried, Release);
        Ok(())
    }

    fn give_back(&self, hand: Hand<'_>) -> Outcome<()> {
        let place = self.check(hand.place())?;
        let span = self.items.span()?;
        if !self.items.has_room(span) {
            return Err(Refusal::Poisoned);
        }
        hand.begin(Phase::Returning, true, span.head);
        self.items.push_front(span, place);
        crash_point!("queue: orphan returned, still in hand");
        // Relaxed: it only serves to tell old items from new ones, under the mutex, and readers from a head that
        // went forth and back.
        let returned = self.ground.word64(RETURNED);
        returned.store(returned.load(Relaxed).wrapping_add(1), Relaxed);
        crash_point!("queue: orphan returned and counted, still in hand");
        hand.settle(Phase::Empty);
        Ok(())
    }

    fn report(&self, hand: Hand<'_>) -> Outcome<()> {
        let place = self.check(hand.place())?;
        let reported = self.reported.as_ref().ok_or(Refusal::Poisoned)?;
        let span = reported.span()?;
        if !reported.has_room(span) {
            return Err(Refusal::Poisoned);
        }
        hand.begin(Phase::Reporting, true, span.tail);
        reported.push(span, place);
        crash_point!("queue: orphan reported, still in hand");
        hand.settle(Phase::Empty);
        Ok(())
    }

    /// The counters and the number of items in orphaned hands, without the mutex.
    fn glance(&self) -> Outcome<Glance> {
        let mut counters = self.counters();
        for _ in 0..GLANCES_MAX {
            let has_orphans = counters.buried != counters.adopted;
            let orphans = if has_orphans { self.count_orphans(&counters)? } else { 0 };
            let now = self.counters();
            if now == counters {
                return Ok(Glance { counters, orphans, is_exact: true });
            }
            counters = now;
        }
        Ok(Glance { counters, orphans: 0, is_exact: false })
    }

    fn counters(&self) -> Counters {
        // SYNC adopted
        let adopted = self.ground.word32(ADOPTED).load(Acquire);
        // SYNC buried
        let buried = self.ground.word32(BURIED).load(Acquire);
        // SYNC done: before the tail, so that an item is never seen to be done before it was put.
        let done = self.ground.word64(DONE).load(Acquire);
        let reported = self.reported.as_ref().map_or(0, |reported| reported.glance().tail);
        let returned = self.ground.word64(RETURNED).load(Relaxed);
        let span = self.items.glance();
        Counters { done, reported, returned, head: span.head, tail: span.tail, buried, adopted }
    }

    fn count_orphans(&self, counters: &Counters) -> Outcome<u64> {
        let mut count = 0;
        for hand in self.hands() {
            let state = hand.state().map_err(|_| self.ground.poison())?;
            let saw = hand.saw();
            let holds = match state.phase {
                _ if !state.is_orphaned => false,
                Phase::Empty => false,
                Phase::Taken => true,
                // As `repair` will decide.
                Phase::Taking => counters.head != saw,
                Phase::Finishing => counters.done == saw,
                Phase::Returning => counters.head == saw,
                Phase::Reporting => counters.reported == saw,
            };
            count += u64::from(holds);
        }
        Ok(count)
    }

    fn has_orphans(&self) -> bool {
        // SYNC adopted
        let adopted = self.ground.word32(ADOPTED).load(Acquire);
        // Relaxed: who adopts reads it again.
        self.ground.word32(BURIED).load(Relaxed) != adopted
    }

    fn is_empty_at_a_glance(&self) -> bool {
        // In this order: orphans that are no more are in the ring by now.
        !self.has_orphans() && self.items.is_empty()
    }

    /// Whether nothing was freed since somebody found no room.
    fn is_as_full_as_before(&self) -> bool {
        // Relaxed: see `leave_with_room`.
        self.ground.word32(WANTS_ROOM).load(Relaxed) != 0 && !self.has_orphans() && !self.is_closed()
    }

    fn has_room_for_reports(&self) -> Outcome<bool> {
        let Some(reported) = &self.reported else { return Ok(true) };
        Ok(reported.span()?.len() < reported_max(self.shape))
    }

    fn check(&self, place: u64) -> Outcome<Place> {
        self.heap.check(place).map_err(|_| self.ground.poison())
    }

    fn ring_all(&self) {
        self.ground.ring_all();
        self.done_bell().bell.ring_always();
    }

    fn hand(&self, party: Party) -> Hand<'_> {
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

impl Counters {
    /// Items that were put and are neither done nor reported. Somebody may have called others' items done.
    fn unfinished(&self) -> u64 {
        self.tail.saturating_sub(self.done).saturating_sub(self.reported)
    }
}

#[cfg(test)]
mod tests;
