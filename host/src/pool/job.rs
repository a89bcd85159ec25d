//! A job: everything that one request asks for, and the book of how far it is.
//!
//! A call of a job is in one place at a time: not handed out yet (at or above the cursor), in a [`Chunk`], in the
//! ledger of a worker's slot, or settled. It leaves that place by being moved, so it ends in exactly one outcome,
//! whatever dies when. A job is over when every call that still matters is settled; what is left of the others is
//! dropped where it is found.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::module::ModuleState;
use super::nesting::{Lineage, UNCHARGED_MAX};
use super::outcome::{Failure, FailureKind};
use super::priority::Priority;
use super::sink::{Form, Results, Sink};
use super::source::Source;
use super::tally::Count;
use wasmpool_abi::Codec;

use crate::channel::order::Entry;
use crate::schedule::back_off::BackOff;
use crate::schedule::cut::Pace;
use crate::schedule::spans::Spans;

/// Failures of one job that are kept with everything that is known about them.
const DETAILED_FAILURES_MAX: u64 = 100;

/// What one call may do, and how it is run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// Longest time that a call may take.
    pub(crate) time_max: Option<Duration>,
    /// Longest time that the job may take.
    pub(crate) deadline: Option<Duration>,
    /// Units of fuel that a call has; none where code does not count any.
    pub(crate) fuel: Option<u64>,
    /// How often a call is tried again after a failure that may pass.
    pub(crate) retries: u32,
    /// How often at least when its worker was lost, which is not the call's doing where nobody can see it run.
    pub(crate) lost_retries: u32,
    /// How long a call rests before another attempt.
    pub(crate) back_off: BackOff,
    /// Whether its calls go before or after others.
    pub(crate) priority: Priority,
    /// The first failure ends the job.
    pub(crate) stop_on_failure: bool,
    /// Every call gets an instance of its own.
    pub(crate) fresh: bool,
    /// Calls after which an instance is replaced; zero for never.
    pub(crate) recycle: u32,
    /// Each call's time is wanted.
    pub(crate) timed: bool,
    /// Most bytes that a call may print.
    pub(crate) printed_bytes_max: u64,
    /// Most bytes of a result.
    pub(crate) result_bytes_max: u64,
    /// Deepest nesting of a result.
    pub(crate) result_depth_max: u32,
}

impl Terms {
    /// How often something that ended like this is tried again.
    fn retries_of(&self, kind: FailureKind) -> u32 {
        match kind {
            FailureKind::WorkerLost(_) => self.retries.max(self.lost_retries),
            kind if kind.is_worth_a_retry() => self.retries,
            _ => 0,
        }
    }
}

/// What a job runs: a task of a module, entered in one way.
pub(crate) struct Work {
    pub(crate) module: Arc<ModuleState>,
    /// Index of the task in the module's catalog.
    pub(crate) task: usize,
    pub(crate) entry: Entry,
    /// Result cells per call, for tasks of numbers.
    pub(crate) width: usize,
    pub(crate) terms: Terms,
    /// How far beyond the lowest undelivered call others may be started.
    pub(crate) look_ahead: u64,
}

impl Work {
    /// The cheapest way to run a task on these terms.
    pub(crate) fn new(
        module: Arc<ModuleState>,
        task: usize,
        codec: Codec,
        mut terms: Terms,
        look_ahead: u64,
    ) -> Self {
        if module.can_leave_traces() {
            // What a call did there can be seen from outside: only the caller may ask for another attempt.
            terms.lost_retries = 0;
        }
        // What an instance keeps from earlier calls depends on which those were.
        terms.fresh |= module.is_deterministic();
        let numeric = module.catalog.tasks[task].numeric.as_ref();
        let width = numeric.map_or(0, |numeric| numeric.signature.results.len());
        // A call that finds out in a batch that it submits others is run again: not where that could be seen.
        let may_repeat = !module.catalog.nests() || !module.can_leave_traces();
        // What a call holds of shared objects is let go at its end, and its fuel begins with it: a batch tells of
        // neither.
        let needs_own_entry = terms.fresh
            || terms.recycle != 0
            || terms.timed
            || terms.fuel.is_some()
            || !module.granted.is_empty()
            || !may_repeat
            || !module.has_room_for_drivers();
        let entry = match numeric {
            Some(numeric) if !needs_own_entry && numeric.driver.is_some() => Entry::Batch,
            Some(_) => Entry::Each,
            None => Entry::Pull(codec),
        };
        Self { module, task, entry, width, terms, look_ahead }
    }

