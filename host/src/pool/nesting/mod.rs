//! Calls that a call makes of its own pool.
//!
//! What a call submits becomes a job like any other, of the same module, with the same grants, limits and retries, and
//! with the end of the job that the call belongs to: nesting gives nobody more rights than they had. The jobs that one
//! call has submitted are its *family*, and the family goes when the call does, whichever way: what still runs of it
//! is unwanted from then on, and so is, level by level, what that has submitted itself.
//!
//! ```text
//!              submits, runs on        waits: parked           all of it has ended, and nothing
//!              ┌──────────┐            its place in the slot   runs on top of it: it goes on
//!   running ───┤          ├─► running ─────────────────► parked ─────────────────► running ───► ended
//!              └──────────┘                                │
//!                                                          │ its worker dies: given out again, uncharged,
//!                                                          ▼ and its family goes
//!                                                       waiting to be run
//! ```
//!
//! # Why nobody waits for ever
//!
//! A worker whose call is parked runs calls that descend from it and nothing else. So what lies on top of a waiting call
//! is something that it waits for, and calls that wait for each other are never on one stack the wrong way round. Take
//! the deepest call that waits: what it waits for is being run, or has not been taken, and then its own worker takes
//! it. Where that worker cannot (its stack has no room, or the call holds shared objects), it counts as asleep, and
//! [`relief`](super::relief) opens another one, up to the limit for those, beyond which the wait ends as starved.
//!
//! # What fails how
//!
//! | what happens | what comes of it |
//! |---|---|
//! | a submitted call fails for good | the wait brings its failure; the submission's other calls are stopped |
//! | the waiting call runs out of time, waits included | it is charged; its worker is ended, calls on top are given out again |
//! | its job is over | the wait brings `Cancelled`; if the call goes on, it is stopped as unwanted |
//! | the worker dies | the innermost call is charged; those parked below it are given out again, a few times |
//! | a call on top becomes unwanted | it runs to its end: stopping it would cost the worker the calls below |
//! | unknown task, too deep, no room | the wait brings that |
//! | a worker that asks for what no honest one can | it has lied and is killed |
//!
//! # Bounds
//!
//! A call has at most [`CALLS_MAX`] calls and [`SUBMISSIONS_MAX`] submissions outstanding, and 64 MiB of their inputs; a
//! module holds at most [`BYTES_MAX`] of inputs and results of nested calls; and how deep calls may be nested is a limit
//! of the pool. Answers are no longer than a value may be.

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wasmpool_abi::nesting::{CALLS_MAX, Ending, SUBMISSIONS_MAX, split_list};
use wasmpool_abi::{Codec, VALUE_BYTES_MAX};

pub(crate) use answers::NestedBytes;
use answers::{Answers, ending_of, failed, input_block};

use super::job::{Job, Terms, Work};
use super::module::ModuleState;
use super::outcome::{Failure, FailureKind};
use super::source::Blocks;
use super::watch::Place;
use crate::channel::post::{Lie, Post};

/// Most bytes of inputs and results of nested calls that the supervisor holds for a module.
pub(crate) const BYTES_MAX: u64 = 1 << 30;

/// How often a call that was parked on a worker that died is given out again without being charged.
pub(crate) const UNCHARGED_MAX: u32 = 8;

/// Where a nested job stands in the tree of calls.
pub(crate) struct Lineage {
    /// The call that has submitted it.
    family: u64,
    /// The worker that this call runs on.
    waiter: Arc<Post>,
    /// That of the job which this call belongs to.
    parent: Option<Arc<Self>>,
    /// Calls above the job's own.
    depth: u32,
}

impl Lineage {
    /// Whether the call of this family waits for the job, or for one that does.
    pub(crate) fn descends_from(&self, family: u64) -> bool {
        let mut lineage = Some(self);
        while let Some(here) = lineage {
            if here.family == family {
                return true;
            }
            lineage = here.parent.as_deref();
        }
        false
    }

    /// Wakes whoever feeds the worker of the call that has submitted the job: it may be over.
    pub(crate) fn ring(&self) {
        self.waiter.feeder_bell().ring();
    }

    /// Wakes all who feed workers that could run calls of the job while they wait.
    pub(crate) fn ring_all(&self) {
        let mut lineage = Some(self);
        while let Some(here) = lineage {
            here.ring();
            lineage = here.parent.as_deref();
        }
    }
}

/// What one call has submitted and not waited for. Dropping it cancels all of that.
pub(crate) struct Family {
    id: u64,
    /// Where the call runs; it changes when the call goes on after a wait.
    pub(crate) place: Place,
    module: Arc<ModuleState>,
    /// Of its children.
    lineage: Arc<Lineage>,
    /// What the children run on.
    terms: Terms,
    ends: Option<Instant>,
    children: BTreeMap<u64, Child>,
    /// Number of the last submission.
    last: u64,
}

/// One submission.
struct Child {
    calls: usize,
    bytes: usize,
    fate: Fate,
}

enum Fate {
    /// It is a job.
    Job(Arc<Job>, Arc<Answers>),
    /// It never became one.
    Refused(Ending, String),
}

impl Family {
    /// The family of a call of `job` that runs at this place of this worker.
    pub(crate) fn new(job: &Job, place: Place, waiter: &Arc<Post>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // Relaxed: all that matters is that no two are the same.
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let parent = job.lineage.clone();
        let depth = parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        let lineage = Arc::new(Lineage { family: id, waiter: Arc::clone(waiter), parent, depth });
        let terms = Terms { stop_on_failure: true, timed: false, deadline: None, ..job.work.terms.clone() };
        let module = Arc::clone(&job.work.module);
        Self { id, place, module, lineage, terms, ends: job.ends(), children: BTreeMap::new(), last: 0 }
    }

