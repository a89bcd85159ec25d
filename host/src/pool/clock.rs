//! The clock: ends jobs whose deadline has come though nobody looks at them.
//!
//! Whoever blocks on a job sees its deadline pass. Jobs that run behind a handle have nobody who does, so a thread looks
//! at them when their time has come. It lives while there are such jobs.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use super::job::Job;

/// Jobs and when they end.
#[derive(Default)]
pub(crate) struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Vec<(Instant, Weak<Job>)>,
    is_running: bool,
}

impl State {
    /// Takes out the jobs that are gone or over, and those whose time has come, which are returned.
    fn ripe(&mut self, now: Instant) -> Vec<Arc<Job>> {
        let mut ripe = Vec::new();
        self.jobs.retain(|(ends, job)| match job.upgrade() {
            Some(job) if !job.has_ended() => {
                let is_ripe = *ends <= now;
                ripe.extend(is_ripe.then_some(job));
                !is_ripe
            }
            _ => false,
        });
        ripe
    }
}

impl Clock {
    /// Looks at a job when its deadline has come, if it has one.
    pub(crate) fn watch(self: &Arc<Self>, job: &Arc<Job>) {
        let Some(ends) = job.ends() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.jobs.push((ends, Arc::downgrade(job)));
        if !state.is_running {
            let clock = Arc::clone(self);
            let spawned = thread::Builder::new().name("wasmpool-clock".into()).spawn(move || clock.run());
            // Without a thread the deadline is seen when somebody looks.
            state.is_running = spawned.is_ok();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn run(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let ripe = state.ripe(Instant::now());
            if !ripe.is_empty() {
                drop(state);
                ripe.iter().for_each(|job| job.look());
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let Some(next) = state.jobs.iter().map(|(ends, _)| *ends).min() else {
                state.is_running = false;
                return;
            };
            let rest = next.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