    /// Runs of the module as a program. No task's number means anything then.
    pub(crate) fn command(module: Arc<ModuleState>, mut terms: Terms, look_ahead: u64) -> Self {
        if module.can_leave_traces() {
            // As above.
            terms.lost_retries = 0;
        }
        terms.fresh = true;
        Self { module, task: 0, entry: Entry::Command, width: 0, terms, look_ahead }
    }
}

/// One request's calls.
pub(crate) struct Job {
    /// Its number in its pool, from 1 on.
    pub(crate) number: u64,
    pub(crate) work: Work,
    pub(crate) source: Box<dyn Source>,
    /// Where it stands among calls, if a call has submitted it.
    pub(crate) lineage: Option<Arc<Lineage>>,
    state: Mutex<State>,
    changed: Condvar,
    /// It is over, as somebody has seen.
    has_ended: AtomicBool,
    /// What is to be done then, once.
    at_end: Mutex<Option<Box<AtEnd>>>,
}

/// What is to be done when a job is over.
pub(crate) type AtEnd = dyn FnOnce(&Job) + Send;

struct State {
    /// Where results go; nowhere any more once the job's owner has taken them.
    sink: Option<Arc<dyn Sink>>,
    /// Lowest call that was never handed out.
    cursor: u64,
    /// Calls whose inputs are there.
    announced: u64,
    /// When the inputs came of calls that were not handed out: the end of each lot, and its time.
    lots: VecDeque<(u64, Instant)>,
    /// Calls whose outcomes its pool has counted.
    counted: u64,
    /// All its calls are counted: those that have not ended by then as not run.
    is_counted_out: bool,
    /// No more inputs will come.
    complete: bool,
    settled: Spans,
    /// Lowest call that failed for good, in a job that stops for that.
    failure: Option<Failure>,
    failures: u64,
    /// How often an initializer has failed.
    failed_initializers: u32,
    /// Attempts already made of calls that were tried before and are not settled.
    attempts: BTreeMap<u64, u32>,
    /// Calls of a nested job that were given back, to be handed out before all others.
    given_back: Vec<Range<u64>>,
    /// How often calls have been given out again that waited on a worker that died.
    pardons: BTreeMap<u64, u32>,
    /// Calls whose inputs could not be encoded.
    refused: BTreeMap<u64, Failure>,
    /// Calls that were handed out and that nobody wants any more, though the job goes on.
    withdrawn: BTreeSet<u64>,
    pace: Pace,
    /// Calls of whole chunks, and the nanoseconds that workers say they took.
    worked: (u64, u64),
    cancelled: bool,
    /// When it ends, whatever is left.
    ends: Option<Instant>,
    /// That time came first.
    is_late: bool,
}

/// Lots of inputs that come closer upon each other than this count as one.
const LOT_TIME: Duration = Duration::from_millis(1);

impl State {
    /// Notes that the inputs of calls below `end` are there.
    fn note_lot(&mut self, end: u64, now: Instant) {
        match self.lots.back_mut() {
            Some((last, since)) if now.saturating_duration_since(*since) < LOT_TIME => *last = end,
            _ => self.lots.push_back((end, now)),
        }
    }

    /// When the input of a call came that is being handed out.
    fn take_lot(&mut self, call: u64) -> Option<Instant> {
        while self.lots.front().is_some_and(|(end, _)| *end <= call) {
            self.lots.pop_front();
        }
        self.lots.front().map(|(_, since)| *since)
    }

    /// First index that does not matter: the end of the inputs, or what lies behind the lowest failure.
    fn goal(&self) -> u64 {
        let end = if self.complete { self.announced } else { u64::MAX };
        self.failure.as_ref().map_or(end, |failure| end.min(failure.index() + 1))
    }

    fn is_over(&self) -> bool {
        self.cancelled || self.settled.low_water() >= self.goal()
    }

