//! Permits that are taken and given back.

use std::mem;
use std::time::Duration;

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::error::{InTime, SharedError};
use super::handle::{Handle, limit, object};

/// A permit that is given back when it is dropped.
///
/// A call that traps or panics never drops it; then the pool gives the permit back.
#[derive(Debug)]
#[must_use = "the permit is given back at once when it is not kept"]
pub struct Permit<'a> {
    handle: &'a Handle,
}

impl<'a> Permit<'a> {
    fn acquire(handle: &'a Handle, limit: i64) -> Result<Self, SharedError> {
        handle.acquire(limit)?;
        Ok(Self { handle })
    }

    /// Goes without giving the permit back: as after Python's `acquire`, that takes a `release`.
    pub fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Whoever has released by hand meanwhile has what he wanted.
        let _ = self.handle.op(Op::Release, 1, 0);
    }
}

macro_rules! semaphore {
    ($(#[$doc:meta])* $name:ident, $article:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            handle: Handle,
        }

        object!($name);

        impl $name {
            #[doc = concat!("Opens the ", $article, " that was granted as `name`.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("When no ", $article, " of this name was granted.")]
            pub fn open(name: &str) -> Result<Self, SharedError> {
                Ok(Self { handle: Handle::open(name, Kind::$name, None)? })
            }

            /// Takes a permit, and gives it back when it is dropped.
            ///
            /// # Errors
            ///
            /// When the wait could never end.
            pub fn acquire(&self) -> Result<Permit<'_>, SharedError> {
                Permit::acquire(&self.handle, NO_LIMIT)
            }

            /// Takes a permit if there is one.
            ///
            /// # Errors
            ///
            /// Those of [`acquire`](Self::acquire).
            pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, SharedError> {
                Permit::acquire(&self.handle, 0).in_time()
            }

            /// Takes a permit, or returns nothing if there is none in time.
            ///
            /// # Errors
            ///
            /// Those of [`acquire`](Self::acquire).
            pub fn acquire_for(&self, duration: Duration) -> Result<Option<Permit<'_>>, SharedError> {
                Permit::acquire(&self.handle, limit(duration)).in_time()
            }

            /// Gives back permits that were [kept](Permit::keep).
            ///
            /// # Errors
            ///
            /// When that makes more permits than there can be.
            pub fn release(&self, permits: u32) -> Result<(), SharedError> {
                self.handle.op(Op::Release, permits.into(), 0).map(|_| ())
            }

            /// How many permits are left (Python's `get_value`).
            ///
            /// # Errors
            ///
            /// When the object is poisoned.
            pub fn available(&self) -> Result<usize, SharedError> {
                self.handle.count(Op::State)
            }

            fn handle(&self) -> &Handle {
                &self.handle
            }
        }
    };
}

semaphore! {
    /// A number of permits (Python's `Semaphore`): so many calls at a time.
    ///
    /// Releasing more than was acquired makes more permits than there were at first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasmpool_guest::shared::{Semaphore, SharedError};
    /// use wasmpool_guest::task;
    ///
    /// /// At most as many calls at a time as `--semaphore seats=3` says.
    /// #[task]
    /// fn visit(name: &str) -> Result<(), SharedError> {
    ///     let seats = Semaphore::open("seats")?;
    ///     let _seat = seats.acquire()?;
    ///     println!("{name} has a seat");
    ///     Ok(())
    /// }
    /// ```
    Semaphore, "semaphore"
}

semaphore! {
    /// A semaphore that never has more permits than at first (Python's `BoundedSemaphore`).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasmpool_guest::shared::{BoundedSemaphore, SharedErrorKind};
    ///
    /// let seats = BoundedSemaphore::open("seats")?;
    /// seats.acquire()?.keep();
    /// seats.release(1)?;
    /// assert_eq!(seats.release(1).unwrap_err().kind(), SharedErrorKind::TooMany);
    /// # Ok::<(), wasmpool_guest::shared::SharedError>(())
    /// ```
    BoundedSemaphore, "bounded semaphore"
}
