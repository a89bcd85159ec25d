//! Done: how many items somebody has finished with, and waiting until that is all of them.

use std::sync::atomic::Ordering::Release;

use wasmpool_abi::shared::Refusal;

use super::super::crash::crash_point;
use super::super::patience::Patience;
use super::super::spec::Orphaned;
use super::super::{Outcome, Party};
use super::Queue;
use super::hand::Phase;
use super::layout::DONE;

impl Queue {
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
}