    /// Cancels the job if it should be over by now and is not. What its calls come to afterwards changes nothing more.
    fn end_if_late(&mut self) {
        if self.ends.is_some_and(|ends| Instant::now() >= ends) && !self.is_over() {
            self.cancelled = true;
            self.is_late = true;
        }
    }
}

/// What becomes of a call that did not return.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is tried again, after a rest.
    Retry(Duration),
    /// That was it.
    Final,
}

impl Job {
    /// A job whose inputs are announced later.
    pub(crate) fn new(work: Work, source: Box<dyn Source>, sink: Arc<dyn Sink>) -> Arc<Self> {
        let ends = work.terms.deadline.and_then(|limit| Instant::now().checked_add(limit));
        Self::with(work, source, sink, None, ends)
    }

    /// A job that a call has submitted, which ends when that call's own does.
    pub(crate) fn nested(
        work: Work,
        source: Box<dyn Source>,
        sink: Arc<dyn Sink>,
        lineage: Arc<Lineage>,
        ends: Option<Instant>,
    ) -> Arc<Self> {
        Self::with(work, source, sink, Some(lineage), ends)
    }

    fn with(
        work: Work,
        source: Box<dyn Source>,
        sink: Arc<dyn Sink>,
        lineage: Option<Arc<Lineage>>,
        ends: Option<Instant>,
    ) -> Arc<Self> {
        let state = State {
            sink: Some(sink),
            cursor: 0,
            announced: 0,
            lots: VecDeque::new(),
            counted: 0,
            is_counted_out: false,
            complete: false,
            settled: Spans::default(),
            failure: None,
            failures: 0,
            failed_initializers: 0,
            attempts: BTreeMap::new(),
            given_back: Vec::new(),
            pardons: BTreeMap::new(),
            refused: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            pace: Pace::default(),
            worked: (0, 0),
            cancelled: false,
            ends,
            is_late: false,
        };
        work.module.tally.add(Count::JobsBegun, 1);
        Arc::new(Self {
            number: work.module.tally.number_job(),
            work,
            source,
            lineage,
            state: Mutex::new(state),
            changed: Condvar::new(),
            has_ended: AtomicBool::new(false),
            at_end: Mutex::new(None),
        })
    }

    /// How its next chunk is to be run: by itself, once it is known that the task submits calls.
    pub(crate) fn entry(&self) -> Entry {
        match self.work.entry {
            Entry::Batch if self.work.module.nests(self.work.task) => Entry::Each,
            entry => entry,
        }
    }

    /// Has something done once the job is over; at once if it is.
    ///
    /// It is done by whoever ends the job, often a feeder in the middle of its work: it must not wait for anybody.
    pub(crate) fn at_end(&self, act: Box<AtEnd>) {
        *self.at_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(act);
        self.look();
    }

    /// Notices if its time has come.
    pub(crate) fn look(&self) {
        drop(self.state());
        self.tell_end();
    }

    /// Calls whose inputs are there.
    pub(crate) fn announced(&self) -> u64 {
        self.state().announced
    }

