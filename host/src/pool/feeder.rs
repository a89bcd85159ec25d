//! A feeder: the supervisor's thread for one seat.
//!
//! It keeps a worker there, finds it chunks, takes back what comes, and buries it when it dies. Whatever it does, it
//! does in small steps between which it holds no lock, and each step ends in one of three ways: look again, sleep on
//! the worker's bell while the worker works, or sleep in the lobby while there is nothing to do.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::compile::{START_TIME_MAX, greet};
use super::directories;
use super::gate::Living;
use super::module::ModuleState;
use super::objects::Stake;
use super::relief::{EXPECTED_TIME, Relief, SPARE_TIME, relieve};
use super::seat::Service;
use super::shared::{Blank, Bonds, SeatState, Shared, Tenure};
use super::staff::Standing;
use super::tally::Count;
use crate::channel::control::{
    Control, ControlError, DESCRIPTORS_MAX, FileAccess, Identity, Load, Objects, Wishes, WorkerSays, quoted,
};
use crate::channel::post::Post;
use crate::process::child::{Child, Exit};
use crate::process::nursery;
use crate::process::reentry::{Executable, Role};
use crate::schedule::affinity::{self, Demand, TENURE};
use crate::schedule::deques::Deques;
use crate::shm::object::PARTIES_MAX;

/// Longest sleep of a feeder without work; wake-ups do not depend on it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How soon a thief comes back to a victim whose lock somebody held.
const THIEF_RETURNS: Duration = Duration::from_micros(200);

/// First pause before another worker is started where the last ones died or could not be started; it doubles.
const BACK_OFF_MIN: Duration = Duration::from_millis(5);

/// Longest such pause.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How long closing waits for a killed worker to be gone.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// Starts that may fail in a row before the pool says that it cannot start workers.
const FAILED_STARTS_MAX: u32 = 3;

/// One seat's thread.
pub(crate) struct Feeder {
    shared: Arc<Shared>,
    /// Number of the seat.
    number: usize,
    deques: Deques<Chunk>,
    /// The module that the next worker here will serve, when that is settled.
    next: Option<Arc<ModuleState>>,
    failed_starts: u32,
    /// The process that was started last: the pool is not closed before it is gone, whatever became of it.
    latest: Option<Arc<Child>>,
    /// Since when its worker has had nothing to do.
    idle_since: Option<Instant>,
}

/// What comes after a step.
enum Step {
    /// Look again.
    Again,
    /// Sleep until the worker has something, at most so long.
    Busy(Arc<Post>, Duration),
    /// Sleep until the worker has something, which sleeps itself, or somebody has work; at most so long.
    HeldUp(Arc<Post>, Duration),
    /// Sleep until somebody has work, at most so long.
    Idle(Duration),
    /// Pause, whatever happens, then look again.
    BackOff(Duration),
    /// The seat is closed.
    Left,
    /// The pool is closing.
    End,
}

impl Feeder {
    pub(crate) fn new(shared: Arc<Shared>, number: usize, deques: Deques<Chunk>) -> Self {
        Self { shared, number, deques, next: None, failed_starts: 0, latest: None, idle_since: None }
    }

