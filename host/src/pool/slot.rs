//! A slot: where one result appears, once, and where those wait who want it.
//!
//! ```text
//!  pending ──fill──► done ──take──► taken
//!     │               ▲
//!     └─fill, with────┴─ calling: the callbacks run, then it is done
//!       callbacks
//! ```
//!
//! Whoever fills it is often a feeder, so filling never waits and never runs the callers' own code, wakers aside.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::callbacks::{Callbacks, Place};
use super::error::{Error, ErrorKind};

/// Where one result appears.
pub(crate) struct Slot<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    fate: Fate<R>,
    /// Threads that sleep on `changed`.
    sleepers: usize,
    waker: Option<Waker>,
    bulletins: Vec<(Arc<Bulletin>, usize)>,
    callbacks: Vec<Registered<R>>,
}

enum Fate<R> {
    Pending,
    /// The callbacks have it.
    Calling,
    Done(Result<R, Error>),
    /// Somebody has taken it; whether it was a result.
    Taken(bool),
}

/// What is to be run with an outcome before anybody else gets it.
pub(crate) enum Callback<R> {
    Result(Box<dyn FnOnce(&R) + Send>),
    Error(Box<dyn FnOnce(&Error) + Send>),
}

struct Registered<R> {
    callback: Callback<R>,
    _place: Place,
    queue: Arc<Callbacks>,
}

/// Where slots write their numbers when they are done, for one who waits for several.
#[derive(Default)]
pub struct Bulletin {
    done: Mutex<VecDeque<usize>>,
    changed: Condvar,
}

impl Bulletin {
    fn write(&self, number: usize) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push_back(number);
        self.changed.notify_all();
    }

    /// The next number, when there is one; none if `until` passes first.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<usize> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(number) = done.pop_front() {
                return Some(number);
            }
            done = sleep(&self.changed, done, until)?;
        }
    }
}

/// Sleeps on a condition, until `until` at most; none when that has passed.
pub(crate) fn sleep<'a, T>(
    changed: &Condvar,
    state: MutexGuard<'a, T>,
    until: Option<Instant>,
) -> Option<MutexGuard<'a, T>> {
    let Some(until) = until else {
        return Some(changed.wait(state).unwrap_or_else(PoisonError::into_inner));
    };
    let rest = until.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return None;
    }
    Some(changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0)
}

impl<R> Slot<R> {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            fate: Fate::Pending,
            sleepers: 0,
            waker: None,
            bulletins: Vec::new(),
            callbacks: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is done, or was.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state().fate, Fate::Done(_) | Fate::Taken(_))
    }

    /// Whether it holds, or held, a result; none before it is done.
    pub(crate) fn is_success(&self) -> Option<bool> {
        match &self.state().fate {
            Fate::Pending | Fate::Calling => None,
            Fate::Done(outcome) => Some(outcome.is_ok()),
            Fate::Taken(was_success) => Some(*was_success),
        }
    }

    /// Waits until it is done; says whether it is before `until`.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let mut state = self.state();
        while matches!(state.fate, Fate::Pending | Fate::Calling) {
            state.sleepers += 1;
            let woken = sleep(&self.changed, state, until);
            state = match woken {
                Some(state) => state,
                None => {
                    self.state().sleepers -= 1;
                    return self.is_ready();
                }
            };
            state.sleepers -= 1;
        }
        true
    }

    /// Takes the outcome, once it is done; none before.
    pub(crate) fn take(&self) -> Option<Result<R, Error>> {
        self.state().take()
    }

    /// The same, and else leaves a waker.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Result<R, Error>> {
        let mut state = self.state();
        let taken = state.take();
        if taken.is_none() {
            match &mut state.waker {
                Some(old) => old.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        taken
    }

    /// Has its number written to a bulletin when it is done, at once if it is.
    pub(crate) fn publish_to(&self, bulletin: &Arc<Bulletin>, number: usize) {
        let mut state = self.state();
        match state.fate {
            Fate::Pending | Fate::Calling => state.bulletins.push((Arc::clone(bulletin), number)),
            Fate::Done(_) | Fate::Taken(_) => bulletin.write(number),
        }
    }

    /// Takes that back.
    pub(crate) fn forget(&self, bulletin: &Arc<Bulletin>) {
        self.state().bulletins.retain(|(listed, _)| !Arc::ptr_eq(listed, bulletin));
    }
}

