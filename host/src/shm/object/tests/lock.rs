//! Locks, as their users know them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, Sleepless, for_a_moment, for_ever, party, watched};
use crate::shm::object::crash;
use crate::shm::object::ground::header;
use crate::shm::object::lock::{BYTES, Found, Lock};
use crate::shm::object::patience::Patience;

fn lock(pages: &Pages) -> Lock {
    Lock::open(pages.ground(), false)
}

fn reentrant(pages: &Pages) -> Lock {
    Lock::open(pages.ground(), true)
}

#[test]
fn a_lock_is_held_by_one_and_released_by_anyone() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (lock(&pages), lock(&pages));
    assert_eq!(ours.acquire(party(1), &Patience::NONE), Ok(Found::Released));
    assert!(theirs.is_held());
    assert_eq!((theirs.depth(party(1)), theirs.depth(party(2))), (1, 0));
    assert_eq!(theirs.acquire(party(2), &Patience::NONE), Err(Refusal::TimedOut));
    assert_eq!(theirs.release(party(2)), Ok(()));
    assert_eq!(theirs.release(party(2)), Err(Refusal::NotHeld));
    assert!(!ours.is_held());
}

#[test]
fn waiting_for_a_lock_of_ones_own_ends_with_the_limit_and_is_refused_without_one() {
    let pages = Pages::new(BYTES);
    let lock = lock(&pages);
    lock.acquire(party(1), &for_ever()).expect("free");
    assert_eq!(lock.acquire(party(1), &Patience::NONE), Err(Refusal::TimedOut));
    assert_eq!(lock.acquire(party(1), &for_a_moment()), Err(Refusal::TimedOut));
    assert_eq!(lock.acquire(party(1), &for_ever()), Err(Refusal::WouldDeadlock));
}

#[test]
fn who_waits_for_a_lock_of_its_own_gets_it_when_another_releases_it() {
    watched(|| {
        let pages = Pages::new(BYTES);
        let (ours, theirs) = (lock(&pages), lock(&pages));
        let sleepers = Sleepers::default();
        ours.acquire(party(1), &for_ever()).expect("free");
        let hour = Some(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| ours.acquire(party(1), &Patience::new(hour, &sleepers)));
            sleepers.await_total(1);
            theirs.release(party(2)).expect("held by the other");
            assert_eq!(waiter.join().unwrap(), Ok(Found::Released));
        });
    });
}

#[test]
fn a_reentrant_lock_counts_and_is_released_by_its_holder_only() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (reentrant(&pages), reentrant(&pages));
    for depth in 1..=3 {
        assert_eq!(ours.acquire(party(1), &for_ever()), Ok(Found::Released));
        assert_eq!(theirs.depth(party(1)), depth);
    }
    assert_eq!(theirs.release(party(2)), Err(Refusal::NotHeld));
    for _ in 0..3 {
        assert_eq!(theirs.acquire(party(2), &Patience::NONE), Err(Refusal::TimedOut));
        assert_eq!(ours.release(party(1)), Ok(()));
    }
    assert_eq!(ours.release(party(1)), Err(Refusal::NotHeld));
    assert_eq!(theirs.acquire(party(2), &Patience::NONE), Ok(Found::Released));
    assert_eq!(theirs.depth(party(2)), 1);
}

#[test]
fn all_levels_are_given_back_and_taken_again_at_once() {
    let pages = Pages::new(BYTES);
    let lock = reentrant(&pages);
    assert_eq!(lock.release_all(party(1)), Err(Refusal::NotHeld));
    for _ in 0..4 {
        lock.acquire(party(1), &for_ever()).expect("free or held");
    }
    assert_eq!(lock.release_all(party(1)), Ok(4));
    assert!(!lock.is_held());
    assert_eq!(lock.restore(party(1), 4, &for_ever()), Ok(Found::Released));
    assert_eq!(lock.depth(party(1)), 4);
}

#[test]
fn a_dead_holder_hands_the_lock_on() {
    watched(|| {
        for is_reentrant in [false, true] {
            let pages = Pages::new(BYTES);
            let (ours, theirs) = (pages.ground(), pages.ground());
            let (ours, theirs) = (Lock::open(ours, is_reentrant), Lock::open(theirs, is_reentrant));
            let sleepers = Sleepers::default();
            ours.acquire(party(1), &for_ever()).expect("free");
            if is_reentrant {
                ours.acquire(party(1), &for_ever()).expect("held");
            }
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| theirs.acquire(party(2), &Patience::new(None, &sleepers)));
                sleepers.await_total(1);
                ours.bury(party(1));
                assert_eq!(waiter.join().unwrap(), Ok(Found::Abandoned));
            });
            assert_eq!(theirs.depth(party(2)), 1);
            theirs.release(party(2)).expect("held");
            assert_eq!(theirs.acquire(party(3), &for_ever()), Ok(Found::Released), "told once");
        }
    });
}

