//! Why a nested call brought no result.

use std::fmt;

use wasmpool_abi::nesting::{CALLS_MAX, Ending, Refusal};

/// A nested call that brought no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    kind: CallErrorKind,
    index: u64,
    message: String,
}

/// The kinds of [`CallError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The task returned an error of its own.
    Failed,
    /// The arguments did not fit the task's parameters, or could not be encoded.
    Refused,
    /// The task panicked.
    Panicked,
    /// The engine stopped the task.
    Trapped,
    /// The task called `exit`.
    Exited,
    /// The task ran into a limit: of memory, fuel, stack, tables, or what it prints or returns.
    LimitReached,
    /// The task ran longer than it may, or its job's deadline passed.
    TimedOut,
    /// The worker that ran the task was lost.
    WorkerLost,
    /// Nobody wants the call any more.
    Cancelled,
    /// No worker could be found for the call.
    Starved,
    /// The module has no such task.
    UnknownTask,
    /// Calls are nested as deep as they may be.
    TooDeep,
    /// The pool holds as many bytes for nested calls as it may.
    NoRoom,
    /// More calls than a call may have outstanding.
    TooMany,
    /// More bytes of arguments than a call may have outstanding.
    TooLarge,
    /// No call is running that could make any, or it is another one than that which made this.
    NoCall,
    /// The program does not run in a pool.
    NotInAPool,
    /// The result is not what was expected.
    Unreadable,
}

impl CallErrorKind {
    const fn of(ending: Ending) -> Self {
        match ending {
            Ending::Returned => Self::Unreadable,
            Ending::Failed => Self::Failed,
            Ending::Refused => Self::Refused,
            Ending::Panicked => Self::Panicked,
            Ending::Trapped => Self::Trapped,
            Ending::Exited => Self::Exited,
            Ending::LimitReached => Self::LimitReached,
            Ending::TimedOut => Self::TimedOut,
            Ending::WorkerLost => Self::WorkerLost,
            Ending::Cancelled => Self::Cancelled,
            Ending::Starved => Self::Starved,
            Ending::UnknownTask => Self::UnknownTask,
            Ending::TooDeep => Self::TooDeep,
            Ending::NoRoom => Self::NoRoom,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "was refused",
            Self::Panicked => "panicked",
            Self::Trapped => "trapped",
            Self::Exited => "exited",
            Self::LimitReached => "reached a limit",
            Self::TimedOut => "timed out",
            Self::WorkerLost => "lost its worker",
            Self::Cancelled => "was cancelled",
            Self::Starved => "found no worker",
            Self::UnknownTask => "names no task",
            Self::TooDeep => "is nested too deep",
            Self::NoRoom => "found no room",
            Self::TooMany => "is one too many",
            Self::TooLarge => "is too large",
            Self::NoCall => "belongs to no running call",
            Self::NotInAPool => "needs a pool",
            Self::Unreadable => "brought something unreadable",
        }
    }
}

impl CallError {
    pub(super) fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self::of_call(kind, 0, message.into())
    }

    pub(super) fn of_call(kind: CallErrorKind, index: u64, message: String) -> Self {
        Self { kind, index, message }
    }

    /// As an answer tells it.
    pub(super) fn told(ending: u32, index: u64, message: &[u8]) -> Self {
        let kind = Ending::from_code(ending).map_or(CallErrorKind::Unreadable, CallErrorKind::of);
        Self::of_call(kind, index, String::from_utf8_lossy(message).into_owned())
    }

    /// As the host refuses.
    pub(super) fn refused(code: i64) -> Self {
        let (kind, message) = match Refusal::from_code(code) {
            Some(Refusal::TooMany) => (
                CallErrorKind::TooMany,
                format!("a call may have {CALLS_MAX} calls outstanding: wait for some first"),
            ),
            Some(Refusal::TooLarge) => {
                let text = "a call may have 64 MiB of arguments outstanding: wait for some calls first";
                (CallErrorKind::TooLarge, text.to_owned())
            }
            Some(Refusal::NoCall) => {
                (CallErrorKind::NoCall, "no call is running that could make it".to_owned())
            }
            Some(Refusal::Unknown) => {
                (CallErrorKind::NoCall, "it was made in another call, or waited for before".to_owned())
            }
            Some(Refusal::Malformed) => (CallErrorKind::Refused, "no task can have this name".to_owned()),
            None => (CallErrorKind::Unreadable, format!("the pool refuses for an unknown reason ({code})")),
        };
        Self::new(kind, message)
    }

    /// Why there is no result.
    #[must_use]
    pub fn kind(&self) -> CallErrorKind {
        self.kind
    }

    /// Which call it was, in the order of the inputs that were submitted together, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nested call {} {}: {}", self.index, self.kind.name(), self.message)
    }
}

impl std::error::Error for CallError {}
