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
//! Nobody is ever late: a thief holds the seat's lock, which installing takes too, and a worker has ended its chunk,
//! or is proved dead, before another one is installed. The generation makes lateness harmless all the same. Without
//! it, a thief preempted between reading and exchanging succeeds on the next chunk when that happens to have the same
//! `next` and `end`, and takes calls that were never offered.
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
pub(super) struct Unpacked {
    pub(super) generation: u16,
    pub(super) next: u32,
    pub(super) end: u32,
}

impl Unpacked {
    pub(super) fn from_word(word: u64) -> Self {
        Self {
            generation: (word >> 48) as u16,
            next: (word >> 24) as u32 & CALLS_MAX,
            end: word as u32 & CALLS_MAX,
        }
    }

    pub(super) fn to_word(self) -> u64 {
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
