//! Events, as their users know them.

use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, Sleepless, for_a_moment, for_ever, watched};
use crate::shm::object::crash;
use crate::shm::object::event::{BYTES, Event};
use crate::shm::object::patience::Patience;

fn event(pages: &Pages) -> Event {
    Event::open(pages.ground())
}

#[test]
fn an_event_is_set_until_it_is_cleared() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (event(&pages), event(&pages));
    assert_eq!(ours.is_set(), Ok(false));
    assert_eq!(ours.wait(&Patience::NONE), Err(Refusal::TimedOut));
    assert_eq!(ours.wait(&for_a_moment()), Err(Refusal::TimedOut));
    for _ in 0..2 {
        assert_eq!(theirs.set(), Ok(()));
        assert_eq!(ours.is_set(), Ok(true));
        assert_eq!(ours.wait(&Patience::NONE), Ok(()));
    }
    for _ in 0..2 {
        assert_eq!(theirs.clear(), Ok(()));
        assert_eq!(ours.is_set(), Ok(false));
        assert_eq!(ours.wait(&Patience::NONE), Err(Refusal::TimedOut));
    }
}

#[test]
fn who_waited_before_set_and_clear_returns() {
    watched(|| {
        let pages = Pages::new(BYTES);
        let (ours, theirs) = (event(&pages), event(&pages));
        for _ in 0..100 {
            let sleepers = Sleepers::default();
            std::thread::scope(|scope| {
                let waiters = [(); 2].map(|()| scope.spawn(|| theirs.wait(&Patience::new(None, &sleepers))));
                sleepers.await_total(2);
                ours.set().expect("writable");
                ours.clear().expect("writable");
                for waiter in waiters {
                    assert_eq!(waiter.join().unwrap(), Ok(()));
                }
            });
        }
    });
}

#[test]
fn an_event_that_may_only_be_looked_at_can_be_waited_for() {
    watched(|| {
        let pages = Pages::new(BYTES);
        let ours = event(&pages);
        let looking = Event::open(pages.read_only());
        assert_eq!(looking.set(), Err(Refusal::ReadOnly));
        assert_eq!(looking.clear(), Err(Refusal::ReadOnly));
        assert_eq!(looking.is_set(), Ok(false));
        assert_eq!(
            looking.wait(&Patience::new(Some(Duration::from_millis(1)), &Sleepers::default())),
            Err(Refusal::TimedOut)
        );
        let sleepers = Sleepers::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| looking.wait(&Patience::new(None, &sleepers)));
            sleepers.await_total(1);
            ours.set().expect("writable");
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        looking.bury();
    });
}

#[test]
fn a_setter_that_dies_before_it_wakes_is_made_up_for() {
    watched(|| {
        let points = crash::at_every_point(|death| {
            let pages = Pages::new(BYTES);
            let (ours, theirs) = (event(&pages), event(&pages));
            let sleepers = Sleepers::default();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| ours.wait(&Patience::new(None, &sleepers)));
                sleepers.await_total(1);
                death.strike(|| theirs.set());
                ours.bury();
                assert_eq!(waiter.join().unwrap(), Ok(()));
            });
        });
        assert!(points >= 1);
    });
}

#[test]
fn waiters_that_die_hang_nobody() {
    watched(|| {
        let pages = Pages::new(BYTES);
        let (ours, theirs) = (event(&pages), event(&pages));
        // A waiter that went to sleep and was never heard of again: it is announced, but nobody sleeps.
        assert_eq!(theirs.wait(&Patience::new(None, &Sleepless)), Err(Refusal::Starved));
        ours.bury();
        assert_eq!(ours.set(), Ok(()));
        assert_eq!(ours.wait(&for_ever()), Ok(()));
    });
}

#[test]
fn a_spoilt_event_refuses_everything_and_lets_waiters_go() {
    watched(|| {
        let pages = Pages::new(BYTES);
        let ours = event(&pages);
        let sleepers = Sleepers::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| ours.wait(&Patience::new(None, &sleepers)));
            sleepers.await_total(1);
            pages.ground().poison();
            assert_eq!(waiter.join().unwrap(), Err(Refusal::Poisoned));
        });
        assert_eq!(ours.set(), Err(Refusal::Poisoned));
        assert_eq!(ours.is_set(), Err(Refusal::Poisoned));
    });
}