    /// Begins to feed, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        let thread = thread::Builder::new().name(format!("wasmpool-feeder-{}", self.number));
        let living = Living::new(&self.shared.gate);
        thread.spawn(move || {
            self.run();
            drop(living);
        })
    }

    /// Feeds until the pool closes.
    fn run(mut self) {
        loop {
            match self.guarded_step() {
                Step::Again => {}
                Step::Idle(_) => {
                    // Only those who will sleep announce it, and then look once more.
                    let shared = Arc::clone(&self.shared);
                    let announced = shared.lobby.bell().announce();
                    match self.guarded_step() {
                        Step::Idle(limit) => {
                            let limit = shared.rests.left().map_or(limit, |left| limit.min(left));
                            shared.lobby.bell().sleep(announced, limit);
                        }
                        Step::Left => return self.depart(),
                        _ => {}
                    }
                }
                Step::Busy(post, limit) => self.sleep_on_worker(&post, limit),
                Step::HeldUp(post, _) => {
                    if let Step::Left = self.sleep_on_sleeper(&post) {
                        return self.depart();
                    }
                }
                Step::BackOff(pause) => std::thread::sleep(pause),
                Step::Left => return self.depart(),
                Step::End => return self.end(),
            }
        }
    }

    /// A step; one that panics costs the calls that are with the worker, and the worker, but not this thread.
    fn guarded_step(&mut self) -> Step {
        let step = catch_unwind(AssertUnwindSafe(|| self.step()));
        step.unwrap_or_else(|_| {
            let mut state = self.state();
            if let Tenure::Serving(service) = std::mem::replace(&mut state.tenure, Tenure::Vacant) {
                service.module.workers.fetch_sub(1, Ordering::Relaxed);
                service.abandon();
                self.count(Count::WorkersLost);
            }
            self.shared.seats[self.number].set_process(None);
            Step::Again
        })
    }

    fn sleep_on_worker(&self, post: &Post, limit: Duration) {
        let announced = post.feeder_bell().announce();
        let has_news = match &self.state().tenure {
            Tenure::Serving(service) => service.has_news(),
            _ => true,
        };
        if has_news || self.shared.is_ending() {
            return;
        }
        post.feeder_bell().sleep(announced, limit);
        let has_rest = matches!(&self.state().tenure, Tenure::Serving(service) if service.rest() > 0);
        if has_rest {
            // Nothing is lost when nobody sleeps; otherwise somebody may have slept past calls to split.
            self.shared.lobby.bell().ring();
        }
    }

    /// Sleeps if there is still nothing else to do, as the step says that it takes for that.
    fn sleep_on_sleeper(&mut self, post: &Arc<Post>) -> Step {
        let shared = Arc::clone(&self.shared);
        let _listening = shared.lobby.listen(post);
        let announced = post.feeder_bell().announce();
        let step = self.guarded_step();
        if let Step::HeldUp(_, limit) = step {
            let limit = shared.rests.left().map_or(limit, |left| limit.min(left));
            post.feeder_bell().sleep(announced, limit);
        }
        step
    }

    fn end(self) {
        // What still lies in the deque belongs to jobs that were cancelled; dropping it settles nothing.
        let mut state = self.state();
        if let Tenure::Serving(service) = std::mem::replace(&mut state.tenure, Tenure::Vacant) {
            service.abandon();
        }
        self.shared.seats[self.number].set_process(None);
        drop(state);
        self.depart();
    }

    /// Waits for its last worker to be gone. The seat may have another feeder already.
    fn depart(self) {
        if let Some(child) = self.latest {
            child.kill();
            child.wait(CLOSE_TIME_MAX);
        }
    }

    fn state(&self) -> MutexGuard<'_, SeatState> {
        self.shared.seats[self.number].lock()
    }

    fn step(&mut self) -> Step {
        if self.shared.is_ending() {
            return Step::End;
        }
        let shared = Arc::clone(&self.shared);
        shared.requeue(shared.rests.take_due());
        let is_leaving = shared.seats[self.number].standing.get() == Standing::Leaving;
        let mut state = shared.seats[self.number].lock();
        if state.is_lent {
            state.feeder_waits = true;
            return Step::Idle(IDLE_MAX);
        }
        if is_leaving {
            return self.leave(state);
        }
        match &mut state.tenure {
            Tenure::Vacant => self.start_worker(&mut state),
            Tenure::Blank(blank) if blank.child.death().is_some() => {
                let exit = blank.child.death().unwrap_or(Exit::Unknown);
                self.count(Count::WorkersLost);
                self.vacate(&mut state);
                self.start_failed(&mut state, format!("a new worker {exit}"))
            }
            Tenure::Blank(_) => self.seat(&mut state),
            Tenure::Serving(service) => {
                if let Some(exit) = service.child.death() {
                    return self.bury(&mut state, exit);
                }
                let tended = service.tend(self.number, &*shared.on_line);
                let outlook = Outlook::of(service);
                drop(state);
                shared.requeue(tended.retries);
                if tended.opens_window {
                    shared.lobby.ring();
                }
                self.feed(outlook)
            }
        }
    }

    /// Finishes what the worker has begun, gives the rest back, and closes the seat.
    fn leave(&mut self, mut state: MutexGuard<'_, SeatState>) -> Step {
        self.shared.requeue(std::iter::from_fn(|| self.deques.pop()).collect());
        match &mut state.tenure {
            Tenure::Vacant => {
                drop(state);
                if let Some(next) = self.next.take() {
                    // Relaxed: a count that schedules, nothing more.
                    next.workers.fetch_sub(1, Ordering::Relaxed);
                }
                if self.shared.close_seat(self.number) { Step::Left } else { Step::Again }
            }
            Tenure::Blank(_) => {
                self.count(Count::WorkersRetired);
                self.vacate(&mut state);
                Step::Again
            }
            Tenure::Serving(service) => {
                if let Some(exit) = service.child.death() {
                    return self.bury(&mut state, exit);
                }
                let mut given_back = service.tend(self.number, &*self.shared.on_line).retries;
                given_back.extend(service.recall());
                let step = if service.is_idle() {
                    self.retire_from(&mut state);
                    Step::Again
                } else {
                    Step::Busy(Arc::clone(&service.post), service.interval())
                };
                drop(state);
                self.shared.requeue(given_back);
                // Calls may have been settled in whose wake others may be started.
                self.shared.lobby.bell().ring();
                step
            }
        }
    }

    /// Starts a worker that waits to be told its module.
    fn start_worker(&mut self, state: &mut SeatState) -> Step {
        match self.start_blank() {
            Ok(blank) => {
                state.tenure = Tenure::Blank(blank);
                self.failed_starts = 0;
                self.shared.note_mended();
                Step::Again
            }
            Err(story) => self.start_failed(state, story),
        }
    }

    fn start_blank(&mut self) -> Result<Blank, String> {
        let wishes = self.shared.wishes;
        let access =
            self.next.as_ref().map_or(wishes.directories, |module| directories::access(&module.directories));
        let lobby = Arc::clone(&self.shared.lobby);
        let on_death = move || lobby.ring_always();
        let blank = spawn_blank(&self.shared.executable, access, on_death)?;
        let child = &blank.child;
        self.count(Count::WorkersStarted);
        self.latest = Some(Arc::clone(child));
        self.shared.seats[self.number].set_process(Some(Arc::clone(child)));
        if self.shared.is_ending() {
            // Whoever closes may have looked before the process was there.
            child.kill();
        }
        welcome(&blank, wishes).map_err(|unwelcome| {
            self.count(Count::WorkersLost);
            if let Unwelcome::Unconfined(_) = unwelcome {
                // Another attempt will not find another kernel.
                self.failed_starts = FAILED_STARTS_MAX;
            }
            unwelcome.to_string()
        })?;
        Ok(blank)
    }

    fn start_failed(&mut self, state: &mut SeatState, story: String) -> Step {
        state.is_failing = true;
        self.failed_starts += 1;
        if self.failed_starts >= FAILED_STARTS_MAX {
            self.shared.note_broken(self.number, story);
        }
        Step::BackOff(back_off(self.failed_starts))
    }

    /// Tells a blank worker its module, when there is one for it.
    fn seat(&mut self, state: &mut SeatState) -> Step {
        let Some(module) = self.choose_module() else { return Step::Idle(IDLE_MAX) };
        let Tenure::Blank(blank) = std::mem::replace(&mut state.tenure, Tenure::Vacant) else {
            return Step::Again;
        };
        if blank.access != directories::access(&module.directories) {
            // What a process may do with files is settled at its birth.
            self.count(Count::WorkersRetired);
            blank.child.kill();
            self.shared.seats[self.number].set_process(None);
            self.next = Some(module);
            return Step::Again;
        }
        let record = module.record();
        // Relaxed: an order of seatings, nothing more.
        module.note_seated(self.shared.seatings.fetch_add(1, Ordering::Relaxed) + 1);
        match load(&blank, &module, identity(self.number, &module)) {
            Ok(post) => {
                let Blank { child, control, .. } = blank;
                self.shared.seats[self.number].set_post(&post);
                let service = Service::new(child, control, post, module, record);
                state.is_failing = false;
                state.tenure = Tenure::Serving(Box::new(service));
                Step::Again
            }
            Err(problem) => {
                // Relaxed: a count that schedules, nothing more.
                module.workers.fetch_sub(1, Ordering::Relaxed);
                self.shared.seats[self.number].set_process(None);
                blank.child.kill();
                self.count(Count::WorkersLost);
                if self.shared.is_ending() {
                    return Step::End;
                }
                match problem {
                    LoadProblem::SetUp(story) => self.start_failed(state, story),
                    LoadProblem::Broke(story) => Step::BackOff(back_off(module.note_crash(record, &story))),
                }
            }
        }
    }

    /// The module for a worker that has none: the one that needs it most, else the newest, so that it is warm.
    ///
    /// The module counts this worker from now on.
    fn choose_module(&mut self) -> Option<Arc<ModuleState>> {
        if let Some(next) = self.next.take() {
            if !next.is_quarantined() {
                return Some(next);
            }
            next.workers.fetch_sub(1, Ordering::Relaxed);
        }
        let mut modules = self.shared.modules();
        modules.retain(|module| !module.is_quarantined());
        let module = match affinity::change(None, &demands(&modules)) {
            Some(index) => modules.swap_remove(index),
            None => modules.pop()?,
        };
        module.join();
        Some(module)
    }

    /// Ends the process that sits here.
    fn vacate(&self, state: &mut SeatState) {
        match std::mem::replace(&mut state.tenure, Tenure::Vacant) {
            Tenure::Serving(service) => service.child.kill(),
            Tenure::Blank(blank) => blank.child.kill(),
            Tenure::Vacant => {}
        }
        self.shared.seats[self.number].set_process(None);
    }

    /// Settles what a dead worker leaves, and makes room for the next.
    fn bury(&mut self, state: &mut SeatState, exit: Exit) -> Step {
        let Tenure::Serving(service) = std::mem::replace(&mut state.tenure, Tenure::Vacant) else {
            return Step::Again;
        };
        self.shared.seats[self.number].set_process(None);
        let module = Arc::clone(&service.module);
        module.workers.fetch_sub(1, Ordering::Relaxed);
        let remains = service.bury(exit, self.number, &*self.shared.on_line);
        self.shared.requeue(remains.chunks);
        let crashes = remains.crash.map_or(0, |before| module.note_crash(before, &remains.story));
        // The first death may be anybody's doing; only those that follow without success are suspicious.
        if crashes > 1 { Step::BackOff(back_off(crashes - 1)) } else { Step::Again }
    }

    /// Finds the worker something to do.
    fn feed(&mut self, mut outlook: Outlook) -> Step {
        if outlook.is_held_up {
            // Where everybody looks, for nobody knows when this worker will.
            self.shared.requeue(std::iter::from_fn(|| self.deques.pop()).collect());
            match relieve(&self.shared, &outlook.module) {
                Relief::Needless => {}
                Relief::Expected | Relief::Opened => outlook.interval = outlook.interval.min(EXPECTED_TIME),
                Relief::Exhausted => {
                    self.shared.starve(self.number);
                    return Step::Again;
                }
            }
        }
        if outlook.is_parked {
            return self.feed_parked(outlook);
        }
        if !outlook.is_idle {
            self.idle_since = None;
        } else if outlook.module.is_struck_off() && self.retire_idle() {
            return Step::Again;
        }
        if let Some(target) = self.change_of_module(&outlook) {
            if outlook.is_idle {
                self.retire(target);
                return Step::Again;
            }
            return Step::Busy(outlook.post, outlook.interval.min(TENURE));
        }
        if outlook.has_room {
            match self.find(&outlook.module, outlook.is_idle) {
                Found::Chunk(chunk) => {
                    self.idle_since = None;
                    self.post(chunk);
                    return Step::Again;
                }
                Found::TryLater if outlook.is_idle => return Step::Idle(THIEF_RETURNS),
                Found::TryLater | Found::Nothing => {}
            }
        }
        if outlook.is_idle { self.idle() } else { outlook.into_sleep() }
    }

    /// Finds something to do for a worker whose call waits: what it waits for, and nothing else.
    fn feed_parked(&mut self, outlook: Outlook) -> Step {
        self.idle_since = None;
        if outlook.has_nothing_posted
            && let Some(family) = outlook.helps
        {
            let workers = self.shared.open_seats().len();
            let taken = outlook.module.take_nested(Some(family), workers);
            let found = match taken {
                Some(chunk) => Found::Chunk(chunk),
                None => self.split(&outlook.module, Some(family)),
            };
            match found {
                Found::Chunk(chunk) => {
                    self.post(chunk);
                    return Step::Again;
                }
                Found::TryLater => return Step::Busy(outlook.post, THIEF_RETURNS),
                Found::Nothing => {}
            }
        }
        outlook.into_sleep()
    }

    /// Sleeps, or closes a seat that was opened for want of workers and is not needed any more.
    fn idle(&mut self) -> Step {
        if self.number < self.shared.workers() {
            return Step::Idle(IDLE_MAX);
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if since.elapsed() < SPARE_TIME {
            return Step::Idle(SPARE_TIME);
        }
        self.idle_since = None;
        if self.shared.dismiss_spare(self.number) { Step::Again } else { Step::Idle(IDLE_MAX) }
    }

    /// Ends the worker if it has nothing to do.
    fn retire_idle(&self) -> bool {
        let mut state = self.state();
        let can_retire = state.can_retire();
        if can_retire {
            self.retire_from(&mut state);
        }
        can_retire
    }

    fn retire_from(&self, state: &mut SeatState) {
        if let Tenure::Serving(service) = &state.tenure {
            // Relaxed: a count that schedules, nothing more.
            service.module.workers.fetch_sub(1, Ordering::Relaxed);
        }
        self.count(Count::WorkersRetired);
        self.vacate(state);
    }

    /// The module that this worker should make room for, if any.
    fn change_of_module(&self, outlook: &Outlook) -> Option<Arc<ModuleState>> {
        let mut others = self.shared.modules();
        if outlook.is_worn_out {
            return Some(Arc::clone(&outlook.module));
        }
        others.retain(|module| !Arc::ptr_eq(module, &outlook.module) && !module.is_quarantined());
        if others.is_empty() {
            return None;
        }
        let mut own = demand(&outlook.module);
        own.backlog += u64::from(!outlook.is_idle);
        let index = affinity::change(Some((own, outlook.served)), &demands(&others))?;
        Some(others.swap_remove(index))
    }

    /// Ends the worker so that one with another module's rights can take its place.
    fn retire(&mut self, target: Arc<ModuleState>) {
        if !self.retire_idle() {
            return;
        }
        // Counted at once, so that not every idle worker follows.
        target.join();
        self.next = Some(target);
    }

    fn post(&mut self, chunk: Chunk) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.seats[self.number].lock();
        let module = Arc::clone(&chunk.job().work.module);
        let is_lent = state.is_lent;
        let rest = match &mut state.tenure {
            Tenure::Serving(service)
                if !is_lent && service.has_room() && Arc::ptr_eq(&service.module, &module) =>
            {
                let is_divisible = chunk.calls().end - chunk.calls().start > 1 || !service.is_idle();
                let rest = service.post(chunk, false).rest;
                if rest.is_none() && !is_divisible && self.deques.is_empty() {
                    return;
                }
                rest
            }
            // A caller was quicker; siblings may have it.
            _ => {
                state.feeder_waits |= is_lent;
                Some(chunk)
            }
        };
        drop(state);
        if let Some(rest) = rest {
            match &rest.job().lineage {
                // Where those find it who may run nothing else.
                Some(_) => shared.requeue(vec![rest]),
                None => self.deques.push(rest),
            }
        }
        // Idle siblings can take the rest, or split what was posted.
        shared.lobby.bell().ring();
    }

    /// Looks for a chunk of this module: here, in its queue and jobs, at siblings', and inside siblings' chunks.
    fn find(&self, module: &Arc<ModuleState>, is_idle: bool) -> Found {
        let workers = self.shared.seats_working();
        loop {
            // Nested calls first: somebody stands still until they are done.
            let nested = if is_idle { module.take_nested(None, workers) } else { None };
            let found = nested
                .or_else(|| self.own(module))
                .or_else(|| self.take(module, workers))
                .or_else(|| if is_idle { self.steal() } else { None });
            let Some(chunk) = found else { break };
            let job = Arc::clone(chunk.job());
            let mut pieces = job.without_withdrawn(chunk).into_iter();
            let Some(chunk) = pieces.next() else { continue };
            pieces.for_each(|piece| self.deques.push(piece));
            if !chunk.job().wants(chunk.calls().start) {
                // Nobody waits for it any more.
                continue;
            }
            if !Arc::ptr_eq(&chunk.job().work.module, module) {
                self.shared.requeue(vec![chunk]);
                continue;
            }
            return Found::Chunk(chunk);
        }
        if is_idle { self.split(module, None) } else { Found::Nothing }
    }

    /// What waits here, unless more urgent calls wait elsewhere: then it goes back to where everybody looks.
    fn own(&self, module: &ModuleState) -> Option<Chunk> {
        let chunk = self.deques.pop()?;
        if module.outranks(chunk.priority()) {
            self.shared.requeue(vec![chunk]);
            return None;
        }
        Some(chunk)
    }

    /// Takes calls from the module; half of them wait in the own deque, where an idle sibling finds them.
    fn take(&self, module: &ModuleState, workers: usize) -> Option<Chunk> {
        let mut chunk = module.take(workers)?;
        let calls = chunk.calls();
        if let Some(second) = chunk.split_off((calls.end - calls.start).div_ceil(2)) {
            self.deques.push(second);
        }
        Some(chunk)
    }

    fn steal(&self) -> Option<Chunk> {
        let stolen = self.deques.steal();
        if stolen.is_some() {
            self.count(Count::Steals);
        }
        stolen
    }

    fn count(&self, what: Count) {
        self.shared.tally.add(what, 1);
    }

    /// Takes the upper half of the sibling's chunk with the most calls left.
    ///
    /// A worker that helps a waiting call takes none but what that waits for.
    fn split(&self, module: &Arc<ModuleState>, family: Option<u64>) -> Found {
        let mut was_refused = false;
        let mut richest = None;
        for (number, seat) in self.shared.open_seats().iter().enumerate() {
            if number == self.number {
                continue;
            }
            let Some(state) = seat.try_lock() else {
                was_refused = true;
                continue;
            };
            if let Tenure::Serving(service) = &state.tenure
                && Arc::ptr_eq(&service.module, module)
            {
                let rest = service.rest_for(family);
                if rest > 0 && richest.is_none_or(|(most, _)| rest > most) {
                    richest = Some((rest, number));
                }
            }
        }
        if let Some((_, number)) = richest {
            match self.shared.seats[number].try_lock().as_deref_mut() {
                Some(SeatState { tenure: Tenure::Serving(service), .. }) => {
                    if let Some(chunk) = service.cut(family) {
                        self.count(Count::Splits);
                        return Found::Chunk(chunk);
                    }
                }
                Some(_) => {}
                None => was_refused = true,
            }
        }
        if was_refused { Found::TryLater } else { Found::Nothing }
    }
}

