//! A meeting of a fixed number of parties.

use std::time::Duration;

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::error::SharedError;
use super::handle::{Handle, limit, object};

/// A meeting of a fixed number of parties (Python's `Barrier`).
///
/// All wait until the last has come; then all go on, and the next meeting begins. When a party gives up or dies, the
/// barrier is broken: everyone's wait ends with [`Broken`](super::SharedErrorKind::Broken), until somebody resets it.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Barrier, SharedError};
/// use wasmpool_guest::task;
///
/// /// Works in two steps; nobody begins the second before all have done the first.
/// #[task]
/// fn work(number: i64) -> Result<(), SharedError> {
///     let barrier = Barrier::open("steps")?;
///     println!("{number} does the first step");
///     if barrier.wait()? == 0 {
///         println!("exactly one is number 0");
///     }
///     println!("{number} does the second step");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Barrier {
    handle: Handle,
}

object!(Barrier);

impl Barrier {
    /// Opens the barrier that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no barrier of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Barrier, None)? })
    }

    /// Waits for all parties; returns the index of this one, 0 to `parties` - 1, each once.
    ///
    /// # Errors
    ///
    /// When the barrier is, or gets, broken.
    pub fn wait(&self) -> Result<usize, SharedError> {
        self.wait_within(NO_LIMIT)
    }

    /// The same for so long at most; a party that gives up breaks the barrier.
    ///
    /// # Errors
    ///
    /// When the barrier is, or gets, broken, also by this.
    pub fn wait_for(&self, duration: Duration) -> Result<usize, SharedError> {
        self.wait_within(limit(duration))
    }

    fn wait_within(&self, limit: i64) -> Result<usize, SharedError> {
        Ok(usize::try_from(self.handle.op(Op::Wait, 0, limit)?).unwrap_or(0))
    }

    /// Breaks the barrier: those who wait, and all who come, find it broken.
    ///
    /// # Errors
    ///
    /// When the barrier was granted for reading only.
    pub fn abort(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Abort).map(|_| ())
    }

    /// Makes the barrier whole and empty again; those who wait find it broken.
    ///
    /// # Errors
    ///
    /// When the barrier was granted for reading only.
    pub fn reset(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Reset).map(|_| ())
    }

    /// How many meet.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn parties(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Capacity)
    }

    /// How many wait now.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn n_waiting(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::State)
    }

    /// Whether the barrier is broken.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_broken(&self) -> Result<bool, SharedError> {
        Ok(self.handle.ask(Op::IsBroken)? != 0)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
