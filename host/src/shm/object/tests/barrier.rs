//! Barriers, as their users know them.

use std::sync::atomic::{AtomicU32, Ordering};

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, Sleepless, for_a_moment, for_ever, party, watched};
use crate::shm::object::barrier::{BYTES, Barrier, STATE};
use crate::shm::object::ground::header;
use crate::shm::object::patience::Patience;
use crate::shm::object::{CallEnd, Outcome, crash};

fn barrier(pages: &Pages, parties: u32) -> Barrier {
    Barrier::open(pages.ground(), parties)
}

/// Parties 1 and 2 wait at a barrier for three; once both are asleep, `meanwhile` happens.
fn two_wait(meanwhile: impl FnOnce(&Pages, &Barrier)) -> (Barrier, [Outcome<u32>; 2]) {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (barrier(&pages, 3), barrier(&pages, 3));
    let sleepers = Sleepers::default();
    let ended = std::thread::scope(|scope| {
        let waiters = [1, 2].map(|number| {
            let (theirs, sleepers) = (&theirs, &sleepers);
            scope.spawn(move || theirs.wait(party(number), &Patience::new(None, sleepers)))
        });
        sleepers.await_total(2);
        assert_eq!(ours.waiting(), Ok(2));
        meanwhile(&pages, &ours);
        waiters.map(|waiter| waiter.join().unwrap())
    });
    (ours, ended)
}

const BROKEN: Outcome<u32> = Err(Refusal::Broken);

#[test]
fn each_party_gets_an_index_of_its_own() {
    let (barrier, ended) =
        watched(|| two_wait(|_, barrier| assert_eq!(barrier.wait(party(3), &for_ever()), Ok(2))));
    let mut indices = ended.map(|index| index.expect("all came"));
    indices.sort_unstable();
    assert_eq!(indices, [0, 1]);
    assert_eq!((barrier.waiting(), barrier.is_broken(), barrier.parties()), (Ok(0), Ok(false), 3));
}

#[test]
fn one_party_meets_itself() {
    let pages = Pages::new(BYTES);
    for _ in 0..3 {
        assert_eq!(barrier(&pages, 1).wait(party(1), &Patience::NONE), Ok(0));
    }
}

#[test]
fn impatience_breaks_the_barrier_for_all() {
    for impatient in [Patience::NONE, for_a_moment()] {
        let pages = Pages::new(BYTES);
        let barrier = barrier(&pages, 2);
        assert_eq!(barrier.wait(party(1), &impatient), BROKEN);
        assert_eq!(barrier.is_broken(), Ok(true));
        assert_eq!(barrier.wait(party(2), &for_ever()), BROKEN);
    }
    let (barrier, ended) = watched(|| {
        two_wait(|pages, _| assert_eq!(barrier(pages, 4).wait(party(3), &Patience::NONE), BROKEN))
    });
    assert_eq!((ended, barrier.waiting()), ([BROKEN; 2], Ok(0)));
}

#[test]
fn a_wait_that_may_not_sleep_says_so_and_breaks_the_barrier() {
    let pages = Pages::new(BYTES);
    let barrier = barrier(&pages, 2);
    assert_eq!(barrier.wait(party(1), &Patience::new(None, &Sleepless)), Err(Refusal::Starved));
    assert_eq!(barrier.is_broken(), Ok(true));
}

#[test]
fn abort_breaks_the_barrier_until_it_is_reset() {
    let (barrier, ended) = watched(|| two_wait(|_, barrier| barrier.abort().expect("writable")));
    assert_eq!(ended, [BROKEN; 2]);
    assert_eq!(barrier.wait(party(3), &for_ever()), BROKEN);
    barrier.reset(party(3)).expect("writable");
    assert_eq!((barrier.is_broken(), barrier.waiting()), (Ok(false), Ok(0)));
}

