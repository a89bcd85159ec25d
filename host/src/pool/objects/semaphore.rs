//! Permits that are taken and given back.

use std::marker::PhantomData;
use std::mem;
use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::error::SharedError;
use super::handle::{Handle, for_ever, handle, within};
use crate::shm::object::Object;
use crate::shm::object::patience::Patience;
use crate::shm::object::semaphore::Semaphore as Inner;

/// A permit that is given back when it is dropped.
///
/// A worker that dies never drops it; then the pool gives the permit back.
#[derive(Debug)]
#[must_use = "the permit is given back at once when it is not kept"]
pub struct Permit<'a> {
    handle: &'a Handle,
    /// Whoever has a permit is a thread.
    of_this_thread: PhantomData<*const ()>,
}

impl<'a> Permit<'a> {
    fn take(handle: &'a Handle, patience: &Patience<'_>) -> Result<Option<Self>, SharedError> {
        let party = handle.party()?;
        let taken = handle.in_time(semaphore_of(handle).acquire(party, patience))?;
        Ok(taken.map(|()| Self { handle, of_this_thread: PhantomData }))
    }

    /// Goes without giving the permit back: as after Python's `acquire`, that takes a `release`.
    ///
    /// It is this thread's still, which gives it back when it ends.
    pub fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Whoever has released by hand meanwhile has what he wanted.
        let _ = release(self.handle, 1);
    }
}

fn semaphore_of(handle: &Handle) -> &Inner {
    match handle.object() {
        Object::Semaphore(semaphore) => semaphore,
        other => unreachable!("only handles of semaphores come here, not {other:?}"),
    }
}

fn release(handle: &Handle, permits: u32) -> Result<(), SharedError> {
    let party = handle.party()?;
    handle.said(semaphore_of(handle).release(party, permits))
}

macro_rules! semaphore {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name {
            handle: Handle,
        }

        handle!($name { handle }, Semaphore(Inner));

        impl $name {
            pub(super) fn new(handle: Handle) -> Self {
                Self { handle }
            }

            /// Takes a permit, and gives it back when it is dropped.
            ///
            /// # Errors
            ///
            /// When the object is poisoned, or too many threads use shared objects.
            pub fn acquire(&self) -> Result<Permit<'_>, SharedError> {
                let permit = Permit::take(&self.handle, &for_ever())?;
                permit.ok_or_else(|| self.handle.refused(Refusal::TimedOut))
            }

            /// Takes a permit if there is one.
            ///
            /// # Errors
            ///
            /// Those of [`acquire`](Self::acquire).
            pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, SharedError> {
                Permit::take(&self.handle, &Patience::NONE)
            }

            /// Takes a permit, or returns nothing if there is none in time.
            ///
            /// # Errors
            ///
            /// Those of [`acquire`](Self::acquire).
            pub fn acquire_for(&self, duration: Duration) -> Result<Option<Permit<'_>>, SharedError> {
                Permit::take(&self.handle, &within(duration))
            }

            /// Gives back permits that were [kept](Permit::keep).
            ///
            /// # Errors
            ///
            /// When that makes more permits than there can be.
            pub fn release(&self, permits: u32) -> Result<(), SharedError> {
                release(&self.handle, permits)
            }

            /// How many permits are left (Python's `get_value`).
            ///
            /// # Errors
            ///
            /// When the object is poisoned.
            pub fn available(&self) -> Result<usize, SharedError> {
                Ok(self.handle.said(self.inner().value())? as usize)
            }

            fn handle(&self) -> &Handle {
                &self.handle
            }
        }
    };
}

semaphore! {
    /// A number of permits (Python's `Semaphore`): so many calls or threads at a time.
    ///
    /// Releasing more than was acquired makes more permits than there were at first.
    ///
    /// Made by [`Pool::semaphore`](crate::Pool::semaphore).
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let seats = pool.semaphore("seats", 2)?;
    /// let (_first, _second) = (seats.acquire()?, seats.acquire()?);
    /// assert!(seats.try_acquire()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Differences from Python
    ///
    /// Permits of a worker that dies come back, as do those of a thread that ends. To give out permits that nobody
    /// took, [`release`](Self::release) them.
    Semaphore
}

semaphore! {
    /// A semaphore that never has more permits than at first (Python's `BoundedSemaphore`).
    ///
    /// Made by [`Pool::bounded_semaphore`](crate::Pool::bounded_semaphore).
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// use wasmpool::shared::SharedErrorKind;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let seats = pool.bounded_semaphore("seats", 3)?;
    /// seats.acquire()?.keep();
    /// seats.release(1)?;
    /// assert_eq!(seats.release(1).unwrap_err().kind(), SharedErrorKind::TooMany);
    /// # Ok(())
    /// # }
    /// ```
    BoundedSemaphore
}
