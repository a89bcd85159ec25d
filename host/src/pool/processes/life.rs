//! What there is to know of one process, from before its start until it is closed.
//!
//! ```text
//!  New ── start ──► Running ── the kernel says that it is dead, and its call is settled ──► Ended ── close ──► Closed
//!   └───────────────────────────────────── close ────────────────────────────────────────────────────────────────┘
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{children, keeper};
use crate::channel::control::Identity;
use crate::pool::admission::Use;
use crate::pool::chunk::Chunk;
use crate::pool::directories;
use crate::pool::error::{Error, ErrorKind};
use crate::pool::feeder::spawn_blank;
use crate::pool::gate::closed;
use crate::pool::job::Job;
use crate::pool::outcome::{Failure, FailureKind};
use crate::pool::shared::Shared;
use crate::process::child::{Child, Exit};

/// How long a process may take to end after SIGTERM.
const TERMINATE_TIME_MAX: Duration = Duration::from_millis(500);

/// How long those who see that a process is dead wait until its call is settled.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

/// The exit code of a process whose status somebody else has taken.
const CODE_UNKNOWN: i32 = 255;

/// How many processes have been made.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A process: the call that it is for, and how far it is.
pub(crate) struct Life {
    /// How many were made before it.
    number: u64,
    /// The module, for as long as the process may need what it is granted.
    module: Use,
    job: Arc<Job>,
    /// Its call, until its keeper takes it.
    call: Mutex<Option<Chunk>>,
    state: Mutex<State>,
    /// It has ended.
    ended: Condvar,
}

struct State {
    name: String,
    is_daemon: bool,
    stage: Stage,
    /// When it is killed if it has not ended by then.
    kill_at: Option<Instant>,
}

enum Stage {
    New,
    Running(Arc<Child>),
    Ended(Arc<Child>, Exit),
    Closed,
}

