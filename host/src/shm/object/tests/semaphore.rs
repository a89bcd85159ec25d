//! Semaphores, as their users know them.

use std::sync::atomic::{AtomicI64, Ordering};

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, for_a_moment, for_ever, party, watched};
use crate::shm::object::crash;
use crate::shm::object::ground::header;
use crate::shm::object::patience::Patience;
use crate::shm::object::semaphore::{BYTES, Semaphore};

const PERMITS_MAX: u32 = i32::MAX as u32;

fn plain(pages: &Pages, permits: u32) -> Semaphore {
    Semaphore::open(pages.ground(), permits, false)
}

fn bounded(pages: &Pages, permits: u32) -> Semaphore {
    Semaphore::open(pages.ground(), permits, true)
}

#[test]
fn permits_are_taken_and_given_back() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (plain(&pages, 2), plain(&pages, 2));
    assert_eq!(ours.value(), Ok(2));
    ours.acquire(party(1), &Patience::NONE).expect("a permit");
    theirs.acquire(party(1023), &Patience::NONE).expect("a permit");
    assert_eq!(ours.value(), Ok(0));
    assert_eq!(ours.acquire(party(1), &Patience::NONE), Err(Refusal::TimedOut));
    assert_eq!(ours.acquire(party(1), &for_a_moment()), Err(Refusal::TimedOut));
    ours.release(party(1), 1).expect("held");
    assert_eq!(theirs.value(), Ok(1));
    assert_eq!(ours.release(party(1), 0), Err(Refusal::Invalid));
}

#[test]
fn a_plain_semaphore_may_be_released_above_its_start() {
    let pages = Pages::new(BYTES);
    let semaphore = plain(&pages, 0);
    semaphore.release(party(1), 3).expect("plain");
    assert_eq!(semaphore.value(), Ok(3));
    for _ in 0..3 {
        semaphore.acquire(party(2), &Patience::NONE).expect("a permit");
    }
    assert_eq!(semaphore.value(), Ok(0));
    assert_eq!(semaphore.release(party(1), PERMITS_MAX), Ok(()));
    assert_eq!(semaphore.value(), Ok(PERMITS_MAX));
    assert_eq!(semaphore.release(party(1), 1), Err(Refusal::TooMany));
    assert_eq!(semaphore.release(party(1), u32::MAX), Err(Refusal::TooMany));
    assert_eq!(semaphore.value(), Ok(PERMITS_MAX));
}

#[test]
fn a_bounded_semaphore_refuses_a_release_too_many_and_changes_nothing() {
    let pages = Pages::new(BYTES);
    let semaphore = bounded(&pages, 3);
    assert_eq!(semaphore.release(party(1), 1), Err(Refusal::TooMany));
    semaphore.acquire(party(1), &for_ever()).expect("a permit");
    semaphore.acquire(party(2), &for_ever()).expect("a permit");
    assert_eq!(semaphore.release(party(1), 3), Err(Refusal::TooMany));
    assert_eq!(semaphore.value(), Ok(1));
    assert_eq!(semaphore.release(party(3), 2), Ok(()));
    assert_eq!(semaphore.value(), Ok(3));
}

#[test]
fn a_release_by_another_moves_the_debt() {
    let pages = Pages::new(BYTES);
    let semaphore = bounded(&pages, 2);
    semaphore.acquire(party(1), &for_ever()).expect("a permit");
    semaphore.acquire(party(2), &for_ever()).expect("a permit");
    semaphore.release(party(3), 1).expect("some are held");
    assert_eq!(semaphore.value(), Ok(1));
    // Whosever debt it was: both deaths together give back the one that is left, and no more.
    semaphore.bury(party(1));
    semaphore.bury(party(2));
    assert_eq!(semaphore.value(), Ok(2));
}

#[test]
fn own_permits_are_given_back_first() {
    let pages = Pages::new(BYTES);
    let semaphore = plain(&pages, 4);
    for number in [1, 2, 2, 3] {
        semaphore.acquire(party(number), &for_ever()).expect("a permit");
    }
    semaphore.release(party(2), 2).expect("held");
    semaphore.bury(party(2));
    assert_eq!(semaphore.value(), Ok(2), "nothing was left to give back");
    semaphore.bury(party(1));
    semaphore.bury(party(3));
    assert_eq!(semaphore.value(), Ok(4));
}

#[test]
fn permits_of_the_dead_and_of_ended_calls_come_back() {
    watched(|| {
        for is_death in [false, true] {
            let pages = Pages::new(BYTES);
            let (ours, theirs) = (bounded(&pages, 1), bounded(&pages, 1));
            let sleepers = Sleepers::default();
            theirs.acquire(party(1), &for_ever()).expect("a permit");
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| ours.acquire(party(2), &Patience::new(None, &sleepers)));
                sleepers.await_total(1);
                if is_death {
                    ours.bury(party(1))
                } else {
                    theirs.end_call(party(1))
                }
                assert_eq!(waiter.join().unwrap(), Ok(()));
            });
            assert_eq!(ours.value(), Ok(0));
            ours.bury(party(1));
            assert_eq!(ours.value(), Ok(0), "once is enough");
        }
    });
}

