//! A fixed number of shared numbers.
#![allow(unsafe_code, reason = "numbers are copied as bytes")]

use std::marker::PhantomData;
use std::mem;
use std::ops::{Bound, Range, RangeBounds};
use std::slice;

use wasmpool_abi::shared::{CellOp, Element as Code, Kind, Op, ViewMode};

use super::cells::{cell_methods, place};
use super::element::{Bits, Element, Number};
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, object, status};
use super::host;
use super::lease::{Leased, LeasedMut, Mapped};
use super::lock::lock_methods;
use super::view::SharedView;

/// A fixed number of numbers that all calls of a job share (Python's `Array`).
///
/// There are three ways to its elements:
///
/// | way | for |
/// |---|---|
/// | [`get`](Self::get), [`fetch_add`](Self::fetch_add) and so on | single elements; each operation is atomic and one host call |
/// | [`read`](Self::read), [`write`](Self::write), [`fill`](Self::fill) | many elements, copied as fast as memory is; each element is whole, but not all of them of one instant |
/// | [`view`](Self::view), [`lease`](Self::lease), [`read_lease`](Self::read_lease) | the array's own memory, in that of the guest: no copy and no host call per element |
///
/// Its lock keeps out those who take it, too, not single operations.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Array, SharedError};
/// use wasmpool_guest::task;
///
/// /// Doubles every number of a part: `--array grid=f64:1000`
/// #[task]
/// fn double(first: usize, count: usize) -> Result<f64, SharedError> {
///     let grid = Array::<f64>::open("grid")?;
///     let mut part = grid.read(first..first + count)?;
///     part.iter_mut().for_each(|number| *number *= 2.0);
///     grid.write(first, &part)?;
///     Ok(part.iter().sum())
/// }
/// ```
#[derive(Debug)]
pub struct Array<T> {
    handle: Handle,
    length: usize,
    element: PhantomData<T>,
}

object!(Array<T: Element>);

impl<T: Element> Array<T> {
    /// Opens the array that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no array of this name and this type of numbers was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        let handle = Handle::open(name, Kind::Array, Some(T::CODE))?;
        Ok(Self { length: handle.count(Op::Length)?, handle, element: PhantomData })
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

    cell_methods!(index);
    lock_methods!(LockGuard);