/// What a look for work came to.
enum Found {
    Chunk(Chunk),
    /// A victim's lock was taken; there may be something.
    TryLater,
    Nothing,
}

/// What a feeder has to know of its worker when it has let go of the lock.
struct Outlook {
    is_idle: bool,
    has_room: bool,
    module: Arc<ModuleState>,
    served: Duration,
    post: Arc<Post>,
    interval: Duration,
    is_worn_out: bool,
    /// It sleeps inside a call.
    is_held_up: bool,
    /// A call waits there for calls of its own,
    is_parked: bool,
    /// of this family, of which it may run some,
    helps: Option<u64>,
    /// if it does not already.
    has_nothing_posted: bool,
}

impl Outlook {
    /// How to wait for the worker when there is nothing for it.
    fn into_sleep(self) -> Step {
        match self.is_held_up {
            true => Step::HeldUp(self.post, self.interval),
            false => Step::Busy(self.post, self.interval),
        }
    }

    fn of(service: &Service) -> Self {
        Self {
            is_idle: service.is_idle(),
            has_room: service.has_room() && service.child.death().is_none(),
            module: Arc::clone(&service.module),
            served: Instant::now() - service.since,
            post: Arc::clone(&service.post),
            interval: service.interval(),
            is_worn_out: service.is_worn_out(),
            is_held_up: service.is_held_up(),
            is_parked: service.is_parked(),
            helps: service.helps(),
            has_nothing_posted: service.has_nothing_posted() && service.child.death().is_none(),
        }
    }
}

