//! The ledger: what the supervisor has given to a worker and not yet had back.
//!
//! It lies on the supervisor's heap, out of every worker's reach, and is the only truth about who has which call.
//! Words in shared memory keep honest workers from doing work twice; what counts is what stands here.
//!
//! ```text
//! 0            accepted           end           count      calls of the chunk
//! |── taken back ──|── with the worker ──|── cut off ──|
//! ```

use std::ops::Range;

/// The book of one chunk. Calls are numbered from the chunk's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    accepted: u32,
    end: u32,
}

/// What becomes of a dead worker's chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Burial {
    /// Calls that ended before the worker did; their results are there.
    pub(crate) finished: Range<u32>,
    /// The call that was running.
    pub(crate) charged: Option<u32>,
    /// Calls that were not touched, or claimed and never begun: nobody's fault, to be given out again.
    pub(crate) untouched: [Range<u32>; 2],
}

impl Ledger {
    /// Opens the book of a chunk of `count` calls.
    pub(crate) fn new(count: u32) -> Self {
        Self { accepted: 0, end: count }
    }

    /// Calls that are with the worker, or done and not taken back.
    pub(crate) fn outstanding(&self) -> Range<u32> {
        self.accepted..self.end
    }

    /// Takes back the calls that the worker says have ended, as far as that can be: in order, once, inside.
    pub(crate) fn accept(&mut self, finished: u32) -> Range<u32> {
        let from = self.accepted;
        self.accepted = finished.clamp(from, self.end);
        from..self.accepted
    }

    /// Notes that the calls from `start` on have been taken from the worker's end.
    ///
    /// # Panics
    ///
    /// When they were not outstanding: the thief clamps to this ledger first.
    pub(crate) fn cut(&mut self, start: u32) {
        assert!(self.outstanding().contains(&start), "a cut at {start} of {:?}", self.outstanding());
        self.end = start;
    }

    /// Whether every call is back.
    pub(crate) fn is_settled(&self) -> bool {
        self.accepted == self.end
    }

    /// Divides what is outstanding after the worker's proved death.
    ///
    /// `finished` is the worker's last count of ended calls, `running` the call that its progress word named. Both
    /// are its own words and are taken for no more: whatever they say, each outstanding call comes up exactly once.
    pub(crate) fn bury(&self, finished: u32, running: Option<u32>) -> Burial {
        let Range { start, end } = self.outstanding();
        let finished = finished.clamp(start, end);
        let charged = running.filter(|call| (finished..end).contains(call));
        let untouched = match charged {
            Some(call) => [finished..call, call + 1..end],
            None => [finished..end, end..end],
        };
        Burial { finished: start..finished, charged, untouched }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn results_are_taken_in_order_and_once() {
        let mut ledger = Ledger::new(10);
        assert_eq!(ledger.accept(4), 0..4);
        assert_eq!(ledger.accept(4), 4..4);
        assert_eq!(ledger.accept(2), 4..4);
        ledger.cut(7);
        assert_eq!(ledger.accept(10), 4..7);
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_death_charges_the_running_call_and_returns_the_rest() {
        let mut ledger = Ledger::new(10);
        ledger.accept(2);
        let burial = ledger.bury(4, Some(5));
        assert_eq!(burial.finished, 2..4);
        assert_eq!(burial.charged, Some(5));
        assert_eq!(burial.untouched, [4..5, 6..10]);
    }

    #[test]
    fn a_death_between_calls_charges_nobody() {
        let burial = Ledger::new(4).bury(2, None);
        assert_eq!((burial.finished, burial.charged), (0..2, None));
        assert_eq!(burial.untouched, [2..4, 4..4]);
    }

    #[test]
    fn a_call_that_has_ended_is_not_charged() {
        // The worker died after it counted the call and before it cleared the progress word.
        let burial = Ledger::new(4).bury(3, Some(2));
        assert_eq!((burial.finished, burial.charged), (0..3, None));
    }

    proptest! {
        #[test]
        fn every_call_comes_up_exactly_once_whatever_the_worker_says(
            count in 0u32..20,
            steps in proptest::collection::vec((any::<bool>(), 0u32..24), 0..12),
            finished in prop_oneof![0u32..24, Just(u32::MAX)],
            running in proptest::option::of(prop_oneof![0u32..24, Just(u32::MAX)]),
        ) {
            let mut ledger = Ledger::new(count);
            let mut seen = vec![0; count as usize];
            let mut mark = |range: Range<u32>| range.for_each(|call| seen[call as usize] += 1);
            for (is_cut, at) in steps {
                if !is_cut {
                    mark(ledger.accept(at));
                } else if ledger.outstanding().contains(&at) {
                    mark(at..ledger.outstanding().end);
                    ledger.cut(at);
                }
            }
            let Burial { finished, charged, untouched } = ledger.bury(finished, running);
            mark(finished);
            charged.into_iter().for_each(|call| mark(call..call + 1));
            untouched.into_iter().for_each(&mut mark);
            prop_assert_eq!(seen, vec![1; count as usize]);
        }
    }
}
