//! What can go wrong with a pool, a module or a job, as opposed to a single call.

use std::error::Error as StdError;
use std::fmt;

use super::outcome::Failure;

/// An operation on a pool failed.
///
/// The text names the thing, the value and the remedy; [`source`](StdError::source) has what lies below.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system or the program's set-up does not allow a pool: no `init`, no processes, no memory.
    SetUp,
    /// An argument to the pool itself makes no sense, such as zero workers.
    Setting,
    /// The module cannot be read, is invalid, or imports what it is not given.
    Module,
    /// The module has no such task.
    UnknownTask,
    /// The task has other parameters or another result than the caller says.
    Signature,
    /// A call failed; [`Error::failure`] has which and how.
    Call,
    /// The module's initializer failed, so that no call of the job can run; [`Error::failure`] has how.
    Initializer,
    /// The module keeps killing workers and is not run any more.
    Quarantined,
    /// The job took longer than it may.
    Deadline,
    /// The pool is closed.
    Closed,
    /// The call or job was cancelled through its handle.
    Cancelled,
    /// Nothing had ended when the time was over. What was waited for goes on.
    TimedOut,
    /// What was asked makes no sense now: a result that is not there yet or was taken before, a pool's `join` before its
    /// `close`, a process started twice, joined before it was started, closed while it runs.
    Misuse,
    /// The iterator of inputs failed or panicked.
    Input,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn call(failure: Failure) -> Self {
        let kind = if failure.initializer().is_some() { ErrorKind::Initializer } else { ErrorKind::Call };
        Self::new(kind, failure.to_string()).with_source(failure)
    }

    /// The same for another one whom it concerns.
    pub(crate) fn again(&self) -> Self {
        match self.failure() {
            Some(failure) => Self::call(failure.clone()),
            None => Self::new(self.kind, self.message.clone()),
        }
    }

    /// What sort of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The call that failed, when that is what went wrong, or the one whose initializer did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.source.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The failure of a call is the text of the error already; a chain would print it twice.
        match self.kind {
            ErrorKind::Call | ErrorKind::Initializer => None,
            _ => self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::FailureKind;
    use super::*;

    #[test]
    fn the_failed_call_can_be_asked_for_and_is_printed_once() {
        let error = Error::call(Failure::new(7, FailureKind::Panicked, "boom"));
        assert_eq!(error.to_string(), "call 7 panicked: boom");
        assert_eq!(error.failure().map(Failure::index), Some(7));
        assert!(error.source().is_none());
    }
}
