//! A dictionary.

use std::borrow::Borrow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::Refusal;

use super::codec::{decode, encode};
use super::error::SharedError;
use super::handle::{Handle, handle};
use super::records::{Parts, collect};
use crate::shm::object::dict::Dict as Inner;

/// A dictionary that host and tasks share (Python's `manager.dict()`).
///
/// Every operation is atomic. Two keys are the same if they are encoded the same. Entries keep the order in which
/// their keys were added.
///
/// Made by [`Pool::dict`](crate::Pool::dict), or with [`RecordOptions`](super::RecordOptions).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let counts = pool.dict::<String, u64>("counts")?;
/// for word in "a rose is a rose".split(' ') {
///     counts.update_entry(word, |count| count.unwrap_or(0) + 1)?;
/// }
/// assert_eq!(counts.get("rose")?, Some(2));
/// assert_eq!(counts.keys()?, ["a", "rose", "is"]);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// The dictionary lies in shared memory of a fixed size: there are most entries and most bytes, and an operation costs
/// nanoseconds rather than a round trip to a manager. A value that was read is a copy;
/// [`update_entry`](Self::update_entry) changes one in place. A missing key is `None`, not an error.
pub struct Dict<K, V> {
    handle: Handle,
    entries: PhantomData<fn() -> (K, V)>,
}

handle!(Dict<K, V> { handle, entries }, Dict(Inner));

