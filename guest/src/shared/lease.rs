//! Elements of an array in the guest's own memory.
//!
//! # Why plain slices are sound under a lease
//!
//! A slice of memory that somebody else writes is undefined behaviour. The host keeps the books on views: while elements
//! are leased for writing, it lets nobody else touch them, and while they are leased for reading, it lets nobody write
//! them, neither by other views nor by host calls. So as far as this program can tell, the memory is its own.
//!
//! # And when one is leaked
//!
//! Safe code can leak a lease (`mem::forget`, `Box::leak`), and keep the slice that it was lent for ever. Its memory goes
//! when the call ends. No check could keep a slice from being used then; so the host uses an instance in which a lease
//! was left behind for no other call, and nobody is there to use it. Atomic views cost no instance: each operation looks
//! whether [the call](super::call) is still the one that mapped them.
//!
//! # And when somebody does not play by the rules
//!
//! A worker that was broken into may write all the same. It cannot do more to this module than the module's author could,
//! who might have written anything there: every pattern of bits is a [`Number`](super::Number), the slices hold no
//! pointers, and the sandbox around the module does not rely on what is in its memory.
#![allow(unsafe_code, reason = "memory that the host has mapped is reached through its address")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};
use std::slice;

use wasmpool_abi::shared::{CellOp, ViewMode};

use super::call::{self, Call};
use super::element::{Element, Number};
use super::error::{SharedError, SharedErrorKind};
use super::handle::Handle;
use super::host;

/// Elements that the host has mapped, until this is dropped.
#[derive(Debug)]
pub(super) struct Mapped<'a, T> {
    /// Aligned, and the address of `length` elements that stay there; dangling if there are none.
    first: NonNull<T>,
    length: usize,
    /// In which it was mapped; in another one there is something else.
    call: Call,
    /// In which it can be stored to: the same, or none. So that one comparison tells both.
    stores: Call,
    array: PhantomData<&'a Handle>,
}

impl<T: Element> Mapped<'_, T> {
    /// Has the host map elements `range`.
    pub(super) fn new(array: &Handle, mode: ViewMode, range: Range<usize>) -> Result<Self, SharedError> {
        let number = array.number()?;
        let call = call::current();
        let stores = match mode {
            ViewMode::Shared | ViewMode::Exclusive => call,
            ViewMode::ReadOnly | ViewMode::Watched => Call::NONE,
        };
        let length = range.len();
        if length == 0 {
            return Ok(Self { first: NonNull::dangling(), length, call, stores, array: PhantomData });
        }
        let answer = host::map(number, mode, range.start as i64, range.end as i64);
        let address = usize::try_from(answer).map_err(|_| SharedError::refused(answer))?;
        match NonNull::new(ptr::with_exposed_provenance_mut::<T>(address)) {
            Some(first) if first.is_aligned() => Ok(Self { first, length, call, stores, array: PhantomData }),
            _ => {
                let text = format!("{} was mapped at address {address}, which is not aligned", array.name());
                Err(SharedError::new(SharedErrorKind::NoView, text))
            }
        }
    }

    /// The same for atomic operations: for all of them, or only for loads where the array was granted for reading.
    pub(super) fn for_atomics(array: &Handle, range: Range<usize>) -> Result<Self, SharedError> {
        match Self::new(array, ViewMode::Shared, range.clone()) {
            Err(error) if error.kind() == SharedErrorKind::ReadOnly => {
                Self::new(array, ViewMode::Watched, range)
            }
            mapped => mapped,
        }
    }

    /// Whether this operation can be done here: the elements are still mapped, and so that they take it.
    #[inline(always)]
    pub(super) fn takes(&self, op: CellOp) -> bool {
        let call = if op == CellOp::Get { self.call } else { self.stores };
        call == call::current()
    }

    /// Whether there is more to be done than to load.
    pub(super) fn is_writable(&self) -> bool {
        self.stores != Call::NONE
    }

    /// The address of an element, if there is one of that index.
    #[inline]
    pub(super) fn element(&self, index: usize) -> Option<*mut T> {
        // In bounds of what was mapped; `wrapping_add` is exact there and needs no promise.
        (index < self.length).then(|| self.first.as_ptr().wrapping_add(index))
    }
}

impl<T> Drop for Mapped<'_, T> {
    fn drop(&mut self) {
        // In another call, it is gone already, and the address may be that of a new view.
        if self.length > 0 && self.call == call::current() {
            // SAFETY: the slices and cells that were had of this borrowed it, so that nobody uses them any more.
            let _ = unsafe { host::unmap(self.first.as_ptr().expose_provenance()) };
        }
    }
}

/// Elements of an array to read, as a slice; nobody can change them meanwhile.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Array, SharedError};
/// use wasmpool_guest::task;
///
/// /// Sums a part of an array without copying it.
/// #[task]
/// fn sum(first: usize, count: usize) -> Result<i64, SharedError> {
///     let numbers = Array::<i64>::open("numbers")?;
///     Ok(numbers.read_lease(first..first + count)?.iter().sum())
/// }
/// ```
#[derive(Debug)]
pub struct Leased<'a, T> {
    mapped: Mapped<'a, T>,
}

impl<'a, T: Number> Leased<'a, T> {
    /// The mapping has to be read-only or exclusive.
    pub(super) fn new(mapped: Mapped<'a, T>) -> Self {
        Self { mapped }
    }
}

impl<T: Number> Deref for Leased<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Mapped { first, length, .. } = &self.mapped;
        // SAFETY: there are that many elements (or none), aligned, for as long as `self.mapped` lives; each is a `T`
        // whatever its bits are; and the lease keeps everyone from writing them, as the module's text explains.
        unsafe { slice::from_raw_parts(first.as_ptr(), *length) }
    }
}

/// Elements of an array to read and write, as a slice; nobody else can reach them meanwhile.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Array, SharedError};
/// use wasmpool_guest::task;
///
/// /// Sorts a part of an array in place.
/// #[task]
/// fn sort(first: usize, count: usize) -> Result<(), SharedError> {
///     let numbers = Array::<i64>::open("numbers")?;
///     numbers.lease(first..first + count)?.sort_unstable();
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct LeasedMut<'a, T> {
    mapped: Mapped<'a, T>,
}

impl<'a, T: Number> LeasedMut<'a, T> {
    /// The mapping has to be exclusive.
    pub(super) fn new(mapped: Mapped<'a, T>) -> Self {
        Self { mapped }
    }
}

impl<T: Number> Deref for LeasedMut<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Mapped { first, length, .. } = &self.mapped;
        // SAFETY: there are that many elements (or none), aligned, for as long as `self.mapped` lives; each is a `T`
        // whatever its bits are; and the lease keeps everyone else away, as the module's text explains.
        unsafe { slice::from_raw_parts(first.as_ptr(), *length) }
    }
}

impl<T: Number> DerefMut for LeasedMut<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let Mapped { first, length, .. } = &self.mapped;
        // SAFETY: as for `deref`; and `self`, the only way to these elements, is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(first.as_ptr(), *length) }
    }
}
