//! Who and where the running call is.

use wasmpool_abi::current::Record;
#[cfg(any(test, not(target_family = "wasm")))]
use wasmpool_abi::current::seed;

/// The running call and its process, as [`current`] tells of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    record: Record,
}

/// Tells which call of which job this is, and in which process it runs (Python's `current_process`).
///
/// In a deterministic pool everything is the same each time: process id and worker are 0, the attempt is 1, and all
/// workers are called `PoolWorker-1`. Outside of a worker, as in `cargo test`, it tells of this process: `MainProcess`, and of
/// the first attempt of call 0 of job 0.
///
/// # Examples
///
/// ```
/// use wasmpool_guest::{current, task};
///
/// /// Tells in which process it runs.
/// #[task]
/// fn whoami() -> String {
///     format!("{} in process {}", current().process_name(), current().pid())
/// }
///
/// assert_eq!(whoami(), format!("MainProcess in process {}", std::process::id()));
/// ```
#[must_use]
pub fn current() -> Current {
    #[cfg(target_family = "wasm")]
    let record = crate::imports::current();
    #[cfg(not(target_family = "wasm"))]
    let record = of_this_process();
    Current { record }
}

/// The record of a call that no worker runs.
#[cfg(not(target_family = "wasm"))]
fn of_this_process() -> Record {
    let mut record = Record::of_process("MainProcess");
    record.pid = std::process::id();
    record.attempt = 1;
    record.seed = seed(0, 0, 0);
    record
}

impl Current {
    /// Name of the process: `PoolWorker-1` and so on in a pool; that of a `Process` is its own.
    #[must_use]
    pub fn process_name(&self) -> &str {
        self.record.name()
    }

    /// Id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.record.pid
    }

    /// Number of the worker in its pool, from 0 on; of a process of its own, its number among those.
    ///
    /// A worker that takes a dead one's place takes its number, too.
    #[must_use]
    pub fn worker(&self) -> u32 {
        self.record.worker
    }

    /// Number of the job in its pool: 1 for the first `map`, `apply` or process, and so on.
    #[must_use]
    pub fn job(&self) -> u64 {
        self.record.job
    }

    /// Index of the call in its job: that of its input.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.record.index
    }

    /// Which attempt of the call this is, from 1 on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.record.attempt
    }

    /// A number to begin the call's random numbers with.
    ///
    /// It comes from the pool's seed (0 unless the pool is deterministic), the job and the call's index and from nothing
    /// else, so that it is the same with any number of workers, and in every attempt; [`wasmpool_abi::current::seed`]
    /// has the formula. Whoever can see those can tell it: it is no secret.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut state = wasmpool_guest::current().seed();
    /// let mut random = || {
    ///     state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    ///     state >> 33
    /// };
    /// assert_ne!(random(), random());
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.record.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_a_worker_there_are_sensible_defaults() {
        let current = current();
        assert_eq!(current.process_name(), "MainProcess");
        assert_eq!(current.pid(), std::process::id());
        assert_eq!((current.worker(), current.job(), current.index(), current.attempt()), (0, 0, 0, 1));
        assert_eq!(current.seed(), seed(0, 0, 0));
    }
}
