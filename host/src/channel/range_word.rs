//! The range word: which calls of a chunk nobody has taken yet.
//!
//! One word, changed by compare-exchange only, so that the worker that runs a chunk and a thief that wants its upper
//! half agree without a lock between processes:
//!
//! ```text
//!  63      48 47          24 23           0
//! +----------+--------------+--------------+
//! |generation|     next     |     end      |     next and end count from the chunk's first call
//! +----------+--------------+--------------+
//! ```
//!
//! | who | when | what |
//! |---|---|---|
//! | supervisor, holding the seat's lock | the slot is free | installs (g, 0, count) |
//! | worker | it wants calls | `next += n`, at most to `end` |
//! | supervisor, holding the seat's lock | a thief is hungry | `end -= n`, at most to `next` |
//!
//! The generation is there for the thief that was preempted between reading and exchanging: by then the slot may
//! hold another chunk with the same `next` and `end`, and without a generation the exchange would succeed and take
//! calls that were never offered. Sixteen bits are enough because thieves hold the seat's lock, which installing
//! takes too: the generation that matters cannot pass by 65,536 times within one exchange. It guards the worker's
//! side, whose claim may be arbitrarily late.
//!
//! A worker may write anything here. The supervisor therefore clamps what it reads to its own ledger, gives up after
//! a few attempts, and never learns from this word which calls are done.

use std::ops::Range;

use super::atomic::{AtomicU64, Ordering};

/// Most calls that one chunk can hold.
pub(crate) const CALLS_MAX: u32 = (1 << 24) - 1;

/// How often a thief tries before it leaves a word that keeps changing under it.
const CUT_ATTEMPTS_MAX: usize = 8;

/// The word, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unpacked {
    generation: u16,
    next: u32,
    end: u32,
}

impl Unpacked {
    fn from_word(word: u64) -> Self {
        Self {
            generation: (word >> 48) as u16,
            next: (word >> 24) as u32 & CALLS_MAX,
            end: word as u32 & CALLS_MAX,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.generation) << 48 | u64::from(self.next) << 24 | u64::from(self.end)
    }
}

/// A view of a range word as one chunk's two sides use it.
#[derive(Clone, Copy)]
pub(crate) struct RangeWord<'a> {
    word: &'a AtomicU64,
    generation: u16,
}

impl<'a> RangeWord<'a> {
    /// The word of the chunk with this generation, of which the low 16 bits count.
    pub(crate) fn new(word: &'a AtomicU64, generation: u32) -> Self {
        Self { word, generation: generation as u16 }
    }

    /// Offers `count` calls. The slot must be free: neither a worker nor a thief may be at work on it.
    pub(crate) fn install(self, count: u32) {
        debug_assert!(count <= CALLS_MAX);
        let fresh = Unpacked { generation: self.generation, next: 0, end: count };
        // Relaxed: the order that the worker acquires afterwards publishes this store.
        self.word.store(fresh.to_word(), Ordering::Relaxed);
    }

