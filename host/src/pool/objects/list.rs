//! A list of values.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::Refusal;

use super::codec::{decode, encode};
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, handle};
use super::records::{Parts, collect};
use crate::shm::object::list::List as Inner;

/// A list of values that host and tasks share (Python's `manager.list()`).
///
/// Every operation is atomic. Indices below 0 count from the end, as in Python: -1 is the last.
///
/// Made by [`Pool::list`](crate::Pool::list), or with [`RecordOptions`](super::RecordOptions).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let log = pool.list::<String>("log")?;
/// log.push("started")?;
/// log.push("stopped")?;
/// log.update(-1, |line| line + " well")?;
/// assert_eq!(log.to_vec()?, ["started", "stopped well"]);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// The list lies in shared memory of a fixed size: there are most values and most bytes, and an operation costs
/// nanoseconds rather than a round trip to a manager. A value that was read is a copy; [`update`](Self::update) changes
/// one in place. The list cannot be searched or sorted there: [`to_vec`](Self::to_vec) first.
pub struct List<T> {
    handle: Handle,
    values: PhantomData<fn() -> T>,
}

handle!(List<T> { handle, values }, List(Inner));

impl<T> List<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, values: PhantomData }
    }

    /// How many values it has.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn len(&self) -> Result<usize, SharedError> {
        Ok(self.handle.said(self.inner().len())? as usize)
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
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner().shape().records_max as usize
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
        let mut bytes = Vec::new();
        self.handle.said(self.inner().get(index, &mut bytes))?;
        decode(&self.handle, &bytes)
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
        let value = encode(&self.handle, value)?;
        self.handle.said(self.inner().set(self.handle.party()?, index, &value))
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
        let value = encode(&self.handle, value)?;
        Ok(self.handle.said(self.inner().append(self.handle.party()?, &value))? as usize)
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
        let value = encode(&self.handle, value)?;
        self.handle.said(self.inner().insert(self.handle.party()?, index, &value))
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
        let values: Result<Vec<_>, _> = values.into_iter().map(|value| encode(&self.handle, value)).collect();
        let values = values?;
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        self.handle.said(self.inner().extend(self.handle.party()?, &values))
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
        let mut bytes = Vec::new();
        self.handle.said(self.inner().pop(self.handle.party()?, index, &mut bytes))?;
        decode(&self.handle, &bytes)
    }

    /// Removes a value (Python's `del`).
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange).
    pub fn remove_at(&self, index: i64) -> Result<(), SharedError> {
        self.handle.said(self.inner().delete(self.handle.party()?, index))
    }

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().clear(self.handle.party()?))
    }

    /// Reads all values, as of one instant.
    ///
    /// # Errors
    ///
    /// When a value cannot be decoded.
    pub fn to_vec(&self) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        self.part(0, None)
    }

    /// Reads a range of values, as of one instant.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedErrorKind::OutOfRange), and when a value cannot be decoded.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(first) => first.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let count = match range.end_bound() {
            Bound::Included(last) => Some(last.saturating_add(1).saturating_sub(first)),
            Bound::Excluded(end) => Some(end.saturating_sub(first)),
            Bound::Unbounded => None,
        };
        self.part(first as u64, count.map(|count| count as u64))
    }

    fn part(&self, first: u64, count: Option<u64>) -> Result<Vec<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        let mut sequence = Vec::new();
        self.handle.said(self.inner().all(first, count, usize::MAX, &mut sequence))?;
        collect(Parts::new(&self.handle, &sequence), Parts::next)
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
        let party = self.handle.party()?;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let version = self.handle.said(self.inner().get(index, &mut bytes))?;
            let value = change(decode(&self.handle, &bytes)?);
            let new = encode(&self.handle, &value)?;
            match self.inner().replace(party, index, version, &new) {
                Err(Refusal::Changed) => {}
                replaced => return self.handle.said(replaced).map(|()| value),
            }
        }
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
