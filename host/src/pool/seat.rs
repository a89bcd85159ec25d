//! A seat: one worker's place in the pool, and everything the supervisor knows of who sits there.
//!
//! All of it lies behind one lock, the *slot lock* of the protocols: whoever posts, takes back, cuts or buries holds
//! it. The worker on the other side of the shared memory never does; it acts by single stores and exchanges.
//!
//! Feeding a worker is a role, not a thread. The seat's feeder thread has it most of the time; a caller who finds the
//! worker idle takes it over, hands its one call across directly, and gives it back.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::job::{Job, Verdict};
use super::module::ModuleState;
use super::outcome::{Failure, FailureKind};
use super::sink::Form;
use super::watch::{self, Reason, Watch};
use crate::channel::control::{Control, WorkerSays};
use crate::channel::ending::EndKind;
use crate::channel::layout::{ENTRY_BYTES, SLOT_BYTES, SLOTS};
use crate::channel::order::{Entry, Order, slot_of};
use crate::channel::post::{EntryHead, Lie, Post};
use crate::channel::ring::{self, Stream};
use crate::process::child::{Child, Exit};
use crate::schedule::ledger::Ledger;

/// How long a worker may take to stand still after it was told to.
const STOP_TIME_MAX: Duration = Duration::from_millis(100);

/// How long a worker may take to end a chunk all of whose calls are back.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes the lines that guests print, whole, without their line ends.
pub(crate) type OnLine = dyn Fn(Stream, &[u8]) + Send + Sync;

/// A worker that serves a module, and what it has been given.
pub(crate) struct Service {
    pub(crate) child: Arc<Child>,
    pub(crate) control: Control,
    pub(crate) post: Arc<Post>,
    pub(crate) module: Arc<ModuleState>,
    /// When it began.
    pub(crate) since: Instant,
    /// Number of the last order.
    generation: u32,
    slots: [Option<Running>; SLOTS],
    lines: ring::Reader,
    watch: Watch,
    /// Why it was killed, if the supervisor did it.
    sentence: Option<Sentence>,
}

/// A chunk in a slot.
struct Running {
    generation: u32,
    job: Arc<Job>,
    /// Index of the chunk's first call in its job.
    first: u64,
    count: u32,
    ledger: Ledger,
    /// Next byte of results that was not taken, from the start of the slot's results.
    result_at: usize,
    /// Next byte of a batch's failure records that was not taken.
    failure_at: usize,
    /// Farthest byte of the slot's results that was written.
    used: usize,
    /// Part of the chunk was taken away while it ran, so its time says nothing about its size.
    was_cut: bool,
    /// Since when every call is back although the worker has not ended the chunk.
    settled_since: Option<Instant>,
}

/// Why the supervisor killed a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sentence {
    /// For a call that had to be stopped.
    Call(watch::Running, Reason),
    /// For what it wrote.
    Lied(Lie),
}

/// What is left when a worker has died.
pub(crate) struct Remains {
    /// Calls to be given out again.
    pub(crate) chunks: Vec<Chunk>,
    /// It died of itself or of its module, not by the supervisor's hand.
    pub(crate) is_crash: bool,
    /// How it ended, in words.
    pub(crate) story: String,
}

/// What came of posting a chunk.
pub(crate) struct Posted {
    /// Number of the order.
    pub(crate) generation: u32,
    /// The worker had to be woken.
    pub(crate) was_asleep: bool,
    /// What did not fit.
    pub(crate) rest: Option<Chunk>,
}

/// Whether calls have come back, and which of them have to be run again.
#[derive(Default)]
pub(crate) struct Tended {
    /// Calls to be given out again.
    pub(crate) retries: Vec<Chunk>,
    /// A slot became free.
    pub(crate) has_room: bool,
}

