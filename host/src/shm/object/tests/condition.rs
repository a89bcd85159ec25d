//! Conditions, as their users know them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::{Pages, Sleepers, Sleepless, for_a_moment, for_ever, party, watched};
use crate::shm::object::condition::{BYTES, Condition};
use crate::shm::object::crash;
use crate::shm::object::ground::header;
use crate::shm::object::lock::Found;
use crate::shm::object::patience::Patience;

fn condition(pages: &Pages) -> Condition {
    Condition::open(pages.ground())
}

/// Holds the lock as `number`.
fn hold(condition: &Condition, number: usize) {
    condition.lock().acquire(party(number), &for_ever()).expect("its turn");
}

fn release(condition: &Condition, number: usize) {
    condition.lock().release(party(number)).expect("held");
}

/// Runs `meanwhile` while parties 1 to `waiters` wait, the lowest the longest; answers what they woke up to, in the
/// order of their waking. Each gives up the lock when it wakes.
fn while_waiting(waiters: usize, meanwhile: impl FnOnce(&Condition)) -> Vec<(usize, Result<Found, Refusal>)> {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (condition(&pages), condition(&pages));
    let woken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 1..=waiters {
            let sleepers = &*Box::leak(Box::<Sleepers>::default());
            let (theirs, woken) = (&theirs, &woken);
            scope.spawn(move || {
                hold(theirs, number);
                let ended = theirs.wait(party(number), &Patience::new(None, sleepers));
                woken.lock().unwrap().push((number, ended));
                // One that was buried does not hold it any more.
                let _ = theirs.lock().release(party(number));
            });
            // Its first sleep is the one in its place: nobody was told of the wait for the lock.
            sleepers.await_total(1);
        }
        meanwhile(&ours);
    });
    woken.into_inner().unwrap()
}

#[test]
fn waiting_and_notifying_need_the_lock() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    assert_eq!(condition.wait(party(1), &for_ever()), Err(Refusal::NotHeld));
    assert_eq!(condition.notify(party(1), 1), Err(Refusal::NotHeld));
    hold(&condition, 2);
    assert_eq!(condition.wait(party(1), &for_ever()), Err(Refusal::NotHeld));
    assert_eq!(condition.notify(party(1), 1), Err(Refusal::NotHeld));
    assert_eq!(condition.notify(party(2), u32::MAX), Ok(0), "nobody waits");
}

#[test]
fn a_wait_that_is_not_notified_holds_the_lock_again_as_often_as_before() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    for _ in 0..3 {
        hold(&condition, 1);
    }
    for impatient in [Patience::NONE, for_a_moment(), Patience::new(None, &Sleepless)] {
        let ended = condition.wait(party(1), &impatient);
        assert!(matches!(ended, Err(Refusal::TimedOut | Refusal::Starved)), "{ended:?}");
        assert_eq!(condition.lock().depth(party(1)), 3);
    }
    assert_eq!(condition.notify(party(1), 5), Ok(0), "nobody waits any more");
}

#[test]
fn those_who_have_waited_longest_are_woken_first() {
    let woken = watched(|| {
        while_waiting(4, |condition| {
            for waiters in [1, 2, u32::MAX] {
                hold(condition, 9);
                let notified = condition.notify(party(9), waiters).expect("held");
                assert_eq!(notified, waiters.min(if waiters == u32::MAX { 1 } else { waiters }));
                release(condition, 9);
            }
        })
    });
    assert_eq!(woken.len(), 4);
    assert!(woken.iter().all(|(_, ended)| *ended == Ok(Found::Released)), "{woken:?}");
}

#[test]
fn one_notification_wakes_the_one_who_waited_longest() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    for number in [2, 3, 1] {
        wait_and_die(&condition, number);
    }
    hold(&condition, 9);
    assert_eq!(condition.notify(party(9), 1), Ok(1));
    assert_eq!(places(&condition), [WAITING, NOTIFIED, WAITING]);
    assert_eq!(condition.notify(party(9), u32::MAX), Ok(2));
    assert_eq!(places(&condition), [NOTIFIED; 3]);
}

const NOBODY: u64 = 0;
const WAITING: u64 = 1;
const NOTIFIED: u64 = 2;

/// What parties 1 to 3 are doing.
fn places(condition: &Condition) -> [u64; 3] {
    [1, 2, 3].map(|number| condition.ground().word64(header::BYTES + 8 * number).load(Ordering::Relaxed) & 3)
}

/// Leaves party `number` in the middle of a wait, from which it will not wake up.
fn wait_and_die(condition: &Condition, number: usize) {
    hold(condition, number);
    crash::die_at("condition: waiting, lock released", || condition.wait(party(number), &for_ever()));
}

