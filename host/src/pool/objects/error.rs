//! Why an operation on a shared object did not work.

use std::error::Error as StdError;
use std::fmt;

use wasmpool_abi::shared::Refusal;

/// Makes the kinds that mirror refusals, and the way from one to the other.
macro_rules! kinds {
    ($($(#[$doc:meta])* $refusal:ident,)+; $($(#[$own_doc:meta])* $own:ident,)+) => {
        /// The kinds of [`SharedError`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SharedErrorKind {
            $($(#[$doc])* $refusal,)+
            $($(#[$own_doc])* $own,)+
        }

        impl From<Refusal> for SharedErrorKind {
            fn from(refusal: Refusal) -> Self {
                match refusal {
                    $(Refusal::$refusal => Self::$refusal,)+
                }
            }
        }
    };
}

kinds! {
    /// The limit passed, or it could not be done at once.
    TimedOut,
    /// Nothing to take.
    Empty,
    /// No room for one more item.
    Full,
    /// The object was closed.
    Closed,
    /// The other end of the pipe is gone, and all messages have been received.
    EndOfFile,
    /// The barrier is broken.
    Broken,
    /// Release of something that is not held, or not by this thread.
    NotHeld,
    /// More releases than there were acquisitions, or more `task_done` than items.
    TooMany,
    /// No element at this index.
    OutOfRange,
    /// The item can never fit, or has more than 64 MiB.
    TooLarge,
    /// The list or the dictionary has no room left.
    NoRoom,
    /// No record under this key.
    Missing,
    /// This end of the pipe only receives, or only sends.
    ReadOnly,
    /// No object of this name was granted.
    NotGranted,
    /// The object is of another kind.
    WrongKind,
    /// The object's elements are of another type.
    WrongElement,
    /// Too many objects are open.
    TooManyOpen,
    /// The elements are in the way of a view, or a view in theirs.
    Leased,
    /// The object's memory holds what it cannot hold: somebody wrote garbage.
    Poisoned,
    /// The wait could never end: this thread itself holds what it waits for.
    WouldDeadlock,
    /// The value has changed meanwhile.
    Changed,
    /// An argument is outside of what it may be.
    Invalid,
    /// Views cannot be had here.
    NoView,
    /// All workers wait for one another, and no more can be started.
    Starved,
    /// Too many threads and workers use shared objects at once.
    Crowded,
    ;
    /// An item cannot be decoded into the type that was asked for.
    Undecodable,
    /// An item cannot be encoded.
    Unencodable,
}

/// Why an operation on a shared object did not work.
///
/// Its text names the object, what happened, and what to do about it.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use wasmpool::shared::SharedErrorKind;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let lock = pool.lock("l")?;
/// let error = lock.release().unwrap_err();
/// assert_eq!(error.kind(), SharedErrorKind::NotHeld);
/// assert_eq!(error.to_string(), "lock `l` is held by nobody: acquire it before it is released");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SharedError {
    kind: SharedErrorKind,
    text: Box<str>,
}

impl SharedError {
    pub(super) fn new(kind: SharedErrorKind, text: impl Into<Box<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> SharedErrorKind {
        self.kind
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As `Display`, after the kind: this is what `unwrap` shows.
impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl StdError for SharedError {}