impl<R> State<R> {
    fn take(&mut self) -> Option<Result<R, Error>> {
        match std::mem::replace(&mut self.fate, Fate::Taken(false)) {
            Fate::Done(outcome) => {
                self.fate = Fate::Taken(outcome.is_ok());
                Some(outcome)
            }
            Fate::Taken(was_success) => {
                self.fate = Fate::Taken(was_success);
                Some(Err(Error::new(ErrorKind::Misuse, "the result was taken before")))
            }
            waiting => {
                self.fate = waiting;
                None
            }
        }
    }
}

impl<R: Send + 'static> Slot<R> {
    /// Puts the outcome there; says whether it is the first. Another one is dropped.
    pub(crate) fn fill(self: &Arc<Self>, outcome: Result<R, Error>) -> bool {
        let mut state = self.state();
        if !matches!(state.fate, Fate::Pending) {
            return false;
        }
        self.settle(state_with(&mut state, outcome), state);
        true
    }

    /// Runs something with the outcome before anybody else gets it.
    pub(crate) fn call_back(self: &Arc<Self>, queue: &Arc<Callbacks>, callback: Callback<R>) {
        let registered = Registered { callback, _place: queue.place(), queue: Arc::clone(queue) };
        let mut state = self.state();
        state.callbacks.push(registered);
        match std::mem::replace(&mut state.fate, Fate::Calling) {
            Fate::Done(outcome) => {
                let due = state_with(&mut state, outcome);
                self.settle(due, state);
            }
            other => state.fate = other,
        }
    }

    /// Tells those who wait, or has the callbacks run first.
    fn settle(self: &Arc<Self>, due: Option<Due<R>>, mut state: MutexGuard<'_, State<R>>) {
        let Some(Due { outcome, callbacks }) = due else {
            let (waker, bulletins) = (state.waker.take(), std::mem::take(&mut state.bulletins));
            let has_sleepers = state.sleepers > 0;
            drop(state);
            if has_sleepers {
                self.changed.notify_all();
            }
            bulletins.iter().for_each(|(bulletin, number)| bulletin.write(*number));
            if let Some(waker) = waker {
                // An executor's own code, on a thread that has other things to do than to die of it.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            return;
        };
        drop(state);
        let Some(queue) = callbacks.first().map(|registered| Arc::clone(&registered.queue)) else { return };
        let slot = Arc::clone(self);
        queue.post(Box::new(move || {
            for Registered { callback, _place, .. } in callbacks {
                // What it panics with has been shown by the panic hook.
                let _ = catch_unwind(AssertUnwindSafe(|| match (callback, &outcome) {
                    (Callback::Result(call), Ok(result)) => call(result),
                    (Callback::Error(call), Err(error)) => call(error),
                    _ => {}
                }));
            }
            let mut state = slot.state();
            // Further ones may have come meanwhile.
            let due = state_with(&mut state, outcome);
            slot.settle(due, state);
        }));
    }
}

/// An outcome and what is to be run with it.
struct Due<R> {
    outcome: Result<R, Error>,
    callbacks: Vec<Registered<R>>,
}

