//! Processes of their own: Python's `multiprocessing.Process`.
//!
//! ```text
//!  Process<R> ──► Life ◄── keeper (thread) ──► Service ══ regions ══ worker process
//!  (typed)     (state, name)  from start to death        the same as at a seat of the pool
//! ```
//!
//! A [`Process`] is what its owner holds; a [`Life`] is what there is to know of it, shared with its [`keeper`] and with
//! the list of living [`children`]. The worker process is the pool's in every respect, confined and limited in
//! the same way; but it runs one call, nobody else is given its place, and nothing of it is ever run again. There is no
//! seat and no feeder: the keeper does for one call what those do for many.

mod children;
mod keeper;
mod life;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::children::{PROCESSES_MAX, active_children};
pub(crate) use self::children::{end_all, kill_all};
pub(crate) use self::life::Life;
#[cfg(feature = "cli")]
use super::admission::Use;
use super::error::{Error, ErrorKind};
use super::gather::Gather;
#[cfg(feature = "cli")]
use super::job::Job;
use super::job::Terms;
use super::task::{Task, sole_result};
use crate::process::cores;

/// A process that runs one call of a task, like Python's `multiprocessing.Process`.
///
/// It is made from a task and its arguments, begins with [`start`](Self::start), and ends with its call. It is confined
/// as the pool's workers are and has the same limits, so that also a process that nobody waits for ends at
/// last, by its time limit. What it prints goes where the pool's lines go.
///
/// # Who ends it
///
/// Dropping a `Process` does not: it goes on until its call ends, and [`active_children`] finds it.
/// - When its **pool** is dropped or closed, daemons are terminated, and all others are waited for, which the calls' time
///   limits bound. Where the pool is dropped by a panic, nobody is waited for.
/// - When the **program** ends without dropping its pool (`std::process::exit`, a signal, a pool in a `static`), all
///   processes end with it at once, whether daemons or not: nothing is left behind.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// use wasmpool::Process;
/// # let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let square = br#"(module (func (export "square") (param i64) (result i64)
///     (i64.mul (local.get 0) (local.get 0))))"#;
/// let square = pool.load_bytes("square", square)?.task::<i64, i64>("square")?;
/// let mut processes = (1..=3).map(|n| Process::new(&square, n)).collect::<Result<Vec<_>, _>>()?;
/// for process in &processes {
///     process.start()?;
/// }
/// for (process, expected) in processes.iter_mut().zip([1, 4, 9]) {
///     process.join(None)?;
///     assert_eq!(process.exit_code()?, Some(0));
///     assert_eq!(process.result()?, expected);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Process<R = AnyResult> {
    life: Arc<Life>,
    /// Where the result is, until it is taken.
    gather: Option<Arc<Gather<R>>>,
}

/// Stands for the result of a process whose result's type is not known: it has none to give.
#[derive(Debug)]
pub enum AnyResult {}

/// A descriptor that becomes readable when its process has ended; see [`Process::sentinel`].
///
/// It stays valid when the process is closed.
#[derive(Clone, Debug)]
pub struct Sentinel(Arc<OwnedFd>);

impl AsFd for Sentinel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<R: DeserializeOwned + Send + 'static> Process<R> {
    /// Makes a process for one call; the same as [`Task::process`], spelled as in Python.
    ///
    /// # Errors
    ///
    /// As [`Task::process`].
    pub fn new<A: Serialize>(task: &Task<A, R>, arguments: A) -> Result<Self, Error> {
        task.process(arguments)
    }
}

impl<R> Process<R> {
    pub(super) fn of(life: Arc<Life>, gather: Arc<Gather<R>>) -> Self {
        Self { life, gather: Some(gather) }
    }