impl<K, V> Dict<K, V> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, entries: PhantomData }
    }

    /// How many entries it has.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn len(&self) -> Result<usize, SharedError> {
        Ok(self.handle.said(self.inner().len())? as usize)
    }

    /// Whether it has no entries.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_empty(&self) -> Result<bool, SharedError> {
        Ok(self.len()? == 0)
    }

    /// How many entries there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner().shape().records_max as usize
    }

    /// Reads the value under a key, if there is one.
    ///
    /// # Errors
    ///
    /// When the value cannot be decoded.
    pub fn get<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<Option<V>, SharedError>
    where
        K: Borrow<Q>,
        V: DeserializeOwned,
    {
        let key = encode(&self.handle, key)?;
        let mut bytes = Vec::new();
        match self.present(self.inner().get(&key, &mut bytes))? {
            Some(_) => decode(&self.handle, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes the value under a key, which may be a new one.
    ///
    /// # Errors
    ///
    /// When there is no room, or the key or the value cannot be encoded.
    pub fn insert<Q: Serialize + ?Sized, W: Serialize + ?Sized>(
        &self,
        key: &Q,
        value: &W,
    ) -> Result<(), SharedError>
    where
        K: Borrow<Q>,
        V: Borrow<W>,
    {
        let (key, value) = (encode(&self.handle, key)?, encode(&self.handle, value)?);
        self.handle.said(self.inner().set(self.handle.party()?, &key, &value))
    }

    /// Removes a key; says whether it was there.
    ///
    /// # Errors
    ///
    /// When the key cannot be encoded.
    pub fn remove<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<bool, SharedError>
    where
        K: Borrow<Q>,
    {
        let key = encode(&self.handle, key)?;
        let party = self.handle.party()?;
        Ok(self.present(self.inner().delete(party, &key))?.is_some())
    }

    /// Removes a key and returns its value, if it was there.
    ///
    /// # Errors
    ///
    /// When the value cannot be decoded; it is removed all the same.
    pub fn pop<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<Option<V>, SharedError>
    where
        K: Borrow<Q>,
        V: DeserializeOwned,
    {
        let key = encode(&self.handle, key)?;
        let party = self.handle.party()?;
        let mut bytes = Vec::new();
        match self.present(self.inner().pop(party, &key, &mut bytes))? {
            Some(()) => decode(&self.handle, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a key is there.
    ///
    /// # Errors
    ///
    /// When the key cannot be encoded.
    pub fn contains_key<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<bool, SharedError>
    where
        K: Borrow<Q>,
    {
        let key = encode(&self.handle, key)?;
        self.handle.said(self.inner().contains(&key))
    }

    /// Reads the value under a key, after writing `value` there if there was none (Python's `setdefault`).
    ///
    /// # Errors
    ///
    /// When there is no room, or the values cannot be encoded or decoded.
    pub fn set_default<Q: Serialize + ?Sized, W: Serialize + ?Sized>(
        &self,
        key: &Q,
        value: &W,
    ) -> Result<V, SharedError>
    where
        K: Borrow<Q>,
        V: Borrow<W> + DeserializeOwned,
    {
        let (key, value) = (encode(&self.handle, key)?, encode(&self.handle, value)?);
        let mut bytes = Vec::new();
        self.handle.said(self.inner().get_or_set(self.handle.party()?, &key, &value, &mut bytes))?;
        decode(&self.handle, &bytes)
    }

    /// Writes under a key what `change` makes of the value there, if there is one; and returns that.
    ///
    /// Nobody's change is lost: if the value is changed by others meanwhile, `change` is called again, with the new value.
    ///
    /// # Errors
    ///
    /// When there is no room, or a value cannot be decoded or encoded.
    pub fn update_entry<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<V>) -> V,
    ) -> Result<V, SharedError>
    where
        K: Borrow<Q>,
        V: Serialize + DeserializeOwned,
    {
        let key = encode(&self.handle, key)?;
        let party = self.handle.party()?;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let (version, old) = match self.present(self.inner().get(&key, &mut bytes))? {
                Some(version) => (version, Some(decode(&self.handle, &bytes)?)),
                None => (NO_VERSION, None),
            };
            let value = change(old);
            let new = encode(&self.handle, &value)?;
            match self.inner().replace(party, &key, version, &new) {
                // Gone is another thing that can have become of it.
                Err(Refusal::Changed | Refusal::Missing) => {}
                replaced => return self.handle.said(replaced).map(|()| value),
            }
        }
    }

    /// Writes many entries, all or none, in one step (Python's `update`).
    ///
    /// # Errors
    ///
    /// When there is no room, or a key or a value cannot be encoded.
    pub fn extend<'q, Q: Serialize + ?Sized + 'q, W: Serialize + ?Sized + 'q>(
        &self,
        entries: impl IntoIterator<Item = (&'q Q, &'q W)>,
    ) -> Result<(), SharedError>
    where
        K: Borrow<Q>,
        V: Borrow<W>,
    {
        let encode = |value: (&Q, &W)| Ok((encode(&self.handle, value.0)?, encode(&self.handle, value.1)?));
        let entries: Result<Vec<_>, SharedError> = entries.into_iter().map(encode).collect();
        let entries = entries?;
        let entries: Vec<(&[u8], &[u8])> =
            entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        self.handle.said(self.inner().extend(self.handle.party()?, &entries))
    }

    /// Reads all keys, as of one instant.
    ///
    /// # Errors
    ///
    /// When a key cannot be decoded.
    pub fn keys(&self) -> Result<Vec<K>, SharedError>
    where
        K: DeserializeOwned,
    {
        self.all(|parts| {
            let key = parts.next()?;
            parts.next_bytes()?;
            Ok(key)
        })
    }

    /// Reads all values, as of one instant.
    ///
    /// # Errors
    ///
    /// When a value cannot be decoded.
    pub fn values(&self) -> Result<Vec<V>, SharedError>
    where
        V: DeserializeOwned,
    {
        self.all(|parts| {
            parts.next_bytes()?;
            parts.next()
        })
    }

    /// Reads all entries, as of one instant.
    ///
    /// # Errors
    ///
    /// When a key or a value cannot be decoded.
    pub fn items(&self) -> Result<Vec<(K, V)>, SharedError>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        self.all(|parts| {
            let Some(key) = parts.next()? else { return Ok(None) };
            Ok(parts.next()?.map(|value| (key, value)))
        })
    }

    /// The entries that are there now, one after the other.
    ///
    /// # Errors
    ///
    /// Those of [`items`](Self::items).
    pub fn iter(&self) -> Result<std::vec::IntoIter<(K, V)>, SharedError>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        Ok(self.items()?.into_iter())
    }

    fn all<T>(
        &self,
        next: impl FnMut(&mut Parts<'_>) -> Result<Option<T>, SharedError>,
    ) -> Result<Vec<T>, SharedError> {
        let mut sequence = Vec::new();
        self.handle.said(self.inner().all(usize::MAX, &mut sequence))?;
        collect(Parts::new(&self.handle, &sequence), next)
    }

    /// Removes all entries.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().clear(self.handle.party()?))
    }

    fn present<T>(&self, outcome: Result<T, Refusal>) -> Result<Option<T>, SharedError> {
        match outcome {
            Err(Refusal::Missing) => Ok(None),
            outcome => self.handle.said(outcome).map(Some),
        }
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// The version of what is not there.
const NO_VERSION: u64 = 0;
