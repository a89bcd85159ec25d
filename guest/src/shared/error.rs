//! Why something did not work.

use std::fmt;

use wasmpool_abi::shared::Refusal;

/// Makes the kinds that mirror the host's refusals, and the way from one to the other.
macro_rules! kinds {
    ($($(#[$doc:meta])* $refusal:ident,)+; $($(#[$own_doc:meta])* $own:ident,)+) => {
        /// The kinds of [`SharedError`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SharedErrorKind {
            $($(#[$doc])* $refusal,)+
            $($(#[$own_doc])* $own,)+
        }

        impl SharedErrorKind {
            const fn of(refusal: Refusal) -> Self {
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
    /// Release of something that is not held, or not by this call.
    NotHeld,
    /// More releases than there were acquisitions, or more `task_done` than items.
    TooMany,
    /// No element at this index.
    OutOfRange,
    /// The item can never fit.
    TooLarge,
    /// The list or the dictionary has no room left.
    NoRoom,
    /// No record under this key.
    Missing,
    /// The object was granted for reading only.
    ReadOnly,
    /// No object of this name was granted.
    NotGranted,
    /// The object is of another kind.
    WrongKind,
    /// The object's elements are of another type.
    WrongElement,
    /// The call has too many objects open.
    TooManyOpen,
    /// The elements are in the way of a view, or a view in theirs.
    Leased,
    /// The object's memory holds what it cannot hold: somebody wrote garbage.
    Poisoned,
    /// The wait could never end: this call itself holds what it waits for.
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
    /// This program is no module in a pool: it was built for another target than wasm.
    NotInAPool,
    /// The handle or the view is of an earlier call.
    EarlierCall,
    /// The host refused for a reason that this version of the SDK does not know; the text tells it.
    Unknown,
}

/// Why an operation on a shared object did not work.
///
/// Its text is the host's: which object, what happened, and what to do about it. A task that returns a `Result` hands
/// it on with `?`.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Queue, SharedError, SharedErrorKind};
/// use wasmpool_guest::task;
///
/// /// Puts a number into a queue; says whether it was still open.
/// #[task]
/// fn offer(number: i64) -> Result<bool, SharedError> {
///     match Queue::<i64>::open("jobs")?.put(&number) {
///         Err(error) if error.kind() == SharedErrorKind::Closed => Ok(false),
///         put => put.map(|()| true),
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SharedError {
    kind: SharedErrorKind,
    text: Box<str>,
}

impl SharedError {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> SharedErrorKind {
        self.kind
    }

    pub(super) fn new(kind: SharedErrorKind, text: impl Into<Box<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The refusal that the host has just answered, with its text.
    #[cold]
    pub(super) fn refused(status: i64) -> Self {
        let kind = Refusal::from_status(status).map_or(SharedErrorKind::Unknown, SharedErrorKind::of);
        let mut text = [0; TEXT_BYTES_MAX];
        let length = super::host::refusal(&mut text);
        let text = String::from_utf8_lossy(&text[..length]);
        if text.is_empty() { Self::new(kind, format!("{kind:?} ({status})")) } else { Self::new(kind, text) }
    }
}

/// Longest text of a refusal; a longer one is cut.
const TEXT_BYTES_MAX: usize = 512;

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

impl std::error::Error for SharedError {}

/// Turns "the limit passed" into nothing.
pub(super) trait InTime<T> {
    /// The value, or nothing if the error is that it took too long.
    fn in_time(self) -> Result<Option<T>, SharedError>;
}

impl<T> InTime<T> for Result<T, SharedError> {
    fn in_time(self) -> Result<Option<T>, SharedError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_late(error.kind) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_late(kind: SharedErrorKind) -> bool {
    matches!(kind, SharedErrorKind::TimedOut | SharedErrorKind::Empty | SharedErrorKind::Full)
}