#[test]
fn a_reset_breaks_it_for_those_who_wait_and_for_nobody_else() {
    let (barrier, ended) = watched(|| two_wait(|_, barrier| barrier.reset(party(3)).expect("writable")));
    assert_eq!(ended, [BROKEN; 2]);
    assert_eq!((barrier.is_broken(), barrier.waiting()), (Ok(false), Ok(0)));
    barrier.reset(party(3)).expect("nothing to do");
    assert_eq!(barrier.is_broken(), Ok(false));
}

#[test]
fn a_party_that_dies_breaks_the_barrier_for_those_who_wait() {
    let (barrier, ended) = watched(|| {
        two_wait(|pages, ours| {
            barrier(pages, 3).join(party(3)).expect("writable");
            ours.bury(party(3));
        })
    });
    assert_eq!(ended, [BROKEN; 2]);
    assert_eq!(barrier.wait(party(4), &for_ever()), BROKEN);
    barrier.reset(party(4)).expect("writable");
    assert_eq!(barrier.is_broken(), Ok(false));
}

#[test]
fn a_waiter_that_dies_breaks_the_barrier_for_the_other() {
    let (_, ended) = watched(|| two_wait(|_, barrier| barrier.bury(party(1))));
    assert_eq!(ended[1], BROKEN);
}

#[test]
fn only_an_abnormal_end_of_a_call_breaks_the_barrier() {
    let pages = Pages::new(BYTES);
    let barrier = barrier(&pages, 2);
    barrier.end_call(party(1), CallEnd::Abnormal);
    barrier.bury(party(1));
    assert_eq!(barrier.is_broken(), Ok(false), "it never took part");
    barrier.join(party(1)).expect("writable");
    barrier.end_call(party(1), CallEnd::Normal);
    barrier.bury(party(1));
    assert_eq!(barrier.is_broken(), Ok(false), "it took part no longer");
    barrier.join(party(1)).expect("writable");
    barrier.end_call(party(1), CallEnd::Abnormal);
    assert_eq!(barrier.is_broken(), Ok(true));
}

#[test]
fn a_barrier_can_be_looked_at_without_the_right_to_wait() {
    let (_, ended) = watched(|| {
        two_wait(|pages, ours| {
            let looking = Barrier::open(pages.read_only(), 3);
            assert_eq!((looking.waiting(), looking.is_broken()), (Ok(2), Ok(false)));
            assert_eq!(looking.join(party(3)), Ok(()));
            assert_eq!(looking.wait(party(3), &for_ever()), Err(Refusal::ReadOnly));
            assert_eq!(
                (looking.abort(), looking.reset(party(3))),
                (Err(Refusal::ReadOnly), Err(Refusal::ReadOnly))
            );
            looking.end_call(party(1), CallEnd::Abnormal);
            looking.bury(party(1));
            ours.wait(party(3), &for_ever()).expect("all are there");
        })
    });
    assert!(ended.iter().all(Result::is_ok));
}

#[test]
fn garbage_poisons_the_barrier_and_hangs_nobody() {
    for garbage in [2, 0xffff, !(1 << 16)] {
        let pages = Pages::new(BYTES);
        pages.ground().word64(STATE).store(garbage, Ordering::Relaxed);
        assert_eq!(barrier(&pages, 2).wait(party(1), &for_ever()), Err(Refusal::Poisoned));
    }
    let (_, ended) = watched(|| {
        // The round is over for whoever looks, and their seats are empty.
        two_wait(|pages, _| {
            for number in 1..=2 {
                pages.ground().word64(header::BYTES + 8 * number).store(0, Ordering::Relaxed);
            }
            pages.ground().word64(STATE).store(9 << 17, Ordering::Relaxed);
            pages.ground().ring_all();
        })
    });
    assert_eq!(ended, [Err(Refusal::Poisoned); 2]);
}

