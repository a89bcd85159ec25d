//! The mutex and the ground that it guards; the model checks what these cannot.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, for_a_moment, for_ever, party, watched};
use crate::shm::object::crash::{self, crash_point};
use crate::shm::object::ground::{Ground, PAGE_BYTES, header};
use crate::shm::object::mutex::{Found, Mutex};
use crate::shm::object::patience::Patience;

#[test]
fn a_holder_that_wants_it_again_is_refused_at_once() {
    let word = AtomicU32::new(0);
    let mutex = Mutex::new(&word);
    assert_eq!(mutex.lock(party(1), &for_ever()), Ok(Found::Released));
    assert_eq!(mutex.holder(), Some(party(1)));
    for patience in [for_ever(), for_a_moment()] {
        assert_eq!(mutex.lock(party(1), &patience), Err(Refusal::WouldDeadlock));
    }
    assert_eq!(mutex.lock(party(1), &Patience::NONE), Err(Refusal::TimedOut));
    assert_eq!(mutex.unlock(party(2)), Err(Refusal::NotHeld));
    assert_eq!(mutex.unlock(party(1)), Ok(()));
    assert_eq!(mutex.unlock_for_anyone(), Err(Refusal::NotHeld));
}

#[test]
fn who_gives_up_is_not_counted_on() {
    let word = AtomicU32::new(0);
    let mutex = Mutex::new(&word);
    mutex.lock(party(1), &for_ever()).expect("free");
    assert_eq!(mutex.lock(party(2), &for_a_moment()), Err(Refusal::TimedOut));
    mutex.unlock(party(1)).expect("held");
    assert_eq!(mutex.lock(party(3), &Patience::NONE), Ok(Found::Released));
}

#[test]
fn only_the_holder_abandons_it_and_one_is_told() {
    let word = AtomicU32::new(0);
    let mutex = Mutex::new(&word);
    mutex.lock(party(1), &for_ever()).expect("free");
    assert!(!mutex.abandon(party(2)));
    assert!(mutex.abandon(party(1)));
    assert!(!mutex.abandon(party(1)));
    assert_eq!(mutex.unlock(party(1)), Err(Refusal::NotHeld));
    assert_eq!(mutex.lock(party(2), &Patience::NONE), Ok(Found::Abandoned));
    mutex.unlock(party(2)).expect("held");
    assert_eq!(mutex.lock(party(3), &Patience::NONE), Ok(Found::Released));
}

#[test]
fn a_holder_that_cannot_be_is_garbage() {
    for garbage in [1024, 0xffff, u32::MAX] {
        let word = AtomicU32::new(garbage);
        assert_eq!(Mutex::new(&word).lock(party(1), &for_ever()), Err(Refusal::Poisoned));
        let pages = Pages::new(PAGE_BYTES);
        pages.ground().word32(header::MUTEX).store(garbage, Ordering::Relaxed);
        assert_eq!(pages.ground().enter(party(1), || Ok(())).err(), Some(Refusal::Poisoned));
        assert_eq!(pages.ground().check(), Err(Refusal::Poisoned));
    }
}

#[test]
fn a_sleeper_is_woken_by_a_release_in_another_mapping() {
    watched(|| {
        let pages = Pages::new(PAGE_BYTES);
        let (ours, theirs) = (pages.ground(), pages.ground());
        let mutex = Mutex::new(ours.word32(header::MUTEX));
        mutex.lock(party(1), &for_ever()).expect("free");
        let sleepers = Sleepers::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                Mutex::new(theirs.word32(header::MUTEX)).lock(party(2), &Patience::new(None, &sleepers))
            });
            sleepers.await_total(1);
            mutex.unlock(party(1)).expect("held");
            assert_eq!(waiter.join().unwrap(), Ok(Found::Released));
        });
    });
}

/// Words 192 and 196 shall be equal; the mutex guards that.
fn change(ground: &Ground, number: usize, repairs: &Cell<u32>) -> Result<(), Refusal> {
    let words = [192, 196].map(|offset| ground.word32(offset));
    let repair = || {
        repairs.set(repairs.get() + 1);
        words[1].store(words[0].load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    };
    let _entered = ground.enter(party(number), repair)?;
    let [first, second] = words.map(|word| word.load(Ordering::Relaxed));
    assert_eq!(first, second);
    words[0].store(first + 1, Ordering::Relaxed);
    crash_point!("test: half a change");
    words[1].store(second + 1, Ordering::Relaxed);
    Ok(())
}

#[test]
fn the_next_holder_repairs_what_a_dead_one_left() {
    let points = crash::at_every_point(|death| {
        let pages = Pages::new(PAGE_BYTES);
        let (ours, theirs) = (pages.ground(), pages.ground());
        let repairs = Cell::new(0);
        let lived = death.strike(|| change(&theirs, 1, &repairs)).is_some();
        ours.bury(party(1));
        let died_inside = Mutex::new(ours.word32(header::MUTEX)).holder().is_none()
            && ours.word32(header::MUTEX).load(Ordering::Relaxed) != 0;
        change(&ours, 2, &repairs).expect("repaired");
        assert_eq!(repairs.get(), u32::from(died_inside));
        assert!(!(lived && died_inside));
        change(&ours, 3, &repairs).expect("whole");
        assert_eq!(repairs.get(), u32::from(died_inside), "once");
    });
    assert_eq!(points, 3);
}

#[test]
fn a_panic_inside_is_repaired_like_a_death() {
    let pages = Pages::new(PAGE_BYTES);
    let ground = pages.ground();
    let repairs = Cell::new(0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _entered = ground.enter(party(1), || Ok(())).expect("free");
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panicked.is_err());
    change(&ground, 2, &repairs).expect("repaired");
    assert_eq!(repairs.get(), 1);
}

#[test]
fn what_cannot_be_repaired_is_poisoned() {
    let pages = Pages::new(PAGE_BYTES);
    let ground = pages.ground();
    std::mem::forget(ground.enter(party(1), || Ok(())).expect("free"));
    ground.bury(party(1));
    assert_eq!(ground.enter(party(2), || Err(Refusal::Poisoned)).err(), Some(Refusal::Poisoned));
    assert_eq!(ground.enter(party(2), || Ok(())).err(), Some(Refusal::Poisoned));
}
