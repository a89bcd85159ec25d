//! Calls of a worker that wait for calls of their own: how they leave their slots and come back.
//!
//! The protocol with the worker is drawn in [`crate::channel`], what it is for in [`super::super::nesting`]. Here is the
//! supervisor's end. Whatever the worker says, a call that is parked is in one place, this stack, and leaves it by one
//! of three ways: an order that resumes it, a burial that gives it out again, or a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Sentence, Service, Tended};
use crate::channel::order::slot_of;
use crate::channel::post::Lie;
use crate::channel::request::{Asks, Request};
use crate::pool::chunk::Chunk;
use crate::pool::job::{Job, Verdict};
use crate::pool::nesting::{Family, cancelled, starved};
use crate::pool::outcome::{Failure, FailureKind};
use crate::pool::running::Running;
use crate::pool::watch::Place;
use crate::process::child::Exit;

/// A call that waits.
pub(super) struct Parked {
    job: Arc<Job>,
    /// Its index there.
    index: u64,
    /// When it began to run.
    since: Instant,
    family: Family,
    /// The submission that it waits for.
    waits_for: u64,
    /// Whether others may run on top of it.
    can_help: bool,
}

impl Parked {
    fn is_wanted(&self) -> bool {
        self.job.wants(self.index)
    }

    /// How long ago it began to run.
    pub(super) fn ran(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// How much of its time is left; none without a limit.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        Some(self.job.work.terms.time_max?.saturating_sub(self.ran(now)))
    }

    fn has_answer(&self) -> bool {
        !self.is_wanted() || self.family.is_over(self.waits_for)
    }

    pub(super) fn abandon(self) {
        self.job.abandon(self.index..self.index + 1);
    }
}

