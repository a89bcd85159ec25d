//! Callbacks run here, one after the other, on a thread of their own: one that is slow or panics keeps nobody from
//! feeding workers.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most callbacks that are registered and have not run; whoever registers another one waits.
pub(crate) const CALLBACKS_MAX: usize = 1 << 16;

/// How long the thread waits for another one before it ends.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// What is to be run.
type Run = Box<dyn FnOnce() + Send>;

/// The queue of callbacks, and the thread that works it off.
#[derive(Default)]
pub(crate) struct Callbacks {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Run>,
    has_thread: bool,
    /// One is running.
    is_busy: bool,
    registered: usize,
}

thread_local! {
    /// This thread runs callbacks.
    static RUNS_CALLBACKS: Cell<bool> = const { Cell::new(false) };
}

/// A registered callback's place among those that are allowed, until it has run or cannot run any more.
pub(crate) struct Place(Arc<Callbacks>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().registered -= 1;
        self.0.changed.notify_all();
    }
}

impl Callbacks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, when there is one. A callback that registers another gets it at once: it would wait for
    /// itself.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        while state.registered >= CALLBACKS_MAX && !RUNS_CALLBACKS.get() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.registered += 1;
        Place(Arc::clone(self))
    }

    /// Has something run, soon.
    pub(crate) fn post(self: &Arc<Self>, run: Run) {
        let mut state = self.state();
        state.queue.push_back(run);
        if !state.has_thread {
            let callbacks = Arc::clone(self);
            let thread = thread::Builder::new().name("wasmpool-callbacks".into());
            state.has_thread = thread.spawn(move || callbacks.work()).is_ok();
        }
        let orphan = if state.has_thread { None } else { state.queue.pop_back() };
        drop(state);
        self.changed.notify_all();
        if let Some(run) = orphan {
            // The system gives no thread. Better here than never: somebody waits for what follows.
            let _ = catch_unwind(AssertUnwindSafe(run));
        }
    }

    /// Waits until everything has run that was posted; says whether it has before `until`.
    pub(crate) fn wait_until_done(&self, until: Option<Instant>) -> bool {
        let mut state = self.state();
        while !RUNS_CALLBACKS.get() && (state.is_busy || !state.queue.is_empty()) {
            let rest = until.map_or(IDLE_MAX, |until| until.saturating_duration_since(Instant::now()));
            if rest.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn work(&self) {
        RUNS_CALLBACKS.set(true);
        let mut state = self.state();
        loop {
            let Some(run) = state.queue.pop_front() else {
                let waited = self.changed.wait_timeout(state, IDLE_MAX);
                let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = again;
                if timeout.timed_out() && state.queue.is_empty() {
                    state.has_thread = false;
                    return;
                }
                continue;
            };
            state.is_busy = true;
            drop(state);
            // What it panics with has been shown by the panic hook.
            let _ = catch_unwind(AssertUnwindSafe(run));
            state = self.state();
            state.is_busy = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_harms_no_later_callback() {
        let callbacks = Arc::<Callbacks>::default();
        let (done, ran) = mpsc::channel();
        callbacks.post(Box::new(|| panic!("expected by this test")));
        callbacks.post(Box::new(move || done.send(thread::current().id()).expect("a receiver")));
        assert_ne!(ran.recv().expect("it runs"), thread::current().id());
        assert!(callbacks.wait_until_done(None));
    }

    #[test]
    fn a_callback_may_register_and_post_another() {
        let callbacks = Arc::<Callbacks>::default();
        let (done, ran) = mpsc::channel();
        let inner = Arc::clone(&callbacks);
        callbacks.state().registered = CALLBACKS_MAX;
        callbacks.post(Box::new(move || {
            let place = inner.place();
            inner.post(Box::new(move || {
                drop(place);
                done.send(()).expect("a receiver");
            }));
        }));
        ran.recv().expect("it runs");
        assert!(callbacks.wait_until_done(None));
        assert_eq!(callbacks.state().registered, CALLBACKS_MAX);
    }

    #[test]
    fn whoever_registers_too_many_waits_for_one_to_go() {
        let callbacks = Arc::<Callbacks>::default();
        let first = callbacks.place();
        callbacks.state().registered = CALLBACKS_MAX;
        let waiting = Arc::clone(&callbacks);
        let registers = thread::spawn(move || drop(waiting.place()));
        drop(first);
        registers.join().expect("a place");
    }
}
