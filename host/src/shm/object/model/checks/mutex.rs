//! Mutexes: one holder at a time, and nobody sleeps on when it is free.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use super::super::object::mutex::{Found, Mutex};
use super::super::object::patience::Patience;
use super::super::object::{Outcome, Party};
use super::super::{check, party};

/// A mutex, and a number that it guards.
#[derive(Default)]
struct Guarded {
    mutex: AtomicU32,
    number: AtomicU32,
}

impl Guarded {
    /// Adds one in two steps, between which nobody else may be; answers how the mutex was found.
    fn add(&self, by: Party, patience: &Patience<'_>) -> Outcome<Found> {
        let mutex = Mutex::new(&self.mutex);
        let found = mutex.lock(by, patience)?;
        self.number.store(self.number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        mutex.unlock(by)?;
        Ok(found)
    }
}

#[test]
fn holders_of_a_mutex_exclude_each_other_and_wake_the_next() {
    check(3, || {
        let guarded = Arc::new(Guarded::default());
        let others = [2, 3].map(|number| {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(number), &Patience::endless()).expect("its turn"))
        });
        guarded.add(party(1), &Patience::endless()).expect("its turn");
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(guarded.number.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn who_gives_up_waiting_for_a_mutex_takes_no_wake_up_along() {
    check(3, || {
        let guarded = Arc::new(Guarded::default());
        let patient = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(2), &Patience::endless()).expect("its turn"))
        };
        let impatient = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(3), &Patience::short()).is_ok())
        };
        guarded.add(party(1), &Patience::endless()).expect("its turn");
        guarded.add(party(1), &Patience::endless()).expect("its turn");
        patient.join().expect("it ends");
        let added = 3 + u32::from(impatient.join().expect("it ends"));
        assert_eq!(guarded.number.load(Ordering::Relaxed), added);
    });
}

#[test]
fn an_abandoned_mutex_wakes_all_who_wait_and_tells_one() {
    check(3, || {
        let guarded = Arc::new(Guarded::default());
        Mutex::new(&guarded.mutex).lock(party(1), &Patience::endless()).expect("free");
        let others = [2, 3].map(|number| {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.add(party(number), &Patience::endless()).expect("its turn"))
        });
        guarded.number.store(5, Ordering::Relaxed);
        assert!(Mutex::new(&guarded.mutex).abandon(party(1)));
        let mut found = others.map(|other| other.join().expect("it ends"));
        found.sort_by_key(|found| *found == Found::Released);
        assert_eq!(found, [Found::Abandoned, Found::Released]);
        assert_eq!(guarded.number.load(Ordering::Relaxed), 7);
    });
}