impl Service {
    /// Whether a call waits here for calls of its own.
    pub(crate) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether the worker has no order, though a call may wait there.
    pub(crate) fn has_nothing_posted(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The family whose descendants alone may run here, while a call waits that can be helped.
    pub(crate) fn helps(&self) -> Option<u64> {
        self.parked.last().filter(|parked| parked.can_help).map(|parked| parked.family.id())
    }

    /// Whether the call that waits on top can go on, or something that it waits for can be run.
    pub(super) fn has_parked_news(&self) -> bool {
        let Some(top) = self.parked.last() else { return true };
        top.has_answer() || top.can_help && self.module.has_nested(top.family.id())
    }

    /// Whether somebody wants one of the calls that wait here.
    pub(super) fn is_any_parked_wanted(&self) -> bool {
        self.parked.iter().any(Parked::is_wanted)
    }

    /// Does what a call asks, all but waiting.
    pub(super) fn heed(&mut self, request: &Request) -> Result<(), Lie> {
        let place = Place { generation: request.generation, call: request.call };
        let running = self.slots[slot_of(place.generation)].as_ref();
        let running = running.filter(|running| running.generation == place.generation);
        let running = running.filter(|running| running.ledger.outstanding().contains(&place.call));
        let running = running.ok_or(Lie("it asked for a call that it does not run"))?;
        let is_same = match &self.family {
            Some(family) if family.place > place => return Err(Lie("it asked for a call that is over")),
            Some(family) => family.place == place,
            None => false,
        };
        if !is_same {
            // That of another call, which is over.
            self.family = Some(Family::new(&running.job, place, &self.post));
        }
        let Some(family) = &mut self.family else { return Ok(()) };
        match &request.asks {
            Asks::Submit { task, inputs } => family.submit(request.number, task, inputs),
            Asks::Forget => {
                family.forget(request.number);
                Ok(())
            }
            Asks::Wait { .. } if !family.has(request.number) => Err(Lie("it waits for nothing")),
            Asks::Wait { .. } => Ok(()),
        }
    }

    /// Lets go of what a call had submitted that is over.
    pub(super) fn drop_ended_family(&mut self) {
        let Some(place) = self.family.as_ref().map(|family| family.place) else { return };
        let is_there = self.slots[slot_of(place.generation)].as_ref().is_some_and(|running| {
            running.generation == place.generation && running.ledger.outstanding().contains(&place.call)
        });
        if !is_there {
            self.family = None;
        }
    }

    /// Takes a waiting call out of its slot, and everything else away from the worker. What is finished has been taken.
    pub(super) fn park(&mut self, request: &Request, tended: &mut Tended) -> Result<(), Lie> {
        const BEGAN: Lie = Lie("it waits in a call and has begun others");
        let generation = request.generation;
        let Asks::Wait { can_help } = request.asks else { return Ok(()) };
        if self.oldest() != Some(generation) {
            return Err(BEGAN);
        }
        for running in self.slots.iter_mut().flatten() {
            tended.retries.extend(running.cut(&self.post, |rest| rest));
            let calls = match running.generation == generation {
                true => request.call..request.call + 1,
                false => 0..0,
            };
            if running.ledger.outstanding() != calls {
                return Err(BEGAN);
            }
        }
        let running = self.slots[slot_of(generation)].take();
        let (Some(running), Some(family)) = (running, self.family.take()) else { return Err(BEGAN) };
        self.post.trim(generation, running.used);
        self.parked.push(Parked {
            index: running.index(request.call),
            job: running.job,
            since: self.watch.since().unwrap_or_else(Instant::now),
            family,
            waits_for: request.number,
            can_help,
        });
        self.watch.rest();
        self.printed_bytes = 0;
        self.post.parked(generation);
        Ok(())
    }

    /// Has the call on top go on, if what it waits for is there and nothing runs on top of it.
    pub(super) fn resume(&mut self) {
        let is_ready = self.parked.last().is_some_and(Parked::has_answer);
        if !is_ready || !self.has_nothing_posted() || self.sentence.is_some() || self.child.death().is_some()
        {
            return;
        }
        let Some(Parked { job, index, since, mut family, waits_for, .. }) = self.parked.pop() else { return };
        let answer = match job.wants(index) {
            true => family.take_answer(waits_for),
            false => cancelled(),
        };
        let generation = self.generation.wrapping_add(1);
        self.post.inputs(generation).blobs(1).push(&answer);
        let order = super::order_of(&job, job.entry(), generation, index);
        let order = super::Order { resumes: true, ..order };
        family.place = Place { generation, call: 0 };
        self.watch.begin(family.place, since);
        self.family = Some(family);
        self.slots[slot_of(generation)] = Some(Running::new(generation, job, order.entry, index, 1));
        self.generation = generation;
        self.post.send(&order);
    }

    /// Ends the worker when a call that waits there has had its time.
    pub(super) fn watch_parked(&mut self) {
        if self.sentence.is_some() || self.child.death().is_some() {
            return;
        }
        let now = Instant::now();
        let late = self.parked.iter().position(|parked| parked.left(now).is_some_and(|left| left.is_zero()));
        if let Some(level) = late {
            self.condemn(Sentence::Parked(level));
        }
    }

    /// Ends the wait on top, for which no worker can be found: says whether it was one that cannot be helped with.
    pub(super) fn starve_parked(&mut self) -> bool {
        match self.parked.last() {
            Some(top) if !top.can_help && self.has_nothing_posted() => {
                top.family.fail(top.waits_for, starved());
                true
            }
            _ => false,
        }
    }

    /// Gives out again what waited on a dead worker. The call for which it was ended pays, the others do not, unless that
    /// has happened to them too often.
    pub(super) fn bury_parked(&mut self, exit: Exit, worker: usize, chunks: &mut Vec<Chunk>) {
        let condemned = match &self.sentence {
            Some(Sentence::Parked(level)) => Some(*level),
            _ => None,
        };
        for (level, parked) in std::mem::take(&mut self.parked).into_iter().enumerate() {
            let Parked { job, index, family, .. } = parked;
            // First, so that what it has submitted does not run beside its next attempt.
            drop(family);
            let failure = if condemned == Some(level) {
                let limit = job.work.terms.time_max.unwrap_or_default();
                let text = format!(
                    "ran longer than its limit of {limit:?}, in which its waits for nested calls count, and was stopped"
                );
                Failure::new(index, FailureKind::TimedOut, text)
            } else if job.is_pardoned(index) {
                chunks.push(Chunk::new(job, index..index + 1));
                continue;
            } else {
                let pid = self.child.pid();
                let text =
                    format!("its worker (process {pid}) {exit} while it waited for nested calls, once more");
                Failure::new(index, FailureKind::WorkerLost(exit), text)
            };
            if let Verdict::Retry(rest) = job.failed(failure, worker) {
                chunks.push(Chunk::retry(job, index, rest));
            }
        }
    }
}
