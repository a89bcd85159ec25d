//! A dictionary whose keys are attribute names.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{decode, encode};
use super::error::SharedError;
use super::handle::{Handle, handle};
use super::records::{Parts, collect};
use crate::shm::object::dict::Dict as Inner;

/// Named values of any types that host and tasks share (Python's `manager.Namespace()`).
///
/// Made by [`Pool::namespace`](crate::Pool::namespace), or with [`RecordOptions`](super::RecordOptions).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let settings = pool.namespace("settings")?;
/// settings.set("threads", &4)?;
/// settings.set("title", "four threads")?;
/// assert_eq!(settings.get::<u32>("threads")?, 4);
/// assert_eq!(settings.names()?, ["threads", "title"]);
/// # Ok(())
/// # }
/// ```
pub struct Namespace {
    handle: Handle,
}

handle!(Namespace { handle }, Dict(Inner));

impl Namespace {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Missing`](super::SharedErrorKind::Missing), and when the value cannot be decoded.
    pub fn get<T: DeserializeOwned>(&self, attribute: &str) -> Result<T, SharedError> {
        let key = encode(&self.handle, attribute)?;
        let mut bytes = Vec::new();
        self.handle.said(self.inner().get(&key, &mut bytes))?;
        decode(&self.handle, &bytes)
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// When there is no room, or the value cannot be encoded.
    pub fn set<T: Serialize + ?Sized>(&self, attribute: &str, value: &T) -> Result<(), SharedError> {
        let (key, value) = (encode(&self.handle, attribute)?, encode(&self.handle, value)?);
        self.handle.said(self.inner().set(self.handle.party()?, &key, &value))
    }

    /// Removes a value.
    ///
    /// # Errors
    ///
    /// [`Missing`](super::SharedErrorKind::Missing).
    pub fn delete(&self, attribute: &str) -> Result<(), SharedError> {
        let key = encode(&self.handle, attribute)?;
        self.handle.said(self.inner().delete(self.handle.party()?, &key))
    }

    /// Whether there is a value of this name.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn contains(&self, attribute: &str) -> Result<bool, SharedError> {
        let key = encode(&self.handle, attribute)?;
        self.handle.said(self.inner().contains(&key))
    }

    /// The names of all values, in the order in which they were added.
    ///
    /// # Errors
    ///
    /// When a name cannot be decoded.
    pub fn names(&self) -> Result<Vec<String>, SharedError> {
        let mut sequence = Vec::new();
        self.handle.said(self.inner().all(usize::MAX, &mut sequence))?;
        collect(Parts::new(&self.handle, &sequence), |parts| {
            let name = parts.next()?;
            parts.next_bytes()?;
            Ok(name)
        })
    }

    /// How many values there are.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn len(&self) -> Result<usize, SharedError> {
        Ok(self.handle.said(self.inner().len())? as usize)
    }

    /// Whether there are no values.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_empty(&self) -> Result<bool, SharedError> {
        Ok(self.len()? == 0)
    }

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.said(self.inner().clear(self.handle.party()?))
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