impl Service {
    /// A worker that has just said that it is ready.
    pub(crate) fn new(
        child: Arc<Child>,
        control: Control,
        post: Arc<Post>,
        module: Arc<ModuleState>,
    ) -> Self {
        Self {
            child,
            control,
            post,
            module,
            since: Instant::now(),
            generation: 0,
            slots: [None, None],
            lines: ring::Reader::default(),
            watch: Watch::default(),
            sentence: None,
        }
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Whether another chunk can be posted.
    pub(crate) fn has_room(&self) -> bool {
        self.slots[slot_of(self.generation.wrapping_add(1))].is_none()
    }

    /// Generation of the order that it works on.
    fn oldest(&self) -> Option<u32> {
        self.slots.iter().flatten().map(|running| running.generation).min()
    }

    /// Whether something has happened that [`Self::tend`] should see.
    pub(crate) fn has_news(&self) -> bool {
        let ended = |generation| self.post.has_ended(generation) || self.post.is_full(generation);
        self.child.death().is_some() || self.oldest().is_none_or(ended)
    }

    /// How long to sleep at most before the running call is looked at again.
    pub(crate) fn interval(&self) -> Duration {
        let of = |running: &Running| watch::interval(running.job.work.terms.time_max);
        self.slots.iter().flatten().map(of).min().unwrap_or(watch::interval(None))
    }

    /// Posts a chunk; what does not fit its slot comes back. `hot` tells that a caller spins for the answer.
    ///
    /// # Panics
    ///
    /// When there is no room; ask [`Self::has_room`] first.
    pub(crate) fn post(&mut self, mut chunk: Chunk, hot: bool) -> Posted {
        let generation = self.generation.wrapping_add(1);
        let slot = slot_of(generation);
        assert!(self.slots[slot].is_none(), "slot {slot} is taken");
        let rest = chunk.split_off(chunk_calls_max(&chunk.job().work.entry, chunk.job().work.width));
        let (inputs, count) = chunk.job().source.fill(chunk.calls(), self.post.inputs(generation));
        let rest = match (chunk.split_off(u64::from(count)), rest) {
            // Both are the end of one range.
            (Some(unfit), Some(rest)) => Some(unfit.merge(rest)),
            (unfit, rest) => unfit.or(rest),
        };
        let (job, calls) = chunk.into_parts();
        let terms = &job.work.terms;
        let order = Order {
            generation,
            task: job.work.task as u32,
            count,
            entry: job.work.entry,
            inputs,
            fresh: terms.fresh,
            recycle: terms.recycle,
            hot,
            timed: terms.timed,
            printed_bytes_max: terms.printed_bytes_max,
        };
        let result_at = match order.entry {
            Entry::Batch => 0,
            Entry::Each | Entry::Pull(_) => count as usize * ENTRY_BYTES,
        };
        self.slots[slot] = Some(Running {
            generation,
            first: calls.start,
            count,
            ledger: Ledger::new(count),
            result_at,
            failure_at: 0,
            used: 0,
            was_cut: false,
            settled_since: None,
            job,
        });
        self.generation = generation;
        Posted { generation, was_asleep: self.post.send(&order), rest }
    }

    /// Takes back what has come, and stops a call that has to be.
    pub(crate) fn tend(&mut self, worker: usize, on_line: &OnLine) -> Tended {
        let mut tended = Tended::default();
        if let Err(lie) = self.take_all(worker, on_line, &mut tended) {
            self.condemn(Sentence::Lied(lie));
        }
        self.watch_call();
        tended
    }

    fn take_all(&mut self, worker: usize, on_line: &OnLine, tended: &mut Tended) -> Result<(), Lie> {
        if self.sentence.is_some() {
            return Ok(());
        }
        // Lines first: what a call printed is out before its result is.
        self.post.drain(&mut self.lines, on_line)?;
        for generation in self.generations() {
            let slot = slot_of(generation);
            let Some(running) = &mut self.slots[slot] else { continue };
            // In this order: everything below `ended` is finished, so a count read afterwards is the final one.
            let has_ended = self.post.has_ended(generation);
            let is_full = self.post.is_full(generation);
            running.take(&self.post, worker, &mut tended.retries)?;
            if is_full {
                running.free_room(&self.post);
            }
            running.check_end(has_ended)?;
            if has_ended {
                if !running.ledger.is_settled() {
                    return Err(Lie("it ended a chunk with calls outstanding"));
                }
                self.settle(slot);
                tended.has_room = true;
            }
        }
        Ok(())
    }

    /// Generations of the posted orders, in order.
    fn generations(&self) -> impl Iterator<Item = u32> + use<> {
        let mut generations: Vec<u32> =
            self.slots.iter().flatten().map(|running| running.generation).collect();
        generations.sort_unstable();
        generations.into_iter()
    }

    fn settle(&mut self, slot: usize) {
        let Some(running) = self.slots[slot].take() else { return };
        if !running.was_cut {
            running.job.learn(u64::from(running.count), self.post.busy_ns(running.generation));
        }
        self.post.trim(running.generation, running.used);
        self.module.note_success();
    }

    /// Takes untaken calls from the end of one of the slots, for a thief.
    pub(crate) fn cut(&mut self) -> Option<Chunk> {
        if self.sentence.is_some() {
            return None;
        }
        let post = &self.post;
        let rest = |running: &Running| post.range(running.generation).rest(running.ledger.outstanding());
        let richest = self.slots.iter_mut().flatten().max_by_key(|running| rest(running))?;
        richest.cut(post)
    }

    /// How many calls are untaken in all slots, about.
    pub(crate) fn rest(&self) -> u32 {
        let rest = |running: &Running| self.post.range(running.generation).rest(running.ledger.outstanding());
        self.slots.iter().flatten().map(rest).sum()
    }

    /// Looks at the call that runs, and stops it if its time is over or nobody wants it.
    fn watch_call(&mut self) {
        if self.sentence.is_some() || self.child.death().is_some() {
            return;
        }
        let now = Instant::now();
        let Some((running, ran)) = self.watch.look(self.post.progress(), now) else { return };
        let Some(chunk) = self.slots.iter().flatten().find(|chunk| chunk.generation == running.0) else {
            return;
        };
        if self.post.is_full(chunk.generation) {
            // It waits for the supervisor, which is not the call's time.
            return self.watch.forgive(now);
        }
        let is_wanted = chunk.job.wants(chunk.first + u64::from(running.1));
        if let Some(reason) = watch::judge(ran, chunk.job.work.terms.time_max, is_wanted) {
            self.stop_look_kill(running, reason);
        }
    }

    /// Stops the worker, and kills it if the call is still the one that runs.
    ///
    /// Without the second look, short calls that follow a long one would be killed for it.
    fn stop_look_kill(&mut self, running: watch::Running, reason: Reason) {
        let stands_still = self.child.stop(STOP_TIME_MAX);
        if stands_still && self.post.progress() != Some(running) {
            self.child.go_on();
            return;
        }
        // One that cannot be stopped hangs in the kernel; it is killed when it comes back from there.
        self.condemn(Sentence::Call(running, reason));
    }

    /// Lets go of everything: the pool is closing, and nobody waits for an outcome.
    pub(crate) fn abandon(mut self) {
        self.child.kill();
        self.slots = [None, None];
    }

    fn condemn(&mut self, sentence: Sentence) {
        self.sentence = Some(sentence);
        self.child.kill();
    }

    /// Settles everything after the worker's proved death.
    pub(crate) fn bury(mut self, exit: Exit, worker: usize, on_line: &OnLine) -> Remains {
        let mut chunks = Vec::new();
        let said = self.control.receive::<WorkerSays>(Duration::ZERO).ok();
        let is_honest = !matches!(self.sentence, Some(Sentence::Lied(_)));
        if is_honest {
            // A lie that shows only now changes nothing: what was taken is taken, the rest is given out again.
            let _ = self.post.drain(&mut self.lines, on_line);
        }
        let progress = self.post.progress();
        for generation in self.generations().collect::<Vec<_>>() {
            let Some(mut running) = self.slots[slot_of(generation)].take() else { continue };
            if is_honest {
                // As above.
                let _ = running.take(&self.post, worker, &mut chunks);
            }
            let call = progress.filter(|(of, _)| *of == generation).map(|(_, call)| call);
            let finished = match (running.job.work.entry, call) {
                // The driver counts only at the end of a block, but it writes each result before it begins the next.
                (Entry::Batch, Some(call)) if is_honest => {
                    running.take_until(call, &self.post, worker, &mut chunks)
                }
                _ => running.ledger.outstanding().start,
            };
            let burial = running.ledger.bury(finished, call);
            if let Some(call) = burial.charged {
                let failure = self.charge(&running, (generation, call), exit, said.as_ref());
                running.fail(failure, worker, &mut chunks);
            }
            let untouched = burial.untouched.into_iter().filter(|calls| !calls.is_empty());
            chunks.extend(untouched.map(|calls| running.chunk(calls)));
        }
        let story = match (&self.sentence, said) {
            (Some(Sentence::Lied(Lie(lie))), _) => format!("broke the protocol ({lie})"),
            (_, Some(WorkerSays::Panicked(message))) => {
                format!("{exit} after a panic of its own ({message})")
            }
            _ => exit.to_string(),
        };
        let is_crash = !matches!(self.sentence, Some(Sentence::Call(..)));
        Remains { chunks, is_crash, story }
    }

    /// What the call that was running when the worker died is told.
    fn charge(
        &self,
        running: &Running,
        call: watch::Running,
        exit: Exit,
        said: Option<&WorkerSays>,
    ) -> Failure {
        let index = running.first + u64::from(call.1);
        match &self.sentence {
            Some(Sentence::Call(condemned, Reason::TimedOut)) if *condemned == call => {
                let limit = running.job.work.terms.time_max.unwrap_or_default();
                let text = format!("ran longer than its limit of {limit:?} and was stopped");
                Failure::new(index, FailureKind::TimedOut, text)
            }
            Some(Sentence::Call(condemned, Reason::Unwanted)) if *condemned == call => {
                Failure::new(index, FailureKind::Cancelled, "nobody waits for it any more")
            }
            _ => {
                let panic = match said {
                    Some(WorkerSays::Panicked(message)) => format!(" after a panic of its own: {message}"),
                    _ => String::new(),
                };
                let text = format!("its worker (process {}) {exit}{panic}", self.child.pid());
                Failure::new(index, FailureKind::WorkerLost(exit), text)
            }
        }
    }
}

impl Running {
    fn index(&self, call: u32) -> u64 {
        self.first + u64::from(call)
    }

