//! A lazy job: results as an iterator, and inputs taken only as far ahead as its consumer allows.
//!
//! Inputs are taken by a thread of their own, as in Python. Whoever takes them in `next` instead needs no thread, and
//! could not keep a time limit: an iterator that waits, for a line of a terminal say, would hold back results that are
//! there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::handle::{Origin, deadline, timed_out};
use super::inflow::Inflow;
use super::landing::Landing;
use super::outcome::{Failure, FailureKind};
use super::source::Block;

/// The results of a lazy job, made by [`Task::imap`](crate::Task::imap) and its like.
///
/// An item is the result of one call or, in its place, the error of that call; iteration goes on behind it. It ends
/// with the inputs, or with an error that is not about a call: the inputs failed, or the pool ended.
///
/// Dropping it ends the job: calls that run are stopped, and no more inputs are taken. A thread that waits for an input
/// just then ends when it has it.
pub struct Imap<R> {
    landing: Arc<Landing<R>>,
    /// Nothing where the job could not begin.
    origin: Option<Arc<Origin>>,
}

impl<R> Imap<R> {
    pub(crate) fn new(landing: Arc<Landing<R>>, origin: Option<Arc<Origin>>) -> Self {
        Self { landing, origin }
    }

    /// The next result, if it comes in time; none when there are no more.
    ///
    /// An error of kind [`ErrorKind::TimedOut`] says that the time was over first. The job goes on, and asking again is
    /// no harm.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// # let text = br#"(module (func (export "spin") (loop br 0)))"#;
    /// # let spin = pool.load_bytes("hostile", text)?.task::<(), ()>("spin")?;
    /// let mut results = spin.imap(vec![(), ()]);
    /// let late = results.next_timeout(Duration::from_millis(1)).unwrap().unwrap_err();
    /// assert_eq!(late.kind(), wasmpool::ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R, Error>> {
        let next = self.landing.next(deadline(Some(timeout)));
        next.unwrap_or_else(|()| Some(Err(timed_out(Some(timeout), "the next result is not there"))))
    }
}

impl<R> Iterator for Imap<R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.landing.next(None).unwrap_or_default()
    }
}

impl<R> Drop for Imap<R> {
    fn drop(&mut self) {
        if let Some(origin) = self.origin.as_ref().filter(|origin| !origin.job.has_ended()) {
            origin.cancel(None);
        }
    }
}

impl<R> std::fmt::Debug for Imap<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imap").finish_non_exhaustive()
    }
}

/// Whoever takes a lazy job's inputs.
pub(super) struct Taker<R> {
    pub(super) inflow: Arc<Inflow<()>>,
    pub(super) landing: Arc<Landing<R>>,
    pub(super) origin: Arc<Origin>,
}

/// What became of one input.
pub(super) enum Taken {
    /// It is in the block.
    Encoded,
    /// It cannot be handed to anybody, and an empty one is in its place.
    Refused(String),
    /// There are no more.
    End,
    /// There are no more, for this reason.
    Broken(Error),
}

impl<R: Send + 'static> Taker<R> {
    /// Takes inputs by `next`, which puts one into a block, until there are no more or nobody wants them.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(self, next: impl FnMut(&mut Block) -> Taken + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name("wasmpool-inputs".into());
        let spawned = thread.spawn(move || self.run(next));
        spawned.map(drop).map_err(|error| {
            Error::new(ErrorKind::SetUp, "a thread for the inputs cannot be started").with_source(error)
        })
    }

    fn run(self, mut next: impl FnMut(&mut Block) -> Taken) {
        let job = &self.origin.job;
        let mut total = 0;
        let error = loop {
            if !self.landing.admit() {
                return;
            }
            let mut block = self.inflow.block();
            // The iterator and the values are the caller's own code.
            match catch_unwind(AssertUnwindSafe(|| next(&mut block))) {
                Ok(Taken::Encoded) => {}
                Ok(Taken::Refused(reason)) => {
                    // Before the call is announced, or somebody might run it.
                    job.refuse(Failure::new(total, FailureKind::Refused, reason));
                }
                Ok(Taken::End) => break None,
                Ok(Taken::Broken(error)) => break Some(error),
                Err(panic) => {
                    let text = format!("the inputs panicked after {total} of them: {}", said(&*panic));
                    break Some(Error::new(ErrorKind::Input, text));
                }
            }
            if self.inflow.push(&block, ()).is_err() {
                return;
            }
            total += 1;
        };
        self.landing.finish(total, error);
        job.announce(total, true);
        self.origin.shared.lobby.ring();
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something that is no text")
}
