//! A list of values.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Kind, Op, RecordOp};

use super::buffers::with_encoded;
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, encode, object};
use super::records::{self, Parts};

/// A list of values that all calls of a job share (Python's `manager.list()`).
///
/// Every operation is atomic. Indices below 0 count from the end, as in Python: -1 is the last.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{List, SharedError};
/// use wasmpool_guest::task;
///
/// /// Adds a line to the log: `--list log --print log`
/// #[task]
/// fn log(line: &str) -> Result<usize, SharedError> {
///     List::<String>::open("log")?.push(line)
/// }
/// ```
#[derive(Debug)]
pub struct List<T> {
    handle: Handle,
    values: PhantomData<fn() -> T>,
}

object!(List<T>);

impl<T> List<T> {
    /// Opens the list that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no list of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::List, None)?, values: PhantomData })
    }

    /// How many values it has.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    #[allow(clippy::len_without_is_empty, reason = "there is one, which can fail as well")]
    pub fn len(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Length)
    }

    /// Whether it has no values.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_empty(&self) -> Result<bool, SharedError> {
        Ok(self.len()? == 0)
    }

    /// How many values there can be.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn capacity(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Capacity)
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when the value cannot be decoded.
    pub fn get(&self, index: i64) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        self.answer(RecordOp::Get, index)
    }

    /// Replaces a value.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when there is no room or the value cannot be encoded.
    pub fn set<Q: Serialize + ?Sized>(&self, index: i64, value: &Q) -> Result<(), SharedError>
    where
        T: Borrow<Q>,
    {
        self.write(RecordOp::Set, index, value).map(|_| ())
    }

    /// Adds a value at the end (Python's `append`); returns its index.
    ///
    /// # Errors
    ///
    /// When there is no room, or the value cannot be encoded.
    pub fn push<Q: Serialize + ?Sized>(&self, value: &Q) -> Result<usize, SharedError>
    where
        T: Borrow<Q>,
    {
        Ok(usize::try_from(self.write(RecordOp::Append, 0, value)?).unwrap_or(0))
    }

    /// Adds a value before the one at `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when there is no room or the value cannot be encoded.
    pub fn insert<Q: Serialize + ?Sized>(&self, index: i64, value: &Q) -> Result<(), SharedError>
    where
        T: Borrow<Q>,
    {
        self.write(RecordOp::Insert, index, value).map(|_| ())
    }

    /// Adds values at the end, all or none, in one step.
    ///
    /// # Errors
    ///
    /// When there is no room, or a value cannot be encoded.
    pub fn extend<'q, Q: Serialize + ?Sized + 'q>(
        &self,
        values: impl IntoIterator<Item = &'q Q>,
    ) -> Result<(), SharedError>
    where
        T: Borrow<Q>,
    {
        with_encoded(|sequence| {
            for value in values {
                records::add(&self.handle, value, sequence)?;
            }
            self.handle.record(RecordOp::Extend, &[], 0, sequence).map(|_| ())
        })
    }

    /// Removes the last value and returns it; nothing if there is none.
    ///
    /// # Errors
    ///
    /// When the value cannot be decoded; it is removed all the same.
    pub fn pop(&self) -> Result<Option<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        match self.pop_at(-1) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == SharedErrorKind::OutOfRange => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a value and returns it.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when the value cannot be decoded; it is removed all the same.
    pub fn pop_at(&self, index: i64) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        self.answer(RecordOp::Pop, index)
    }

    /// Removes a value (Python's `del`).
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange).
    pub fn remove_at(&self, index: i64) -> Result<(), SharedError> {
        self.handle.record(RecordOp::Delete, &[], index, &[]).map(|_| ())
    }

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the list was granted for reading only.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Clear).map(|_| ())
    }

    /// Reads all values, as of one instant.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](SharedErrorKind::TooLarge) for more than 64 MiB, which a [`slice`](Self::slice) at a time reads; and
    /// when a value cannot be decoded.
    pub fn to_vec(&self) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        self.part(0, 0)
    }

    /// Reads a range of values, as of one instant; fewer where the list ends before it does.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](SharedErrorKind::TooLarge) for more than 64 MiB, and
    /// when a value cannot be decoded.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        let first = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&first) => first.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let count = match range.end_bound() {
            Bound::Included(&last) => Some(last.saturating_add(1).saturating_sub(first)),
            Bound::Excluded(&end) => Some(end.saturating_sub(first)),
            Bound::Unbounded => None,
        };
        match count {
            Some(0) => Ok(Vec::new()),
            // To the host, 0 is all there are.
            count => self.part(first as i64, count.unwrap_or(0)),
        }
    }

    /// The values that are there now, one after the other.
    ///
    /// # Errors
    ///
    /// When a value cannot be decoded.
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        Ok(self.to_vec()?.into_iter())
    }

    /// Replaces a value by what `change` makes of it, and returns that.
    ///
    /// Nobody's change is lost: if the value is changed by others meanwhile, `change` is called again, with the new value.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when there is no room or a value cannot be decoded or encoded.
    pub fn update(&self, index: i64, mut change: impl FnMut(T) -> T) -> Result<T, SharedError>
    where
        T: Serialize + DeserializeOwned,
    {
        loop {
            let read = |bytes: &[u8]| records::versioned(&self.handle, bytes);
            let (version, value) =
                self.handle.read_record(RecordOp::GetVersioned, &[], index, &[], read)??;
            let value = change(value);
            if records::replace(&self.handle, &[], index, version, &value)? {
                return Ok(value);
            }
        }
    }

    fn answer(&self, op: RecordOp, index: i64) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        self.handle.read_record(op, &[], index, &[], |bytes| records::record(&self.handle, bytes))?
    }

    fn write<Q: Serialize + ?Sized>(&self, op: RecordOp, index: i64, value: &Q) -> Result<i64, SharedError> {
        with_encoded(|bytes| {
            encode(&self.handle, value, bytes)?;
            self.handle.record(op, &[], index, bytes)
        })
    }

    fn part(&self, first: i64, count: usize) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        self.handle.read_part(first, count, |sequence| {
            let mut parts = Parts::new(&self.handle, sequence);
            let mut values = Vec::new();
            while let Some(value) = parts.next()? {
                values.push(value);
            }
            Ok(values)
        })?
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