/// Parties 1 and 2 hold two permits each of seven; party 1 dies in `operation`, and all permits but those of 2 are
/// there or were released on behalf of 2.
fn no_permit_is_lost(least_points: u32, operation: impl Fn(&Semaphore)) {
    let points = crash::at_every_point(|death| {
        let pages = Pages::new(BYTES);
        let (theirs, ours) = (bounded(&pages, 7), bounded(&pages, 7));
        for number in [1, 2, 1, 2] {
            ours.acquire(party(number), &for_ever()).expect("a permit");
        }
        death.strike(|| operation(&theirs));
        ours.bury(party(1));
        let left = ours.value().expect("whole");
        assert!((5..=7).contains(&left), "{left} are left");
        ours.end_call(party(2));
        assert_eq!(ours.value(), Ok(7));
        for _ in 0..7 {
            ours.acquire(party(3), &Patience::NONE).expect("all are there");
        }
        assert_eq!(ours.acquire(party(3), &Patience::NONE), Err(Refusal::TimedOut));
    });
    assert!(points >= least_points, "{points} places");
}

#[test]
fn no_permit_is_lost_in_a_death_during_acquire() {
    no_permit_is_lost(3, |semaphore| semaphore.acquire(party(1), &Patience::NONE).expect("a permit"));
}

#[test]
fn no_permit_is_lost_in_a_death_during_release() {
    no_permit_is_lost(5, |semaphore| semaphore.release(party(1), 4).expect("four are held"));
}

#[test]
fn no_permit_is_lost_when_its_call_ends_and_dies_in_that() {
    no_permit_is_lost(2, |semaphore| semaphore.end_call(party(1)));
}

#[test]
fn a_death_during_a_release_above_the_start_adds_all_or_some() {
    crash::at_every_point(|death| {
        let pages = Pages::new(BYTES);
        let (theirs, ours) = (plain(&pages, 2), plain(&pages, 2));
        ours.acquire(party(2), &for_ever()).expect("a permit");
        let lived = death.strike(|| theirs.release(party(1), 4)).is_some();
        ours.bury(party(1));
        ours.end_call(party(2));
        let value = ours.value().expect("whole");
        assert!(value == 5 || (value == 2 && !lived), "{value}");
    });
}

#[test]
fn a_debt_that_dies_while_it_is_taken_off_is_not_resurrected() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (bounded(&pages, 5), bounded(&pages, 5));
    for _ in 0..3 {
        ours.acquire(party(2), &for_ever()).expect("a permit");
    }
    let released = crash::meanwhile_at(
        "semaphore: debt found, not taken off",
        move || theirs.bury(party(2)),
        || ours.release(party(1), 2),
    );
    assert_eq!((released, ours.value()), (Ok(()), Ok(5)));
}

#[test]
fn a_burying_during_a_release_by_another_resurrects_nothing() {
    // Party 1 dies under the mutex; party 2 is buried by the supervisor meanwhile, which waits for nobody.
    crash::at_every_point(|death| {
        let pages = Pages::new(BYTES);
        let (theirs, ours) = (bounded(&pages, 5), bounded(&pages, 5));
        for _ in 0..4 {
            ours.acquire(party(2), &for_ever()).expect("a permit");
        }
        death.strike(|| theirs.release(party(1), 3).expect("four are held"));
        ours.bury(party(2));
        ours.bury(party(1));
        assert_eq!(ours.value(), Ok(5));
    });
}

#[test]
fn a_semaphore_can_be_looked_at_without_the_right_to_take_permits() {
    let pages = Pages::new(BYTES);
    let looking = Semaphore::open(pages.read_only(), 2, false);
    plain(&pages, 2).acquire(party(1), &for_ever()).expect("a permit");
    assert_eq!(looking.value(), Ok(1));
    assert_eq!(looking.acquire(party(2), &for_ever()), Err(Refusal::ReadOnly));
    assert_eq!(looking.release(party(2), 1), Err(Refusal::ReadOnly));
    looking.end_call(party(1));
    looking.bury(party(1));
    assert_eq!(looking.value(), Ok(1));
}

#[test]
fn garbage_poisons_the_semaphore_and_nothing_else() {
    for (offset, garbage) in [(8, u64::MAX), (header::BYTES + 8, u64::MAX), (header::BYTES + 8, 1 << 30)] {
        let pages = Pages::new(BYTES);
        let semaphore = plain(&pages, 1);
        pages.ground().word32(20).store(u32::MAX, Ordering::Relaxed);
        pages.ground().word64(offset).store(garbage, Ordering::Relaxed);
        assert_eq!(semaphore.acquire(party(1), &for_ever()), Err(Refusal::Poisoned));
        assert_eq!(semaphore.value(), Err(Refusal::Poisoned));
    }
}

#[test]
fn there_are_never_more_holders_than_permits() {
    const PERMITS: u32 = 2;
    watched(|| {
        let pages = Pages::new(BYTES);
        let holders = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for number in 1..=4 {
                let (pages, holders) = (&pages, &holders);
                scope.spawn(move || {
                    let semaphore = bounded(pages, PERMITS);
                    for round in 0..1_000 {
                        semaphore.acquire(party(number), &for_ever()).expect("its turn");
                        assert!(holders.fetch_add(1, Ordering::SeqCst) < i64::from(PERMITS));
                        assert!(semaphore.value().expect("whole") < PERMITS);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        match round % 3 {
                            0 => semaphore.end_call(party(number)),
                            _ => semaphore.release(party(number), 1).expect("held"),
                        }
                    }
                });
            }
        });
        assert_eq!(bounded(&pages, PERMITS).value(), Ok(PERMITS));
    });
}
