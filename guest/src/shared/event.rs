//! A flag to wait for.

use std::time::Duration;

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::error::{InTime, SharedError};
use super::handle::{Handle, limit, object};

/// A flag to wait for (Python's `Event`).
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Event, SharedError};
/// use wasmpool_guest::task;
///
/// /// Starts when everyone may.
/// #[task]
/// fn run(number: i64) -> Result<(), SharedError> {
///     Event::open("start")?.wait()?;
///     println!("{number} runs");
///     Ok(())
/// }
///
/// /// Fires the pistol.
/// #[task]
/// fn start() -> Result<(), SharedError> {
///     Event::open("start")?.set()
/// }
/// ```
#[derive(Debug)]
pub struct Event {
    handle: Handle,
}

object!(Event);

impl Event {
    /// Opens the event that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no event of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Event, None)? })
    }

    /// Sets the flag, and wakes everyone who waits.
    ///
    /// # Errors
    ///
    /// When the event was granted for reading only.
    pub fn set(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Set).map(|_| ())
    }

    /// Clears the flag.
    ///
    /// # Errors
    ///
    /// When the event was granted for reading only.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Clear).map(|_| ())
    }

    /// Whether the flag is set.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_set(&self) -> Result<bool, SharedError> {
        Ok(self.handle.ask(Op::State)? != 0)
    }

    /// Waits until the flag is set; returns at once if it is.
    ///
    /// # Errors
    ///
    /// When the wait could never end.
    pub fn wait(&self) -> Result<(), SharedError> {
        self.handle.op(Op::Wait, 0, NO_LIMIT).map(|_| ())
    }

    /// The same for so long at most; says whether the flag was set.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(self.handle.op(Op::Wait, 0, limit(duration)).in_time()?.is_some())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
