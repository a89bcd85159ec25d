//! How calls end: as data.

use std::fmt;

use crate::channel::ending::{Detail, EndKind, Part};
use crate::printable::printable_name;
use crate::process::child::Exit;

/// How one call ended: its result, or what became of it instead.
pub type Outcome<R> = Result<R, Failure>;

/// A call that did not return a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    index: u64,
    attempt: u32,
    worker: Option<usize>,
    kind: FailureKind,
    message: String,
    backtrace: String,
    /// The initializer that failed in its place.
    initializer: Option<Box<str>>,
}

/// Why a call did not return a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The task returned an error of its own.
    Failed,
    /// The input did not fit the task's parameters.
    Refused,
    /// The task panicked.
    Panicked,
    /// The engine stopped the task: an unreachable instruction, a division by zero, an access out of bounds ...
    Trapped,
    /// The task called `exit`, with this code; or the program did, with any code but 0.
    Exited(i32),
    /// The task needed more memory than it may have.
    OutOfMemory,
    /// The task used up its fuel.
    OutOfFuel,
    /// The task needed more stack than it may have.
    StackOverflow,
    /// The task needed more elements of tables than it may have.
    OutOfTables,
    /// The task printed more than it may.
    OutputTooLarge,
    /// The result has more bytes than it may have.
    ResultTooLarge,
    /// The result is nested deeper than it may be.
    ResultTooDeep,
    /// The task ran longer than it may and was stopped.
    TimedOut,
    /// The worker that ran the task ended, and so.
    WorkerLost(Exit),
    /// The result cannot be read as what the caller expects.
    BadResult,
    /// The task waited on a shared object for calls that no worker could be found for.
    Starved,
    /// Nobody waits for the call any more.
    Cancelled,
}

impl FailureKind {
    /// Its name, as `records` and messages show it.
    ///
    /// ```
    /// assert_eq!(wasmpool::FailureKind::TimedOut.name(), "timed out");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self.number()]
    }

    /// How many kinds there are.
    pub(crate) const KINDS: usize = Self::NAMES.len();

    /// Their names, by their numbers.
    pub(crate) const NAMES: [&'static str; 17] = [
        "failed",
        "refused",
        "panicked",
        "trapped",
        "exited",
        "out of memory",
        "out of fuel",
        "stack overflow",
        "out of tables",
        "output too large",
        "result too large",
        "result too deep",
        "timed out",
        "worker lost",
        "bad result",
        "starved",
        "cancelled",
    ];

    /// Its number among all kinds, whatever it carries.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Failed => 0,
            Self::Refused => 1,
            Self::Panicked => 2,
            Self::Trapped => 3,
            Self::Exited(_) => 4,
            Self::OutOfMemory => 5,
            Self::OutOfFuel => 6,
            Self::StackOverflow => 7,
            Self::OutOfTables => 8,
            Self::OutputTooLarge => 9,
            Self::ResultTooLarge => 10,
            Self::ResultTooDeep => 11,
            Self::TimedOut => 12,
            Self::WorkerLost(_) => 13,
            Self::BadResult => 14,
            Self::Starved => 15,
            Self::Cancelled => 16,
        }
    }

    /// Whether another attempt may end otherwise.
    ///
    /// Input that does not fit, limits that the call itself ran into and calls that nobody wants are final.
    pub(crate) fn is_worth_a_retry(self) -> bool {
        match self {
            Self::Failed | Self::Panicked | Self::Trapped | Self::Exited(_) | Self::WorkerLost(_) => true,
            Self::Refused
            | Self::OutOfMemory
            | Self::OutOfFuel
            | Self::StackOverflow
            | Self::OutOfTables
            | Self::OutputTooLarge
            | Self::ResultTooLarge
            | Self::ResultTooDeep
            | Self::TimedOut
            | Self::BadResult
            | Self::Starved
            | Self::Cancelled => false,
        }
    }
}

impl Failure {
    pub(crate) fn new(index: u64, kind: FailureKind, message: impl Into<String>) -> Self {
        let (message, backtrace) = (message.into(), String::new());
        Self { index, attempt: 1, worker: None, kind, message, backtrace, initializer: None }
    }

    /// A failure as a worker told it, of a module with this initializer.
    pub(crate) fn told(index: u64, kind: EndKind, detail: &[u8], initializer: Option<&str>) -> Self {
        let Detail { code, part, message, backtrace } = Detail::read(detail);
        // A module that has none cannot have failed in it, whatever its worker says.
        let initializer = initializer.filter(|_| part == Part::Initializer);
        let kind = match kind {
            EndKind::Failed => FailureKind::Failed,
            EndKind::Refused => FailureKind::Refused,
            EndKind::Panicked => FailureKind::Panicked,
            // A worker that reports a return as a failure has a message that makes no sense; so be it. One that wants to
            // nest in a batch is run again before it comes to this.
            EndKind::Trapped | EndKind::Returned | EndKind::Nests => FailureKind::Trapped,
            EndKind::Exited => FailureKind::Exited(code),
            EndKind::OutOfMemory => FailureKind::OutOfMemory,
            EndKind::OutputTooLarge => FailureKind::OutputTooLarge,
            EndKind::OutOfFuel => FailureKind::OutOfFuel,
            EndKind::StackOverflow => FailureKind::StackOverflow,
            EndKind::OutOfTables => FailureKind::OutOfTables,
            EndKind::ResultTooLarge => FailureKind::ResultTooLarge,
        };
        Self { backtrace, ..Self::new(index, kind, message).of_initializer(initializer) }
    }

