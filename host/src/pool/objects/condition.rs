//! A lock with a place to wait.

use std::time::{Duration, Instant};

use super::error::SharedError;
use super::handle::{Handle, for_ever, handle, within};
use super::lock::{LockGuard, lock_methods};
use crate::shm::object::Object;
use crate::shm::object::condition::Condition as Inner;
use crate::shm::object::lock::Found;
use crate::shm::object::patience::Patience;

/// A lock with a place to wait (Python's `Condition`).
///
/// Whoever holds the lock and finds that he has to wait for a change, gives the lock up and sleeps in one step, until
/// somebody who has made the change notifies him. What is waited for lies in other shared objects.
///
/// The lock may be taken with a guard or, as in Python, with `acquire` and `release`; waiting and notifying works in
/// either case, and is refused while the lock is not held.
///
/// Made by [`Pool::condition`](crate::Pool::condition).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let (changed, number) = (pool.condition("changed")?, pool.value("number", 0)?);
/// std::thread::scope(|threads| {
///     let waiting = threads.spawn(|| {
///         changed.lock()?.wait_while(|| Ok(number.get()? == 0))?;
///         number.get()
///     });
///     let guard = changed.lock()?;
///     number.set(7)?;
///     guard.notify_all()?;
///     drop(guard);
///     assert_eq!(waiting.join().expect("no panic")?, 7);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Differences from Python
///
/// Notifying never waits for those who are notified, so that one who died waiting hangs nobody. Python's `wait_for` is
/// [`wait_until`](ConditionGuard::wait_until); `wait_for` takes a duration, as everywhere here.
pub struct Condition {
    handle: Handle,
}

handle!(Condition { handle });

impl Condition {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    lock_methods!(ConditionGuard);

    /// Gives the lock up, waits to be notified, and takes it again.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn wait(&self) -> Result<(), SharedError> {
        wait(&self.handle, &for_ever()).map(|_| ())
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(wait(&self.handle, &within(duration))?.is_some())
    }

    /// Wakes up to `waiters` of those who wait.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn notify(&self, waiters: u32) -> Result<(), SharedError> {
        notify(&self.handle, waiters)
    }

    /// Wakes everyone who waits.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn notify_all(&self) -> Result<(), SharedError> {
        notify(&self.handle, u32::MAX)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

fn condition_of(handle: &Handle) -> &Inner {
    match handle.object() {
        Object::Condition(condition) => condition,
        other => unreachable!("only handles of conditions come here, not {other:?}"),
    }
}

/// Waits to be notified; says how the lock was found, or nothing when it was not notified in time.
fn wait(handle: &Handle, patience: &Patience<'_>) -> Result<Option<Found>, SharedError> {
    let party = handle.party()?;
    handle.in_time(condition_of(handle).wait(party, patience))
}

fn notify(handle: &Handle, waiters: u32) -> Result<(), SharedError> {
    let party = handle.party()?;
    handle.said(condition_of(handle).notify(party, waiters)).map(|_| ())
}

/// The lock of a [`Condition`], held until the guard is dropped.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct ConditionGuard<'a> {
    lock: LockGuard<'a>,
}

impl<'a> ConditionGuard<'a> {
    /// Takes the lock of a condition.
    pub(super) fn take(handle: &'a Handle, patience: &Patience<'_>) -> Result<Option<Self>, SharedError> {
        Ok(LockGuard::take(handle, patience)?.map(|lock| Self { lock }))
    }

    /// Whether the last holder died, or ended its call, while it held the lock.
    ///
    /// After a wait, this speaks of the one who held the lock before it was taken again. A wait with a limit answers
    /// that it was notified, then: what was left half changed is to be looked at.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }

    /// Gives the lock up, waits to be notified, and takes it again.
    ///
    /// Being notified does not mean that what one waits for is true: [`wait_until`](Self::wait_until) looks.
    ///
    /// # Errors
    ///
    /// When the lock was released by hand.
    pub fn wait(&self) -> Result<(), SharedError> {
        self.wait_within(&for_ever()).map(|_| ())
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        self.wait_within(&within(duration))
    }

    fn wait_within(&self, patience: &Patience<'_>) -> Result<bool, SharedError> {
        let found = wait(self.lock.handle(), patience)?;
        self.lock.found(found.unwrap_or(Found::Released));
        Ok(found.is_some())
    }

    /// Waits for as long as `is_so` says yes.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait) and those of `is_so`.
    pub fn wait_while(
        &self,
        mut is_so: impl FnMut() -> Result<bool, SharedError>,
    ) -> Result<(), SharedError> {
        self.wait_until(|| Ok(!is_so()?), None).map(|_| ())
    }

    /// Waits until `is_so` says yes (Python's `wait_for`), for so long at most; returns its last answer.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait) and those of `is_so`.
    pub fn wait_until(
        &self,
        mut is_so: impl FnMut() -> Result<bool, SharedError>,
        duration: Option<Duration>,
    ) -> Result<bool, SharedError> {
        // A duration so long that its end cannot be told is for ever.
        let end = duration.and_then(|duration| Instant::now().checked_add(duration));
        while !is_so()? {
            let patience =
                end.map_or(for_ever(), |end| within(end.saturating_duration_since(Instant::now())));
            if !self.wait_within(&patience)? {
                return is_so();
            }
        }
        Ok(true)
    }

    /// Wakes up to `waiters` of those who wait; they go on when the lock is free.
    ///
    /// # Errors
    ///
    /// When the lock was released by hand.
    pub fn notify(&self, waiters: u32) -> Result<(), SharedError> {
        notify(self.lock.handle(), waiters)
    }

    /// Wakes everyone who waits; they go on, one by one, when the lock is free.
    ///
    /// # Errors
    ///
    /// When the lock was released by hand.
    pub fn notify_all(&self) -> Result<(), SharedError> {
        notify(self.lock.handle(), u32::MAX)
    }
}