impl Life {
    /// A process for a call of the module, not started.
    pub(in crate::pool) fn new(module: Use, call: Chunk) -> Arc<Self> {
        // Relaxed: numbers are told apart, nothing more.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("Process-{}", number + 1);
        let job = Arc::clone(call.job());
        let state = State { name, is_daemon: false, stage: Stage::New, kill_at: None };
        let (call, state) = (Mutex::new(Some(call)), Mutex::new(state));
        Arc::new(Self { number, module, job, call, state, ended: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &Shared {
        self.module.shared()
    }

    /// The job of its call.
    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Number of the worker, as outcomes and calls are told it.
    pub(super) fn worker(&self) -> usize {
        self.number as usize
    }

    /// What its call is told of it.
    pub(super) fn identity(&self) -> Identity {
        Identity { name: self.name(), worker: self.number as u32 }
    }

    /// Its call, for the one who sees it run.
    pub(super) fn take_call(&self) -> Option<Chunk> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn name(&self) -> String {
        self.state().name.clone()
    }

    pub(super) fn set_name(&self, name: String) {
        self.state().name = name;
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.state().is_daemon
    }

    pub(super) fn set_daemon(&self, is_daemon: bool) -> Result<(), Error> {
        let mut state = self.state();
        if !matches!(state.stage, Stage::New) {
            return Err(state.misuse("was started: whether it is a daemon is settled before"));
        }
        state.is_daemon = is_daemon;
        Ok(())
    }

    /// Starts the process and its keeper.
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.state();
        match state.stage {
            Stage::New => {}
            Stage::Closed => return Err(state.closed()),
            Stage::Running(_) | Stage::Ended(..) => {
                return Err(state.misuse("was started before: make another one"));
            }
        }
        if self.pool().gate.is_shut() {
            return Err(closed());
        }
        if let Some(obstacle) = self.pool().obstacle(&self.job.work.module) {
            return Err(obstacle);
        }
        children::enlist(self)?;
        match self.launch() {
            Ok(child) => {
                if self.pool().is_closing() {
                    // Whoever closes may have looked before it was on the list.
                    child.kill();
                }
                state.stage = Stage::Running(child);
                Ok(())
            }
            Err(error) => {
                children::strike_off(self);
                Err(error)
            }
        }
    }

    fn launch(self: &Arc<Self>) -> Result<Arc<Child>, Error> {
        let refused = |story: String| {
            let text = format!("process `Process-{}` cannot be started: {story}", self.number + 1);
            Error::new(ErrorKind::SetUp, text)
        };
        let access = directories::access(&self.job.work.module.directories);
        let (dead, death) = mpsc::channel();
        // A keeper that hears nothing any more has no need to.
        let on_death = move || dead.send(()).unwrap_or_default();
        let blank = spawn_blank(&self.pool().executable, access, on_death).map_err(refused)?;
        let child = Arc::clone(&blank.child);
        let life = Arc::clone(self);
        let keep = move || keeper::keep(&life, blank, &death);
        let thread = thread::Builder::new().name(format!("wasmpool-process-{}", self.number + 1)).spawn(keep);
        // Without one the child was dropped with the closure, which kills it.
        thread.map(|_| child).map_err(|error| refused(error.to_string()))
    }

    /// Notes that it is dead and its call settled.
    pub(super) fn end(&self, exit: Exit) {
        children::strike_off(self);
        let mut state = self.state();
        if let Stage::Running(child) = &state.stage {
            state.stage = Stage::Ended(Arc::clone(child), exit);
        }
        self.ended.notify_all();
    }

    /// The process, once it was started.
    pub(super) fn child(&self) -> Result<Arc<Child>, Error> {
        let state = self.state();
        match &state.stage {
            Stage::Running(child) | Stage::Ended(child, _) => Ok(Arc::clone(child)),
            Stage::New => Err(state.misuse("was not started")),
            Stage::Closed => Err(state.closed()),
        }
    }

    pub(super) fn pid(&self) -> Result<Option<u32>, Error> {
        let state = self.state();
        match &state.stage {
            Stage::Running(child) | Stage::Ended(child, _) => Ok(Some(child.pid())),
            Stage::New => Ok(None),
            Stage::Closed => Err(state.closed()),
        }
    }

    pub(super) fn join(&self, limit: Option<Duration>) -> Result<bool, Error> {
        self.child()?;
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.state();
        while let Stage::Running(_) = &state.stage {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(rest) => self.ended.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
                None => self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Ok(!matches!(state.stage, Stage::Running(_)))
    }

    /// Waits until it has ended, also when it is closed by now.
    pub(super) fn wait_for_end(&self) -> Result<(), Error> {
        let is_closed = matches!(self.state().stage, Stage::Closed) && self.job.wait(Some(Duration::ZERO));
        if is_closed { Ok(()) } else { self.join(None).map(drop) }
    }

    /// Waits until the call is settled, if the kernel says that the process is dead: whoever has seen the sentinel
    /// finds it ended.
    fn catch_up(&self) {
        let is_dead = matches!(&self.state().stage, Stage::Running(child) if child.has_ended());
        if is_dead {
            // It is as good as ended, and not closed meanwhile.
            let _ = self.join(Some(SETTLE_TIME_MAX));
        }
    }

    pub(super) fn is_alive(&self) -> Result<bool, Error> {
        self.catch_up();
        let state = self.state();
        match &state.stage {
            Stage::Running(_) => Ok(true),
            Stage::New | Stage::Ended(..) => Ok(false),
            Stage::Closed => Err(state.closed()),
        }
    }

    pub(super) fn exit_code(&self) -> Result<Option<i32>, Error> {
        self.catch_up();
        let state = self.state();
        match &state.stage {
            Stage::New | Stage::Running(_) => Ok(None),
            Stage::Ended(_, exit) => Ok(Some(exit_code(self.job.failure().as_ref(), *exit))),
            Stage::Closed => Err(state.closed()),
        }
    }

    pub(super) fn terminate(&self) -> Result<(), Error> {
        let child = self.child()?;
        let mut state = self.state();
        if let Stage::Running(_) = state.stage {
            state.kill_at.get_or_insert_with(|| Instant::now() + TERMINATE_TIME_MAX);
            child.terminate();
        }
        Ok(())
    }

    /// Kills it if it runs.
    pub(crate) fn kill(&self) {
        if let Stage::Running(child) = &self.state().stage {
            child.kill();
        }
    }

    /// When it is to be killed, if it was terminated.
    pub(super) fn kill_at(&self) -> Option<Instant> {
        self.state().kill_at
    }

    pub(super) fn close(&self) -> Result<(), Error> {
        self.catch_up();
        let mut state = self.state();
        if let Stage::Running(_) = state.stage {
            return Err(state.misuse("runs: join or terminate it before it is closed"));
        }
        state.stage = Stage::Closed;
        Ok(())
    }
}

impl State {
    fn misuse(&self, what: &str) -> Error {
        Error::new(ErrorKind::Misuse, format!("process `{}` {what}", self.name))
    }

    fn closed(&self) -> Error {
        self.misuse("is closed: nothing more can be asked of it")
    }
}

/// The code that Python would give a process that ended so.
fn exit_code(failure: Option<&Failure>, exit: Exit) -> i32 {
    let Some(failure) = failure else { return 0 };
    match failure.kind() {
        // As the kernel cuts it.
        FailureKind::Exited(code) => code & 0xff,
        // The call has come to no end of its own.
        FailureKind::WorkerLost(_)
        | FailureKind::TimedOut
        | FailureKind::Starved
        | FailureKind::Cancelled => match exit {
            Exit::Signal(signal) => -signal,
            Exit::Code(0) => 1,
            Exit::Code(code) => code,
            Exit::Unknown => CODE_UNKNOWN,
        },
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_python() {
        let killed = Exit::Signal(9);
        let code = |kind, exit| exit_code(Some(&Failure::new(0, kind, "")), exit);
        // A process that has done its work is killed.
        assert_eq!(exit_code(None, killed), 0);
        for kind in [FailureKind::Failed, FailureKind::Panicked, FailureKind::Trapped, FailureKind::BadResult]
        {
            assert_eq!(code(kind, killed), 1, "{kind:?}");
        }
        for (said, expected) in [(0, 0), (3, 3), (255, 255), (256, 0), (-1, 255)] {
            assert_eq!(code(FailureKind::Exited(said), killed), expected);
        }
        assert_eq!(code(FailureKind::WorkerLost(Exit::Signal(15)), Exit::Signal(15)), -15);
        assert_eq!(code(FailureKind::TimedOut, killed), -9);
        assert_eq!(code(FailureKind::WorkerLost(Exit::Code(7)), Exit::Code(7)), 7);
        // One that ends before its call does has not succeeded, whatever it says.
        assert_eq!(code(FailureKind::WorkerLost(Exit::Code(0)), Exit::Code(0)), 1);
        assert_eq!(code(FailureKind::WorkerLost(Exit::Unknown), Exit::Unknown), CODE_UNKNOWN);
    }
}
