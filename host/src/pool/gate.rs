//! The pool's gate: who may still come in, who is inside, and who waits for the last one to leave.
//!
//! ```text
//!  open ──close──► shut ──last one leaves, or terminate──► ended ──feeders end──► over
//! ```
//!
//! Everything that is under way holds an [`Entry`]: a job until it is over, a stream while calls of it are. A pool that
//! is shut ends when nobody is inside any more; whoever leaves last ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::error::{Error, ErrorKind};
use super::shared::Shared;

/// Counts who is inside.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// The same as in the state, for those who only look.
    is_shut: AtomicBool,
}

#[derive(Default)]
struct State {
    is_shut: bool,
    /// Jobs and streams that are under way.
    inside: usize,
    /// Threads that feed.
    feeders: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody may come in any more.
    pub(crate) fn is_shut(&self) -> bool {
        // Relaxed: whoever comes in looks again under the lock.
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Lets nobody in from now on; says whether nobody is inside.
    pub(crate) fn shut(&self) -> bool {
        let mut state = self.state();
        state.is_shut = true;
        // Relaxed: as above.
        self.is_shut.store(true, Ordering::Relaxed);
        state.inside == 0
    }

    /// Waits until the last feeder has ended; says whether it has before `until`.
    pub(crate) fn wait_for_feeders(&self, until: Option<Instant>) -> bool {
        let mut state = self.state();
        while state.feeders > 0 {
            let Some(until) = until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn leave(&self) -> bool {
        let mut state = self.state();
        state.inside -= 1;
        state.is_shut && state.inside == 0
    }
}

/// Somebody inside. Where the pool is shut, the last one to go ends it.
pub(crate) struct Entry {
    shared: Weak<Shared>,
    gate: Arc<Gate>,
}

impl Entry {
    /// Goes in.
    ///
    /// # Errors
    ///
    /// When the pool is closed.
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self, Error> {
        let gate = Arc::clone(&shared.gate);
        let mut state = gate.state();
        if state.is_shut {
            return Err(closed());
        }
        state.inside += 1;
        drop(state);
        Ok(Self { shared: Arc::downgrade(shared), gate })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.gate.leave()
            && let Some(shared) = self.shared.upgrade()
        {
            shared.close();
        }
    }
}

/// A feeder's thread, as long as it lives.
pub(crate) struct Living(Arc<Gate>);

impl Living {
    pub(crate) fn new(gate: &Arc<Gate>) -> Self {
        gate.state().feeders += 1;
        Self(Arc::clone(gate))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.state().feeders -= 1;
        self.0.changed.notify_all();
    }
}

/// What comes of a call to a pool that takes none any more.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the pool is closed and takes no new calls")
}
