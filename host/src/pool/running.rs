//! A chunk in a worker's slot: its ledger, and how its results are taken back.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::chunk::Chunk;
use super::job::{Job, Verdict};
use super::outcome::Failure;
use super::sink::Form;
use super::watch;
use crate::channel::ending::EndKind;
use crate::channel::layout::{ENTRY_BYTES, SLOT_BYTES, VALUE_BYTES_MAX};
use crate::channel::order::Entry;
use crate::channel::post::{EntryHead, Lie, Post};
use crate::schedule::ledger::Ledger;

/// A chunk that was posted, until every call of it is somebody else's again.
pub(crate) struct Running {
    pub(super) generation: u32,
    pub(super) job: Arc<Job>,
    /// How it is run.
    pub(super) entry: Entry,
    /// Index of the chunk's first call in its job.
    first: u64,
    pub(super) count: u32,
    pub(super) ledger: Ledger,
    /// Next byte of results that was not taken, from the start of the slot's results.
    result_at: usize,
    /// Next byte of a batch's failure records that was not taken.
    failure_at: usize,
    /// Of how many calls the results were taken when the room for them was last given back to the worker.
    freed_at: Option<u32>,
    /// Farthest byte of the slot's results that was written.
    pub(super) used: usize,
    /// Part of the chunk was taken away while it ran, so its time says nothing about its size.
    was_cut: bool,
    pub(super) posted: Instant,
    /// Since when every call is back although the worker has not ended the chunk that it is at.
    settled_since: Option<Instant>,
    /// An initializer has failed since it was posted: what else fails in one was not tried again.
    has_failed_to_initialize: bool,
}

impl Running {
    /// Opens the book of a chunk of `count` calls, the first of which has index `first`.
    pub(super) fn new(generation: u32, job: Arc<Job>, entry: Entry, first: u64, count: u32) -> Self {
        let result_at = results_start(entry, count);
        Self {
            generation,
            job,
            entry,
            first,
            count,
            ledger: Ledger::new(count),
            result_at,
            failure_at: 0,
            freed_at: None,
            used: 0,
            was_cut: false,
            posted: Instant::now(),
            settled_since: None,
            has_failed_to_initialize: false,
        }
    }

    /// Index in its job of a call of the chunk.
    pub(super) fn index(&self, call: u32) -> u64 {
        self.first + u64::from(call)
    }

    /// Calls of this chunk as a chunk of their own.
    pub(super) fn chunk(&self, calls: Range<u32>) -> Chunk {
        Chunk::new(Arc::clone(&self.job), self.index(calls.start)..self.index(calls.end))
    }

    /// Takes the results of the calls below `finished`, which is the worker's word.
    ///
    /// # Errors
    ///
    /// A [`Lie`] when they do not add up.
    pub(super) fn take(
        &mut self,
        finished: u32,
        post: &Post,
        worker: usize,
        retries: &mut Vec<Chunk>,
    ) -> Result<(), Lie> {
        let outstanding = self.ledger.outstanding();
        let calls = outstanding.start..finished.min(outstanding.end);
        if calls.is_empty() {
            return Ok(());
        }
        match self.entry {
            Entry::Batch => self.take_batch(calls, post, worker, retries)?,
            Entry::Each | Entry::Pull(_) | Entry::Command => {
                self.take_entries(calls, post, worker, retries)?
            }
        }
        // Only now: a worker that says it has finished calls and has no results for them has finished nothing.
        self.job.work.module.note_success();
        Ok(())
    }

    /// Takes a dead worker's results of a batch, up to the call that was running.
    ///
    /// The driver counts only at the end of a block, but it writes each result before it begins the next call.
    pub(super) fn take_until(&mut self, call: u32, post: &Post, worker: usize, retries: &mut Vec<Chunk>) {
        let outstanding = self.ledger.outstanding();
        if outstanding.contains(&call) {
            // Records that do not add up leave the calls outstanding: they are given out again.
            let _ = self.take_batch(outstanding.start..call, post, worker, retries);
        }
    }