    /// Claims calls from the front for the worker, as many of the `rest` as `wanted(rest)` says, at least one.
    ///
    /// Returns nothing when all are taken, or when the word is of another generation.
    pub(crate) fn claim(self, wanted: impl Fn(u32) -> u32) -> Option<Range<u32>> {
        // Relaxed throughout: the word carries no data. Inputs are published by the order, results by `finished`.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let range = Unpacked::from_word(seen);
            if range.generation != self.generation || range.next >= range.end {
                return None;
            }
            let rest = range.end - range.next;
            let count = wanted(rest).clamp(1, rest);
            let claimed = Unpacked { next: range.next + count, ..range };
            match self.word.compare_exchange_weak(
                seen,
                claimed.to_word(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(range.next..range.next + count),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes calls from the back for a thief: of the `rest` untaken ones as many as `wanted(rest)` says.
    ///
    /// `ledger` is what the supervisor knows to be still with this worker; nothing outside it is ever returned. The
    /// caller holds the seat's lock and lowers the ledger's end to the start of what it got.
    pub(crate) fn cut(self, ledger: Range<u32>, wanted: impl Fn(u32) -> u32) -> Option<Range<u32>> {
        for _ in 0..CUT_ATTEMPTS_MAX {
            // Relaxed: as in `claim`.
            let seen = self.word.load(Ordering::Relaxed);
            let range = Unpacked::from_word(seen);
            if range.generation != self.generation {
                return None;
            }
            let end = range.end.min(ledger.end);
            let next = range.next.max(ledger.start);
            let rest = end.saturating_sub(next);
            let count = wanted(rest).min(rest);
            if count == 0 {
                return None;
            }
            let cut = Unpacked { end: end - count, ..range };
            let exchanged =
                self.word.compare_exchange(seen, cut.to_word(), Ordering::Relaxed, Ordering::Relaxed);
            if exchanged.is_ok() {
                return Some(end - count..end);
            }
        }
        None
    }

    /// About how many calls are untaken, for choosing whom to steal from.
    pub(crate) fn rest(self, ledger: Range<u32>) -> u32 {
        // Relaxed: an estimate.
        let range = Unpacked::from_word(self.word.load(Ordering::Relaxed));
        if range.generation != self.generation {
            return 0;
        }
        range.end.min(ledger.end).saturating_sub(range.next.max(ledger.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(rest: u32) -> u32 {
        rest.div_ceil(2)
    }

    #[test]
    fn words_read_back_as_they_were_packed() {
        for (generation, next, end) in [(0, 0, 0), (1, 2, 3), (u16::MAX, CALLS_MAX, CALLS_MAX)] {
            let unpacked = Unpacked { generation, next, end };
            assert_eq!(Unpacked::from_word(unpacked.to_word()), unpacked);
        }
    }

    #[test]
    fn claims_come_from_the_front_and_cuts_from_the_back() {
        let word = AtomicU64::new(0);
        let range = RangeWord::new(&word, 65_537);
        range.install(10);
        assert_eq!(range.claim(|_| 3), Some(0..3));
        assert_eq!(range.cut(0..10, half), Some(6..10));
        assert_eq!(range.rest(0..6), 3);
        assert_eq!(range.claim(|_| 100), Some(3..6));
        assert_eq!(range.claim(|_| 1), None);
        assert_eq!(range.cut(0..6, half), None);
    }

    #[test]
    fn a_stale_generation_gets_nothing() {
        let word = AtomicU64::new(0);
        RangeWord::new(&word, 2).install(10);
        assert_eq!(RangeWord::new(&word, 1).claim(|_| 1), None);
        assert_eq!(RangeWord::new(&word, 3).cut(0..10, half), None);
    }

    #[test]
    fn a_cut_stays_inside_the_ledger_whatever_the_worker_wrote() {
        let lies = [
            Unpacked { generation: 7, next: 0, end: CALLS_MAX },
            Unpacked { generation: 7, next: CALLS_MAX, end: CALLS_MAX },
            Unpacked { generation: 7, next: 9, end: 1 },
            Unpacked { generation: 7, next: 0, end: 0 },
        ];
        for lie in lies {
            let word = AtomicU64::new(lie.to_word());
            if let Some(cut) = RangeWord::new(&word, 7).cut(4..20, half) {
                assert!(cut.start >= 4 && cut.end <= 20 && cut.start < cut.end, "{lie:?} gave {cut:?}");
            }
        }
    }

    #[test]
    fn every_call_has_exactly_one_taker_in_every_interleaving() {
        loom::model(|| {
            use loom::sync::Arc;
            use loom::sync::atomic::{AtomicU64, Ordering};

            use crate::channel::model::range_word::RangeWord;

            const CALLS: u32 = 4;
            let word = Arc::new(AtomicU64::new(0));
            let takers = Arc::new(AtomicU64::new(0));
            RangeWord::new(&word, 1).install(CALLS);
            let take = |takers: &AtomicU64, range: std::ops::Range<u32>| {
                for call in range {
                    let before = takers.fetch_add(1 << (8 * call), Ordering::Relaxed);
                    assert_eq!(before >> (8 * call) & 0xff, 0, "call {call} was taken twice");
                }
            };
            let thief = {
                let (word, takers) = (Arc::clone(&word), Arc::clone(&takers));
                loom::thread::spawn(move || {
                    if let Some(range) = RangeWord::new(&word, 1).cut(0..CALLS, |rest| rest.div_ceil(2)) {
                        take(&takers, range);
                    }
                })
            };
            while let Some(range) = RangeWord::new(&word, 1).claim(|_| 2) {
                take(&takers, range);
            }
            thief.join().expect("the thief ends");
            assert_eq!(takers.load(Ordering::Relaxed), 0x0101_0101, "a call was lost");
        });
    }

    #[test]
    fn a_late_claim_takes_nothing_from_the_next_chunk() {
        loom::model(|| {
            use loom::sync::Arc;
            use loom::sync::atomic::AtomicU64;

            use crate::channel::model::range_word::RangeWord;

            // The supervisor buries chunk 1 and installs chunk 3 in the same slot while a claimant of chunk 1 is
            // still on its way: chunk 3 must lose nothing to it.
            let word = Arc::new(AtomicU64::new(0));
            RangeWord::new(&word, 1).install(2);
            let late = {
                let word = Arc::clone(&word);
                loom::thread::spawn(move || RangeWord::new(&word, 1).claim(|_| 1))
            };
            RangeWord::new(&word, 3).install(2);
            let claimed = RangeWord::new(&word, 3).claim(|_| 2);
            late.join().expect("the late claimant ends");
            assert_eq!(claimed, Some(0..2));
        });
    }
}
