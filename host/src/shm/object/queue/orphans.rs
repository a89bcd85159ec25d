//! Orphans: items in the hands of parties that died, or whose call ended without a result; and the dead's half-done work.
//!
//! [`Queue::bury`] marks the hand and raises `buried`, both by one atomic operation, and never waits. Whoever enters
//! next finds `buried` unlike `adopted` and deals with all marked hands before anything else: they return to the front
//! in the order in which they were taken, or are moved to the reported ones. `adopted` is stored last, so an adopter
//! that dies leaves the rest to the next. Until then they are counted where they will be: [`Queue::len`] and
//! [`Queue::unfinished`] look at the hands themselves while the two differ.
//!
//! The order that fails: a mark by which a party gives its own number away. A hand belongs to the number, not to the
//! process; a new process with this number finds the mark on entering, and the hand empty when it gets to use it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use wasmpool_abi::shared::Refusal;

use super::super::crash::crash_point;
use super::super::ring::Ring;
use super::super::spec::Orphaned;
use super::super::{CallEnd, Outcome, Party};
use super::Queue;
use super::hand::{Hand, Phase};
use super::layout::{ADOPTED, BURIED, DONE, RETURNED};

impl Queue {
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
        self.ground.ring_all();
    }

    /// Puts in order what the last holder of the mutex left when it died; see the module.
    pub(super) fn repair(&self) -> Outcome<()> {
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
    pub(super) fn adopt(&self) -> Outcome<()> {
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
}
