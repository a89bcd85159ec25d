//! Mutex, event and barrier once more, over the model checker's atomics: the same source, every order tried.
//!
//! There is no time in a model. A wait without a limit sleeps until it is woken, so that a lost wake-up is a deadlock,
//! which the checker reports; an impatient one gives up after one sleep, which may end at any moment.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::{CallEnd, Outcome, Party, census};
use crate::shm::model::{atomic, futex};

/// Few, so that the tables are short.
const PARTIES_MAX: usize = 4;

#[allow(clippy::duplicate_mod, reason = "once with real atomics, once with the checker's")]
#[path = "mutex.rs"]
mod mutex;

#[allow(clippy::duplicate_mod, reason = "as above")]
#[path = "table.rs"]
mod table;

#[allow(clippy::duplicate_mod, reason = "as above")]
#[path = "event.rs"]
mod event;

#[allow(clippy::duplicate_mod, reason = "as above")]
#[path = "barrier.rs"]
mod barrier;

/// Patience without a clock.
mod patience {
    use std::cell::Cell;
    use std::time::Duration;

    use super::ground::ObjectBell;
    use super::{Outcome, Refusal};

    pub(super) const MUTEX_SPINS: u32 = 0;
    pub(super) const MUTEX_PAUSE_MAX: u32 = 1;
    pub(super) const LOCK_PAUSE_MAX: u32 = 1;

    pub(super) struct Patience<'a> {
        /// Sleeps that are left; nothing for as many as it takes.
        sleeps: Cell<Option<u32>>,
        _notice: std::marker::PhantomData<&'a ()>,
    }

    impl Patience<'_> {
        /// Sleeps as often as it takes.
        pub(super) fn endless() -> Self {
            Self { sleeps: Cell::new(None), _notice: std::marker::PhantomData }
        }

        /// Gives up after one sleep.
        pub(super) fn short() -> Self {
            Self { sleeps: Cell::new(Some(1)), _notice: std::marker::PhantomData }
        }

        pub(super) fn is_none(&self) -> bool {
            false
        }

        pub(super) fn is_endless(&self) -> bool {
            self.sleeps.get().is_none()
        }

        pub(super) fn rest(&self, _most: Duration) -> Option<Duration> {
            match self.sleeps.get() {
                None => Some(Duration::MAX),
                Some(0) => None,
                Some(left) => {
                    self.sleeps.set(Some(left - 1));
                    Some(Duration::ZERO)
                }
            }
        }

        pub(super) fn sleeps(&self) -> Outcome<()> {
            Ok(())
        }

        /// The loop of the real one, without the spinning.
        pub(super) fn wait_for<T>(
            &self,
            bell: ObjectBell<'_>,
            mut look: impl FnMut() -> Outcome<Option<T>>,
        ) -> Outcome<T> {
            loop {
                let announced = bell.0.announce();
                if let Some(found) = look()? {
                    return Ok(found);
                }
                let rest = self.rest(Duration::MAX).ok_or(Refusal::TimedOut)?;
                bell.0.sleep(announced, rest);
            }
        }
    }
}

/// The few words that the models need, and no pages.
mod ground {
    use loom::sync::atomic::{AtomicU32, AtomicU64};

    use super::{Arc, Outcome, PARTIES_MAX, Party, Refusal, barrier, event};
    use crate::shm::model::bell::Bell;

    pub(super) use crate::shm::object::ground::{PAGE_BYTES, header};

    #[derive(Clone)]
    pub(super) struct Ground {
        words32: Arc<Vec<(usize, AtomicU32)>>,
        words64: Arc<Vec<(usize, AtomicU64)>>,
    }

    impl Ground {
        pub(super) fn new() -> Self {
            let words32 = [barrier::MARK, header::BELL_A, header::BELL_A + 4];
            let seats = (1..PARTIES_MAX).map(|number| header::BYTES + 8 * number);
            assert_eq!(event::CHANGES, barrier::STATE, "one word serves both");
            let words64 = [event::CHANGES].into_iter().chain(seats);
            Self {
                words32: Arc::new(words32.into_iter().map(|offset| (offset, AtomicU32::new(0))).collect()),
                words64: Arc::new(words64.map(|offset| (offset, AtomicU64::new(0))).collect()),
            }
        }

        pub(super) fn word32(&self, offset: usize) -> &AtomicU32 {
            &self.words32.iter().find(|(at, _)| *at == offset).expect("a word of the model").1
        }

