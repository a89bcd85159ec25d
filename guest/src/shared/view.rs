//! Atomic operations on elements of an array that are in the guest's own memory.
#![allow(unsafe_code, reason = "memory that the host has mapped is reached through its address")]

use std::ops::Range;

use wasmpool_abi::shared::CellOp;

use super::array::Array;
use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::{SharedError, SharedErrorKind};
use super::lease::Mapped;

/// Whether the compiler makes atomic instructions of atomic operations. For wasm it makes plain ones
/// unless it is told otherwise, which `build.rs` finds out.
pub(super) const ATOMICS_ARE_REAL: bool = cfg!(any(not(target_family = "wasm"), wasm_atomics));

/// Elements of an array for atomic operations, without a host call if they are mapped.
///
/// Everyone may have such a view of the same elements, and use the array by host calls meanwhile. Of an array that was
/// granted for reading, it can be read ([`get`](Self::get)), and everything else is an error.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Array, SharedError};
/// use wasmpool_guest::task;
///
/// /// Counts the bytes of a text by their value: `--array counts=u64:256`
/// #[task]
/// fn count_bytes(text: &str) -> Result<(), SharedError> {
///     let counts = Array::<u64>::open("counts")?;
///     let view = counts.view()?;
///     for byte in text.bytes() {
///         view.fetch_add(byte.into(), 1)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct SharedView<'a, T: Element> {
    array: &'a Array<T>,
    start: usize,
    length: usize,
    /// Nothing in a module without atomic instructions.
    mapped: Option<Mapped<'a, T>>,
}

impl<'a, T: Element> SharedView<'a, T> {
    /// A view of `range`, which lies within the array.
    pub(super) fn new(array: &'a Array<T>, range: Range<usize>) -> Result<Self, SharedError> {
        let (start, length) = (range.start, range.len());
        let mapped = if ATOMICS_ARE_REAL { Some(Mapped::for_atomics(array.handle(), range)?) } else { None };
        Ok(Self { array, start, length, mapped })
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether operations go to memory directly; else the module was built without atomic instructions.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.mapped.is_some()
    }

    /// Whether its elements can be changed; if not, the array was granted for reading only.
    ///
    /// # Errors
    ///
    /// When the array is [poisoned](SharedErrorKind::Poisoned).
    pub fn is_writable(&self) -> Result<bool, SharedError> {
        match &self.mapped {
            Some(mapped) => Ok(mapped.is_writable()),
            None => self.array.is_writable(),
        }
    }

    cell_methods!(index);

    /// One operation; `index` counts from the view's first element.
    // These are inlined always, so that of all operations the one that is meant remains.
    #[inline(always)]
    fn cell(&self, index: usize, op: CellOp, a: i64, b: i64) -> Result<i64, SharedError> {
        match &self.mapped {
            // An exchange goes through `exchange`; nothing else finds what it does not expect.
            Some(mapped) if mapped.takes(op) => {
                self.apply(mapped, index, op, a, b).map(|(Ok(bits) | Err(bits))| bits)
            }
            // By a host call, which also knows why what the view does not take cannot be done.
            _ => self.array.cell(self.position(index)?, op, a, b),
        }
    }

    #[inline(always)]
    fn exchange(&self, index: usize, current: i64, new: i64) -> Result<Result<i64, i64>, SharedError> {
        match &self.mapped {
            Some(mapped) if mapped.takes(CellOp::CompareExchange) => {
                self.apply(mapped, index, CellOp::CompareExchange, current, new)
            }
            _ => self.array.exchange(self.position(index)?, current, new),
        }
    }

    #[inline(always)]
    fn apply(
        &self,
        mapped: &Mapped<'_, T>,
        index: usize,
        op: CellOp,
        a: i64,
        b: i64,
    ) -> Result<Result<i64, i64>, SharedError> {
        let Some(element) = mapped.element(index) else { return Err(self.out_of_range(index)) };
        // SAFETY: `element` is aligned and lies in memory that is mapped for as long as the call runs and `mapped` lives:
        // callers have asked whether it takes the operation, which says so, and that it is mapped for writing if need be.
        // All who have this mode of view use atomic operations, as the host does; other modes it refuses meanwhile, or, if
        // this is only for loads, they are other programs' stores, which no load takes for its own program's.
        Ok(unsafe { T::apply(element, op, a, b) })
    }

    fn position(&self, index: usize) -> Result<usize, SharedError> {
        if index < self.length { Ok(self.start + index) } else { Err(self.out_of_range(index)) }
    }

    #[cold]
    fn out_of_range(&self, index: usize) -> SharedError {
        let text = format!(
            "a view of {} has {} elements, none of them of index {index}",
            self.array.name(),
            self.length
        );
        SharedError::new(SharedErrorKind::OutOfRange, text)
    }
}
