//! A seat: one worker's place in the pool, and everything the supervisor knows of who sits there.
//!
//! All of it lies behind one lock, the *slot lock* of the protocols: whoever posts, takes back, cuts or buries holds
//! it. The worker on the other side of the shared memory never does; it acts by single stores and exchanges.
//!
//! Feeding a worker is a role, not a thread. The seat's feeder thread has it most of the time; a caller who finds the
//! worker idle takes it over, hands its one call across directly, and gives it back.

mod parking;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::job::Job;
use super::module::{ModuleState, Record};
use super::nesting::Family;
use super::objects::Granted;
use super::outcome::{Failure, FailureKind};
use super::relief::HELD_UP_MIN;
use super::running::{Running, chunk_calls_max};
use super::tally::Count;
use super::watch::{self, Place, Reason, Watch};
use crate::channel::control::{Control, WorkerSays, quoted};
use crate::channel::layout::{RING_BYTES, SLOTS, Sleep};
use crate::channel::order::{Entry, Inputs, Order, slot_of};
use crate::channel::post::{Lie, Post};
use crate::channel::request::{Asks, Assembler, Request};
use crate::channel::ring::{self, Kind, Stream};
use crate::process::child::{Child, Exit};
use crate::sandbox::host_calls::HostCall;

use self::parking::Parked;

/// How long a worker may take to stand still after it was told to.
const STOP_TIME_MAX: Duration = Duration::from_millis(100);

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
    /// The module's record when it began.
    record: Record,
    /// Number of the last order.
    generation: u32,
    slots: [Option<Running>; SLOTS],
    /// Calls that wait for calls of their own, in the order in which they lie on the worker's stack.
    parked: Vec<Parked>,
    /// What the running call has submitted.
    family: Option<Family>,
    requests: Assembler,
    /// How many requests the worker had written when they were looked for last.
    requests_seen: u32,
    lines: ring::Reader,
    /// Bytes that were printed since calls last came back, line ends included.
    printed_bytes: u64,
    watch: Watch,
    /// The sleep inside a call that it has been seen in, and since when.
    asleep: Option<(Sleep, Instant)>,
    /// Why it was killed, if the supervisor did it.
    sentence: Option<Sentence>,
}

/// Why the supervisor killed a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sentence {
    /// For a call that had to be stopped.
    Call(Place, Reason),
    /// For the time of the call that waits at this level of its stack.
    Parked(usize),
    /// For what it wrote.
    Lied(Lie),
}

/// What is left when a worker has died.
pub(crate) struct Remains {
    /// Calls to be given out again.
    pub(crate) chunks: Vec<Chunk>,
    /// The module's record when the worker began, if it crashed: it died not by the supervisor's hand, and not without
    /// work to do.
    pub(crate) crash: Option<Record>,
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
    /// Calls were settled in whose wake others may be started.
    pub(crate) opens_window: bool,
}

impl Service {
    /// A worker that has just said that it is ready.
    pub(crate) fn new(
        child: Arc<Child>,
        control: Control,
        post: Arc<Post>,
        module: Arc<ModuleState>,
        record: Record,
    ) -> Self {
        Self {
            child,
            control,
            post,
            module,
            since: Instant::now(),
            record,
            generation: 0,
            slots: [None, None],
            parked: Vec::new(),
            family: None,
            requests: Assembler::default(),
            requests_seen: 0,
            lines: ring::Reader::default(),
            printed_bytes: 0,
            watch: Watch::default(),
            asleep: None,
            sentence: None,
        }
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.has_nothing_posted() && !self.is_parked()
    }

    /// Whether another chunk can be posted.
    pub(crate) fn has_room(&self) -> bool {
        self.slots[slot_of(self.generation.wrapping_add(1))].is_none()
    }

    /// Generation of the order that it works on.
    fn oldest(&self) -> Option<u32> {
        self.slots.iter().flatten().map(|running| running.generation).min()
    }