    /// When it ends whatever is left, if there is such a time.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.state().ends
    }

    /// Whether nothing that matters is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over()
    }

    /// Takes calls back, to be handed out again.
    pub(crate) fn give_back(&self, calls: Range<u64>) {
        self.state().given_back.push(calls);
    }

    /// Whether a call that waited on a worker which died is given out again without being charged.
    pub(crate) fn is_pardoned(&self, call: u64) -> bool {
        let mut state = self.state();
        let pardons = state.pardons.entry(call).or_default();
        *pardons += 1;
        *pardons <= UNCHARGED_MAX
    }

    /// Whether it is over, as somebody has seen.
    pub(crate) fn has_ended(&self) -> bool {
        // SYNC job's end: whoever sees it finds in the book why.
        self.has_ended.load(Ordering::Acquire)
    }

    /// Does what is to be done when the job is over, if it is and nobody has.
    ///
    /// Not for those who hold the lock of a list that the job is on.
    pub(crate) fn tell_end(&self) {
        if !self.has_ended() {
            return;
        }
        let act = self.at_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(act) = act {
            // It may wake a caller's own code, and a feeder has to survive that.
            let _ = catch_unwind(AssertUnwindSafe(|| act(self)));
        }
    }

    fn note_end(&self, state: &State) {
        if state.is_over() {
            // SYNC job's end
            self.has_ended.store(true, Ordering::Release);
        }
    }

    /// The book, in which it is noted first if the job is late: whoever looks finds it ended.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end_if_late();
        if state.is_late {
            self.note_end(&state);
        }
        state
    }

    /// Says that the inputs of calls below `announced` can be asked for; with `complete`, that no more will come.
    pub(crate) fn announce(&self, announced: u64, complete: bool) {
        let mut state = self.state();
        if announced > state.announced {
            state.note_lot(announced, Instant::now());
        }
        if !state.is_counted_out {
            self.work.module.tally.add(Count::Submitted, announced - state.announced);
        }
        state.announced = announced;
        state.complete |= complete;
        self.note_end(&state);
        self.changed.notify_all();
        drop(state);
        self.tell_end();
    }

    /// Waits until inputs for more calls are welcome: not too far ahead of those that are under way.
    ///
    /// Returns false when the job is over, so that none are.
    pub(crate) fn wait_for_room(&self, calls_ahead: u64) -> bool {
        let mut state = self.state();
        loop {
            if state.is_over() {
                return false;
            }
            if state.announced < state.cursor.saturating_add(calls_ahead) {
                return true;
            }
            state = self.wait_until(state, None);
        }
    }

    /// Sleeps until something has changed, the job's end has come, or `until`.
    fn wait_until<'a>(&self, state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        let Some(until) = until.into_iter().chain(state.ends).min() else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let rest = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(state, rest);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.end_if_late();
        state
    }

    /// Takes the next calls for one of `workers` workers, about a chunk's worth.
    pub(crate) fn cut(self: &Arc<Self>, workers: usize) -> Option<Chunk> {
        if let Some(calls) = self.take_back() {
            return Some(Chunk::new(Arc::clone(self), calls));
        }
        let (mut state, rest) = loop {
            self.pass_refused();
            let state = self.state();
            let available = self.available(&state);
            if available == 0 {
                return None;
            }
            let refused = state.refused.first_key_value().map_or(u64::MAX, |(refused, _)| *refused);
            // Another feeder may have cut up to a refused call meanwhile; then it has to be passed first.
            if refused > state.cursor {
                let rest = available.min(refused - state.cursor);
                break (state, rest);
            }
        };
        // Two chunks at once where there are many: a feeder keeps the second within reach of its siblings. Nested calls do
        // not wait there, where helpers could not tell them from others.
        let chunks = if self.lineage.is_some() { 1 } else { 2 };
        let calls = state.cursor..state.cursor + (chunks * state.pace.chunk(rest, workers)).min(rest);
        state.cursor = calls.end;
        self.count_handed_out(&mut state);
        let since = state.take_lot(calls.start);
        self.changed.notify_all();
        drop(state);
        let chunk = Chunk::new(Arc::clone(self), calls);
        Some(match since {
            Some(since) => chunk.waiting_since(since),
            None => chunk,
        })
    }

    /// Waits for calls that can be handed out; none when all have been, or the job is over.
    #[cfg(feature = "cli")]
    pub(crate) fn next_calls(self: &Arc<Self>) -> Option<Chunk> {
        loop {
            if let Some(chunk) = self.cut(1) {
                return Some(chunk);
            }
            let state = self.state();
            if state.is_over() || state.complete && state.cursor >= state.announced {
                return None;
            }
            if self.available(&state) == 0 {
                drop(self.wait_until(state, None));
            }
        }
    }

    /// Takes calls that were given back, unless nobody wants them any more.
    fn take_back(&self) -> Option<Range<u64>> {
        let mut state = self.state();
        if state.is_over() { None } else { state.given_back.pop() }
    }

    /// Counts calls as submitted that nobody has announced to the book, because the source knows of them.
    fn count_handed_out(&self, state: &mut State) {
        if state.cursor > state.announced {
            if !state.is_counted_out {
                self.work.module.tally.add(Count::Submitted, state.cursor - state.announced);
            }
            state.announced = state.cursor;
        }
    }

    /// Settles calls at the cursor whose inputs cannot be handed to anybody.
    fn pass_refused(&self) {
        loop {
            let mut state = self.state();
            let cursor = state.cursor;
            if self.available(&state) == 0 {
                return;
            }
            let Some(failure) = state.refused.remove(&cursor) else { return };
            state.cursor += 1;
            self.count_handed_out(&mut state);
            drop(state);
            self.conclude(failure);
            self.settle(cursor..cursor + 1);
        }
    }

    /// How many calls can be handed out now.
    pub(crate) fn backlog(&self) -> u64 {
        let state = self.state();
        let given_back = if state.is_over() { 0 } else { state.given_back.len() as u64 };
        self.available(&state).saturating_add(given_back)
    }

    fn available(&self, state: &State) -> u64 {
        if state.is_over() {
            return 0;
        }
        let delivered = state.sink.as_ref().map_or(u64::MAX, |sink| sink.delivered());
        // The lowest unfinished call may always start, however far the consumer is behind.
        let lowest = state.settled.low_water();
        let ahead = lowest.min(delivered).saturating_add(self.work.look_ahead).max(lowest + 1);
        let announced = state.announced.max(self.source.announced());
        announced.min(state.goal()).min(ahead).saturating_sub(state.cursor)
    }

    /// How many untaken calls of a running chunk are worth taking away from its worker.
    pub(crate) fn steal_size(&self, rest: u32) -> u32 {
        self.state().pace.steal(rest)
    }

    /// Learns how long a chunk took.
    pub(crate) fn learn(&self, calls: u64, busy_ns: u64) {
        let mut state = self.state();
        state.pace.learn(calls, busy_ns);
        state.worked = (state.worked.0 + calls, state.worked.1.saturating_add(busy_ns));
    }

    /// How many calls workers have told the time of, and how many nanoseconds in all: their word. Chunks that were
    /// split while they ran are left out, and the last one may be told of a little after the job is over.
    #[cfg(feature = "cli")]
    pub(crate) fn worked(&self) -> (u64, u64) {
        self.state().worked
    }

    /// First call whose outcome nobody wants: 0 when the job is over.
    pub(crate) fn goal(&self) -> u64 {
        let state = self.state();
        if state.is_over() { 0 } else { state.goal() }
    }

    /// Whether anybody still wants the outcome of a call.
    pub(crate) fn wants(&self, call: u64) -> bool {
        let state = self.state();
        !state.is_over() && call < state.goal() && !state.withdrawn.contains(&call)
    }

    /// Whether a call has to be settled before the job is over.
    fn matters(&self, call: u64) -> bool {
        let state = self.state();
        !state.is_over() && call < state.goal()
    }

    /// Gives a call up that nobody wants any more. It is not begun if it has not been given to a worker yet, and
    /// stopped if it runs.
    pub(crate) fn withdraw(&self, call: u64) {
        let mut state = self.state();
        if state.is_over() || state.settled.contains(call) {
            return;
        }
        if call < state.cursor {
            state.withdrawn.insert(call);
        } else {
            state.refused.entry(call).or_insert_with(|| withdrawn(call));
        }
    }

    /// Settles those of a chunk's calls that were withdrawn; returns what is left, in pieces.
    pub(crate) fn without_withdrawn(&self, mut chunk: Chunk) -> Vec<Chunk> {
        let mut left = Vec::new();
        loop {
            let calls = chunk.calls();
            let Some(call) = self.state().withdrawn.range(calls.clone()).next().copied() else {
                left.push(chunk);
                return left;
            };
            let behind = chunk.split_off(call - calls.start);
            left.extend((call > calls.start).then_some(chunk));
            let Some(mut of_call) = behind else { return left };
            let rest = of_call.split_off(1);
            of_call.into_parts();
            self.conclude(withdrawn(call));
            self.settle(call..call + 1);
            let Some(rest) = rest else { return left };
            chunk = rest;
        }
    }

    fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.state().sink.clone()
    }

    /// Takes the sink away from a job that is over: nothing is put there any more.
    pub(crate) fn detach(&self) {
        let sink = self.state().sink.take();
        drop(sink);
    }

    /// Which attempt of a call comes next, from 1 on.
    pub(crate) fn attempt(&self, call: u64) -> u32 {
        self.state().attempts.get(&call).map_or(1, |attempts| attempts + 1)
    }

    /// Attempts made so far of those among `calls` that were tried before.
    fn earlier_attempts(&self, calls: &Range<u64>) -> HashMap<u64, u32> {
        let state = self.state();
        state.attempts.range(calls.clone()).map(|(call, attempts)| (*call, attempts + 1)).collect()
    }

    /// Takes the results of consecutive calls that returned.
    pub(crate) fn returned(&self, first: u64, count: usize, form: Form<'_>, worker: usize) {
        let calls = first..first + count as u64;
        let attempts = self.earlier_attempts(&calls);
        let results = Results { count, form, worker, attempts: &attempts };
        // Let go of before the calls are settled: then whoever waits for the job has the sink to itself.
        let unreadable = match self.sink() {
            Some(sink) => deliver(&*sink, first, results),
            None => Vec::new(),
        };
        self.count_returned(count - unreadable.len());
        for failure in unreadable {
            self.conclude(failure);
        }
        self.settle(calls);
        self.tell_end();
    }

    fn count_returned(&self, count: usize) {
        let mut state = self.state();
        if !state.is_counted_out {
            state.counted += count as u64;
            self.work.module.tally.add(Count::Returned, count as u64);
        }
    }

    /// Has all calls counted, those that have not ended as not run; what they come to afterwards does not count.
    ///
    /// The job is over. Called again, it does nothing.
    pub(crate) fn count_out(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_counted_out, true) {
            self.work.module.tally.add(Count::NotRun, state.announced - state.counted);
            self.work.module.tally.add(Count::JobsEnded, 1);
        }
    }

    /// Judges a call that did not return; when its failure is final, it is settled.
    pub(crate) fn failed(&self, failure: Failure, worker: usize) -> Verdict {
        let call = failure.index();
        let attempt = {
            let mut state = self.state();
            let before = state.attempts.get(&call).copied().unwrap_or(0);
            let tries_again = before < self.work.terms.retries_of(failure.kind());
            if tries_again && !state.is_over() && call < state.goal() {
                state.attempts.insert(call, before + 1);
                self.work.module.tally.add(Count::Retries, 1);
                return Verdict::Retry(self.work.terms.back_off.rest(before + 1, call));
            }
            before + 1
        };
        self.conclude(failure.on(worker, attempt));
        self.settle(call..call + 1);
        self.tell_end();
        Verdict::Final
    }

    /// Judges a call whose instance could not be made, because the module's initializer failed. Without instances no
    /// call can run, so a failure that is final ends the job, whatever it does about calls that fail.
    ///
    /// Attempts are counted for the whole job: with those under way, that bounds them, however many calls wait.
    /// `was_tried` tells that this is one, and not a call that an earlier failure in its chunk has kept from being run.
    pub(crate) fn failed_to_initialize(&self, failure: Failure, worker: usize, was_tried: bool) -> Verdict {
        let call = failure.index();
        if !self.wants(call) {
            // Another one has said it.
            self.settle(call..call + 1);
            return Verdict::Final;
        }
        let attempts = {
            let mut state = self.state();
            let allowed = self.work.terms.retries_of(failure.kind());
            let tries_again = !was_tried || state.failed_initializers < allowed;
            state.failed_initializers += u32::from(was_tried);
            if tries_again && !state.is_over() {
                let rest = match was_tried {
                    true => self.work.terms.back_off.rest(state.failed_initializers, failure.index()),
                    false => Duration::ZERO,
                };
                return Verdict::Retry(rest);
            }
            state.failed_initializers
        };
        self.cancel(Some(failure.on(worker, attempts)));
        Verdict::Final
    }

    fn conclude(&self, failure: Failure) {
        let is_detailed = {
            let mut state = self.state();
            if !state.is_counted_out {
                state.counted += 1;
                self.work.module.tally.add_failure(failure.kind());
            }
            state.failures += 1;
            let keeps = state.sink.as_ref().is_none_or(|sink| sink.keeps_failures());
            if state.cancelled && (failure.kind() == FailureKind::Cancelled || !keeps) {
                // It was stopped with its job, whose end says why.
                return;
            }
            !keeps || state.failures <= DETAILED_FAILURES_MAX
        };
        let failure = if is_detailed { failure } else { failure.brief() };
        if !self.work.terms.stop_on_failure {
            if let Some(sink) = self.sink() {
                sink.failed(&failure);
            }
            return;
        }
        let mut state = self.state();
        if state.failure.as_ref().is_none_or(|lowest| failure.index() < lowest.index()) {
            state.failure = Some(failure);
        }
    }

    fn settle(&self, calls: Range<u64>) {
        let low_water = {
            let mut state = self.state();
            let is_new = state.settled.insert(calls.clone());
            debug_assert!(is_new, "calls {calls:?} were settled before");
            if !state.attempts.is_empty() {
                let behind = state.attempts.split_off(&calls.end);
                state.attempts.split_off(&calls.start);
                state.attempts.extend(behind);
            }
            if !state.pardons.is_empty() {
                state.pardons.retain(|call, _| !calls.contains(call));
            }
            state.withdrawn.retain(|withdrawn| !calls.contains(withdrawn));
            self.note_end(&state);
            self.changed.notify_all();
            state.settled.low_water()
        };
        self.tell_waiter();
        self.source.release(low_water);
        self.source.settled(calls);
    }

    /// Has whoever feeds the worker of the call that has submitted the job look whether it is over.
    fn tell_waiter(&self) {
        if let Some(lineage) = &self.lineage {
            lineage.ring();
        }
    }

    /// Whether settling a call may allow others to be started.
    pub(crate) fn is_windowed(&self) -> bool {
        self.work.look_ahead != u64::MAX
    }

    /// Notes that a call's input cannot be handed over. Call it before the call is announced.
    pub(crate) fn refuse(&self, failure: Failure) {
        self.state().refused.insert(failure.index(), failure);
    }

    /// Settles calls that no one will run: whoever had them broke.
    pub(crate) fn abandon(&self, calls: Range<u64>) {
        if !self.matters(calls.start) {
            return;
        }
        for call in calls.clone() {
            let text = "a thread of the supervisor broke while it had this call";
            self.conclude(Failure::new(call, FailureKind::Cancelled, text));
        }
        self.settle(calls);
        self.tell_end();
    }

    /// Ends the job: what is not settled never will be.
    pub(crate) fn cancel(&self, failure: Option<Failure>) {
        let mut state = self.state();
        if !state.is_over() && state.failure.is_none() {
            state.failure = failure;
        }
        state.cancelled = true;
        self.note_end(&state);
        self.changed.notify_all();
        drop(state);
        self.tell_waiter();
        self.tell_end();
    }

    /// Looks at the sink again, which has delivered more or cannot deliver any more.
    pub(crate) fn notice_delivery(&self) {
        if self.sink().is_some_and(|sink| sink.is_in_vain()) {
            self.cancel(None);
        }
    }

    /// Waits until the job is over, at most `limit` long; says whether it is.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> bool {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.state();
        while !state.is_over() {
            if until.is_some_and(|until| Instant::now() >= until) {
                return false;
            }
            state = self.wait_until(state, until);
        }
        true
    }

    /// The failure that ended the job, if one did; known once it is over.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    /// Whether it was ended before everything that matters was settled.
    pub(crate) fn was_cancelled(&self) -> bool {
        let state = self.state();
        state.cancelled && state.settled.low_water() < state.goal()
    }

    /// Whether it was ended by its deadline before everything that matters was settled.
    pub(crate) fn was_late(&self) -> bool {
        self.state().is_late
    }

    /// How many calls have failed for good.
    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // One that could not even begin.
        self.count_out();
    }
}

fn withdrawn(call: u64) -> Failure {
    Failure::new(call, FailureKind::Cancelled, "nobody waits for it any more")
}

/// Gives results to a sink. A caller's type that panics while it is decoded costs the calls of this run, no thread.
fn deliver(sink: &dyn Sink, first: u64, results: Results<'_>) -> Vec<Failure> {
    let calls = first..first + results.count as u64;
    let delivered = catch_unwind(AssertUnwindSafe(|| sink.returned(first, results)));
    match delivered {
        Ok(delivered) => delivered.err().unwrap_or_default(),
        Err(_) => {
            let text = "the caller's type panicked while this result, or one beside it, was decoded";
            calls.map(|call| Failure::new(call, FailureKind::BadResult, text)).collect()
        }
    }
}