#[test]
fn a_notified_waiter_that_dies_before_it_runs_hands_the_notification_on() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    for number in 1..=3 {
        wait_and_die(&condition, number);
    }
    hold(&condition, 9);
    assert_eq!(condition.notify(party(9), 1), Ok(1));
    assert_eq!(places(&condition), [NOTIFIED, WAITING, WAITING]);
    condition.bury(party(1));
    assert_eq!(places(&condition), [NOBODY, NOTIFIED, WAITING]);
    // Who dies while it hands the notification on has it handed on once more, at worst.
    crash::die_at("condition: handed on, place not cleared", || condition.end_call(party(2)));
    assert_eq!(places(&condition), [NOBODY, NOTIFIED, NOTIFIED]);
    condition.bury(party(2));
    condition.bury(party(3));
    assert_eq!(places(&condition), [NOBODY; 3]);
}

#[test]
fn a_waiter_that_dies_without_a_notification_hands_nothing_on() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    for number in 1..=2 {
        wait_and_die(&condition, number);
    }
    condition.bury(party(1));
    assert_eq!(places(&condition), [NOBODY, WAITING, NOBODY]);
}

#[test]
fn a_dead_waiter_is_not_in_the_way() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    let points = crash::at_every_point(|death| {
        hold(&condition, 1);
        death.strike(|| condition.wait(party(1), &Patience::NONE));
        condition.bury(party(1));
        let found = condition.lock().acquire(party(2), &Patience::NONE).expect("free after the burying");
        assert!(matches!(found, Found::Released | Found::Abandoned));
        assert_eq!(condition.notify(party(2), u32::MAX), Ok(0));
        release(&condition, 2);
    });
    assert!(points >= 6, "{points} places");
}

/// Party 1 waits and is notified, but dies at a place after it went to wait; then party 2, who waits too, is notified.
#[test]
fn a_notification_survives_a_death_anywhere_on_the_way_back() {
    watched(|| {
        let points = crash::at_every_point(|death| {
            let pages = Pages::new(BYTES);
            let (ours, theirs) = (condition(&pages), condition(&pages));
            let sleepers = Sleepers::default();
            std::thread::scope(|scope| {
                hold(&theirs, 1);
                // Notified at the instant at which it looks: the notice is told of the first sleep.
                let notifier = Notifier(&ours);
                let lived = death.strike(|| theirs.wait(party(1), &Patience::new(None, &notifier))).is_some();
                if lived {
                    release(&theirs, 1);
                    return;
                }
                let was_notified = places(&ours)[0] == NOTIFIED;
                let waiter = scope.spawn(|| {
                    // It finds the lock held by the dead until the burying, and so do others.
                    ours.lock()
                        .acquire(party(2), &Patience::new(None, &Sleepers::default()))
                        .expect("its turn");
                    let ended = ours.wait(party(2), &Patience::new(None, &sleepers));
                    release(&ours, 2);
                    ended
                });
                if ours.lock().depth(party(1)) > 0 {
                    // Nobody can wait before the lock is free; then there is nobody to hand it on to, which is as if
                    // the notification had come too early.
                    ours.bury(party(1));
                    sleepers.await_total(1);
                    hold(&ours, 9);
                    ours.notify(party(9), 1).expect("held");
                    release(&ours, 9);
                } else {
                    sleepers.await_total(1);
                    ours.bury(party(1));
                    if !was_notified {
                        hold(&ours, 9);
                        assert_eq!(ours.notify(party(9), 1), Ok(1));
                        release(&ours, 9);
                    }
                }
                let ended = waiter.join().unwrap();
                assert!(ended.is_ok(), "{ended:?}");
            });
        });
        assert!(points >= 6, "{points} places");
    });
}

/// Notifies one waiter when somebody goes to sleep.
struct Notifier<'a>(&'a Condition);

impl crate::shm::object::patience::Notice for Notifier<'_> {
    fn sleeps(&self) -> Result<(), Refusal> {
        // The played death strikes the waiter, not the one who notifies: a thread of its own.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                hold(self.0, 8);
                self.0.notify(party(8), 1).expect("held");
                release(self.0, 8);
            });
        });
        Ok(())
    }

    fn wakes(&self) {}
}

