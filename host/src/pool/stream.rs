//! A stream: single calls of one task, on the same terms, as one job without an announced end.
//!
//! A job and a book of its own for each call would cost more than most calls. So calls that are submitted one by one
//! join a job that runs as long as the task that it belongs to: its inputs come by an [`Inflow`], whose tags are the
//! slots where the results go.

use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;

use super::admission::Use;
use super::decode::ResultForm;
use super::error::Error;
use super::gate::closed;
use super::handle::Origin;
use super::inflow::{Bounds, Inflow};
use super::job::{Job, Terms, Work};
use super::module::ModuleState;
use super::outcome::{Failure, FailureKind};
use super::sink::{Results, Sink};
use super::slot::Slot;
use super::source::Block;

/// How much may be submitted and not have ended before those who submit wait.
const BOUNDS: Bounds = Bounds { calls: 1 << 16, bytes: 64 << 20 };

/// Calls of one task that are submitted one by one.
pub(crate) struct Stream<R> {
    inflow: Arc<Inflow<Arc<Slot<R>>>>,
    origin: Arc<Origin>,
    /// What its calls were asked to be.
    terms: Terms,
}

/// A task's current stream.
pub(super) struct Current<R>(RwLock<Option<Arc<Stream<R>>>>);

impl<R> Default for Current<R> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<R> Clone for Current<R> {
    fn clone(&self) -> Self {
        Self(RwLock::new(self.0.read().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

impl<R> Current<R> {
    /// The stream for calls on these terms, which `open` opens if there is none.
    ///
    /// # Errors
    ///
    /// Those of `open`.
    pub(super) fn find_or(
        &self,
        module: &Arc<ModuleState>,
        terms: &Terms,
        open: impl FnOnce() -> Result<Arc<Stream<R>>, Error>,
    ) -> Result<Arc<Stream<R>>, Error> {
        let fits = |stream: &&Arc<Stream<R>>| stream.fits(module, terms);
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().filter(fits).cloned();
        if let Some(stream) = found {
            return Ok(stream);
        }
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = current.as_ref().filter(fits) {
            return Ok(Arc::clone(stream));
        }
        let stream = open()?;
        *current = Some(Arc::clone(&stream));
        Ok(stream)
    }
}

impl<R> Stream<R> {
    fn fits(&self, module: &Arc<ModuleState>, terms: &Terms) -> bool {
        // One that was cancelled with all that its module had to do is followed by another.
        Arc::ptr_eq(&self.origin.job.work.module, module)
            && self.terms == *terms
            && !self.origin.job.has_ended()
    }

    /// What the handles of its calls can stop.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// An empty block for a call's input.
    pub(crate) fn block(&self) -> Block {
        self.inflow.block()
    }

    /// Submits a call whose outcome goes to `slot`; returns its index.
    ///
    /// # Errors
    ///
    /// When nothing can be run any more.
    pub(crate) fn submit(&self, input: &Block, slot: Arc<Slot<R>>) -> Result<u64, Error> {
        let obstacle = || self.origin.shared.obstacle(&self.origin.job.work.module);
        self.inflow.push(input, slot).map_err(|error| obstacle().unwrap_or(error))
    }
}

impl<R: DeserializeOwned + Send + 'static> Stream<R> {
    /// Begins a stream of calls that are run so.
    ///
    /// # Errors
    ///
    /// When nothing can be run.
    pub(crate) fn open(
        module: &Use,
        work: Work,
        terms: Terms,
        width: Option<usize>,
        form: ResultForm,
    ) -> Result<Arc<Self>, Error> {
        let shared = Arc::clone(module.shared());
        let inflow = Inflow::new(&shared, width, BOUNDS, None);
        let sink = Arc::new(Slots { inflow: Arc::clone(&inflow), form });
        let job = Job::new(work, Box::new(Arc::clone(&inflow)), sink);
        let (module, waiting) = (module.clone(), Arc::clone(&inflow));
        job.at_end(Box::new(move |job| {
            let error = module.shared().conclude(job).unwrap_or_else(closed);
            job.detach();
            for slot in waiting.close() {
                slot.fill(Err(error.again()));
            }
        }));
        let origin = Arc::new(Origin { shared, job });
        if let Err(error) = origin.shared.submit(&origin.job) {
            origin.job.cancel(None);
            return Err(error);
        }
        Ok(Arc::new(Self { inflow, origin, terms }))
    }
}

impl<R> Drop for Stream<R> {
    fn drop(&mut self) {
        // Nobody can submit any more; what was submitted goes on.
        self.origin.job.announce(self.inflow.submitted(), true);
        self.origin.shared.lobby.ring();
    }
}

/// Gives each result to the slot that waits for it.
struct Slots<R> {
    inflow: Arc<Inflow<Arc<Slot<R>>>>,
    form: ResultForm,
}

/// Slots whose results are being read. One that is left when this goes was not read because a caller's type panicked.
struct Reading<R: Send + 'static> {
    slots: Vec<Option<Arc<Slot<R>>>>,
}

impl<R: Send + 'static> Drop for Reading<R> {
    fn drop(&mut self) {
        for slot in self.slots.drain(..).flatten() {
            let text = "the caller's type panicked while this result, or one beside it, was decoded";
            slot.fill(Err(Error::call(Failure::new(0, FailureKind::BadResult, text))));
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> Sink for Slots<R> {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        let slots = self.inflow.take_tags(first..first + results.count as u64);
        let mut reading = Reading { slots };
        let mut take = |index: u64| reading.slots.get_mut((index - first) as usize)?.take();
        let refused = self.form.read(first, &results, |index, result| {
            if let Some(slot) = take(index) {
                slot.fill(Ok(result));
            }
        });
        for failure in &refused {
            if let Some(slot) = take(failure.index()) {
                slot.fill(Err(Error::call(failure.clone().of_single_call())));
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    fn failed(&self, failure: &Failure) {
        let index = failure.index();
        for slot in self.inflow.take_tags(index..index + 1).into_iter().flatten() {
            slot.fill(Err(Error::call(failure.clone().of_single_call())));
        }
    }

    fn keeps_failures(&self) -> bool {
        false
    }
}
