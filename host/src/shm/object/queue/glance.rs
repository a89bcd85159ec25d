//! What can be seen of a queue without its mutex, and without disturbing anybody.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::super::Outcome;
use super::Queue;
use super::hand::Phase;
use super::layout::{ADOPTED, BURIED, DONE, RETURNED, WANTS_ROOM};

/// Most looks at counters that change meanwhile, before the last look is taken for the truth.
const GLANCES_MAX: u32 = 64;

/// The counters from which everything is derived, as they were at one instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) done: u64,
    pub(super) reported: u64,
    returned: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    buried: u32,
    adopted: u32,
}

/// What can be seen without the mutex.
pub(super) struct Glance {
    pub(super) counters: Counters,
    pub(super) orphans: u64,
    /// Whether all of it was so at one instant; not when the queue changed during every look.
    pub(super) is_exact: bool,
}

impl Queue {
    /// The counters and the number of items in orphaned hands, without the mutex.
    pub(super) fn glance(&self) -> Outcome<Glance> {
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

    pub(super) fn counters(&self) -> Counters {
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

    pub(super) fn has_orphans(&self) -> bool {
        // SYNC adopted
        let adopted = self.ground.word32(ADOPTED).load(Acquire);
        // Relaxed: who adopts reads it again.
        self.ground.word32(BURIED).load(Relaxed) != adopted
    }

    pub(super) fn is_empty_at_a_glance(&self) -> bool {
        // In this order: orphans that are no more are in the ring by now.
        !self.has_orphans() && self.items.is_empty()
    }

    /// Whether nothing was freed since somebody found no room.
    pub(super) fn is_as_full_as_before(&self) -> bool {
        // Relaxed: see `leave_with_room`.
        self.ground.word32(WANTS_ROOM).load(Relaxed) != 0 && !self.has_orphans() && !self.is_closed()
    }
}

impl Counters {
    /// Items that were put and are neither done nor reported. Somebody may have called others' items done.
    pub(super) fn unfinished(&self) -> u64 {
        self.tail.saturating_sub(self.done).saturating_sub(self.reported)
    }
}
