//! A lock with a place to wait.

use std::time::{Duration, Instant};

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::error::{InTime, SharedError};
use super::handle::{Handle, limit, limit_or_none, object};
use super::lock::{LockGuard, lock_methods};

/// A lock with a place to wait (Python's `Condition`).
///
/// Whoever holds the lock and finds that he has to wait for a change, gives the lock up and sleeps in one step, until
/// somebody who has made the change notifies him. What is waited for lies in other shared objects.
///
/// The lock may be taken with a guard or, as in Python, with `acquire` and `release`; waiting and notifying works in
/// either case, and is refused while the lock is not held.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Condition, SharedError, Value};
/// use wasmpool_guest::task;
///
/// /// Waits until the number is not 0.
/// #[task]
/// fn wait_for_number() -> Result<i64, SharedError> {
///     let (changed, number) = (Condition::open("changed")?, Value::<i64>::open("number")?);
///     let guard = changed.lock()?;
///     guard.wait_while(|| Ok(number.get()? == 0))?;
///     number.get()
/// }
///
/// /// Sets the number, and tells everyone.
/// #[task]
/// fn set_number(value: i64) -> Result<(), SharedError> {
///     let (changed, number) = (Condition::open("changed")?, Value::<i64>::open("number")?);
///     let guard = changed.lock()?;
///     number.set(value)?;
///     guard.notify_all()
/// }
/// ```
#[derive(Debug)]
pub struct Condition {
    handle: Handle,
}

object!(Condition);

impl Condition {
    /// Opens the condition that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no condition of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Condition, None)? })
    }

    lock_methods!(ConditionGuard);

    /// Gives the lock up, waits to be notified, and takes it again.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn wait(&self) -> Result<(), SharedError> {
        wait(&self.handle, NO_LIMIT).map(|_| ())
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(wait(&self.handle, limit(duration))?.is_some())
    }

    /// Wakes up to `waiters` of those who wait.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn notify(&self, waiters: u32) -> Result<(), SharedError> {
        self.handle.op(Op::Notify, waiters.into(), 0).map(|_| ())
    }

    /// Wakes everyone who waits.
    ///
    /// # Errors
    ///
    /// When the lock is not held.
    pub fn notify_all(&self) -> Result<(), SharedError> {
        self.handle.op(Op::Notify, -1, 0).map(|_| ())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Waits to be notified; says whether the lock's last owner died, or nothing when it was not notified in time.
fn wait(handle: &Handle, limit: i64) -> Result<Option<bool>, SharedError> {
    let owner_died = handle.op(Op::Wait, 0, limit).in_time()?;
    Ok(owner_died.map(|owner_died| owner_died != 0))
}

/// The lock of a [`Condition`], held until the guard is dropped.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct ConditionGuard<'a> {
    handle: &'a Handle,
    lock: LockGuard<'a>,
}

impl<'a> ConditionGuard<'a> {
    /// Takes the lock of a condition.
    pub(super) fn acquire(handle: &'a Handle, limit: i64) -> Result<Self, SharedError> {
        Ok(Self { handle, lock: LockGuard::acquire(handle, limit)? })
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
    /// When the wait could never end.
    pub fn wait(&self) -> Result<(), SharedError> {
        self.wait_within(NO_LIMIT).map(|_| ())
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        self.wait_within(limit(duration))
    }

    fn wait_within(&self, limit: i64) -> Result<bool, SharedError> {
        let owner_died = wait(self.handle, limit)?;
        self.lock.found(owner_died.unwrap_or(false));
        Ok(owner_died.is_some())
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
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !self.wait_within(limit_or_none(left))? {
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
        self.handle.op(Op::Notify, waiters.into(), 0).map(|_| ())
    }

    /// Wakes everyone who waits; they go on, one by one, when the lock is free.
    ///
    /// # Errors
    ///
    /// When the lock was released by hand.
    pub fn notify_all(&self) -> Result<(), SharedError> {
        self.handle.op(Op::Notify, -1, 0).map(|_| ())
    }
}
