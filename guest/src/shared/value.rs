//! One shared number.
#![allow(unsafe_code, reason = "memory that the host has mapped is reached through its address")]

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;

use wasmpool_abi::shared::{CellOp, Kind};

use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::SharedError;
use super::handle::{Handle, object};
use super::lease::Mapped;
use super::lock::lock_methods;
use super::view::ATOMICS_ARE_REAL;

/// Operations after which the number is mapped into the guest's own memory, where each costs a tenth. Mapping it costs
/// about as much as two hundred by host call.
const CALLS_BEFORE_MAPPING: u32 = 200;

/// A number that all calls of a job share (Python's `Value`).
///
/// Every operation is atomic and a single host call; of a number that is used often, a single instruction. `counter.set(counter.get()? + 1)` is two of them, between which
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
    /// Operations so far, until it is mapped.
    calls: Cell<u32>,
    /// The number itself; nothing inside where it cannot be mapped.
    mapped: OnceCell<Option<Mapped<'static, T>>>,
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
        let handle = Handle::open(name, Kind::Value, Some(T::CODE))?;
        Ok(Self { handle, calls: Cell::new(0), mapped: OnceCell::new(), element: PhantomData })
    }

    cell_methods!();
    lock_methods!(LockGuard);

    fn handle(&self) -> &Handle {
        &self.handle
    }

    // These are inlined always, so that of all operations the one that is meant remains.
    #[inline(always)]
    fn cell(&self, index: i64, op: CellOp, a: i64, b: i64) -> Result<i64, SharedError> {
        match self.element(op) {
            // An exchange goes through `exchange`; nothing else finds what it does not expect.
            // SAFETY: as `element` says.
            Some(element) => Ok(match unsafe { T::apply(element, op, a, b) } {
                Ok(bits) | Err(bits) => bits,
            }),
            None => self.handle.cell(op, index, a, b),
        }
    }

    #[inline(always)]
    fn exchange(&self, index: i64, current: i64, new: i64) -> Result<Result<i64, i64>, SharedError> {
        match self.element(CellOp::CompareExchange) {
            // SAFETY: as `element` says.
            Some(element) => Ok(unsafe { T::apply(element, CellOp::CompareExchange, current, new) }),
            None => self.handle.exchange(index, current, new),
        }
    }

    /// The number in the guest's own memory, once it is there: aligned, and mapped for this operation for as long as the
    /// call runs and `self` lives; atomic operations are all that others use on it meanwhile.
    #[inline(always)]
    fn element(&self, op: CellOp) -> Option<*mut T> {
        match self.mapped.get() {
            // Otherwise the host call goes on to say why it cannot be done.
            Some(mapped) => mapped.as_ref().filter(|mapped| mapped.takes(op))?.element(0),
            None => {
                self.count();
                None
            }
        }
    }

    /// Counts an operation, and has the number mapped when there have been enough.
    fn count(&self) {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if ATOMICS_ARE_REAL && calls > CALLS_BEFORE_MAPPING {
            // Where it cannot be, for whatever reason, host calls go on to do.
            let _ = self.mapped.set(Mapped::for_atomics(&self.handle, 0..1).ok());
        }
    }
}