    fn chunk(&self, calls: Range<u32>) -> Chunk {
        Chunk::new(Arc::clone(&self.job), self.index(calls.start)..self.index(calls.end))
    }

    /// Takes all results that the worker says are finished.
    fn take(&mut self, post: &Post, worker: usize, retries: &mut Vec<Chunk>) -> Result<(), Lie> {
        let finished = post.finished(self.generation, self.ledger.outstanding().end);
        let calls = self.ledger.outstanding().start..finished;
        if calls.is_empty() {
            return Ok(());
        }
        match self.job.work.entry {
            Entry::Batch => self.take_batch(calls, post, worker, retries),
            Entry::Each | Entry::Pull(_) => self.take_entries(calls, post, worker, retries),
        }
    }

    /// Takes a dead worker's results up to the call that was running; returns up to where that worked.
    fn take_until(&mut self, call: u32, post: &Post, worker: usize, retries: &mut Vec<Chunk>) -> u32 {
        let outstanding = self.ledger.outstanding();
        if outstanding.contains(&call) {
            // Records that do not add up leave the calls outstanding: they are given out again.
            let _ = self.take_batch(outstanding.start..call, post, worker, retries);
        }
        self.ledger.outstanding().start
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
        self.used = self.count as usize * width * 8 + failure_at;
        self.ledger.accept(calls.end);
        let mut start = calls.start;
        for failure in failures {
            self.returned_cells(start..failure.call, post, worker);
            start = failure.call + 1;
            let told = Failure::told(self.index(failure.call), failure.kind, &failure.detail);
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
            post.read_cells(self.generation, start + first, into)
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
                let told = Failure::told(self.index(first), heads[start].kind, &detail);
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

    fn fail(&self, failure: Failure, worker: usize, retries: &mut Vec<Chunk>) {
        let index = failure.index();
        if self.job.failed(failure, worker) == Verdict::Retry {
            retries.push(Chunk::new(Arc::clone(&self.job), index..index + 1));
        }
    }

    /// Lets the worker write over the results that were taken.
    fn free_room(&mut self, post: &Post) {
        self.used = SLOT_BYTES;
        self.failure_at = 0;
        self.result_at = match self.job.work.entry {
            Entry::Batch => 0,
            Entry::Each | Entry::Pull(_) => self.count as usize * ENTRY_BYTES,
        };
        post.taken(self.generation, self.ledger.outstanding().start);
    }

    /// Every call is back, so the worker has only to say that the chunk is over.
    fn check_end(&mut self, has_ended: bool) -> Result<(), Lie> {
        if has_ended || !self.ledger.is_settled() {
            return Ok(());
        }
        let since = *self.settled_since.get_or_insert_with(Instant::now);
        if since.elapsed() > END_TIME_MAX {
            return Err(Lie("it finished a chunk and never ended it"));
        }
        Ok(())
    }

    fn cut(&mut self, post: &Post) -> Option<Chunk> {
        let calls =
            post.range(self.generation).cut(self.ledger.outstanding(), |rest| self.job.steal_size(rest))?;
        self.ledger.cut(calls.start);
        self.was_cut = true;
        Some(self.chunk(calls))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let outstanding = self.ledger.outstanding();
        if !outstanding.is_empty() && std::thread::panicking() {
            self.job.abandon(self.index(outstanding.start)..self.index(outstanding.end));
        }
    }
}

/// Most calls whose results, or whose entries, fit a slot with room to spare.
fn chunk_calls_max(entry: &Entry, width: usize) -> u64 {
    let call_bytes = match entry {
        Entry::Batch => 8 * width.max(1),
        Entry::Each | Entry::Pull(_) => ENTRY_BYTES,
    };
    (SLOT_BYTES / 2 / call_bytes) as u64
}
