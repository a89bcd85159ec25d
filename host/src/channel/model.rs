//! The range word once more, over the model checker's atomics: the same source, in a world where every order is tried.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[allow(clippy::duplicate_mod, reason = "once with real atomics, once with the checker's")]
#[path = "range_word.rs"]
pub(super) mod range_word;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};

use self::range_word::RangeWord;

#[test]
fn every_call_has_exactly_one_taker_in_every_interleaving() {
    loom::model(|| {
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

/// Two chunks follow each other in one slot, a thief at work on both. The supervisor installs the second only when it
/// has seen the first one ended; every call of either has exactly one taker.
#[test]
fn a_slot_changes_chunks_without_losing_a_call() {
    const CALLS: u32 = 2;
    const CHUNKS: [u32; 2] = [1, 3];

    struct Slot {
        range: AtomicU64,
        posted: AtomicU64,
        ended: AtomicU64,
        takers: AtomicU64,
    }

    impl Slot {
        fn take(&self, generation: u32, calls: std::ops::Range<u32>) {
            for call in calls {
                let shift = 8 * (generation + call);
                let before = self.takers.fetch_add(1 << shift, Ordering::Relaxed);
                assert_eq!(before >> shift & 0xff, 0, "call {call} of chunk {generation} was taken twice");
            }
        }
    }

    fn wait(word: &AtomicU64, value: u32) {
        while word.load(Ordering::Acquire) != u64::from(value) {
            loom::thread::yield_now();
        }
    }

    // Waiting in a loop makes endlessly many interleavings; two preemptions are enough to get between any two steps.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let slot = Arc::new(Slot {
            range: AtomicU64::new(0),
            posted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            takers: AtomicU64::new(0),
        });
        let worker = {
            let slot = Arc::clone(&slot);
            loom::thread::spawn(move || {
                for generation in CHUNKS {
                    wait(&slot.posted, generation);
                    while let Some(calls) = RangeWord::new(&slot.range, generation).claim(|_| 1) {
                        slot.take(generation, calls);
                    }
                    slot.ended.store(u64::from(generation), Ordering::Release);
                }
            })
        };
        for generation in CHUNKS {
            let range = RangeWord::new(&slot.range, generation);
            range.install(CALLS);
            slot.posted.store(u64::from(generation), Ordering::Release);
            if let Some(calls) = range.cut(0..CALLS, |rest| rest.div_ceil(2)) {
                slot.take(generation, calls);
            }
            wait(&slot.ended, generation);
        }
        worker.join().expect("the worker ends");
        assert_eq!(slot.takers.load(Ordering::Relaxed), 0x01_01_01_01_00, "a call was lost");
    });
}
