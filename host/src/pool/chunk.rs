//! A chunk: calls on their way from a job to a worker.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::priority::Priority;

/// A contiguous range of a job's calls, owned by whoever is to see them run.
///
/// A chunk that is dropped settles its calls as lost, so that a thread of the supervisor that panics hangs nobody.
pub(crate) struct Chunk {
    job: Arc<Job>,
    calls: Range<u64>,
    /// When it may be run, if that is not at once.
    due: Option<Instant>,
    /// Since when it could be run, if it waits for a worker.
    waits_since: Option<Instant>,
}

impl Chunk {
    /// Takes charge of `calls`.
    pub(crate) fn new(job: Arc<Job>, calls: Range<u64>) -> Self {
        Self { job, calls, due: None, waits_since: None }
    }

    /// Notes that it waits for a worker, unless that was noted before.
    pub(crate) fn waiting_since(mut self, since: Instant) -> Self {
        self.waits_since.get_or_insert(since);
        self
    }

    /// Since when it could be run, if it waited for a worker.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.waits_since
    }

    /// A call that is run once more, when it has rested so long.
    pub(crate) fn retry(job: Arc<Job>, call: u64, rest: Duration) -> Self {
        let mut chunk = Self::new(job, call..call + 1);
        chunk.due = (!rest.is_zero()).then(|| Instant::now() + rest);
        chunk
    }

    /// When it may be run, if it has to rest first; asked for once.
    pub(crate) fn take_due(&mut self) -> Option<Instant> {
        self.due.take()
    }

    /// How urgent its calls are.
    pub(crate) fn priority(&self) -> Priority {
        self.job.work.terms.priority
    }

    /// The job.
    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The calls.
    pub(crate) fn calls(&self) -> Range<u64> {
        self.calls.clone()
    }

    /// Keeps the first `count` calls; the rest becomes a chunk of its own.
    pub(crate) fn split_off(&mut self, count: u64) -> Option<Self> {
        let middle = (self.calls.start + count).min(self.calls.end);
        let rest = middle..self.calls.end;
        self.calls.end = middle;
        let waits_since = self.waits_since;
        (!rest.is_empty()).then(|| Self { job: Arc::clone(&self.job), calls: rest, due: None, waits_since })
    }

    /// One chunk of this and the one that follows it.
    ///
    /// # Panics
    ///
    /// When `next` does not follow.
    pub(crate) fn merge(mut self, next: Self) -> Self {
        let (_, calls) = next.into_parts();
        assert_eq!(self.calls.end, calls.start, "chunks with a gap between them");
        self.calls.end = calls.end;
        self
    }

    /// Hands the calls over to a ledger, which answers for them from now on.
    pub(crate) fn into_parts(mut self) -> (Arc<Job>, Range<u64>) {
        let calls = std::mem::replace(&mut self.calls, 0..0);
        (Arc::clone(&self.job), calls)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.calls.is_empty() {
            self.job.abandon(self.calls.clone());
        }
    }
}