/// Party 1 dies in `operation` while party 2 waits for it; nobody hangs, and after a reset all is well.
fn nobody_hangs(least_points: u32, operation: impl Fn(&Barrier) + Clone + Send + 'static) {
    let points = watched(move || {
        crash::at_every_point(|death| {
            let pages = Pages::new(BYTES);
            let (ours, theirs) = (barrier(&pages, 2), barrier(&pages, 2));
            let sleepers = Sleepers::default();
            theirs.join(party(1)).expect("writable");
            let met = std::thread::scope(|scope| {
                let waiter = scope.spawn(|| ours.wait(party(2), &Patience::new(None, &sleepers)));
                sleepers.await_total(1);
                death.strike(|| operation(&theirs));
                ours.bury(party(1));
                waiter.join().unwrap()
            });
            assert!(matches!(met, Ok(0) | BROKEN), "{met:?}");
            assert_eq!(ours.is_broken(), Ok(true), "a party died");
            ours.reset(party(2)).expect("writable");
            assert_eq!((ours.is_broken(), ours.waiting()), (Ok(false), Ok(0)));
            assert_eq!(ours.wait(party(2), &Patience::NONE), BROKEN);
        })
    });
    assert!(points >= least_points, "{points} places");
}

#[test]
fn a_death_on_arrival_hangs_nobody() {
    nobody_hangs(3, |barrier| {
        let _ = barrier.wait(party(1), &for_ever());
    });
}

#[test]
fn a_death_in_a_reset_hangs_nobody() {
    nobody_hangs(3, |barrier| barrier.reset(party(1)).expect("writable"));
}

#[test]
fn a_death_in_an_abort_hangs_nobody() {
    nobody_hangs(1, |barrier| barrier.abort().expect("writable"));
}

#[test]
fn a_round_that_was_complete_stays_complete_when_its_last_party_dies() {
    let (barrier, ended) = watched(|| {
        two_wait(|pages, ours| {
            barrier(pages, 3).wait(party(3), &for_ever()).expect("all are there");
            ours.bury(party(3));
        })
    });
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(barrier.is_broken(), Ok(true), "for the next round");
}

#[test]
fn a_round_that_is_completed_during_a_reset_stays_complete() {
    let (barrier, ended) = watched(|| {
        two_wait(|pages, ours| {
            let theirs = barrier(pages, 3);
            let complete = move || assert_eq!(theirs.wait(party(3), &for_ever()), Ok(2));
            let reset = || ours.reset(party(4));
            crash::meanwhile_at("barrier: looked at for a reset", complete, reset).expect("writable");
        })
    });
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(barrier.is_broken(), Ok(false));
}

#[test]
fn a_round_that_is_completed_when_time_is_over_counts() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (barrier(&pages, 2), barrier(&pages, 2));
    let complete = move || assert_eq!(theirs.wait(party(2), &Patience::NONE), Ok(1));
    let wait = || ours.wait(party(1), &Patience::NONE);
    assert_eq!(crash::meanwhile_at("barrier: about to give up", complete, wait), Ok(0));
}

#[test]
fn indices_are_unique_in_a_thousand_rounds() {
    const PARTIES: u32 = 4;
    watched(|| {
        let pages = Pages::new(BYTES);
        let seen = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for number in 1..=PARTIES as usize {
                let (pages, seen) = (&pages, &seen);
                scope.spawn(move || {
                    let barrier = barrier(pages, PARTIES);
                    for _ in 0..1_000 {
                        let index = barrier.wait(party(number), &for_ever()).expect("all come");
                        let before = seen.fetch_or(1 << index, Ordering::SeqCst);
                        assert_eq!(before & 1 << index, 0, "index {index} twice");
                        if barrier.wait(party(number), &for_ever()) == Ok(0) {
                            assert_eq!(seen.swap(0, Ordering::SeqCst), (1 << PARTIES) - 1);
                        }
                        barrier.wait(party(number), &for_ever()).expect("all come");
                    }
                });
            }
        });
    });
}
