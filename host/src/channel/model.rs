//! The range word once more, over the model checker's atomics: the same source, in a world where every order is tried.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

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

#[test]
fn a_late_claim_takes_nothing_from_the_next_chunk() {
    loom::model(|| {
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
