//! A flag to wait for.

use std::time::Duration;

use super::error::SharedError;
use super::handle::{Handle, for_ever, handle, within};
use crate::shm::object::event::Event as Inner;

/// A flag to wait for (Python's `Event`).
///
/// Made by [`Pool::event`](crate::Pool::event).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let start = pool.event("start")?;
/// std::thread::scope(|threads| {
///     let runner = threads.spawn(|| start.wait());
///     start.set()?;
///     runner.join().expect("no panic")?;
///     assert!(start.is_set()?);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Differences from Python
///
/// Setting never waits for those who wait, so that one who died waiting hangs nobody. A wait that has begun ends when
/// the flag is set, also if it is cleared at once.
pub struct Event {
    handle: Handle,
}

handle!(Event { handle }, Event(Inner));

impl Event {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Sets the flag, and wakes everyone who waits.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn set(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().set())
    }

    /// Clears the flag.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().clear())
    }

    /// Whether the flag is set.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_set(&self) -> Result<bool, SharedError> {
        self.handle.said(self.inner().is_set())
    }

    /// Waits until the flag is set; returns at once if it is.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn wait(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().wait(&for_ever()))
    }

    /// The same for so long at most; says whether the flag was set.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(self.handle.in_time(self.inner().wait(&within(duration)))?.is_some())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
