//! Mutual exclusion, and what it has in common with everything else that has a lock.

use std::cell::Cell;
use std::marker::PhantomData;

use super::error::SharedError;
use super::handle::{Handle, handle};
use crate::shm::object::Object;
use crate::shm::object::lock::{Found, Lock as Inner};
use crate::shm::object::patience::Patience;

/// A lock that is held until the guard is dropped, by the thread that took it.
///
/// A worker that dies never drops it; then the pool gives the lock back, and the next holder is told. The same goes
/// for a thread of the host program that ends without having released what it [acquired](Lock::acquire).
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct LockGuard<'a> {
    handle: &'a Handle,
    owner_died: Cell<bool>,
    /// Whoever holds a lock is a thread.
    of_this_thread: PhantomData<*const ()>,
}

impl<'a> LockGuard<'a> {
    /// Takes the lock of an object.
    pub(super) fn take(handle: &'a Handle, patience: &Patience<'_>) -> Result<Option<Self>, SharedError> {
        let found = acquire(handle, patience)?;
        Ok(found.map(|found| {
            let owner_died = Cell::new(found == Found::Abandoned);
            Self { handle, owner_died, of_this_thread: PhantomData }
        }))
    }

    /// Whether the last holder died, or ended its call, while it held the lock.
    ///
    /// What the lock protects may then be half changed: look at it before you rely on it.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        self.owner_died.get()
    }

    pub(super) fn handle(&self) -> &'a Handle {
        self.handle
    }

    /// Notes how the lock was found when it was taken again.
    pub(super) fn found(&self, found: Found) {
        self.owner_died.set(found == Found::Abandoned);
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // Whoever has released by hand meanwhile has what he wanted.
        let _ = release(self.handle);
    }
}

/// The lock of an object that has one.
fn lock_of(handle: &Handle) -> &Inner {
    match handle.object() {
        Object::Lock(lock) => lock,
        Object::Cells(cells) => cells.lock(),
        Object::Condition(condition) => condition.lock(),
        other => unreachable!("only handles of objects with locks come here, not {other:?}"),
    }
}

/// Takes the lock; says how it was found, or nothing when it was not free in time.
pub(super) fn acquire(handle: &Handle, patience: &Patience<'_>) -> Result<Option<Found>, SharedError> {
    let party = handle.party()?;
    handle.in_time(lock_of(handle).acquire(party, patience))
}

/// Gives the lock back.
pub(super) fn release(handle: &Handle) -> Result<(), SharedError> {
    let party = handle.party()?;
    handle.said(lock_of(handle).release(party))
}

/// The ways to take a lock.
macro_rules! lock_methods {
    ($guard:ident) => {
        /// Takes the lock, and gives it back when the guard is dropped.
        ///
        /// # Errors
        ///
        /// When the wait could never end.
        pub fn lock(&self) -> Result<$crate::shared::$guard<'_>, SharedError> {
            use wasmpool_abi::shared::Refusal;
            use $crate::pool::objects::handle::for_ever;
            let guard = $crate::shared::$guard::take(self.handle(), &for_ever())?;
            guard.ok_or_else(|| self.handle().refused(Refusal::TimedOut))
        }

        /// Takes the lock if it is free.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn try_lock(&self) -> Result<Option<$crate::shared::$guard<'_>>, SharedError> {
            $crate::shared::$guard::take(self.handle(), &crate::shm::object::patience::Patience::NONE)
        }

        /// Takes the lock, or returns nothing if it is not free in time.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn lock_for(
            &self,
            duration: std::time::Duration,
        ) -> Result<Option<$crate::shared::$guard<'_>>, SharedError> {
            $crate::shared::$guard::take(self.handle(), &$crate::pool::objects::handle::within(duration))
        }

        /// Takes the lock until [`release`](Self::release), as Python's `acquire`.
        ///
        /// A guard is safer: it gives the lock back on every way out, and tells whether the last holder died. A thread
        /// that ends gives back what it holds.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn acquire(&self) -> Result<(), SharedError> {
            use $crate::pool::objects::{handle::for_ever, lock};
            lock::acquire(self.handle(), &for_ever()).map(|_| ())
        }

        /// Takes the lock until [`release`](Self::release) if it is free; says whether it did.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn try_acquire(&self) -> Result<bool, SharedError> {
            use crate::shm::object::patience::Patience;
            use $crate::pool::objects::lock;
            Ok(lock::acquire(self.handle(), &Patience::NONE)?.is_some())
        }

        /// Takes the lock until [`release`](Self::release) if it is free in time; says whether it did.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn acquire_for(&self, duration: std::time::Duration) -> Result<bool, SharedError> {
            use $crate::pool::objects::{handle::within, lock};
            Ok(lock::acquire(self.handle(), &within(duration))?.is_some())
        }

        /// Gives the lock back.
        ///
        /// # Errors
        ///
        /// When it is not held, or held by another thread where only the holder may release it.
        pub fn release(&self) -> Result<(), SharedError> {
            $crate::pool::objects::lock::release(self.handle())
        }
    };
}
pub(super) use lock_methods;

/// A lock (Python's `Lock`): one call or thread at a time.
///
/// Whoever holds it must not take it again, which is refused. Anyone may release it.
///
/// Made by [`Pool::lock`](crate::Pool::lock).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let printer = pool.lock("printer")?;
/// {
///     let _guard = printer.lock()?;
///     assert!(printer.is_locked()?);
/// }
/// assert!(!printer.is_locked()?);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// A holder that dies does not lock everyone else out: the next one gets the lock, and a guard that says
/// [`owner_died`](LockGuard::owner_died). A thread of the host program counts as one who can die: what it still
/// holds when it ends is given back.
pub struct Lock {
    handle: Handle,
}

handle!(Lock { handle }, Lock(Inner));

impl Lock {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    lock_methods!(LockGuard);

    /// Whether somebody holds it.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_locked(&self) -> Result<bool, SharedError> {
        self.handle.said(self.inner().ground().check())?;
        Ok(self.inner().is_held())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A lock that its holder may take again (Python's `RLock`).
///
/// It is free when it was released as often as it was taken. Only the holder may release it.
///
/// Made by [`Pool::rlock`](crate::Pool::rlock).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use wasmpool::shared::{RLock, SharedError};
///
/// fn outer(lock: &RLock) -> Result<(), SharedError> {
///     let _guard = lock.lock()?;
///     inner(lock)
/// }
///
/// fn inner(lock: &RLock) -> Result<(), SharedError> {
///     let _guard = lock.lock()?;
///     Ok(())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// outer(&pool.rlock("l")?)?;
/// # Ok(())
/// # }
/// ```
pub struct RLock {
    handle: Handle,
}

handle!(RLock { handle }, Lock(Inner));

impl RLock {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    lock_methods!(LockGuard);

    /// Whether somebody holds it.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_locked(&self) -> Result<bool, SharedError> {
        self.handle.said(self.inner().ground().check())?;
        Ok(self.inner().is_held())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
