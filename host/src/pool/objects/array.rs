//! A fixed number of shared numbers.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};

use wasmpool_abi::shared::{CellOp, Refusal};

use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, handle};
use super::lock::lock_methods;
use crate::shm::object::cells::Cells;

/// Elements that are copied at a time.
const BLOCK_ELEMENTS: usize = 4096;

/// A fixed number of numbers that host and tasks share (Python's `Array`).
///
/// [`get`](Self::get), [`fetch_add`](Self::fetch_add) and their kin work on single elements, atomically;
/// [`read`](Self::read), [`write`](Self::write) and [`fill`](Self::fill) on many: each element is whole, but not all
/// of them are of one instant. The array's lock keeps out those who take it, too, not single operations.
///
/// Made by [`Pool::array`](crate::Pool::array) and [`Pool::array_of`](crate::Pool::array_of).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let grid = pool.array_of("grid", &[1.0, 2.0, 3.0])?;
/// grid.write(1, &[20.0, 30.0])?;
/// grid.fetch_add(0, 0.5)?;
/// assert_eq!(grid.to_vec()?, [1.5, 20.0, 30.0]);
/// assert_eq!(grid.read(..2)?, [1.5, 20.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// Slices are copied without the lock; hold [`lock`](Self::lock) on all sides where a slice must be of one instant.
pub struct Array<T> {
    handle: Handle,
    element: PhantomData<fn() -> T>,
}

handle!(Array<T: Element> { handle, element }, Cells(Cells));

impl<T: Element> Array<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, element: PhantomData }
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        // It lies in this process's memory, so its length can be told in a `usize`.
        self.inner().length() as usize
    }

    /// Whether it has no elements, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    cell_methods!(index);
    lock_methods!(LockGuard);

    /// Copies a range of elements.
    ///
    /// # Errors
    ///
    /// When the range reaches beyond the end, or a task's view is in the way.
    pub fn read(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, SharedError> {
        let range = self.resolve(range)?;
        let mut elements = vec![T::default(); range.len()];
        self.read_into(range.start, &mut elements)?;
        Ok(elements)
    }

    /// Copies elements from `start` on, as many as `elements` takes.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read); `elements` may then be half written.
    pub fn read_into(&self, start: usize, elements: &mut [T]) -> Result<(), SharedError> {
        self.check(start, elements.len())?;
        let mut bytes = vec![0; elements.len().min(BLOCK_ELEMENTS) * T::CODE.bytes()];
        for (number, block) in elements.chunks_mut(BLOCK_ELEMENTS).enumerate() {
            let bytes = &mut bytes[..block.len() * T::CODE.bytes()];
            let first = start + number * BLOCK_ELEMENTS;
            self.handle.said(self.inner().read(first as u64, bytes))?;
            T::unpack(bytes, block);
        }
        Ok(())
    }

    /// Overwrites elements from `start` on.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read); some elements may then be written.
    pub fn write(&self, start: usize, elements: &[T]) -> Result<(), SharedError> {
        self.check(start, elements.len())?;
        let mut bytes = Vec::with_capacity(elements.len().min(BLOCK_ELEMENTS) * T::CODE.bytes());
        for (number, block) in elements.chunks(BLOCK_ELEMENTS).enumerate() {
            bytes.clear();
            T::pack(block, &mut bytes);
            let first = start + number * BLOCK_ELEMENTS;
            self.handle.said(self.inner().write(first as u64, &bytes))?;
        }
        Ok(())
    }

    /// Sets all elements of a range to one number.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn fill(&self, range: impl RangeBounds<usize>, value: T) -> Result<(), SharedError> {
        let range = self.resolve(range)?;
        let elements = range.start as u64..range.end as u64;
        self.handle.said(self.inner().fill(elements, value.to_bits()))
    }

    /// Copies all elements.
    ///
    /// # Errors
    ///
    /// When a task's view is in the way.
    pub fn to_vec(&self) -> Result<Vec<T>, SharedError> {
        self.read(..)
    }

    /// Reads all elements in order, some thousands at a time.
    ///
    /// The iterator ends after an error.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { array: self, block: Vec::new().into_iter(), next: 0 }
    }

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

    /// The range that is meant, if it lies within the array.
    fn resolve(&self, range: impl RangeBounds<usize>) -> Result<Range<usize>, SharedError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len(),
        };
        let Some(count) = end.checked_sub(start) else {
            let text =
                format!("a range from {start} to {end} of array `{}` ends before it starts", self.name());
            return Err(SharedError::new(SharedErrorKind::Invalid, text));
        };
        self.check(start, count)?;
        Ok(start..end)
    }

    fn check(&self, start: usize, count: usize) -> Result<(), SharedError> {
        match start.checked_add(count) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(self.handle.refused(Refusal::OutOfRange)),
        }
    }
}

/// The elements of an [`Array`], in order.
#[derive(Debug)]
pub struct Iter<'a, T: Element> {
    array: &'a Array<T>,
    block: std::vec::IntoIter<T>,
    next: usize,
}

impl<T: Element> Iterator for Iter<'_, T> {
    type Item = Result<T, SharedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(element) = self.block.next() {
            return Some(Ok(element));
        }
        let length = self.array.len();
        if self.next >= length {
            return None;
        }
        let end = length.min(self.next + BLOCK_ELEMENTS);
        match self.array.read(self.next..end) {
            Ok(block) => {
                (self.block, self.next) = (block.into_iter(), end);
                self.block.next().map(Ok)
            }
            Err(error) => {
                self.next = length;
                Some(Err(error))
            }
        }
    }
}

impl<T: Element> FusedIterator for Iter<'_, T> {}

impl<'a, T: Element> IntoIterator for &'a Array<T> {
    type Item = Result<T, SharedError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
