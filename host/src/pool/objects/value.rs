//! One shared number.

use std::marker::PhantomData;

use wasmpool_abi::shared::CellOp;

use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::SharedError;
use super::handle::{Handle, handle};
use super::lock::lock_methods;
use crate::shm::object::cells::Cells;

/// A number that host and tasks share (Python's `Value`).
///
/// Every operation is atomic. `counter.set(counter.get()? + 1)` is two of them, between which others may count, too:
/// use [`fetch_add`](Self::fetch_add), [`update`](Self::update), or the number's lock, which is Python's
/// `with counter.get_lock()`. The lock keeps out those who take it, too, not single operations.
///
/// Made by [`Pool::value`](crate::Pool::value).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let counter = pool.value("counter", 0i32)?;
/// std::thread::scope(|threads| {
///     for _ in 0..4 {
///         threads.spawn(|| (0..1000).try_for_each(|_| counter.fetch_add(1).map(|_| ())));
///     }
/// });
/// assert_eq!(counter.get()?, 4000);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// Reading and writing take no lock, and cannot tear. `+=` does not exist, because it would lose counts.
pub struct Value<T> {
    handle: Handle,
    element: PhantomData<fn() -> T>,
}

handle!(Value<T: Element> { handle, element }, Cells(Cells));

impl<T: Element> Value<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, element: PhantomData }
    }

    cell_methods!();
    lock_methods!(LockGuard);

    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn cell(&self, index: usize, op: CellOp, a: u64, b: u64) -> Result<u64, SharedError> {
        let operated = self.handle.said(self.inner().operate(op, index as u64, a, b))?;
        Ok(operated.unwrap_or_else(|current| current))
    }

    fn exchange(&self, index: usize, current: u64, new: u64) -> Result<Result<u64, u64>, SharedError> {
        self.handle.said(self.inner().operate(CellOp::CompareExchange, index as u64, current, new))
    }
}
