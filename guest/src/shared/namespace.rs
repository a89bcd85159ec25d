//! A dictionary whose keys are attribute names.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Kind, Op, RecordOp};

use super::dict;
use super::error::SharedError;
use super::handle::{Handle, object};

/// Named values of any types that all calls of a job share (Python's `manager.Namespace()`).
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Namespace, SharedError};
/// use wasmpool_guest::task;
///
/// /// Sets one value from another.
/// #[task]
/// fn configure() -> Result<(), SharedError> {
///     let settings = Namespace::open("settings")?;
///     let threads: u32 = settings.get("threads")?;
///     settings.set("title", &format!("with {threads} threads"))
/// }
/// ```
#[derive(Debug)]
pub struct Namespace {
    handle: Handle,
}

object!(Namespace);

impl Namespace {
    /// Opens the namespace that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no namespace of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Namespace, None)? })
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Missing`](super::SharedErrorKind::Missing), and when the value cannot be decoded.
    pub fn get<T: DeserializeOwned>(&self, attribute: &str) -> Result<T, SharedError> {
        dict::get(&self.handle, RecordOp::Get, attribute)
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// When there is no room, or the value cannot be encoded.
    pub fn set<T: Serialize + ?Sized>(&self, attribute: &str, value: &T) -> Result<(), SharedError> {
        dict::set(&self.handle, attribute, value)
    }

    /// Removes a value.
    ///
    /// # Errors
    ///
    /// [`Missing`](super::SharedErrorKind::Missing).
    pub fn delete(&self, attribute: &str) -> Result<(), SharedError> {
        dict::delete(&self.handle, attribute)
    }

    /// Whether there is a value of this name.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn contains(&self, attribute: &str) -> Result<bool, SharedError> {
        dict::contains(&self.handle, attribute)
    }

    /// How many values there are.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    #[allow(clippy::len_without_is_empty, reason = "a namespace is used by its names")]
    pub fn len(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Length)
    }

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the namespace was granted for reading only.
    pub fn clear(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Clear).map(|_| ())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}
