//! Semaphores: permits are neither lost nor made, whoever races, owes or dies.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::super::object::ground::Ground;
use super::super::object::patience::Patience;
use super::super::object::semaphore::Semaphore;
use super::super::{check, check_deaths, ground, party};

fn bounded(ground: &Ground, permits: u32) -> Semaphore {
    Semaphore::open(ground.clone(), permits, true)
}

#[test]
fn no_more_are_in_than_there_are_permits_and_a_release_lets_the_next_in() {
    check(2, || {
        let (ground, inside) = (ground(), Arc::new(AtomicU32::new(0)));
        let visit = |number: usize| {
            let (semaphore, inside) = (bounded(&ground, 1), Arc::clone(&inside));
            move || {
                semaphore.acquire(party(number), &Patience::endless()).expect("its turn");
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "one permit, two who have it");
                inside.fetch_sub(1, Ordering::Relaxed);
                semaphore.release(party(number), 1).expect("acquired");
            }
        };
        let others = [2, 3].map(|number| thread::spawn(visit(number)));
        visit(1)();
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(bounded(&ground, 1).value(), Ok(1));
    });
}

#[test]
fn a_release_of_several_permits_wakes_all_who_wait_for_them() {
    check(2, || {
        let ground = ground();
        let open = || Semaphore::open(ground.clone(), 0, false);
        let others = [2, 3].map(|number| {
            let semaphore = open();
            thread::spawn(move || semaphore.acquire(party(number), &Patience::endless()).expect("a permit"))
        });
        open().release(party(1), 2).expect("not bounded");
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(open().value(), Ok(0));
    });
}

#[test]
fn who_gives_up_waiting_for_a_permit_takes_none_along() {
    check(2, || {
        let ground = ground();
        let [patient, impatient] = [(2, true), (3, false)].map(|(number, is_patient)| {
            let semaphore = bounded(&ground, 1);
            thread::spawn(move || {
                let patience = if is_patient { Patience::endless() } else { Patience::short() };
                match semaphore.acquire(party(number), &patience) {
                    Ok(()) => semaphore.release(party(number), 1).expect("acquired"),
                    Err(refusal) => assert!(!is_patient && refusal == Refusal::TimedOut),
                }
            })
        });
        patient.join().expect("it ends");
        impatient.join().expect("it ends");
        assert_eq!(bounded(&ground, 1).value(), Ok(1));
    });
}

#[test]
fn permits_of_the_dead_are_given_back_wherever_they_die() {
    check_deaths(6, 2, |death| {
        let ground = ground();
        let dying = {
            let (semaphore, death) = (bounded(&ground, 1), death.clone());
            thread::spawn(move || {
                let patience = Patience::endless();
                death.strike(|| {
                    semaphore.acquire(party(2), &patience).expect("its turn");
                    semaphore.release(party(2), 1).expect("acquired");
                });
                semaphore.bury(party(2));
            })
        };
        let semaphore = bounded(&ground, 1);
        semaphore.acquire(party(1), &Patience::endless()).expect("its turn");
        assert_eq!(semaphore.value(), Ok(0));
        semaphore.release(party(1), 1).expect("acquired");
        dying.join().expect("it ends");
        assert_eq!(semaphore.value(), Ok(1));
    });
}

#[test]
fn a_debt_taken_off_somebody_who_is_buried_meanwhile_is_not_held_by_the_dead() {
    check(4, || {
        let ground = ground();
        let semaphore = bounded(&ground, 2);
        (0..2).for_each(|_| semaphore.acquire(party(1), &Patience::endless()).expect("a permit"));
        let burier = {
            let semaphore = bounded(&ground, 2);
            thread::spawn(move || semaphore.bury(party(1)))
        };
        let released = semaphore.release(party(2), 1);
        assert!(matches!(released, Ok(()) | Err(Refusal::TooMany)), "{released:?}");
        burier.join().expect("it ends");
        assert_eq!(semaphore.value(), Ok(2));
    });
}

#[test]
fn a_reader_never_counts_permits_that_there_were_not_at_any_instant() {
    check(2, || {
        let ground = ground();
        let semaphore = bounded(&ground, 2);
        semaphore.acquire(party(3), &Patience::endless()).expect("a permit");
        let changing = {
            let semaphore = bounded(&ground, 2);
            thread::spawn(move || {
                semaphore.acquire(party(1), &Patience::endless()).expect("a permit");
                semaphore.release(party(3), 1).expect("acquired");
            })
        };
        // One, none, one; never the two of a count that missed the first change and saw the second.
        let value = semaphore.value();
        assert!(matches!(value, Ok(0 | 1)), "{value:?}");
        changing.join().expect("it ends");
        assert_eq!(semaphore.value(), Ok(1));
    });
}
