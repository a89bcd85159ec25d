//! Mutual exclusion, and what it has in common with everything else that has a lock.

use std::cell::Cell;

use wasmpool_abi::shared::{Kind, Op};

use super::error::SharedError;
use super::handle::{Handle, object};

/// A lock that is held until the guard is dropped.
///
/// A call that traps or panics never drops it; then the pool gives the lock back, and the next holder is told.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct LockGuard<'a> {
    handle: &'a Handle,
    owner_died: Cell<bool>,
}

impl<'a> LockGuard<'a> {
    /// Takes the lock of an object.
    pub(super) fn acquire(handle: &'a Handle, limit: i64) -> Result<Self, SharedError> {
        Ok(Self { owner_died: Cell::new(handle.acquire(limit)?), handle })
    }

    /// Whether the last holder died, or ended its call, while it held the lock.
    ///
    /// What the lock protects may then be half changed: look at it before you rely on it.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        self.owner_died.get()
    }

    /// Notes whether the lock was found without its owner when it was taken again.
    pub(super) fn found(&self, owner_died: bool) {
        self.owner_died.set(owner_died);
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // Whoever has released by hand meanwhile has what he wanted.
        let _ = self.handle.ask(Op::Release);
    }
}

/// Python's ways to take a lock, and guards.
macro_rules! lock_methods {
    ($guard:ident) => {
        /// Takes the lock, and gives it back when the guard is dropped.
        ///
        /// # Errors
        ///
        /// When the wait could never end.
        pub fn lock(&self) -> Result<$crate::shared::$guard<'_>, SharedError> {
            $crate::shared::$guard::acquire(self.handle(), wasmpool_abi::shared::NO_LIMIT)
        }

        /// Takes the lock if it is free.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn try_lock(&self) -> Result<Option<$crate::shared::$guard<'_>>, SharedError> {
            $crate::shared::error::InTime::in_time($crate::shared::$guard::acquire(self.handle(), 0))
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
            let limit = $crate::shared::handle::limit(duration);
            $crate::shared::error::InTime::in_time($crate::shared::$guard::acquire(self.handle(), limit))
        }

        /// Takes the lock until [`release`](Self::release), as Python's `acquire`.
        ///
        /// A guard is safer: it gives the lock back on every way out, and tells whether the last holder died.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn acquire(&self) -> Result<(), SharedError> {
            self.handle().acquire(wasmpool_abi::shared::NO_LIMIT).map(|_| ())
        }

        /// Takes the lock until [`release`](Self::release) if it is free; says whether it did.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn try_acquire(&self) -> Result<bool, SharedError> {
            Ok($crate::shared::error::InTime::in_time(self.handle().acquire(0))?.is_some())
        }

        /// Takes the lock until [`release`](Self::release) if it is free in time; says whether it did.
        ///
        /// # Errors
        ///
        /// Those of [`lock`](Self::lock).
        pub fn acquire_for(&self, duration: std::time::Duration) -> Result<bool, SharedError> {
            let limit = $crate::shared::handle::limit(duration);
            Ok($crate::shared::error::InTime::in_time(self.handle().acquire(limit))?.is_some())
        }

        /// Gives the lock back.
        ///
        /// # Errors
        ///
        /// When it is not held, or held by another call where only the holder may release it.
        pub fn release(&self) -> Result<(), SharedError> {
            self.handle().ask(wasmpool_abi::shared::Op::Release).map(|_| ())
        }
    };
}
pub(super) use lock_methods;

/// A lock (Python's `Lock`): one call at a time.
///
/// Whoever holds it must not take it again, which is refused. Anyone may release it.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Lock, SharedError};
/// use wasmpool_guest::task;
///
/// /// Prints two lines that stay together.
/// #[task]
/// fn report(number: i64) -> Result<(), SharedError> {
///     let lock = Lock::open("printer")?;
///     let _guard = lock.lock()?;
///     println!("begin {number}");
///     println!("end {number}");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Lock {
    handle: Handle,
}

object!(Lock);

impl Lock {
    /// Opens the lock that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no lock of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Lock, None)? })
    }

    lock_methods!(LockGuard);

    /// Whether somebody holds it.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_locked(&self) -> Result<bool, SharedError> {
        Ok(self.handle.ask(Op::State)? != 0)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A lock that its holder may take again (Python's `RLock`).
///
/// It is free when it was released as often as it was taken. Only the holder may release it.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{RLock, SharedError};
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
/// # let _ = outer;
/// ```
#[derive(Debug)]
pub struct RLock {
    handle: Handle,
}

object!(RLock);

impl RLock {
    /// Opens the lock that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no such lock of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::RLock, None)? })
    }

    lock_methods!(LockGuard);

    /// Whether somebody holds it.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_locked(&self) -> Result<bool, SharedError> {
        Ok(self.handle.ask(Op::State)? != 0)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