    /// The process with another name than `Process-1` and so on. Names need not be unique.
    ///
    /// Calls are told the first 128 bytes of it.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.set_name(name);
        self
    }

    /// The process as a daemon, or not, which is usual.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let spin = br#"(module (func (export "spin") (loop (br 0))))"#;
    /// let spin = pool.load_bytes("spin", spin)?.task::<(), ()>("spin")?;
    /// let process = spin.process(())?.named("spinner").daemon(true);
    /// process.start()?;
    /// assert!(process.is_daemon());
    /// // It would spin for minutes yet.
    /// drop(pool);
    /// assert!(!process.is_alive()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn daemon(self, daemon: bool) -> Self {
        // One that has been started cannot be told any more; `set_daemon` says so.
        let _ = self.set_daemon(daemon);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.life.name()
    }

    /// Gives it another name. Its call is told the one that it has when it is started.
    pub fn set_name(&self, name: impl Into<String>) {
        self.life.set_name(name.into());
    }

    /// Whether it is a daemon: one that is terminated when its pool is dropped, rather than waited for.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.life.is_daemon()
    }

    /// Makes it a daemon, or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it has been started.
    pub fn set_daemon(&self, daemon: bool) -> Result<(), Error> {
        self.life.set_daemon(daemon)
    }

    /// Starts it, and returns when there is a process; it has yet to load the module then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it was started before, or is closed; [`ErrorKind::Closed`] when the pool is;
    /// [`ErrorKind::Setting`] when [`PROCESSES_MAX`] are alive; [`ErrorKind::SetUp`] when the system gives no process,
    /// after which it may be tried again.
    pub fn start(&self) -> Result<(), Error> {
        self.life.start()
    }

    /// Waits until it has ended, at most for `limit`; says whether it has. A limit of zero only looks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it was not started, or is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # use std::time::Duration;
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let spin = br#"(module (func (export "spin") (loop (br 0))))"#;
    /// let process = pool.load_bytes("spin", spin)?.task::<(), ()>("spin")?.process(())?;
    /// process.start()?;
    /// assert!(!process.join(Some(Duration::from_millis(10)))?);
    /// process.terminate()?;
    /// assert!(process.join(None)?);
    /// assert_eq!(process.exit_code()?, Some(-15));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self, limit: Option<Duration>) -> Result<bool, Error> {
        self.life.join(limit)
    }

    /// Whether it was started and has not ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it is closed.
    pub fn is_alive(&self) -> Result<bool, Error> {
        self.life.is_alive()
    }

    /// Its process id; none before it is started.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it is closed.
    pub fn pid(&self) -> Result<Option<u32>, Error> {
        self.life.pid()
    }

    /// How it ended, as Python has it; none before that.
    ///
    /// | code | when |
    /// |---|---|
    /// | 0 | the call returned |
    /// | 1 | the call failed: an error, a panic, a trap, a limit, a result that cannot be read |
    /// | 0 to 255 | the task called `exit` with this code |
    /// | -N | signal N ended the process: -9 after [`kill`](Self::kill) or a time-out, -15 after [`terminate`](Self::terminate) |
    /// | 255 | the process is gone, and the program has taken its status itself |
    ///
    /// What exactly went wrong is in the error of [`result`](Self::result).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it is closed.
    pub fn exit_code(&self) -> Result<Option<i32>, Error> {
        self.life.exit_code()
    }

    /// A descriptor that becomes readable when it has ended, for `poll` and its kin, beside anything else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it was not started, or is closed.
    pub fn sentinel(&self) -> Result<Sentinel, Error> {
        self.life.child().map(|child| Sentinel(Arc::clone(child.descriptor())))
    }

    /// Ends it by SIGTERM, and by SIGKILL if it is not gone half a second later. What it held of shared objects is let
    /// go. One that has ended already is left in peace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it was not started, or is closed.
    pub fn terminate(&self) -> Result<(), Error> {
        self.life.terminate()
    }

    /// Ends it by SIGKILL; otherwise the same as [`terminate`](Self::terminate).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when it was not started, or is closed.
    pub fn kill(&self) -> Result<(), Error> {
        self.life.child().map(|child| child.kill())
    }

    /// Lets go of the process's descriptor. Afterwards the other methods are errors, but for name, daemon and result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] while it runs.
    pub fn close(&self) -> Result<(), Error> {
        self.life.close()
    }
}

impl<R: DeserializeOwned + Send + 'static> Process<R> {
    /// Waits until it has ended, and takes what its call has returned. Python has nothing like it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Call`] with the [`Failure`](crate::Failure) when the call failed or the process was ended;
    /// [`ErrorKind::Misuse`] when it was not started, or the result was taken before.
    pub fn result(&mut self) -> Result<R, Error> {
        self.life.wait_for_end()?;
        let gather = self.gather.take().ok_or_else(|| {
            let text = format!("the result of process `{}` was taken before", self.name());
            Error::new(ErrorKind::Misuse, text)
        })?;
        sole_result(self.life.pool(), self.life.job(), gather)
    }
}

impl<R> std::fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("pid", &self.pid().ok().flatten())
            .finish_non_exhaustive()
    }
}

/// How many cores this process may use: the machine's, less what affinity and cgroup quotas take away.
///
/// # Examples
///
/// ```
/// assert!(wasmpool::cpu_count() >= 1);
/// ```
#[must_use]
pub fn cpu_count() -> usize {
    cores::available()
}

/// Starts a process for each call of a job as its input comes, until there are no more or the job is over.
///
/// # Errors
///
/// When one cannot be started, or there are more than may be at once; some may run then.
#[cfg(feature = "cli")]
pub(super) fn start_each(module: &Use, job: &Arc<Job>) -> Result<(), Error> {
    while let Some(mut call) = job.next_calls() {
        loop {
            let rest = call.split_off(1);
            let number = call.calls().end;
            let life = Life::new(module.clone(), call);
            if let Err(error) = check_count(number).and_then(|()| life.start()) {
                // First, so that nobody hears of the calls that go with the chunks.
                job.cancel(None);
                return Err(error);
            }
            match rest {
                Some(rest) => call = rest,
                None => break,
            }
        }
    }
    Ok(())
}

/// Checks that so many processes may be alive at once.
///
/// # Errors
///
/// When they may not.
#[cfg(feature = "cli")]
pub(crate) fn check_count(processes: u64) -> Result<(), Error> {
    if processes <= PROCESSES_MAX as u64 {
        return Ok(());
    }
    let text = format!(
        "more than {PROCESSES_MAX} inputs, and as many processes may be at once: give fewer, or use map, which runs \
         any number of calls in a few processes"
    );
    Err(Error::new(ErrorKind::Setting, text))
}

/// Has calls be run in processes of their own: once, and within the job's time, which is the call's as well.
pub(crate) fn set_terms(terms: &mut Terms) {
    terms.retries = 0;
    terms.lost_retries = 0;
    if let Some(deadline) = terms.deadline.take() {
        terms.time_max = Some(terms.time_max.map_or(deadline, |most| most.min(deadline)));
    }
}