fn demand(module: &ModuleState) -> Demand {
    let last_seated = module.last_seated();
    let class = module.most_urgent().unwrap_or_default() as usize;
    if module.is_short_handed() {
        // What waits may have been given to workers that sleep, and nobody can count on those.
        return Demand { backlog: module.backlog().max(1), workers: 0, class, last_seated };
    }
    // Relaxed: a count that schedules, nothing more.
    Demand { backlog: module.backlog(), workers: module.workers.load(Ordering::Relaxed), class, last_seated }
}

fn demands(modules: &[Arc<ModuleState>]) -> Vec<Demand> {
    modules.iter().map(|module| demand(module)).collect()
}

/// Starts a process that is going to be a worker. Its death sees to what it is tied to by then, and calls `on_death`.
pub(super) fn spawn_blank(
    executable: &Executable,
    access: FileAccess,
    on_death: impl FnOnce() + Send + 'static,
) -> Result<Blank, String> {
    let (control, theirs) = Control::pair().map_err(|error| described(&error))?;
    let bonds = Arc::new(OnceLock::<Bonds>::new());
    let of_worker = Arc::clone(&bonds);
    let on_death = Box::new(move |_| {
        if let Some(bonds) = of_worker.get() {
            // First, so that whoever waits for what the worker held goes on at once.
            bonds.stake.iter().for_each(Stake::bury);
            bonds.post.feeder_bell().ring_always();
        }
        on_death();
    });
    let child = nursery::spawn(Role::Worker, executable, theirs, on_death);
    let child = Arc::new(child.map_err(|error| described(&error))?);
    Ok(Blank { child, control, access, bonds })
}