    fn take_batch(
        &mut self,
        calls: Range<u32>,
        post: &Post,
        worker: usize,
        retries: &mut Vec<Chunk>,
    ) -> Result<(), Lie> {
        let width = self.job.work.width;
        let place = (self.count, width);
        let (failures, failure_at) =
            post.read_failures(self.generation, place, calls.clone(), self.failure_at)?;
        self.failure_at = failure_at;
        self.used = self.used.max(self.count as usize * width * 8 + failure_at);
        self.ledger.accept(calls.end);
        let mut start = calls.start;
        for failure in failures {
            self.returned_cells(start..failure.call, post, worker);
            start = failure.call + 1;
            if failure.kind == EndKind::Nests {
                self.job.work.module.note_nesting(self.job.work.task);
                retries.push(self.chunk(failure.call..failure.call + 1));
                continue;
            }
            let told = self.told(failure.call, failure.kind, &failure.detail);
            self.fail(told, worker, retries);
        }
        self.returned_cells(start..calls.end, post, worker);
        Ok(())
    }

    fn returned_cells(&self, calls: Range<u32>, post: &Post, worker: usize) {
        if calls.is_empty() {
            return;
        }
        let width = self.job.work.width;
        let start = calls.start as usize * width;
        let read = |first: usize, into: &mut [MaybeUninit<u8>]| {
            post.read_cells(self.generation, start + first, into);
        };
        let form = Form::Cells { width, read: &read };
        self.job.returned(self.index(calls.start), calls.len(), form, worker);
    }

    fn take_entries(
        &mut self,
        calls: Range<u32>,
        post: &Post,
        worker: usize,
        retries: &mut Vec<Chunk>,
    ) -> Result<(), Lie> {
        let heads = post.read_heads(self.generation, calls.clone(), self.result_at)?;
        let most = self.job.work.terms.result_bytes_max;
        let is_too_long = |head: &EntryHead| head.kind == EndKind::Returned && head.length as u64 > most;
        if matches!(self.entry, Entry::Pull(_) | Entry::Command) && heads.iter().any(is_too_long) {
            return Err(Lie("a result is longer than it may be"));
        }
        self.ledger.accept(calls.end);
        let mut start = 0;
        while start < heads.len() {
            let first = calls.start + start as u32;
            if heads[start].kind == EndKind::Returned {
                let run = heads[start..].iter().take_while(|head| head.kind == EndKind::Returned).count();
                self.returned_values(first, &heads[start..start + run], post, worker);
                start += run;
            } else {
                let mut detail = Vec::new();
                post.read_bytes(self.generation, self.result_at, heads[start].length, &mut detail);
                self.result_at += heads[start].length;
                let told = self.told(first, heads[start].kind, &detail);
                self.fail(told, worker, retries);
                start += 1;
            }
        }
        self.used = self.used.max(self.result_at);
        Ok(())
    }

    fn returned_values(&mut self, first: u32, heads: &[EntryHead], post: &Post, worker: usize) {
        let length = heads.iter().map(|head| head.length).sum();
        let mut bytes = Vec::new();
        post.read_bytes(self.generation, self.result_at, length, &mut bytes);
        self.result_at += length;
        let form = Form::Values { heads, bytes: &bytes };
        self.job.returned(self.index(first), heads.len(), form, worker);
    }

    fn told(&self, call: u32, kind: EndKind, detail: &[u8]) -> Failure {
        Failure::told(self.index(call), kind, detail, self.job.work.module.initializer())
    }

    /// Has a call that did not return judged; one that is to be tried again joins `retries`.
    pub(super) fn fail(&mut self, failure: Failure, worker: usize, retries: &mut Vec<Chunk>) {
        let index = failure.index();
        let verdict = match failure.initializer() {
            None => self.job.failed(failure, worker),
            Some(_) => {
                let was_tried = !std::mem::replace(&mut self.has_failed_to_initialize, true);
                self.job.failed_to_initialize(failure, worker, was_tried)
            }
        };
        if let Verdict::Retry(rest) = verdict {
            retries.push(Chunk::retry(Arc::clone(&self.job), index, rest));
        }
    }

    /// Whether the worker waits for room that it has not been given yet.
    ///
    /// The worker's word may be an old one: it clears it a moment after it was given room. Only a fullness at just
    /// as many calls as were taken, and not relieved before, is a new one.
    pub(super) fn wants_room(&self, post: &Post) -> bool {
        let taken = self.ledger.outstanding().start;
        post.full_at(self.generation) == Some(taken) && self.freed_at != Some(taken)
    }