    /// Copies a range of elements.
    ///
    /// # Errors
    ///
    /// When the range reaches beyond the end, or a view is in the way.
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
        if T::CODE == Code::Bool {
            self.read_checked(start, elements)
        } else {
            self.read_plain(start, elements)
        }
    }

    fn read_plain(&self, start: usize, elements: &mut [T]) -> Result<(), SharedError> {
        let bytes = mem::size_of_val(elements);
        // SAFETY: the bytes are those of `elements`, which is borrowed exclusively; what is written there is a `T` in any
        // case, since every pattern of bits is one of any type but `bool`, for which this is not called.
        let bytes = unsafe { slice::from_raw_parts_mut(elements.as_mut_ptr().cast::<u8>(), bytes) };
        status(host::read(self.handle.number()?, start as i64, bytes, size_of::<T>()))
    }

    /// The same for `bool`, as which bytes other than 0 and 1 must not be written.
    fn read_checked(&self, start: usize, elements: &mut [T]) -> Result<(), SharedError> {
        let mut bytes = vec![0; elements.len()];
        status(host::read(self.handle.number()?, start as i64, &mut bytes, size_of::<T>()))?;
        for (element, byte) in elements.iter_mut().zip(bytes) {
            *element = T::from_bits(byte.into());
        }
        Ok(())
    }

    /// Overwrites elements from `start` on.
    ///
    /// # Errors
    ///
    /// When they reach beyond the end, a view is in the way, or the array was granted for reading only.
    pub fn write(&self, start: usize, elements: &[T]) -> Result<(), SharedError> {
        status(host::write(self.handle.number()?, start as i64, bytes_of(elements), size_of::<T>()))
    }

    /// Sets all elements of a range to one number.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn fill(&self, range: impl RangeBounds<usize>, value: T) -> Result<(), SharedError> {
        let range = self.resolve(range)?;
        let element = bytes_of(slice::from_ref(&value));
        status(host::fill(self.handle.number()?, range.start as i64, element, range.len() as i64))
    }

    /// Copies all elements.
    ///
    /// # Errors
    ///
    /// When a view is in the way.
    pub fn to_vec(&self) -> Result<Vec<T>, SharedError> {
        self.read(..)
    }

    /// Reads all elements in order, some hundreds at a time.
    ///
    /// The iterator ends after an error.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { array: self, block: Vec::new().into_iter(), next: 0 }
    }

    /// A view of all elements; see [`view_range`](Self::view_range).
    ///
    /// # Errors
    ///
    /// Those of [`view_range`](Self::view_range).
    pub fn view(&self) -> Result<SharedView<'_, T>, SharedError> {
        self.view_range(..)
    }

    /// Makes a range of elements appear in the guest's own memory, for atomic operations by everyone.
    ///
    /// An array that was granted for reading can be viewed, too, to read it: such a view keeps nobody away, not even who
    /// takes a [`lease`](Self::lease) meanwhile, whose changes it shows one by one.
    ///
    /// An operation then costs about 2 ns instead of a host call. It does so only in a module that was built with
    /// `-C target-feature=+atomics`, as `wasmpool` builds directories: WebAssembly has no atomic instructions without, and
    /// plain ones would lose counts. In other modules the view does the same by host calls;
    /// [`is_mapped`](SharedView::is_mapped) tells which it is.
    ///
    /// # Errors
    ///
    /// When the range reaches beyond the end, a part of it is leased, or this call cannot have views.
    pub fn view_range(&self, range: impl RangeBounds<usize>) -> Result<SharedView<'_, T>, SharedError> {
        let range = self.resolve(range)?;
        SharedView::new(self, range)
    }

    /// Makes a range of elements appear in the guest's own memory, as a slice to read and write.
    ///
    /// Nobody else can change these elements meanwhile, nor read them, unless by a [view](Self::view_range) which they had
    /// before for reading only. The range is page-aligned by the host: a lease costs microseconds,
    /// not a copy.
    ///
    /// # Errors
    ///
    /// When the range reaches beyond the end, somebody else has a view of a part of it, the array was granted
    /// for reading only, or this call cannot have views.
    pub fn lease(&self, range: impl RangeBounds<usize>) -> Result<LeasedMut<'_, T>, SharedError>
    where
        T: Number,
    {
        let range = self.resolve(range)?;
        Ok(LeasedMut::new(Mapped::new(&self.handle, ViewMode::Exclusive, range)?))
    }

    /// Makes a range of elements appear in the guest's own memory, as a slice to read.
    ///
    /// Nobody can change these elements meanwhile; others may have such leases, too.
    ///
    /// # Errors
    ///
    /// When the range reaches beyond the end, somebody may change a part of it, the array was granted for reading only
    /// (who may not write may not keep others from writing either: use a [view](Self::view_range), or [`read`](Self::read)
    /// a copy), or this call cannot have views.
    pub fn read_lease(&self, range: impl RangeBounds<usize>) -> Result<Leased<'_, T>, SharedError>
    where
        T: Number,
    {
        let range = self.resolve(range)?;
        Ok(Leased::new(Mapped::new(&self.handle, ViewMode::ReadOnly, range)?))
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    #[inline]
    pub(super) fn cell(&self, index: usize, op: CellOp, a: i64, b: i64) -> Result<i64, SharedError> {
        self.handle.cell(op, index as i64, a, b)
    }

    #[inline]
    pub(super) fn exchange(
        &self,
        index: usize,
        current: i64,
        new: i64,
    ) -> Result<Result<i64, i64>, SharedError> {
        self.handle.exchange(index as i64, current, new)
    }

    /// The range that is meant, if it lies within the array.
    fn resolve(&self, range: impl RangeBounds<usize>) -> Result<Range<usize>, SharedError> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.length,
        };
        let Some(count) = end.checked_sub(start) else {
            let text = format!("a range from {start} to {end} of {} ends before it starts", self.name());
            return Err(SharedError::new(SharedErrorKind::Invalid, text));
        };
        self.check(start, count)?;
        Ok(start..end)
    }

    fn check(&self, start: usize, count: usize) -> Result<(), SharedError> {
        match start.checked_add(count) {
            Some(end) if end <= self.length => Ok(()),
            _ => {
                let (name, length) = (self.name(), self.length);
                let text = format!("{name} has {length} elements, not {count} from index {start} on");
                Err(SharedError::new(SharedErrorKind::OutOfRange, text))
            }
        }
    }
}

/// The bytes of numbers.
fn bytes_of<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: the bytes are those of `elements`, borrowed as long; numbers have no padding, so each is initialised.
    unsafe { slice::from_raw_parts(elements.as_ptr().cast(), mem::size_of_val(elements)) }
}

/// Elements that are read at a time.
const BLOCK_ELEMENTS: usize = 512;

/// The elements of an [`Array`], in order.
#[derive(Debug)]
pub struct Iter<'a, T> {
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
        let start = self.next;
        if start >= self.array.length {
            return None;
        }
        let end = self.array.length.min(start + BLOCK_ELEMENTS);
        match self.array.read(start..end) {
            Ok(block) => {
                (self.block, self.next) = (block.into_iter(), end);
                self.block.next().map(Ok)
            }
            Err(error) => {
                self.next = self.array.length;
                Some(Err(error))
            }
        }
    }
}

impl<'a, T: Element> IntoIterator for &'a Array<T> {
    type Item = Result<T, SharedError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