/// Why a new process does not become a worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwelcome {
    /// It cannot be confined, so it does not work.
    #[error("workers cannot be confined: {0}")]
    Unconfined(String),
    /// It did not answer as it should.
    #[error("a new worker did not answer{0}")]
    Silent(String),
}

/// Says the first words to a new process. One that is not welcome is killed.
pub(super) fn welcome(blank: &Blank, wishes: Wishes) -> Result<(), Unwelcome> {
    greet(&blank.control, Wishes { directories: blank.access, ..wishes }).map_err(|error| {
        blank.child.kill();
        if let ControlError::Unconfined(reason) = error {
            return Unwelcome::Unconfined(reason);
        }
        let end = blank.child.death().map(|exit| format!(" (it {exit})")).unwrap_or_default();
        Unwelcome::Silent(format!("{end}: {}", described(&error)))
    })
}

fn described(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

pub(super) enum LoadProblem {
    /// The system does not give what a worker needs.
    SetUp(String),
    /// The worker broke over it, or says that it cannot serve it. One that says so may be wrong, or lie.
    Broke(String),
}

/// Makes a worker's regions and tells it its module.
pub(super) fn load(
    blank: &Blank,
    module: &ModuleState,
    identity: Identity,
) -> Result<Arc<Post>, LoadProblem> {
    let set_up =
        |error: std::io::Error| LoadProblem::SetUp(format!("no shared memory for a worker: {error}"));
    let (post, [down, up]) = Post::create().map_err(set_up)?;
    let post = Arc::new(post);
    let stake = Stake::new(&module.granted).map_err(|_| {
        LoadProblem::SetUp(format!("more than {} workers and threads use shared objects", PARTIES_MAX - 1))
    })?;
    let party = stake.as_ref().map(|stake| stake.party);
    // Set once per worker; its death sees to them from now on.
    let bonds = blank.bonds.get_or_init(|| Bonds { post: Arc::clone(&post), stake });
    if blank.child.death().is_some() {
        // It may have died before there were any.
        bonds.stake.iter().for_each(Stake::bury);
    }
    let artifact = &module.artifact;
    let mut descriptors = vec![
        artifact.module.as_fd(),
        artifact.drivers.as_fd(),
        down.as_fd(),
        up.as_fd(),
        module.load.as_fd(),
    ];
    descriptors.extend(module.model.iter().map(|model| model.region.as_fd()));
    let snapshot_bytes = module.model.as_ref().map(|model| model.bytes);
    let ended = |child: &Child, what: &dyn std::fmt::Display| {
        let end = child.death().map_or_else(|| what.to_string(), |exit| exit.to_string());
        LoadProblem::Broke(format!("{end} while it loaded the module"))
    };
    blank
        .control
        .send(&Load { party, snapshot_bytes, identity }, &descriptors)
        .map_err(|error| ended(&blank.child, &error))?;
    for granted in module.granted.chunks(DESCRIPTORS_MAX) {
        let descriptors: Result<Vec<_>, _> =
            granted.iter().map(|granted| granted.entry.descriptor(granted.rights)).collect();
        let descriptors = descriptors.map_err(set_up)?;
        blank.control.send(&Objects, &descriptors).map_err(|error| ended(&blank.child, &error))?;
    }
    directories::send(&blank.control, &module.directories).map_err(|error| ended(&blank.child, &error))?;
    match blank.control.receive::<WorkerSays>(START_TIME_MAX) {
        Ok(WorkerSays::Ready) => Ok(post),
        Ok(WorkerSays::Refused(reason)) => {
            Err(LoadProblem::Broke(format!("could not load it: {}", quoted(&reason))))
        }
        Ok(WorkerSays::Panicked(message)) => {
            let message = quoted(&message);
            Err(LoadProblem::Broke(format!("panicked while it loaded the module: {message}")))
        }
        Err(error) => Err(ended(&blank.child, &error)),
    }
}

/// What calls of a worker at this seat are told of it.
fn identity(seat: usize, module: &ModuleState) -> Identity {
    // Where each run is to be like any other, calls cannot tell workers apart.
    let number = if module.is_deterministic() { 0 } else { seat };
    Identity { name: format!("PoolWorker-{}", number + 1), worker: number as u32 }
}

/// How long to pause after so many failures in a row.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (BACK_OFF_MIN * 2u32.pow(doublings)).min(BACK_OFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(back_off(1), BACK_OFF_MIN);
        assert_eq!(back_off(2), 2 * BACK_OFF_MIN);
        assert_eq!(back_off(100), BACK_OFF_MAX);
    }
}
