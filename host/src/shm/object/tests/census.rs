//! What a mutex makes of what is known about its holder.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicU32;

use wasmpool_abi::shared::Refusal;

use super::{for_a_moment, party};
use crate::shm::object::Party;
use crate::shm::object::census::{Census, Held, Stamp};
use crate::shm::object::mutex::{Found, Mutex};
use crate::shm::object::patience::Patience;

/// Answers these, one after the other, and the last one ever after.
#[derive(Debug)]
struct Answers(StdMutex<Vec<Option<Stamp>>>);

impl Answers {
    fn new(answers: &[Option<u64>]) -> Self {
        let stamp = |arrivals: &Option<u64>| arrivals.map(|arrivals| Stamp { arrivals, visits: 0 });
        Self(StdMutex::new(answers.iter().rev().map(stamp).collect()))
    }
}

impl Census for Answers {
    fn absent(&self, absent: Party, held: Held) -> Option<Stamp> {
        assert_eq!((absent, held), (party(7), Held::Mutex));
        let mut answers = self.0.lock().unwrap();
        if answers.len() > 1 { answers.pop().expect("more than one") } else { answers[0] }
    }
}

/// What one comes to who wants a mutex that says party 7.
fn judged(answers: &[Option<u64>]) -> Result<Found, Refusal> {
    let (word, census) = (AtomicU32::new(7), Answers::new(answers));
    Mutex::new(&word).judged_by(Some(&census)).lock(party(1), &for_a_moment())
}

#[test]
fn a_holder_that_was_absent_all_the_time_is_a_lie() {
    assert_eq!(judged(&[Some(3)]), Err(Refusal::Poisoned));
}

#[test]
fn a_holder_that_may_have_come_meanwhile_is_waited_for() {
    assert_eq!(judged(&[Some(3), Some(4), None]), Err(Refusal::TimedOut));
    assert_eq!(judged(&[Some(3), None]), Err(Refusal::TimedOut));
}

#[test]
fn a_holder_of_whom_nothing_is_known_is_waited_for() {
    assert_eq!(judged(&[None]), Err(Refusal::TimedOut));
}

#[test]
fn who_does_not_wait_does_not_judge() {
    let (word, census) = (AtomicU32::new(7), Answers::new(&[Some(3)]));
    let mutex = Mutex::new(&word).judged_by(Some(&census));
    assert_eq!(mutex.lock(party(1), &Patience::NONE), Err(Refusal::TimedOut));
}
