//! The range word by itself: packing, clamping, and what a lying worker can do to it.

use std::sync::atomic::AtomicU64;

use super::range_word::{CALLS_MAX, RangeWord, Unpacked};

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
fn lowering_the_end_of_the_word_makes_no_call_disappear_from_a_cut() {
    // What a thief gets ends where the word says; the caller takes everything up to its ledger's end with it.
    let word = AtomicU64::new(Unpacked { generation: 7, next: 0, end: 5 }.to_word());
    let cut = RangeWord::new(&word, 7).cut(0..10, half).expect("calls to cut");
    assert_eq!(cut, 2..5);
    let mut ledger = crate::schedule::ledger::Ledger::new(10);
    ledger.cut(cut.start);
    assert_eq!((ledger.outstanding(), cut.start..10), (0..2, 2..10));
}
