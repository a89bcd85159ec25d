//! A dictionary.

use std::borrow::Borrow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Kind, Op, RecordOp};

use super::buffers::with_encoded;
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, encode, object};
use super::records::{self, Parts};

/// A dictionary that all calls of a job share (Python's `manager.dict()`).
///
/// Every operation is atomic. Two keys are the same if they are encoded the same.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Dict, SharedError};
/// use wasmpool_guest::task;
///
/// /// Counts words: `--dict counts --print counts`
/// #[task]
/// fn count_words(text: &str) -> Result<(), SharedError> {
///     let counts = Dict::<String, u64>::open("counts")?;
///     for word in text.split_whitespace() {
///         counts.update_entry(word, |count| count.unwrap_or(0) + 1)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Dict<K, V> {
    handle: Handle,
    entries: PhantomData<fn() -> (K, V)>,
}

object!(Dict<K, V>);

impl<K, V> Dict<K, V> {
    /// Opens the dictionary that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no dictionary of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Dict, None)?, entries: PhantomData })
    }

    /// How many entries it has.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    #[allow(clippy::len_without_is_empty, reason = "there is one, which can fail as well")]
    pub fn len(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Length)
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
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn capacity(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Capacity)
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
        present(get(&self.handle, RecordOp::Get, key))
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
        set(&self.handle, key, value)
    }

    /// Removes a key; says whether it was there.
    ///
    /// # Errors
    ///
    /// When the dictionary was granted for reading only.
    pub fn remove<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<bool, SharedError>
    where
        K: Borrow<Q>,
    {
        Ok(present(delete(&self.handle, key))?.is_some())
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
        present(get(&self.handle, RecordOp::Pop, key))
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
        contains(&self.handle, key)
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
        with_key(&self.handle, key, |key| {
            with_encoded(|bytes| {
                encode(&self.handle, value, bytes)?;
                let read = |bytes: &[u8]| records::record(&self.handle, bytes);
                self.handle.read_record(RecordOp::GetOrSet, key, 0, bytes, read)?
            })
        })
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
        with_key(&self.handle, key, |key| {
            loop {
                let read = |bytes: &[u8]| records::versioned(&self.handle, bytes);
                let found = present(self.handle.read_record(RecordOp::GetVersioned, key, 0, &[], read))?
                    .transpose()?;
                let (version, value) =
                    found.map_or(([0; 8], None), |(version, value)| (version, Some(value)));
                let value = change(value);
                if records::replace(&self.handle, key, 0, version, &value)? {
                    return Ok(value);
                }
            }
        })
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
        with_encoded(|sequence| {
            for (key, value) in entries {
                records::add(&self.handle, key, sequence)?;
                records::add(&self.handle, value, sequence)?;
            }
            self.handle.record(RecordOp::Extend, &[], 0, sequence).map(|_| ())
        })
    }

    /// Reads all keys, as of one instant.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](super::SharedErrorKind::TooLarge) for more than 64 MiB of keys and values; and when a key cannot be
    /// decoded.
    pub fn keys(&self) -> Result<Vec<K>, SharedError>
    where
        K: DeserializeOwned,
    {
        self.all(|parts| {
            let Some(key) = parts.next()? else { return Ok(None) };
            parts.skip()?;
            Ok(Some(key))
        })
    }

    /// Reads all values, as of one instant.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](super::SharedErrorKind::TooLarge) for more than 64 MiB of keys and values; and when a value cannot be
    /// decoded.
    pub fn values(&self) -> Result<Vec<V>, SharedError>
    where
        V: DeserializeOwned,
    {
        self.all(|parts| if parts.is_empty() { Ok(None) } else { parts.skip().and_then(|()| parts.next()) })
    }

    /// Reads all entries, as of one instant.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](super::SharedErrorKind::TooLarge) for more than 64 MiB of keys and values; and when one of them cannot
    /// be decoded.
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

    fn all<T>(
        &self,
        mut next: impl FnMut(&mut Parts<'_>) -> Result<Option<T>, SharedError>,
    ) -> Result<Vec<T>, SharedError> {
        self.handle.read_record(RecordOp::All, &[], 0, &[], |sequence| {
            let mut parts = Parts::new(&self.handle, sequence);
            let mut all = Vec::new();
            while let Some(one) = next(&mut parts)? {
                all.push(one);
            }
            Ok(all)
        })?
    }

    /// Removes all entries.
    ///
    /// # Errors
    ///
    /// When the dictionary was granted for reading only.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Clear).map(|_| ())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Encodes a key for `work`.
fn with_key<K: Serialize + ?Sized, R>(
    handle: &Handle,
    key: &K,
    work: impl FnOnce(&[u8]) -> Result<R, SharedError>,
) -> Result<R, SharedError> {
    with_encoded(|bytes| {
        encode(handle, key, bytes)?;
        work(bytes)
    })
}

/// Answers the record under a key, by `Get` or `Pop`.
pub(super) fn get<K: Serialize + ?Sized, V: DeserializeOwned>(
    handle: &Handle,
    op: RecordOp,
    key: &K,
) -> Result<V, SharedError> {
    let read = |bytes: &[u8]| records::record(handle, bytes);
    with_key(handle, key, |key| handle.read_record(op, key, 0, &[], read)?)
}

/// Writes the record under a key.
///
/// Both are encoded into one buffer: a second one would be allocated anew each time.
pub(super) fn set<K: Serialize + ?Sized, V: Serialize + ?Sized>(
    handle: &Handle,
    key: &K,
    value: &V,
) -> Result<(), SharedError> {
    with_encoded(|bytes| {
        encode(handle, key, bytes)?;
        let key_bytes = bytes.len();
        encode(handle, value, bytes)?;
        let (key, value) = bytes.split_at(key_bytes);
        handle.record(RecordOp::Set, key, 0, value).map(|_| ())
    })
}

/// Removes the record under a key.
pub(super) fn delete<K: Serialize + ?Sized>(handle: &Handle, key: &K) -> Result<(), SharedError> {
    with_key(handle, key, |key| handle.record(RecordOp::Delete, key, 0, &[])).map(|_| ())
}

/// Whether there is a record under a key.
pub(super) fn contains<K: Serialize + ?Sized>(handle: &Handle, key: &K) -> Result<bool, SharedError> {
    Ok(with_key(handle, key, |key| handle.record(RecordOp::Contains, key, 0, &[]))? != 0)
}

/// Turns "no record under this key" into nothing.
fn present<T>(result: Result<T, SharedError>) -> Result<Option<T>, SharedError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == SharedErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}