        pub(super) fn word64(&self, offset: usize) -> &AtomicU64 {
            &self.words64.iter().find(|(at, _)| *at == offset).expect("a word of the model").1
        }

        pub(super) fn bell(&self, offset: usize) -> ObjectBell<'_> {
            ObjectBell(Bell::new(self.word32(offset), self.word32(offset + 4)))
        }

        pub(super) fn is_writable(&self) -> bool {
            true
        }

        pub(super) fn check(&self) -> Outcome<()> {
            Ok(())
        }

        pub(super) fn check_writable(&self) -> Outcome<()> {
            Ok(())
        }

        pub(super) fn poison(&self) -> Refusal {
            panic!("a state that cannot be");
        }

        pub(super) fn ring_all(&self) {
            self.bell(header::BELL_A).0.ring_always();
        }

        pub(super) fn bury(&self, _party: Party) {
            self.ring_all();
        }
    }

    impl std::fmt::Debug for Ground {
        fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            to.write_str("Ground")
        }
    }

    pub(super) struct ObjectBell<'a>(pub(super) Bell<'a>);

    impl ObjectBell<'_> {
        pub(super) fn ring(&self) {
            self.0.ring();
        }
    }
}

use barrier::Barrier;
use event::Event;
use ground::{Ground, header};
use mutex::{Found, Mutex};
use patience::Patience;

/// Tries every order of `model` in which threads are interrupted up to `interruptions` times.
fn check(interruptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(model);
}

fn party(number: usize) -> Party {
    Party::new(number).expect("a party's number")
}

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

#[test]
fn an_event_that_is_set_and_cleared_lets_those_go_who_waited_before() {
    check(4, || {
        let ground = Ground::new();
        let waiter = {
            let ground = ground.clone();
            thread::spawn(move || Event::open(ground).wait(&Patience::endless()).expect("it is set"))
        };
        let event = Event::open(ground.clone());
        // Who has announced itself has begun to wait.
        let has_begun = ground.word32(header::BELL_A + 4).load(Ordering::Acquire) == 1;
        event.set().expect("writable");
        if has_begun {
            event.clear().expect("writable");
        }
        waiter.join().expect("it ends");
    });
}

#[test]
fn all_parties_meet_at_a_barrier_in_each_round() {
    check(3, || {
        let ground = Ground::new();
        let rounds = |barrier: &Barrier, number: usize| {
            [(); 2].map(|()| barrier.wait(party(number), &Patience::endless()).expect("the other comes"))
        };
        let other = {
            let barrier = Barrier::open(ground.clone(), 2);
            thread::spawn(move || rounds(&barrier, 2))
        };
        let ours = rounds(&Barrier::open(ground, 2), 1);
        let theirs = other.join().expect("it ends");
        assert_eq!([ours[0] + theirs[0], ours[1] + theirs[1]], [1, 1]);
    });
}

/// Two parties wait at a barrier, the first as patiently as said, while something else happens to it.
///
/// That is done by a thread of its own: done by the first one, it was not tried in between.
fn meets_or_breaks(
    first: fn() -> Patience<'static>,
    meanwhile: impl Fn(&Barrier) + Clone + Sync + Send + 'static,
) {
    check(2, move || {
        let ground = Ground::new();
        let other = {
            let barrier = Barrier::open(ground.clone(), 2);
            thread::spawn(move || barrier.wait(party(2), &Patience::short()))
        };
        let third = {
            let (barrier, meanwhile) = (Barrier::open(ground.clone(), 2), meanwhile.clone());
            thread::spawn(move || meanwhile(&barrier))
        };
        let ours = Barrier::open(ground, 2).wait(party(1), &first());
        third.join().expect("it ends");
        match (ours, other.join().expect("it ends")) {
            (Ok(index), Ok(other_index)) => assert_eq!(index + other_index, 1),
            (Err(Refusal::Broken), Err(Refusal::Broken)) => {}
            odd => panic!("one met, the other did not: {odd:?}"),
        }
    });
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_time_is_over() {
    meets_or_breaks(Patience::short, |_| {});
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_it_is_reset() {
    meets_or_breaks(Patience::short, |barrier| barrier.reset(party(3)).expect("writable"));
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_somebody_dies() {
    meets_or_breaks(Patience::endless, |barrier| {
        barrier.join(party(3)).expect("writable");
        barrier.bury(party(3));
    });
}