#[test]
fn a_call_that_ends_while_holding_abandons_the_lock() {
    let pages = Pages::new(BYTES);
    let lock = reentrant(&pages);
    lock.acquire(party(1), &for_ever()).expect("free");
    lock.end_call(party(2));
    assert!(lock.is_held());
    lock.end_call(party(1));
    assert!(!lock.is_held());
    assert_eq!(lock.acquire(party(1), &Patience::NONE), Ok(Found::Abandoned));
}

#[test]
fn a_lock_survives_deaths_at_every_place() {
    for is_reentrant in [false, true] {
        let points = crash::at_every_point(|death| {
            let pages = Pages::new(BYTES);
            let (theirs, ours) =
                (Lock::open(pages.ground(), is_reentrant), Lock::open(pages.ground(), is_reentrant));
            let lived = death.strike(|| {
                theirs.acquire(party(1), &for_ever()).expect("free");
                theirs.release(party(1)).expect("held");
            });
            let was_held = ours.is_held();
            ours.bury(party(1));
            assert!(!ours.is_held());
            let found = ours.acquire(party(2), &Patience::NONE);
            assert_eq!(found, Ok(if was_held { Found::Abandoned } else { Found::Released }));
            assert_eq!((was_held && lived.is_some(), ours.depth(party(2))), (false, 1));
            ours.release(party(2)).expect("held");
        });
        assert!(points >= 2, "{points} places");
    }
}

#[test]
fn a_death_between_release_and_wake_up_is_made_up_for() {
    watched(|| {
        crash::at_every_point(|death| {
            let pages = Pages::new(BYTES);
            let (theirs, ours) = (lock(&pages), lock(&pages));
            let sleepers = Sleepers::default();
            theirs.acquire(party(1), &for_ever()).expect("free");
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| ours.acquire(party(2), &Patience::new(None, &sleepers)));
                sleepers.await_total(1);
                death.strike(|| theirs.release(party(1)));
                ours.bury(party(1));
                assert_eq!(waiter.join().unwrap(), Ok(Found::Released));
            });
        });
    });
}

#[test]
fn a_lock_can_be_looked_at_without_the_right_to_take_it() {
    let pages = Pages::new(BYTES);
    let (ours, looking) = (lock(&pages), Lock::open(pages.read_only(), false));
    ours.acquire(party(1), &for_ever()).expect("free");
    assert!(looking.is_held());
    assert_eq!(looking.depth(party(1)), 1);
    assert_eq!(looking.acquire(party(2), &for_ever()), Err(Refusal::ReadOnly));
    assert_eq!(looking.release(party(2)), Err(Refusal::ReadOnly));
    looking.end_call(party(2));
    looking.bury(party(2));
    assert!(ours.is_held());
}

#[test]
fn a_wait_that_may_not_sleep_is_refused() {
    let pages = Pages::new(BYTES);
    let lock = lock(&pages);
    lock.acquire(party(1), &for_ever()).expect("free");
    assert_eq!(lock.acquire(party(2), &Patience::new(None, &Sleepless)), Err(Refusal::Starved));
}

#[test]
fn garbage_poisons_the_lock_and_hangs_nobody() {
    let pages = Pages::new(BYTES);
    let lock = reentrant(&pages);
    pages.ground().word32(header::LOCK).store(0xffff, Ordering::Relaxed);
    assert!(!lock.is_held());
    assert_eq!(lock.acquire(party(1), &for_ever()), Err(Refusal::Poisoned));

    let pages = Pages::new(BYTES);
    let lock = reentrant(&pages);
    lock.acquire(party(1), &for_ever()).expect("free");
    pages.ground().word32(header::DEPTH).store(u32::MAX, Ordering::Relaxed);
    assert_eq!(lock.acquire(party(1), &for_ever()), Err(Refusal::TooMany));
    pages.ground().word32(header::DEPTH).store(0, Ordering::Relaxed);
    assert_eq!(lock.release(party(1)), Err(Refusal::Poisoned));
    assert_eq!(lock.acquire(party(2), &for_ever()), Err(Refusal::Poisoned));
}

#[test]
fn a_counter_under_a_lock_counts() {
    const ROUNDS: u64 = 2_000;
    watched(|| {
        for is_reentrant in [false, true] {
            let pages = Arc::new(Pages::new(BYTES));
            let counter = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for number in 1..=4 {
                    let (pages, counter) = (&pages, &counter);
                    scope.spawn(move || {
                        let lock = Lock::open(pages.ground(), is_reentrant);
                        for _ in 0..ROUNDS {
                            lock.acquire(party(number), &for_ever()).expect("its turn");
                            // Two steps, so that an intruder would be noticed.
                            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                            lock.release(party(number)).expect("held");
                        }
                    });
                }
            });
            assert_eq!(counter.into_inner(), 4 * ROUNDS);
        }
    });
}
