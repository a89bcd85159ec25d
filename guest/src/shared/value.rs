//! One shared number.

use std::marker::PhantomData;

use wasmpool_abi::shared::{CellOp, Kind};

use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::SharedError;
use super::handle::{Handle, object};
use super::lock::lock_methods;

/// A number that all calls of a job share (Python's `Value`).
///
/// Every operation is atomic and a single host call. `counter.set(counter.get()? + 1)` is two of them, between which
/// others may count, too: use [`fetch_add`](Self::fetch_add), [`update`](Self::update), or the number's lock, which
/// is Python's `with counter.get_lock()`. The lock keeps out those who take it, too, not single operations.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{SharedError, Value};
/// use wasmpool_guest::task;
///
/// /// Counts calls: `wasmpool map . count 0..100 --value counter=i64:0 --print counter`
/// #[task]
/// fn count(_input: i64) -> Result<(), SharedError> {
///     let counter = Value::<i64>::open("counter")?;
///     counter.fetch_add(1)?;
///     Ok(())
/// }
///
/// /// The same, as in Python.
/// #[task]
/// fn count_with_lock(_input: i64) -> Result<(), SharedError> {
///     let counter = Value::<i64>::open("counter")?;
///     let _guard = counter.lock()?;
///     counter.set(counter.get()? + 1)
/// }
/// ```
#[derive(Debug)]
pub struct Value<T> {
    handle: Handle,
    element: PhantomData<T>,
}

object!(Value<T: Element>);

impl<T: Element> Value<T> {
    /// Opens the value that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no value of this name and this type of number was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Value, Some(T::CODE))?, element: PhantomData })
    }

    cell_methods!();
    lock_methods!(LockGuard);

    fn handle(&self) -> &Handle {
        &self.handle
    }

    #[inline]
    fn cell(&self, index: i64, op: CellOp, a: i64, b: i64) -> Result<i64, SharedError> {
        self.handle.cell(op, index, a, b)
    }

    #[inline]
    fn exchange(&self, index: i64, current: i64, new: i64) -> Result<Result<i64, i64>, SharedError> {
        self.handle.exchange(index, current, new)
    }
}
