//! Conditions: a notification reaches one who waits and lives.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::super::object::condition::Condition;
use super::super::object::ground::Ground;
use super::super::object::patience::Patience;
use super::super::object::{Outcome, Party};
use super::super::{check, check_deaths, ground, party};

/// A condition, and tokens that its lock guards.
#[derive(Clone)]
struct Tokens {
    ground: Ground,
    there: Arc<AtomicU32>,
}

impl Tokens {
    fn new() -> Self {
        Self { ground: ground(), there: Arc::new(AtomicU32::new(0)) }
    }

    /// The condition, as each process opens it.
    fn condition(&self) -> Condition {
        Condition::open(self.ground.clone())
    }

    fn there(&self) -> u32 {
        self.there.load(Ordering::Relaxed)
    }

    /// Adds tokens and notifies as many; says how many were notified.
    fn add(&self, by: Party, tokens: u32) -> u32 {
        let condition = self.condition();
        condition.lock().acquire(by, &Patience::endless()).expect("its turn");
        self.there.store(self.there() + tokens, Ordering::Relaxed);
        let notified = condition.notify(by, tokens).expect("held");
        condition.lock().release(by).expect("held");
        notified
    }

    /// Waits until there is a token, and takes it.
    fn take(&self, by: Party) {
        let condition = self.condition();
        condition.lock().acquire(by, &Patience::endless()).expect("its turn");
        while self.there() == 0 {
            condition.wait(by, &Patience::endless()).expect("notified in the end");
        }
        self.take_held();
        condition.lock().release(by).expect("held");
    }

    fn take_held(&self) {
        self.there.store(self.there().checked_sub(1).expect("a token"), Ordering::Relaxed);
    }

    /// Takes a token if there is one, else waits for one notification, as long as said.
    fn take_or_wait_once(&self, by: Party, patience: &Patience<'_>) -> Outcome<()> {
        let condition = self.condition();
        condition.lock().acquire(by, &Patience::endless()).expect("its turn");
        let waited = if self.there() == 0 { condition.wait(by, patience).map(|_| ()) } else { Ok(()) };
        if waited.is_ok() && self.there() > 0 {
            self.take_held();
        }
        condition.lock().release(by).expect("held, also when the time was over");
        waited
    }
}

#[test]
fn a_notification_between_release_and_sleep_is_not_lost() {
    check(3, || {
        let tokens = Tokens::new();
        let taker = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take(party(2)))
        };
        tokens.add(party(1), 1);
        taker.join().expect("it ends");
        assert_eq!(tokens.there(), 0);
    });
}

#[test]
fn all_who_are_notified_wake_up() {
    check(2, || {
        let tokens = Tokens::new();
        let takers = [2, 3].map(|number| {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take(party(number)))
        });
        tokens.add(party(1), 2);
        for taker in takers {
            taker.join().expect("it ends");
        }
        assert_eq!(tokens.there(), 0);
    });
}

#[test]
fn who_stops_waiting_takes_no_notification_along() {
    check(2, || {
        let tokens = Tokens::new();
        let impatient = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take_or_wait_once(party(2), &Patience::short()))
        };
        let patient = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take(party(3)))
        };
        tokens.add(party(1), 1);
        match impatient.join().expect("it ends") {
            // It had its turn; another token for the other one.
            Ok(()) => drop(tokens.add(party(1), 1)),
            Err(refusal) => assert_eq!(refusal, Refusal::TimedOut),
        }
        patient.join().expect("it ends");
    });
}

#[test]
fn as_many_wake_up_in_time_as_were_notified() {
    check(2, || {
        let ground = ground();
        let waiters = [2, 3].map(|number| {
            let condition = Condition::open(ground.clone());
            thread::spawn(move || {
                condition.lock().acquire(party(number), &Patience::endless()).expect("its turn");
                let waited = condition.wait(party(number), &Patience::short());
                condition.lock().release(party(number)).expect("held");
                u32::from(waited.is_ok())
            })
        });
        let condition = Condition::open(ground);
        condition.lock().acquire(party(1), &Patience::endless()).expect("its turn");
        let notified = condition.notify(party(1), 2).expect("held");
        condition.lock().release(party(1)).expect("held");
        let woken: u32 = waiters.map(|waiter| waiter.join().expect("it ends")).iter().sum();
        assert_eq!(woken, notified);
    });
}

#[test]
fn a_notification_of_one_who_dies_reaches_another_who_waits() {
    check_deaths(8, 1, |death| {
        let tokens = Tokens::new();
        let (condition, patience) = (tokens.condition(), Patience::endless());
        // Who is going to die has waited longest.
        condition.lock().acquire(party(2), &patience).expect("free");
        let living = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take(party(3)))
        };
        let notifier = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.add(party(1), 1))
        };
        let waited = death.strike(|| condition.wait(party(2), &patience).expect("notified in the end"));
        if waited.is_some() {
            // It leaves the token to the other one.
            condition.notify(party(2), 1).expect("held");
            condition.lock().release(party(2)).expect("held");
        } else {
            condition.bury(party(2));
        }
        notifier.join().expect("it ends");
        living.join().expect("it ends");
        assert_eq!(tokens.there(), 0);
    });
}
