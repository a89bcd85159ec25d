//! Locks: one holder at a time, and no death, no impatience and no stranger comes between a release and its sleeper.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::super::object::Party;
use super::super::object::ground::Ground;
use super::super::object::lock::{Found, Lock};
use super::super::object::patience::Patience;
use super::super::{check, check_deaths, ground, party};

/// A lock, and a number that it guards.
struct Guarded {
    ground: Ground,
    is_reentrant: bool,
    number: AtomicU32,
}

impl Guarded {
    fn new(is_reentrant: bool) -> Arc<Self> {
        Arc::new(Self { ground: ground(), is_reentrant, number: AtomicU32::new(0) })
    }

    /// The lock, as each process opens it.
    fn lock(&self) -> Lock {
        Lock::open(self.ground.clone(), self.is_reentrant)
    }

    /// Adds one in two steps, between which nobody else may be; answers how the lock was found.
    fn add(&self, by: Party, patience: &Patience<'_>) -> Option<Found> {
        let lock = self.lock();
        match lock.acquire(by, patience) {
            Ok(found) => {
                assert_eq!(lock.depth(by), 1);
                self.add_held();
                lock.release(by).expect("held");
                Some(found)
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TimedOut);
                None
            }
        }
    }

    fn add_held(&self) {
        self.number.store(self.number() + 1, Ordering::Relaxed);
    }

    fn number(&self) -> u32 {
        self.number.load(Ordering::Relaxed)
    }
}

#[test]
fn holders_of_a_lock_exclude_each_other_and_wake_the_next() {
    for is_reentrant in [false, true] {
        check(3, move || {
            let guarded = Guarded::new(is_reentrant);
            let others = [2, 3].map(|number| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || guarded.add(party(number), &Patience::endless()).expect("its turn"))
            });
            guarded.add(party(1), &Patience::endless()).expect("its turn");
            for other in others {
                other.join().expect("it ends");
            }
            assert_eq!(guarded.number(), 3);
        });
    }
}

#[test]
fn who_gives_up_waiting_for_a_lock_takes_no_wake_up_along() {
    check(3, || {
        let guarded = Guarded::new(false);
        let [patient, impatient] = [(2, true), (3, false)].map(|(number, is_patient)| {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || {
                let patience = if is_patient { Patience::endless() } else { Patience::short() };
                guarded.add(party(number), &patience).is_some()
            })
        });
        for _ in 0..2 {
            guarded.add(party(1), &Patience::endless()).expect("its turn");
        }
        assert!(patient.join().expect("it ends"));
        let added = 3 + u32::from(impatient.join().expect("it ends"));
        assert_eq!(guarded.number(), added);
    });
}

#[test]
fn a_buried_holder_passes_the_lock_on_and_one_is_told() {
    for is_reentrant in [false, true] {
        check(3, move || {
            let guarded = Guarded::new(is_reentrant);
            let lock = guarded.lock();
            // Its depth goes down with it.
            for _ in 0..=u32::from(is_reentrant) {
                lock.acquire(party(1), &Patience::endless()).expect("free, or its own");
            }
            let others = [2, 3].map(|number| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || guarded.add(party(number), &Patience::endless()).expect("its turn"))
            });
            guarded.add_held();
            lock.bury(party(1));
            let mut found = others.map(|other| other.join().expect("it ends"));
            found.sort_by_key(|found| *found == Found::Released);
            assert_eq!(found, [Found::Abandoned, Found::Released]);
            assert_eq!(guarded.number(), 3);
        });
    }
}

#[test]
fn nobody_gets_in_before_the_last_release_of_a_lock_that_is_held_twice() {
    check(3, || {
        let guarded = Guarded::new(true);
        let other = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(2), &Patience::endless()).expect("its turn"))
        };
        let lock = guarded.lock();
        for depth in 1..=2 {
            lock.acquire(party(1), &Patience::endless()).expect("its turn");
            assert_eq!(lock.depth(party(1)), depth);
        }
        lock.release(party(1)).expect("held twice");
        guarded.add_held();
        assert_eq!(lock.depth(party(1)), 1);
        lock.release(party(1)).expect("held once");
        assert_eq!(lock.release(party(1)), Err(Refusal::NotHeld));
        other.join().expect("it ends");
        assert_eq!(guarded.number(), 2);
    });
}

#[test]
fn a_stranger_cannot_release_a_lock_that_its_holder_may_take_again() {
    check(4, || {
        let guarded = Guarded::new(true);
        let other = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(2), &Patience::endless()).expect("its turn"))
        };
        assert_eq!(guarded.lock().release(party(1)), Err(Refusal::NotHeld));
        assert_eq!(guarded.lock().release(party(1)), Err(Refusal::NotHeld));
        guarded.add(party(1), &Patience::endless()).expect("its turn");
        other.join().expect("it ends");
        assert_eq!(guarded.number(), 2);
    });
}

#[test]
fn a_dead_waiter_takes_no_wake_up_along_and_leaves_no_depth() {
    check_deaths(4, 3, |death| {
        let guarded = Guarded::new(true);
        let lock = guarded.lock();
        lock.acquire(party(1), &Patience::endless()).expect("free");
        lock.acquire(party(1), &Patience::endless()).expect("its own");
        let dying = {
            let (guarded, death) = (Arc::clone(&guarded), death.clone());
            thread::spawn(move || {
                let (lock, patience) = (guarded.lock(), Patience::endless());
                let lived = death.strike(|| {
                    lock.acquire(party(2), &patience).expect("its turn");
                    lock.release(party(2)).expect("held");
                });
                lock.bury(party(2));
                lived.is_some()
            })
        };
        let waiting = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || {
                let lock = guarded.lock();
                let found = lock.acquire(party(3), &Patience::endless()).expect("its turn");
                assert_eq!(lock.depth(party(3)), 1);
                lock.release(party(3)).expect("held once");
                assert_eq!(lock.depth(party(3)), 0);
                found
            })
        };
        (0..2).for_each(|_| lock.release(party(1)).expect("held"));
        let lived = dying.join().expect("it ends");
        let told = waiting.join().expect("it ends") == Found::Abandoned;
        assert!(!(lived && told), "nobody died, and yet somebody is told");
    });
}