#[test]
fn who_was_notified_when_its_time_was_over_counts_as_notified() {
    struct Late<'a>(Notifier<'a>);
    impl crate::shm::object::patience::Notice for Late<'_> {
        fn sleeps(&self) -> Result<(), Refusal> {
            self.0.sleeps()?;
            // The wait ends because of this, and not because of the notification.
            Err(Refusal::TimedOut)
        }
        fn wakes(&self) {}
    }
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (condition(&pages), condition(&pages));
    hold(&ours, 1);
    assert_eq!(ours.wait(party(1), &Patience::new(None, &Late(Notifier(&theirs)))), Ok(Found::Released));
    assert_eq!(ours.lock().depth(party(1)), 1);
}

#[test]
fn a_notifier_that_dies_half_way_has_notified_some_and_hangs_nobody() {
    watched(|| {
        let points = crash::at_every_point(|death| {
            let woken = while_waiting(3, |condition| {
                hold(condition, 9);
                death.strike(|| condition.notify(party(9), 2));
                condition.bury(party(9));
                hold(condition, 8);
                condition.notify(party(8), u32::MAX).expect("held");
                release(condition, 8);
            });
            assert_eq!(woken.len(), 3);
            assert!(woken.iter().all(|(_, ended)| ended.is_ok()), "{woken:?}");
        });
        assert_eq!(points, 2);
    });
}

#[test]
fn a_waiter_is_told_that_the_lock_was_abandoned() {
    let pages = Pages::new(BYTES);
    let (ours, theirs) = (condition(&pages), condition(&pages));
    struct Dies<'a>(&'a Condition);
    impl crate::shm::object::patience::Notice for Dies<'_> {
        fn sleeps(&self) -> Result<(), Refusal> {
            hold(self.0, 7);
            self.0.bury(party(7));
            Err(Refusal::TimedOut)
        }
        fn wakes(&self) {}
    }
    hold(&ours, 1);
    assert_eq!(ours.wait(party(1), &Patience::new(None, &Dies(&theirs))), Ok(Found::Abandoned));
}

#[test]
fn a_call_that_ends_lets_go_of_the_lock() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    hold(&condition, 1);
    hold(&condition, 1);
    condition.end_call(party(1));
    assert_eq!(condition.lock().acquire(party(2), &Patience::NONE), Ok(Found::Abandoned));
}

#[test]
fn a_condition_that_may_only_be_looked_at_is_refused() {
    let pages = Pages::new(BYTES);
    let looking = Condition::open(pages.read_only());
    assert_eq!(looking.wait(party(1), &for_ever()), Err(Refusal::ReadOnly));
    assert_eq!(looking.notify(party(1), 1), Err(Refusal::ReadOnly));
    looking.end_call(party(1));
    looking.bury(party(1));
}

#[test]
fn garbage_in_a_place_poisons_the_condition() {
    let pages = Pages::new(BYTES);
    let condition = condition(&pages);
    struct Scribbler<'a>(&'a Pages);
    impl crate::shm::object::patience::Notice for Scribbler<'_> {
        fn sleeps(&self) -> Result<(), Refusal> {
            self.0.ground().word64(header::BYTES + 8).store(u64::MAX, Ordering::Relaxed);
            Ok(())
        }
        fn wakes(&self) {}
    }
    hold(&condition, 1);
    let notice = Scribbler(&pages);
    let patience = Patience::new(Some(std::time::Duration::from_millis(1)), &notice);
    assert_eq!(condition.wait(party(1), &patience), Err(Refusal::Poisoned));
}

#[test]
fn producers_and_consumers_pass_everything_on() {
    const ITEMS: u32 = 2_000;
    watched(|| {
        let pages = Pages::new(BYTES);
        let queue = Mutex::new(VecDeque::new());
        let taken = std::thread::scope(|scope| {
            for number in 1..=2 {
                let (pages, queue) = (&pages, &queue);
                scope.spawn(move || {
                    let condition = condition(pages);
                    for item in 0..ITEMS {
                        hold(&condition, number);
                        queue.lock().unwrap().push_back(item);
                        condition.notify(party(number), 1).expect("held");
                        release(&condition, number);
                    }
                });
            }
            let consumers = [3, 4].map(|number| {
                let (pages, queue) = (&pages, &queue);
                scope.spawn(move || {
                    let condition = condition(pages);
                    let mut sum = 0;
                    for _ in 0..ITEMS {
                        hold(&condition, number);
                        while queue.lock().unwrap().is_empty() {
                            condition.wait(party(number), &for_ever()).expect("a notification");
                        }
                        sum += u64::from(queue.lock().unwrap().pop_front().expect("an item"));
                        release(&condition, number);
                    }
                    sum
                })
            });
            consumers.map(|consumer| consumer.join().unwrap())
        });
        let all = u64::from(ITEMS) * u64::from(ITEMS - 1);
        assert_eq!(taken.iter().sum::<u64>(), all);
    });
}