    /// Lets the worker write over the results that were taken, if it waits for that.
    pub(super) fn free_room(&mut self, post: &Post) {
        if !self.wants_room(post) {
            return;
        }
        let taken = self.ledger.outstanding().start;
        self.freed_at = Some(taken);
        self.used = SLOT_BYTES;
        self.failure_at = 0;
        self.result_at = results_start(self.entry, self.count);
        post.taken(self.generation, taken);
    }

    /// Checks that the worker, which is at this chunk, ends it soon after its last call.
    ///
    /// # Errors
    ///
    /// A [`Lie`] when it does not.
    pub(super) fn check_end(&mut self) -> Result<(), Lie> {
        if !self.ledger.is_settled() {
            return Ok(());
        }
        let since = *self.settled_since.get_or_insert_with(Instant::now);
        if since.elapsed() > watch::ending_max(self.job.work.terms.time_max) {
            return Err(Lie("it finished a chunk and never ended it"));
        }
        Ok(())
    }

    /// Has the job learn how long the chunk took. No worker can have been busy with it for longer than it had it.
    pub(super) fn teach(&self, busy_ns: u64) {
        let had_ns = self.posted.elapsed().as_nanos() as u64;
        let busy_ns = busy_ns.min(had_ns);
        self.job.work.module.tally.add_run(busy_ns, self.ledger.outstanding().end.into());
        if !self.was_cut {
            self.job.learn(u64::from(self.count), busy_ns);
        }
    }

    /// Whether whoever helps the call of this family may run it; anybody else may run anything.
    pub(super) fn is_for(&self, family: Option<u64>) -> bool {
        family.is_none_or(|family| self.job.lineage.as_ref().is_some_and(|job| job.descends_from(family)))
    }

    /// How many calls nobody has claimed, about.
    pub(super) fn rest(&self, post: &Post) -> u32 {
        post.range(self.generation).rest(self.ledger.outstanding())
    }

    /// Takes unclaimed calls from the end: as many of the rest as `wanted(rest)` says.
    pub(super) fn cut(&mut self, post: &Post, wanted: impl Fn(u32) -> u32) -> Option<Chunk> {
        let outstanding = self.ledger.outstanding();
        let calls = post.range(self.generation).cut(outstanding.clone(), wanted)?;
        self.ledger.cut(calls.start);
        self.was_cut = true;
        // Up to the ledger's end: a worker that has lowered the word's end does not make calls disappear.
        Some(self.chunk(calls.start..outstanding.end))
    }

    /// Takes unclaimed calls away that nobody wants any more.
    pub(super) fn drop_unwanted(&mut self, post: &Post) {
        let outstanding = self.ledger.outstanding();
        let unwanted = self.job.goal().saturating_sub(self.first).min(u64::from(outstanding.end)) as u32;
        if unwanted < outstanding.end {
            // Nobody waits for them, so dropping the chunk is all there is to do.
            drop(self.cut(post, |rest| rest.min(outstanding.end - unwanted)));
        }
    }

    /// Gives every outstanding call up: whoever answered for them broke.
    pub(super) fn abandon(self) {
        let outstanding = self.ledger.outstanding();
        self.job.abandon(self.index(outstanding.start)..self.index(outstanding.end));
    }
}

/// First byte behind the fixed part of a chunk's results.
fn results_start(entry: Entry, count: u32) -> usize {
    match entry {
        Entry::Batch => 0,
        Entry::Each | Entry::Pull(_) | Entry::Command => count as usize * ENTRY_BYTES,
    }
}

/// Most calls whose fixed part fits a slot together with the largest value.
pub(super) fn chunk_calls_max(entry: Entry, width: usize) -> u64 {
    let calls = match entry {
        Entry::Batch => SLOT_BYTES / 2 / (8 * width.max(1)),
        Entry::Each | Entry::Pull(_) | Entry::Command => (SLOT_BYTES - VALUE_BYTES_MAX) / ENTRY_BYTES,
    };
    calls as u64
}