    /// The same failure, of this initializer rather than of the call that waited for it.
    pub(crate) fn of_initializer(mut self, name: Option<&str>) -> Self {
        self.initializer = name.map(Into::into);
        self
    }

    pub(crate) fn on(mut self, worker: usize, attempt: u32) -> Self {
        self.worker = Some(worker);
        self.attempt = attempt;
        self
    }

    /// The same of a call that its caller knows under another index.
    #[cfg(feature = "cli")]
    pub(crate) fn at(mut self, index: u64) -> Self {
        self.index = index;
        self
    }

    /// As its caller knows it who has made but one call, whatever job it was run in.
    pub(crate) fn of_single_call(mut self) -> Self {
        self.index = 0;
        self
    }

    /// Drops what is dear to keep, for jobs with very many failures.
    pub(crate) fn brief(mut self) -> Self {
        const BRIEF_BYTES_MAX: usize = 256;
        self.backtrace = String::new();
        self.message.truncate(self.message.floor_char_boundary(BRIEF_BYTES_MAX));
        self
    }

    /// Index of the call in its job, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Which attempt it was, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Number of the worker that ran it, from 0, if any did.
    #[must_use]
    pub fn worker(&self) -> Option<usize> {
        self.worker
    }

    /// Name of the task that failed in the call's place, when it was the initializer of its instance; see
    /// [`Module::initializer`](super::Module::initializer).
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let module = pool.load_bytes("broken", br#"
    ///     (module (func (export "load") unreachable) (func (export "nothing")))
    /// "#)?;
    /// let module = module.initializer("load", ())?;
    /// let error = module.task::<(), ()>("nothing")?.apply(()).unwrap_err();
    /// assert_eq!(error.failure().and_then(|failure| failure.initializer()), Some("load"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn initializer(&self) -> Option<&str> {
        self.initializer.as_deref()
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What went wrong, in the guest's or the engine's words. A guest's words are anything at all: escape them
    /// before they go to a terminal.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The guest's stack, innermost function first, one a line; empty where there is none.
    #[must_use]
    pub fn backtrace(&self) -> &str {
        &self.backtrace
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = ending(self.kind, &self.message);
        match &self.initializer {
            Some(name) => write!(f, "initializer `{}` {ending}", printable_name(name))?,
            None => write!(f, "call {} {ending}", self.index)?,
        }
        if self.attempt > 1 {
            write!(f, " (attempt {})", self.attempt)?;
        }
        Ok(())
    }
}

/// Kind and message as one phrase. Many messages begin with the kind's own words, which are not said twice.
pub(crate) fn ending(kind: FailureKind, message: &str) -> String {
    let name = kind.name();
    match message {
        "" => name.to_owned(),
        message if message.starts_with(name) => message.to_owned(),
        message => format!("{name}: {message}"),
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_call_kind_and_message() {
        let failure = Failure::new(3, FailureKind::Trapped, "division by zero").on(1, 2);
        assert_eq!(failure.to_string(), "call 3 trapped: division by zero (attempt 2)");
        let exited = Failure::new(1, FailureKind::Exited(3), "exited with code 3");
        assert_eq!(exited.to_string(), "call 1 exited with code 3");
        let initializer =
            Failure::new(4, FailureKind::Panicked, "no table").of_initializer(Some("load")).on(0, 1);
        assert_eq!(initializer.to_string(), "initializer `load` panicked: no table");
        let bare = Failure::new(0, FailureKind::TimedOut, "");
        assert_eq!(bare.to_string(), "call 0 timed out");
    }

    #[test]
    fn only_a_module_with_an_initializer_can_fail_in_it() {
        let detail = Detail { part: Part::Initializer, ..Detail::message("no table") };
        let mut bytes = Vec::new();
        detail.write(&mut bytes);
        let of = |name| Failure::told(0, EndKind::Panicked, &bytes, name).initializer().map(str::to_owned);
        assert_eq!(of(Some("load")).as_deref(), Some("load"));
        assert_eq!(of(None), None);
    }

    #[test]
    fn limits_and_bad_input_are_final() {
        assert!(FailureKind::WorkerLost(Exit::Signal(9)).is_worth_a_retry());
        assert!(!FailureKind::Refused.is_worth_a_retry());
        assert!(!FailureKind::TimedOut.is_worth_a_retry());
        assert!(!FailureKind::OutOfFuel.is_worth_a_retry());
        assert!(!FailureKind::StackOverflow.is_worth_a_retry());
    }
}
