//! A meeting of a fixed number of parties.

use std::time::Duration;

use super::error::SharedError;
use super::handle::{Handle, for_ever, handle, within};
use crate::shm::object::barrier::Barrier as Inner;
use crate::shm::object::patience::Patience;

/// A meeting of a fixed number of parties (Python's `Barrier`).
///
/// All wait until the last has come; then all go on, and the next meeting begins. When a party gives up or dies, the
/// barrier is broken: everyone's wait ends with [`Broken`](super::SharedErrorKind::Broken), until somebody resets it.
///
/// Made by [`Pool::barrier`](crate::Pool::barrier).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let steps = pool.barrier("steps", 2)?;
/// std::thread::scope(|threads| {
///     let other = threads.spawn(|| steps.wait());
///     let (mine, other) = (steps.wait()?, other.join().expect("no panic")?);
///     assert_eq!(mine + other, 1, "one is number 0, the other number 1");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Differences from Python
///
/// A party that dies while others wait breaks the barrier instead of hanging them. There is no `action`: whoever gets
/// index 0 can do it.
pub struct Barrier {
    handle: Handle,
}

handle!(Barrier { handle }, Barrier(Inner));

impl Barrier {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Waits for all parties; returns the index of this one, 0 to `parties` - 1, each once.
    ///
    /// # Errors
    ///
    /// When the barrier is, or gets, broken.
    pub fn wait(&self) -> Result<usize, SharedError> {
        self.wait_within(&for_ever())
    }

    /// The same for so long at most; a party that gives up breaks the barrier.
    ///
    /// # Errors
    ///
    /// When the barrier is, or gets, broken, also by this.
    pub fn wait_for(&self, duration: Duration) -> Result<usize, SharedError> {
        self.wait_within(&within(duration))
    }

    fn wait_within(&self, patience: &Patience<'_>) -> Result<usize, SharedError> {
        let party = self.handle.party()?;
        Ok(self.handle.said(self.inner().wait(party, patience))? as usize)
    }

    /// Breaks the barrier: those who wait, and all who come, find it broken.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn abort(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().abort())
    }

    /// Makes the barrier whole and empty again; those who wait find it broken.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn reset(&self) -> Result<(), SharedError> {
        let party = self.handle.party()?;
        self.handle.said(self.inner().reset(party))
    }

    /// How many meet.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.inner().parties() as usize
    }

    /// How many wait now.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn n_waiting(&self) -> Result<usize, SharedError> {
        Ok(self.handle.said(self.inner().waiting())? as usize)
    }

    /// Whether the barrier is broken.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_broken(&self) -> Result<bool, SharedError> {
        self.handle.said(self.inner().is_broken())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