    /// What its descendants know it by.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Submits calls.
    ///
    /// # Errors
    ///
    /// A [`Lie`] where an honest worker would have refused the guest.
    pub(crate) fn submit(&mut self, number: u64, task: &str, inputs: &[u8]) -> Result<(), Lie> {
        let (lengths, _) = split_list(inputs).ok_or(Lie("it passed on inputs that do not add up"))?;
        let (calls, bytes) = (lengths.len(), inputs.len());
        let (calls_before, bytes_before) = self
            .children
            .values()
            .fold((0, 0), |(calls, bytes), child| (calls + child.calls, bytes + child.bytes));
        let is_too_much = calls_before + calls > CALLS_MAX as usize
            || bytes_before + bytes > VALUE_BYTES_MAX
            || self.children.len() >= SUBMISSIONS_MAX as usize;
        if calls == 0 || is_too_much || number <= self.last {
            return Err(Lie("it submitted more calls than a call may, or none"));
        }
        self.last = number;
        let fate = self.launch(task, inputs, bytes);
        let fate = fate.unwrap_or_else(|(ending, message)| Fate::Refused(ending, message));
        self.children.insert(number, Child { calls, bytes, fate });
        Ok(())
    }

    fn launch(&self, task: &str, inputs: &[u8], bytes: usize) -> Result<Fate, (Ending, String)> {
        let most = self.module.nested_calls_max();
        if self.lineage.depth > most {
            return Err((
                Ending::TooDeep,
                format!("calls may be nested {most} levels deep, and this is one more"),
            ));
        }
        let (number, listed) =
            self.module.task(task).map_err(|error| (Ending::UnknownTask, error.to_string()))?;
        let held = self.module.nested_bytes.hold(bytes as u64).ok_or_else(no_room)?;
        let module = Arc::clone(&self.module);
        let work = Work::new(module, number, Codec::MessagePack, self.terms.clone(), u64::MAX);
        let (block, refused) = input_block(inputs, listed.numeric.as_ref());
        let calls = block.calls();
        let answers = Arc::new(Answers::new(calls as usize, listed.numeric.as_ref(), held));
        let source = Blocks::default();
        source.push(block);
        let lineage = Arc::clone(&self.lineage);
        let job = Job::nested(work, Box::new(source), Arc::clone(&answers) as _, lineage, self.ends);
        for (index, reason) in refused {
            job.refuse(Failure::new(index, FailureKind::Refused, reason));
        }
        job.announce(calls, true);
        self.module.list_nested(Arc::clone(&job));
        self.lineage.ring_all();
        Ok(Fate::Job(job, answers))
    }

    /// Whether there is a submission of this number.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.children.contains_key(&number)
    }

    /// Whether it is known what came of a submission.
    pub(crate) fn is_over(&self, number: u64) -> bool {
        match self.children.get(&number).map(|child| &child.fate) {
            Some(Fate::Job(job, _)) => job.is_over(),
            Some(Fate::Refused(..)) | None => true,
        }
    }

    /// Takes what came of a submission that is over, as it travels to the call.
    pub(crate) fn take_answer(&mut self, number: u64) -> Vec<u8> {
        let answer = match self.children.get(&number).map(|child| &child.fate) {
            Some(Fate::Job(job, answers)) => answer_of(job, answers),
            Some(Fate::Refused(ending, message)) => failed(*ending, 0, message),
            None => failed(Ending::Cancelled, 0, "there are no such calls"),
        };
        self.forget(number);
        answer
    }

    /// Ends a submission that nobody wants any more.
    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(Child { fate: Fate::Job(job, _), .. }) = self.children.remove(&number) {
            self.end(&job, None);
        }
    }

    /// Ends a submission with a failure of our own, which the call is told.
    pub(crate) fn fail(&self, number: u64, failure: Failure) {
        if let Some(Child { fate: Fate::Job(job, _), .. }) = self.children.get(&number) {
            self.end(job, Some(failure));
        }
    }

    fn end(&self, job: &Arc<Job>, failure: Option<Failure>) {
        job.cancel(failure);
        self.module.unlist_nested(job);
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for child in std::mem::take(&mut self.children).into_values() {
            if let Fate::Job(job, _) = child.fate {
                self.end(&job, None);
            }
        }
    }
}

fn answer_of(job: &Job, answers: &Answers) -> Vec<u8> {
    if let Some(failure) = job.failure() {
        return failed(ending_of(failure.kind()), failure.index(), failure.message());
    }
    if job.was_late() {
        return failed(Ending::TimedOut, 0, "the job's deadline passed");
    }
    if job.was_cancelled() {
        return failed(Ending::Cancelled, 0, "nobody waits for it any more");
    }
    answers.returned()
}

fn no_room() -> (Ending, String) {
    let text = format!(
        "the pool holds {BYTES_MAX} bytes for nested calls of this module and no more: let fewer be outstanding"
    );
    (Ending::NoRoom, text)
}

/// The answer to a call whose job is over.
pub(crate) fn cancelled() -> Vec<u8> {
    failed(Ending::Cancelled, 0, "nobody waits for the call any more that submitted it")
}

/// Why a wait ends for which there is no worker.
pub(crate) fn starved() -> Failure {
    let text = "no worker could be found for it: those that there may be all wait for calls of their own, with shared \
                objects open; close them before waiting";
    Failure::new(0, FailureKind::Starved, text)
}
