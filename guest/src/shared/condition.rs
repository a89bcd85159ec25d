//! A lock with a place to wait.

use std::time::{Duration, Instant};

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::error::{InTime, SharedError};
use super::handle::{Handle, limit_or_none, object};
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
        wait(&self.handle, NO_LIMIT)
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(wait(&self.handle, limit_or_none(Some(duration))).in_time()?.is_some())
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

fn wait(handle: &Handle, limit: i64) -> Result<(), SharedError> {
    handle.op(Op::Wait, 0, limit).map(|_| ())
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
        wait(self.handle, NO_LIMIT)
    }

    /// The same for so long at most; says whether it was notified. The lock is taken again in either case.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(wait(self.handle, limit_or_none(Some(duration))).in_time()?.is_some())
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
            if wait(self.handle, limit_or_none(left)).in_time()?.is_none() {
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
