//! Crash accounting, tried in every order: a worker, a thief and a feeder at work on one chunk, and the worker's death
//! between any two of its stores.
//!
//! Each store and exchange of the protocol is one step. The model walks through all interleavings of a small chunk, with
//! the real range word and the real ledger, and asks at every end: has every call exactly one fate?

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::Ledger;
use crate::channel::range_word::RangeWord;

const CALLS: u32 = 6;
const BLOCK_CALLS_MAX: u32 = 3;
const CUTS_MAX: u32 = 3;
const GENERATION: u32 = 1;

/// What a worker does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Worker {
    /// Claim a block.
    Claiming,
    /// Name the first call of what is left of its block.
    Beginning(Range<u32>),
    /// Finish it: its result is in place, the count is not.
    Finishing(Range<u32>),
    /// Nothing: no call was left.
    Ended,
}

/// Everything there is: shared words, the worker's own state, the supervisor's book, and the fates so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    range: u64,
    finished: u32,
    progress: Option<u32>,
    worker: Worker,
    /// Outstanding calls of the ledger.
    outstanding: Range<u32>,
    cuts: u32,
    /// How often each call's result was taken, or was given out again, or was charged.
    fates: [u8; CALLS as usize],
}

impl World {
    fn new() -> Self {
        let word = AtomicU64::new(0);
        RangeWord::new(&word, GENERATION).install(CALLS);
        Self {
            range: word.into_inner(),
            finished: 0,
            progress: None,
            worker: Worker::Claiming,
            outstanding: 0..CALLS,
            cuts: 0,
            fates: [0; CALLS as usize],
        }
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(CALLS);
        ledger.accept(self.outstanding.start);
        if self.outstanding.end < CALLS && ledger.outstanding().contains(&self.outstanding.end) {
            ledger.cut(self.outstanding.end);
        }
        ledger
    }

    fn settle(&mut self, calls: Range<u32>) {
        for call in calls {
            self.fates[call as usize] += 1;
        }
    }

    fn with_word<T>(&mut self, act: impl FnOnce(RangeWord<'_>) -> T) -> T {
        let word = AtomicU64::new(self.range);
        let result = act(RangeWord::new(&word, GENERATION));
        self.range = word.load(Ordering::Relaxed);
        result
    }

    /// The worker's next store.
    fn worker_step(&self) -> Option<Self> {
        let mut next = self.clone();
        next.worker = match &self.worker {
            Worker::Claiming => match next.with_word(|word| word.claim(|_| BLOCK_CALLS_MAX)) {
                Some(block) => Worker::Beginning(block),
                None => {
                    next.progress = None;
                    Worker::Ended
                }
            },
            Worker::Beginning(block) => {
                next.progress = Some(block.start);
                Worker::Finishing(block.clone())
            }
            Worker::Finishing(block) => {
                next.finished = block.start + 1;
                let rest = block.start + 1..block.end;
                if rest.is_empty() { Worker::Claiming } else { Worker::Beginning(rest) }
            }
            Worker::Ended => return None,
        };
        Some(next)
    }

    /// A thief takes the upper half; the calls are somebody else's then.
    fn cut_step(&self) -> Option<Self> {
        if self.cuts == CUTS_MAX {
            return None;
        }
        let mut next = self.clone();
        next.cuts += 1;
        let outstanding = self.outstanding.clone();
        let cut = next.with_word(|word| word.cut(outstanding.clone(), |rest| rest.div_ceil(2)))?;
        next.settle(cut.start..outstanding.end);
        next.outstanding.end = cut.start;
        Some(next)
    }

    /// The feeder takes what is counted.
    fn take_step(&self) -> Option<Self> {
        let mut next = self.clone();
        let mut ledger = self.ledger();
        let taken = ledger.accept(self.finished);
        if taken.is_empty() {
            return None;
        }
        next.settle(taken);
        next.outstanding = ledger.outstanding();
        Some(next)
    }

    /// The worker dies here: the supervisor takes what is counted, charges what was named, gives out the rest.
    fn check_death(&self) {
        let mut world = self.take_step().unwrap_or_else(|| self.clone());
        let burial = world.ledger().bury(world.finished, world.progress);
        world.settle(burial.finished);
        if let Some(call) = burial.charged {
            world.settle(call..call + 1);
        }
        for calls in burial.untouched {
            world.settle(calls);
        }
        assert_eq!(world.fates, [1; CALLS as usize], "death in {self:?}");
    }

    fn check_end(&self) {
        let world = self.take_step().unwrap_or_else(|| self.clone());
        assert_eq!(world.fates, [1; CALLS as usize], "end in {self:?}");
    }
}

#[test]
fn every_call_has_exactly_one_fate_wherever_the_worker_dies() {
    let mut seen = HashSet::new();
    let mut open = vec![World::new()];
    while let Some(world) = open.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        world.check_death();
        if world.worker == Worker::Ended {
            world.check_end();
        }
        open.extend([world.worker_step(), world.cut_step(), world.take_step()].into_iter().flatten());
    }
    assert!(seen.len() > 100, "only {} states: the model does not move", seen.len());
}