/// Puts an outcome into a slot's state, or hands it out with the callbacks that come first.
fn state_with<R>(state: &mut State<R>, outcome: Result<R, Error>) -> Option<Due<R>> {
    if state.callbacks.is_empty() {
        state.fate = Fate::Done(outcome);
        return None;
    }
    state.fate = Fate::Calling;
    Some(Due { outcome, callbacks: std::mem::take(&mut state.callbacks) })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn broken() -> Error {
        Error::new(ErrorKind::Closed, "broken")
    }

    #[test]
    fn the_first_outcome_stands_and_is_taken_once() {
        let slot = Slot::new();
        assert!(slot.take().is_none() && !slot.is_ready() && slot.is_success().is_none());
        assert!(slot.fill(Ok(1)));
        assert!(!slot.fill(Ok(2)) && !slot.fill(Err(broken())));
        assert_eq!((slot.is_ready(), slot.is_success()), (true, Some(true)));
        assert_eq!(slot.take().expect("done").expect("a result"), 1);
        let again = slot.take().expect("done").expect_err("taken");
        assert_eq!(again.kind(), ErrorKind::Misuse);
        assert_eq!((slot.is_ready(), slot.is_success()), (true, Some(true)));
    }

    #[test]
    fn sleepers_are_woken_and_waits_end_in_time() {
        let slot = Slot::new();
        assert!(!slot.wait(Some(Instant::now() + Duration::from_millis(1))));
        let other = Arc::clone(&slot);
        let sleeper = thread::spawn(move || other.wait(None));
        slot.fill(Ok(()));
        assert!(sleeper.join().expect("no panic"));
        assert_eq!(slot.state().sleepers, 0);
    }

    #[test]
    fn callbacks_come_first_in_their_order_and_one_that_panics_changes_nothing() {
        let queue = Arc::<Callbacks>::default();
        let (say, said) = mpsc::channel();
        let slot = Slot::new();
        for word in ["one", "two", "three"] {
            let say = say.clone();
            let watched = Arc::clone(&slot);
            let call = move |result: &i32| {
                say.send((word, *result, watched.is_ready())).expect("a receiver");
                assert_ne!(word, "two", "expected by this test");
            };
            slot.call_back(&queue, Callback::Result(Box::new(call)));
        }
        slot.call_back(&queue, Callback::Error(Box::new(|error| panic!("{error}"))));
        slot.fill(Ok(7));
        assert!(slot.wait(None));
        let words: Vec<_> = said.try_iter().collect();
        assert_eq!(words, [("one", 7, false), ("two", 7, false), ("three", 7, false)]);
        slot.call_back(
            &queue,
            Callback::Result(Box::new(move |result| say.send(("late", *result, false)).expect("one"))),
        );
        assert!(slot.wait(None));
        assert_eq!(said.recv().expect("a word"), ("late", 7, false));
        assert_eq!(slot.take().expect("done").expect("a result"), 7);
    }

    struct Counts(Mutex<u32>);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            *self.0.lock().expect("no panic") += 1;
        }
    }

    #[test]
    fn the_last_waker_is_woken_and_one_that_panics_harms_nobody() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("expected by this test");
            }
        }
        let (old, new) = (Arc::new(Counts(Mutex::default())), Arc::new(Counts(Mutex::default())));
        let slot = Slot::new();
        assert!(slot.poll(&Waker::from(Arc::clone(&old))).is_none());
        assert!(slot.poll(&Waker::from(Arc::clone(&new))).is_none());
        slot.fill(Ok(()));
        assert_eq!((*old.0.lock().expect("no panic"), *new.0.lock().expect("no panic")), (0, 1));
        let slot = Slot::new();
        assert!(slot.poll(&Waker::from(Arc::new(Panics))).is_none());
        assert!(slot.fill(Ok(())));
        assert!(slot.is_ready());
    }

    #[test]
    fn bulletins_list_what_is_done_in_its_order() {
        let bulletin = Arc::<Bulletin>::default();
        let slots: Vec<_> = (0..4).map(|_| Slot::new()).collect();
        slots[2].fill(Ok(()));
        slots.iter().enumerate().for_each(|(number, slot)| slot.publish_to(&bulletin, number));
        slots[3].fill(Ok(()));
        slots[1].forget(&bulletin);
        slots[1].fill(Ok(()));
        slots[0].fill(Err(broken()));
        let soon = Some(Instant::now() + Duration::from_millis(1));
        let listed: Vec<_> = std::iter::from_fn(|| bulletin.next(soon)).collect();
        assert_eq!(listed, [2, 3, 0]);
    }
}