    /// Whether it has served so many orders that their numbers would come round.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.generation > u32::MAX / 2
    }

    /// Whether something has happened that [`Self::tend`] should see.
    pub(crate) fn has_news(&self) -> bool {
        let front = self.oldest().and_then(|generation| self.slots[slot_of(generation)].as_ref());
        let is_ready =
            |front: &Running| self.post.has_ended(front.generation) || front.wants_room(&self.post);
        let has_requests = self.post.requests() != self.requests_seen;
        self.child.death().is_some() || has_requests || front.map_or_else(|| self.has_parked_news(), is_ready)
    }

    /// How long to sleep at most before the running call is looked at again.
    pub(crate) fn interval(&self) -> Duration {
        let limits = self.slots.iter().flatten().map(|running| running.job.work.terms.time_max);
        let is_wanted = self.is_wanted();
        let interval = |limit| match self.held_up_time().filter(|_| is_wanted) {
            Some(slept) => watch::interval_asleep(slept, self.watch.left(limit, Instant::now())),
            None => watch::interval(limit),
        };
        let now = Instant::now();
        let of_parked =
            self.parked.iter().map(|parked| watch::interval_asleep(parked.ran(now), parked.left(now)));
        limits.map(interval).chain(of_parked).min().unwrap_or(watch::interval(None))
    }

    /// Whether anybody wants the call that the worker is at.
    fn is_wanted(&self) -> bool {
        let front = self.oldest().and_then(|generation| self.slots[slot_of(generation)].as_ref());
        front.is_none_or(|front| front.job.wants(front.index(front.ledger.outstanding().start)))
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
        let entry = chunk.job().entry();
        let rest = chunk.split_off(chunk_calls_max(entry, chunk.job().work.width));
        let (inputs, count) = chunk.job().source.fill(chunk.calls(), self.post.inputs(generation));
        let rest = match (chunk.split_off(u64::from(count)), rest) {
            // Both are the end of one range.
            (Some(unfit), Some(rest)) => Some(unfit.merge(rest)),
            (unfit, rest) => unfit.or(rest),
        };
        let waits_since = chunk.waits_since();
        let (job, calls) = chunk.into_parts();
        let order = Order { count, inputs, hot, ..order_of(&job, entry, generation, calls.start) };
        let running = Running::new(generation, job, entry, calls.start, count);
        self.module.tally.add(Count::Chunks, 1);
        if let Some(since) = waits_since {
            self.module.tally.add_wait(running.posted.saturating_duration_since(since), count.into());
        }
        self.slots[slot] = Some(running);
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
        self.watch_parked();
        self.resume();
        self.look_asleep();
        tended
    }

    /// Looks whether the worker sleeps inside a call, and whether that is the sleep that was seen before.
    pub(crate) fn look_asleep(&mut self) {
        let sleep = self.post.sleep();
        let waits_for_others = self.is_parked() && self.has_nothing_posted();
        let sleeps = waits_for_others || self.granted(sleep).is_some();
        let before = self.asleep.filter(|(seen, _)| *seen == sleep);
        self.asleep = sleeps.then(|| before.unwrap_or_else(|| (sleep, Instant::now())));
    }

    /// Whether the worker has been asleep inside a call for a while, as it says.
    pub(crate) fn is_held_up(&self) -> bool {
        self.held_up_time().is_some()
    }

    /// How long it has been asleep in one go, if it has been for a while. One that is to die makes room for another.
    pub(crate) fn held_up_time(&self) -> Option<Duration> {
        let dies = self.sentence.is_some() || self.child.death().is_some();
        let asleep = if dies { None } else { self.asleep };
        asleep.map(|(_, since)| since.elapsed()).filter(|slept| *slept >= HELD_UP_MIN)
    }

    fn take_all(&mut self, worker: usize, on_line: &OnLine, tended: &mut Tended) -> Result<(), Lie> {
        if self.sentence.is_some() {
            return Ok(());
        }
        self.requests_seen = self.post.requests();
        if let Some(wait) = self.take_once(worker, on_line, tended)? {
            // It stands still since it asked, so that everything that it has finished is seen by now.
            if self.take_once(worker, on_line, tended)?.is_some() {
                return Err(Lie("it waits twice at a time"));
            }
            self.park(&wait, tended)?;
        }
        Ok(())
    }

    /// Takes what is there; returns the request of a call that waits.
    fn take_once(
        &mut self,
        worker: usize,
        on_line: &OnLine,
        tended: &mut Tended,
    ) -> Result<Option<Request>, Lie> {
        // What a call printed is out before its result is: the counts are read first, then the lines are taken, which
        // all calls that are counted have printed before, and only then the results. And in this order: everything
        // below `ended` is finished, so a count read afterwards is the final one. The newest order is looked at first:
        // when it has ended, so have those before it.
        let mut seen: Vec<(u32, bool, u32)> = self
            .generations()
            .rev()
            .map(|generation| {
                let has_ended = self.post.has_ended(generation);
                (generation, has_ended, self.post.finished(generation, u32::MAX))
            })
            .collect();
        seen.reverse();
        if !seen.is_sorted_by(|(_, before, _), (_, after, _)| before >= after) {
            // Its room would be given to another order before the worker has come to this one.
            return Err(Lie("it ended a chunk before the one before it"));
        }
        let requests = self.drain(on_line)?;
        let wait = self.heed_all(requests, tended)?;
        for (generation, has_ended, finished) in seen {
            let slot = slot_of(generation);
            let is_front = self.oldest() == Some(generation);
            let Some(running) = &mut self.slots[slot] else { continue };
            let before = running.ledger.outstanding().start;
            running.take(finished, &self.post, worker, &mut tended.retries)?;
            let has_taken = running.ledger.outstanding().start > before;
            if has_taken {
                self.printed_bytes = 0;
            }
            tended.opens_window |= has_taken && running.job.is_windowed();
            running.free_room(&self.post);
            running.drop_unwanted(&self.post);
            if has_ended {
                if !running.ledger.is_settled() {
                    return Err(Lie("it ended a chunk with calls outstanding"));
                }
                self.settle(slot);
            } else if is_front {
                running.check_end()?;
            }
        }
        self.drop_ended_family();
        Ok(wait)
    }

    /// Does what calls ask for; returns the request of one that waits, which is the last.
    fn heed_all(&mut self, requests: Vec<Request>, tended: &mut Tended) -> Result<Option<Request>, Lie> {
        let mut wait = None;
        for request in requests {
            if wait.is_some() {
                return Err(Lie("it waits in a call and goes on"));
            }
            self.heed(&request)?;
            tended.opens_window = true;
            wait = matches!(request.asks, Asks::Wait { .. }).then_some(request);
        }
        Ok(wait)
    }

    /// Takes the lines that were printed, as long as they are no more than calls may print, and returns requests.
    fn drain(&mut self, on_line: &OnLine) -> Result<Vec<Request>, Lie> {
        let started = Instant::now();
        let (mut requests, mut is_garbled) = (Vec::new(), false);
        let drained = self.post.drain(&mut self.lines, |kind, bytes| match kind {
            Kind::Line(stream) => {
                self.printed_bytes += bytes.len() as u64 + 1;
                on_line(stream, bytes);
            }
            Kind::Request if is_garbled => {}
            Kind::Request => match self.requests.take(bytes) {
                Ok(request) => requests.extend(request),
                Err(_) => is_garbled = true,
            },
        });
        drained?;
        if is_garbled {
            return Err(Lie("what it asks for means nothing"));
        }
        if requests.is_empty() {
            // Whoever takes the lines may be slow, and a full ring holds the worker up: that is not the call's time.
            // Asking is, or a call could ask for ever.
            self.watch.forgive(started.elapsed());
        }
        if self.printed_bytes > self.printable_bytes() {
            // The worker is to see to that; and it could go on for ever, for time that lines take is not counted.
            return Err(Lie("it printed more than a call may"));
        }
        Ok(requests)
    }

    /// Most bytes that can be printed from one time that calls come back to the next: what one call may print, once
    /// while its instance is made and once while it runs, and what later calls have put into the ring meanwhile.
    fn printable_bytes(&self) -> u64 {
        let of = |running: &Running| running.job.work.terms.printed_bytes_max;
        let most = self.slots.iter().flatten().map(of).max().unwrap_or(0);
        most.saturating_mul(2).saturating_add(4 * RING_BYTES as u64)
    }

    /// Generations of the posted orders, in order.
    fn generations(&self) -> impl DoubleEndedIterator<Item = u32> + use<> {
        let mut generations: Vec<u32> =
            self.slots.iter().flatten().map(|running| running.generation).collect();
        generations.sort_unstable();
        generations.into_iter()
    }

    fn settle(&mut self, slot: usize) {
        let Some(running) = self.slots[slot].take() else { return };
        running.teach(self.post.busy_ns(running.generation));
        self.post.trim(running.generation, running.used);
    }

    /// Takes the upper half of the unclaimed calls of the slot that has most of them, for a thief; one that helps a call
    /// gets none but what that waits for.
    pub(crate) fn cut(&mut self, family: Option<u64>) -> Option<Chunk> {
        if self.sentence.is_some() {
            return None;
        }
        let post = &self.post;
        let running = self.slots.iter_mut().flatten().filter(|running| running.is_for(family));
        let richest = running.max_by_key(|running| running.rest(post))?;
        let job = Arc::clone(&richest.job);
        // Behind a call that takes its time even the shortest would wait for as long, though somebody has nothing to do.
        let is_stuck = self.watch.is_stuck(Instant::now());
        richest.cut(post, |rest| if is_stuck { rest } else { job.steal_size(rest) })
    }

    /// Takes all calls back that the worker has not claimed.
    pub(crate) fn recall(&mut self) -> Vec<Chunk> {
        if self.sentence.is_some() {
            return Vec::new();
        }
        let post = &self.post;
        self.slots.iter_mut().flatten().filter_map(|running| running.cut(post, |rest| rest)).collect()
    }

    /// How many calls are unclaimed in all slots, about.
    pub(crate) fn rest(&self) -> u32 {
        self.rest_for(None)
    }

    /// The same of what the call of a family waits for.
    pub(crate) fn rest_for(&self, family: Option<u64>) -> u32 {
        let running = self.slots.iter().flatten().filter(|running| running.is_for(family));
        running.map(|running| running.rest(&self.post)).sum()
    }

    /// Looks how far the worker is, and stops it if the call that runs has had its time or nobody wants it.
    ///
    /// What counts is that the worker advances, not what it says: one that names no call, or another one each time,
    /// gets no more time than one that names the call it is stuck in.
    fn watch_call(&mut self) {
        if self.sentence.is_some() || self.child.death().is_some() {
            return;
        }
        let front = self.oldest().and_then(|generation| self.slots[slot_of(generation)].as_ref());
        let Some(front) = front.filter(|front| !front.ledger.is_settled()) else {
            self.watch.rest();
            return;
        };
        let (place, progress, is_running) = self.place(front);
        let ran = self.watch.look(place, Instant::now());
        // Ending it would end the calls that wait below it, too.
        let is_wanted = front.job.wants(front.index(place.call)) || self.is_any_parked_wanted();
        let reason = watch::judge(ran, front.job.work.terms.time_max, is_wanted, is_running);
        if let Some(reason) = reason {
            self.stop_look_kill(place, progress, reason);
        }
    }

    /// Where the worker is in the chunk that it works on, by what word, and whether it names a call there.
    fn place(&self, front: &Running) -> (Place, Option<(u32, u32)>, bool) {
        let outstanding = front.ledger.outstanding();
        let progress = self.post.progress();
        let running =
            progress.filter(|(generation, _)| *generation == front.generation).map(|(_, call)| call);
        let running = running.filter(|call| outstanding.contains(call));
        let call = running.unwrap_or(outstanding.start);
        (Place { generation: front.generation, call }, progress, running.is_some())
    }

    /// Stops the call that the worker sleeps in: it waits for another that no worker can be found for.
    pub(crate) fn starve(&mut self) {
        if self.sentence.is_some() || self.child.death().is_some() {
            return;
        }
        self.look_asleep();
        if self.held_up_time().is_none() || self.starve_parked() || self.blocked_on().is_none() {
            return;
        }
        let front = self.oldest().and_then(|generation| self.slots[slot_of(generation)].as_ref());
        if let Some(front) = front.filter(|front| !front.ledger.is_settled()) {
            let (place, progress, _) = self.place(front);
            self.stop_look_kill(place, progress, Reason::Starved);
        }
    }

    /// Stops the worker, and kills it if it is still where it was.
    ///
    /// Without the second look, short calls that follow a long one would be killed for it.
    fn stop_look_kill(&mut self, place: Place, progress: Option<(u32, u32)>, reason: Reason) {
        let finished = self.post.finished(place.generation, u32::MAX);
        let stands_still = self.child.stop(STOP_TIME_MAX);
        let has_moved = self.post.progress() != progress
            || self.post.finished(place.generation, u32::MAX) != finished
            || self.post.has_ended(place.generation);
        if stands_still && has_moved && self.watch.pardon() {
            self.child.go_on();
            return;
        }
        // One that cannot be stopped hangs in the kernel; it is killed when it comes back from there.
        self.condemn(Sentence::Call(place, reason));
    }

    /// Lets go of everything, and gives up the calls that are with the worker: the pool is closing, or its feeder broke.
    pub(crate) fn abandon(mut self) {
        self.child.kill();
        for slot in &mut self.slots {
            if let Some(running) = slot.take() {
                running.abandon();
            }
        }
        self.parked.drain(..).for_each(Parked::abandon);
    }

    fn condemn(&mut self, sentence: Sentence) {
        self.sentence = Some(sentence);
        self.child.kill();
    }

    /// Settles everything after the worker's proved death.
    pub(crate) fn bury(mut self, exit: Exit, worker: usize, on_line: &OnLine) -> Remains {
        let mut chunks = Vec::new();
        let had_work = !self.is_idle();
        let was_stopped = matches!(self.sentence, Some(Sentence::Call(..) | Sentence::Parked(_)));
        self.module.tally.add(if was_stopped { Count::WorkersStopped } else { Count::WorkersLost }, 1);
        let mut charged = None;
        let said = self.control.receive::<WorkerSays>(Duration::ZERO).ok();
        let is_honest = !matches!(self.sentence, Some(Sentence::Lied(_)));
        if is_honest {
            // A lie that shows only now changes nothing: what was taken is taken, the rest is given out again.
            let _ = self.drain(on_line);
        }
        let progress = self.post.progress();
        for generation in self.generations().collect::<Vec<_>>() {
            let Some(mut running) = self.slots[slot_of(generation)].take() else { continue };
            if is_honest {
                // As above.
                let finished = self.post.finished(generation, u32::MAX);
                let _ = running.take(finished, &self.post, worker, &mut chunks);
            }
            let named = progress.filter(|(of, _)| *of == generation).map(|(_, call)| call);
            if let (Entry::Batch, Some(call), true) = (running.entry, named, is_honest) {
                running.take_until(call, &self.post, worker, &mut chunks);
            }
            let outstanding = running.ledger.outstanding();
            let call = self.condemned(generation).filter(|call| outstanding.contains(call)).or(named);
            // Where a call below has run out of time, the one on top has done nothing.
            let call = call.filter(|_| !matches!(self.sentence, Some(Sentence::Parked(_))));
            let burial = running.ledger.bury(outstanding.start, call);
            if let Some(call) = burial.charged {
                charged = Some(running.index(call));
                let failure = self.charge(&running, Place { generation, call }, exit, said.as_ref());
                let was_initializing =
                    self.post.is_initializing() && failure.kind() != FailureKind::Cancelled;
                let initializer = self.module.initializer().filter(|_| was_initializing);
                let failure = failure.of_initializer(initializer);
                running.fail(failure, worker, &mut chunks);
            }
            let untouched = burial.untouched.into_iter().filter(|calls| !calls.is_empty());
            chunks.extend(untouched.map(|calls| running.chunk(calls)));
        }
        self.bury_parked(exit, worker, &mut chunks);
        let story = match (&self.sentence, said) {
            (Some(Sentence::Lied(Lie(lie))), _) => format!("broke the protocol ({lie})"),
            (_, Some(WorkerSays::Panicked(message))) => {
                format!("{exit} after a panic of its own ({})", quoted(&message))
            }
            _ => match charged {
                Some(index) => format!("{exit} in call {index}{}", self.last_host_call()),
                None => exit.to_string(),
            },
        };
        // One that dies without work to do has not died of the module.
        let is_crash = had_work && !was_stopped;
        Remains { chunks, crash: is_crash.then_some(self.record), story }
    }

    /// The call of this order for which the worker was stopped for good. It is the one that pays, whatever the worker
    /// has come to name since: one that names none would be stopped again and again, and no call would ever end.
    fn condemned(&self, generation: u32) -> Option<u32> {
        match &self.sentence {
            Some(Sentence::Call(place, _)) if place.generation == generation => Some(place.call),
            _ => None,
        }
    }

    /// Which host function the worker's guest was in last, as it says; in words, or empty when it was in none.
    fn last_host_call(&self) -> String {
        let name = HostCall::name_of(self.post.host_call());
        name.map(|name| format!("; the last host call was `{name}`")).unwrap_or_default()
    }

    /// The object that the worker's call sleeps on, or slept on when it died, as it says. It can sleep on nothing but
    /// what it was granted.
    fn blocked_on(&self) -> Option<&Granted> {
        self.granted(self.post.sleep())
    }

    fn granted(&self, sleep: Sleep) -> Option<&Granted> {
        self.module.granted.get(sleep.grant()?)
    }

    /// What the call that was running when the worker died is told.
    fn charge(&self, running: &Running, call: Place, exit: Exit, said: Option<&WorkerSays>) -> Failure {
        let index = running.index(call.call);
        match &self.sentence {
            Some(Sentence::Call(condemned, Reason::TimedOut)) if *condemned == call => {
                let limit = running.job.work.terms.time_max.unwrap_or_default();
                let mut text = format!("ran longer than its limit of {limit:?} and was stopped");
                if self.module.is_deterministic() {
                    text.push_str(
                        "; where that happens depends on the machine: less fuel ends a call before its time",
                    );
                }
                Failure::new(index, FailureKind::TimedOut, text)
            }
            Some(Sentence::Call(condemned, Reason::Unwanted)) if *condemned == call => {
                Failure::new(index, FailureKind::Cancelled, "nobody waits for it any more")
            }
            Some(Sentence::Call(condemned, Reason::Starved)) if *condemned == call => {
                let object = self.blocked_on().map(|granted| &granted.entry);
                let object = object.map(|object| format!("{:?} `{}`", object.spec.kind(), object.name));
                let text = format!(
                    "waited for {}, as every worker of its module does, while more calls wait for a worker and the \
                     pool has no more: let fewer calls wait for each other",
                    object.as_deref().unwrap_or("a shared object")
                );
                Failure::new(index, FailureKind::Starved, text)
            }
            Some(Sentence::Lied(Lie(lie))) => {
                let text = format!(
                    "its worker (process {}) broke the protocol and was killed: {lie}",
                    self.child.pid()
                );
                Failure::new(index, FailureKind::WorkerLost(exit), text)
            }
            _ => {
                let panic = match said {
                    Some(WorkerSays::Panicked(message)) => {
                        format!(" after a panic of its own: {}", quoted(message))
                    }
                    _ => String::new(),
                };
                let attempt = match exit.is_break_out() {
                    true => ": the module tried a system call that no worker may make",
                    false => "",
                };
                let (process, last) = (self.child.pid(), self.last_host_call());
                let text = format!("its worker (process {process}) {exit}{attempt}{panic}{last}");
                Failure::new(index, FailureKind::WorkerLost(exit), text)
            }
        }
    }
}

/// An order of one call of a job, which is entered so.
fn order_of(job: &Job, entry: Entry, generation: u32, first: u64) -> Order {
    let terms = &job.work.terms;
    Order {
        generation,
        task: job.work.task as u32,
        count: 1,
        entry,
        inputs: Inputs::Blobs,
        fresh: terms.fresh,
        recycle: terms.recycle,
        resumes: false,
        hot: false,
        timed: terms.timed,
        printed_bytes_max: terms.printed_bytes_max,
        result_bytes_max: terms.result_bytes_max,
        fuel: terms.fuel,
        first,
        job: job.number,
        attempt: job.attempt(first),
    }
}
