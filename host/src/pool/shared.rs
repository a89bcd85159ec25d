//! What everybody who works for a pool has in common: its seats, its modules, and the bell of its lobby.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use super::WORKERS_MAX;
use super::callbacks::Callbacks;
use super::chunk::Chunk;
use super::clock::Clock;
use super::error::{Error, ErrorKind};
use super::gate::Gate;
use super::job::Job;
use super::module::ModuleState;
use super::objects::Stake;
use super::relief::{EXPECTED_TIME, Relief, relieve};
use super::rests::Rests;
use super::seat::{OnLine, Posted, Service};
use super::staff::{Staff, Standing, StandingCell};
use super::tally::Tally;
use crate::channel::control::{Control, FileAccess, Wishes};
use crate::channel::post::Post;
use crate::process::child::Child;
use crate::process::reentry::Executable;
use crate::schedule::deques::Family;
use crate::shm::bell::Bell;

/// Longest spin for the answer of a worker that is awake, on another core.
const SPIN_MAX: Duration = Duration::from_micros(50);

/// How often a caller looks whether its call can still be run.
const OBSTACLE_LOOK: Duration = Duration::from_millis(100);

/// Everything that feeders and callers share.
pub(crate) struct Shared {
    /// How many workers the pool is to have.
    pub(super) workers: AtomicUsize,
    /// How its workers confine themselves.
    pub(crate) wishes: Wishes,
    /// One for each worker that a pool may ever have. Few are in use.
    pub(crate) seats: Vec<Seat>,
    /// All seats from this one on are closed.
    pub(super) seats_open: AtomicUsize,
    /// How many seats are open, and not leaving.
    pub(super) seats_working: AtomicUsize,
    pub(super) staff: Mutex<Staff>,
    /// The deques of the feeders.
    pub(super) family: Arc<Family<Chunk>>,
    pub(crate) modules: RwLock<Vec<Arc<ModuleState>>>,
    /// What it counts.
    pub(crate) tally: Arc<Tally>,
    /// Calls that rest before they are tried again.
    pub(crate) rests: Rests,
    pub(crate) lobby: Arc<Lobby>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) on_line: Box<OnLine>,
    /// What its processes are started from.
    pub(crate) executable: Executable,
    closing: AtomicBool,
    /// All jobs have been ended, and feeders are to follow.
    ending: AtomicBool,
    /// Why no worker can be started, when that is so.
    broken: Mutex<Option<String>>,
    /// How often a worker has been given a module.
    pub(crate) seatings: AtomicU64,
    /// The seat that last took a call directly: its worker is the one most likely awake.
    last_direct: AtomicUsize,
}

/// Where feeders without work sleep. One bell for all: a push, a retry, a split and a death ring it.
///
/// Whoever waits for a worker that sleeps inside a call sleeps on that worker's bell, and listens to the lobby as well:
/// more calls may need more workers.
#[derive(Default)]
pub(crate) struct Lobby {
    epoch: AtomicU32,
    asleep: AtomicU32,
    listeners: Mutex<Vec<Arc<Post>>>,
    /// How many they are, so that nobody takes the lock for nothing.
    listening: AtomicUsize,
}

impl Lobby {
    /// The bell that feeders without work sleep on.
    pub(crate) fn bell(&self) -> Bell<'_> {
        Bell::new(&self.epoch, &self.asleep)
    }

    /// Wakes everybody who looks for what the caller has published.
    pub(crate) fn ring(&self) {
        self.bell().ring();
        self.wake_listeners();
    }

    /// Wakes everybody, whatever the words of the bell say.
    pub(crate) fn ring_always(&self) {
        self.bell().ring_always();
        self.wake_listeners();
    }

    fn wake_listeners(&self) {
        // Relaxed: the fence in `ring` comes before it. Either this sees the listener, whose flag is then seen too, or
        // the look that the listener takes behind the fence of its announcement sees what was published.
        if self.listening.load(Ordering::Relaxed) > 0 {
            self.listeners().iter().for_each(|post| {
                post.feeder_bell().ring();
            });
        }
    }

    /// From now on this ring of the lobby is heard on that worker's bell too. Announce yourself there and look again
    /// before you sleep.
    pub(crate) fn listen(&self, post: &Arc<Post>) -> Listening<'_> {
        self.listeners().push(Arc::clone(post));
        // Relaxed: the announcement that follows has a fence.
        self.listening.fetch_add(1, Ordering::Relaxed);
        Listening { lobby: self, post: Arc::clone(post) }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Arc<Post>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a worker and listens to the lobby; no more when this goes.
pub(crate) struct Listening<'a> {
    lobby: &'a Lobby,
    post: Arc<Post>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let mut listeners = self.lobby.listeners();
        if let Some(own) = listeners.iter().position(|post| Arc::ptr_eq(post, &self.post)) {
            listeners.swap_remove(own);
            // Relaxed: one look too many does no harm.
            self.lobby.listening.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One worker's place.
pub(crate) struct Seat {
    /// Whether it is in use.
    pub(super) standing: StandingCell,
    state: Mutex<SeatState>,
    /// The process that sits here or is being seated, for those who must end it without waiting for the lock.
    process: Mutex<Option<Arc<Child>>>,
    /// Where the feeder of a worker that serves a module sleeps, for the same.
    post: Mutex<Weak<Post>>,
}

/// Who sits at a seat, and who feeds.
pub(crate) struct SeatState {
    pub(crate) tenure: Tenure,
    /// A caller has taken over the feeder's role.
    pub(crate) is_lent: bool,
    /// The last attempt to start a worker here failed.
    pub(crate) is_failing: bool,
    /// The feeder came while its role was lent and wants to be called.
    pub(crate) feeder_waits: bool,
}

/// Who sits at a seat.
pub(crate) enum Tenure {
    /// Nobody.
    Vacant,
    /// A worker without a module.
    Blank(Blank),
    /// A worker with a module.
    Serving(Box<Service>),
}

/// A worker that has been started and was not told its module.
pub(crate) struct Blank {
    pub(crate) child: Arc<Child>,
    pub(crate) control: Control,
    /// Whether it was born to be granted directories.
    pub(crate) access: FileAccess,
    /// What its death finds to do, once it has been told its module.
    pub(crate) bonds: Arc<OnceLock<Bonds>>,
}

/// What ties a worker to others: its death rings the bell of its feeder, and takes from it what it held.
pub(crate) struct Bonds {
    pub(crate) post: Arc<Post>,
    pub(crate) stake: Option<Stake>,
}

impl SeatState {
    /// Whether the worker that sits here can be ended without harm to any call.
    pub(crate) fn can_retire(&self) -> bool {
        matches!(&self.tenure, Tenure::Serving(service) if service.is_idle()) && !self.is_lent
    }
}

impl Seat {
    fn new() -> Self {
        let state =
            SeatState { tenure: Tenure::Vacant, is_lent: false, is_failing: false, feeder_waits: false };
        Self {
            standing: StandingCell::default(),
            state: Mutex::new(state),
            process: Mutex::new(None),
            post: Mutex::default(),
        }
    }

    /// Takes the slot lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SeatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the slot lock if nobody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, SeatState>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Notes which process sits here.
    pub(crate) fn set_process(&self, child: Option<Arc<Child>>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = child;
    }

    /// Notes where the feeder of the worker that sits here sleeps.
    pub(crate) fn set_post(&self, post: &Arc<Post>) {
        *self.post.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(post);
    }

    /// Wakes the feeder if it sleeps on its worker.
    fn ring(&self) {
        let post = self.post.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(post) = post {
            post.feeder_bell().ring();
        }
    }

    fn kill(&self) {
        if let Some(child) = &*self.process.lock().unwrap_or_else(PoisonError::into_inner) {
            child.kill();
        }
    }

    /// The process id of the worker that sits here.
    pub(crate) fn pid(&self) -> Option<u32> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().filter(|child| child.death().is_none()).map(|child| child.pid())
    }
}

impl Shared {
    /// A pool's common things. It has no workers before it is [resized](Self::resize).
    pub(crate) fn new(executable: Executable, wishes: Wishes, on_line: Box<OnLine>) -> Arc<Self> {
        Arc::new(Self {
            workers: AtomicUsize::new(0),
            wishes,
            seats: (0..WORKERS_MAX).map(|_| Seat::new()).collect(),
            seats_open: AtomicUsize::new(0),
            seats_working: AtomicUsize::new(0),
            staff: Mutex::default(),
            family: Arc::default(),
            modules: RwLock::new(Vec::new()),
            tally: Arc::default(),
            rests: Rests::default(),
            lobby: Arc::default(),
            gate: Arc::default(),
            clock: Arc::default(),
            callbacks: Arc::default(),
            on_line,
            executable,
            closing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            broken: Mutex::new(None),
            seatings: AtomicU64::new(0),
            last_direct: AtomicUsize::new(0),
        })
    }

    /// The seats that are in use. Among them may be some that are leaving, or closed.
    pub(crate) fn open_seats(&self) -> &[Seat] {
        // Relaxed: a seat may be opened or closed at any time, and whoever does it rings.
        &self.seats[..self.seats_open.load(Ordering::Relaxed)]
    }

    /// The pool's modules.
    pub(crate) fn modules(&self) -> Vec<Arc<ModuleState>> {
        self.modules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a module; feeders without one turn to it at once.
    pub(crate) fn add_module(&self, module: Arc<ModuleState>) {
        self.modules.write().unwrap_or_else(PoisonError::into_inner).push(module);
        self.lobby.ring();
    }

    /// Takes a module off the list that nobody will give calls to any more.
    pub(crate) fn remove_module(&self, module: &Arc<ModuleState>) {
        let mut modules = self.modules.write().unwrap_or_else(PoisonError::into_inner);
        modules.retain(|listed| !Arc::ptr_eq(listed, module));
        drop(modules);
        module.strike_off();
        // Idle workers that serve it make room, and let go of what it was granted.
        self.lobby.ring();
    }

    /// Whether the pool is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        // Relaxed: feeders look again after every sleep, and closing rings all bells.
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether feeders are to end.
    pub(crate) fn is_ending(&self) -> bool {
        // Relaxed: as above.
        self.ending.load(Ordering::Relaxed)
    }

    /// Begins to end: lets nobody in, ends all jobs and kills all workers.
    pub(crate) fn close(&self) {
        self.gate.shut();
        self.closing.store(true, Ordering::SeqCst);
        for module in self.modules() {
            module.cancel_all("the pool was closed");
        }
        // Not before: feeders that end give up what they have, and it is their jobs' end that says why.
        self.ending.store(true, Ordering::SeqCst);
        for seat in &self.seats {
            seat.kill();
        }
        self.lobby.ring_always();
    }

    /// Notes that no worker can be started at this seat, and, where there is none at all, ends what waits for them.
    pub(crate) fn note_broken(&self, number: usize, story: String) {
        // The process that failed at this seat may not be quite dead yet; it is no worker all the same.
        let mut others = self.open_seats().iter().enumerate().filter(|(other, _)| *other != number);
        if others.any(|(_, seat)| seat.pid().is_some()) {
            return;
        }
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(story);
        for module in self.modules() {
            module.cancel_all("no worker can be started");
        }
    }

    /// Notes that a worker was started after all.
    pub(crate) fn note_mended(&self) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Wakes the feeders that sleep while their workers work: calls are not wanted any more that these may have.
    pub(crate) fn ring_feeders(&self) {
        self.open_seats().iter().for_each(Seat::ring);
    }

    /// Why nothing can be run for a module, if that is so.
    pub(crate) fn obstacle(&self, module: &ModuleState) -> Option<Error> {
        if self.is_closing() {
            return Some(Error::new(ErrorKind::Closed, "the pool is closed"));
        }
        if let Some(story) = &*self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(Error::new(ErrorKind::SetUp, format!("no worker can be started: {story}")));
        }
        module.obstacle()
    }

    /// Offers a job's calls to the feeders.
    ///
    /// # Errors
    ///
    /// When nothing can be run.
    pub(crate) fn submit(&self, job: &Arc<Job>) -> Result<(), Error> {
        if let Some(obstacle) = self.obstacle(&job.work.module) {
            return Err(obstacle);
        }
        job.work.module.list(Arc::clone(job));
        // The obstacle may have come up before the job was on the list that it clears.
        if let Some(obstacle) = self.obstacle(&job.work.module) {
            job.work.module.unlist(job);
            return Err(obstacle);
        }
        self.clock.watch(job);
        self.lobby.ring();
        Ok(())
    }

    /// Strikes a job off that is over, and says what ended it before its time.
    pub(crate) fn conclude(&self, job: &Job) -> Option<Error> {
        job.work.module.unlist(job);
        job.count_out();
        self.rests.forget(job);
        let error = self.ending(job);
        if error.is_some() {
            // Some of its calls may run on, or sleep.
            self.ring_feeders();
        }
        error
    }

    /// What ended a job before its time.
    fn ending(&self, job: &Job) -> Option<Error> {
        if let (true, Some(limit)) = (job.was_late(), job.work.terms.deadline) {
            let text =
                format!("the job's deadline of {limit:?} passed; calls that had not ended were stopped");
            return Some(Error::new(ErrorKind::Deadline, text));
        }
        match job.failure() {
            Some(failure) => Some(self.obstacle(&job.work.module).unwrap_or_else(|| Error::call(failure))),
            None if job.was_cancelled() => Some(
                self.obstacle(&job.work.module)
                    .unwrap_or_else(|| Error::new(ErrorKind::Closed, "the job was cancelled")),
            ),
            None => None,
        }
    }

    /// Has the one call of a job run, by a worker that has nothing to do if there is one, and waits for its end.
    pub(crate) fn run_single(self: &Arc<Self>, job: &Arc<Job>) {
        if let Some(chunk) = job.cut(1).and_then(|chunk| self.hand_over(chunk)) {
            self.requeue(vec![chunk]);
        }
        // Nothing comes of a call that was queued after the obstacle arose.
        while !job.wait(Some(OBSTACLE_LOOK)) {
            if self.obstacle(&job.work.module).is_some() {
                job.cancel(None);
            }
        }
    }

    /// Runs a single call on a worker that has nothing to do, without a thread in between.
    ///
    /// When no worker of the module is idle, the chunk comes back.
    pub(crate) fn hand_over(self: &Arc<Self>, chunk: Chunk) -> Option<Chunk> {
        // Relaxed: a hint where to begin.
        let begin = self.last_direct.load(Ordering::Relaxed);
        let seats = self.open_seats();
        for offset in 0..seats.len() {
            let number = (begin + offset) % seats.len();
            if seats[number].standing.get() != Standing::Open {
                continue;
            }
            let Some(mut state) = seats[number].try_lock() else { continue };
            let SeatState { tenure: Tenure::Serving(service), is_lent: is_lent @ false, .. } = &mut *state
            else {
                continue;
            };
            let is_right = Arc::ptr_eq(&service.module, &chunk.job().work.module);
            if !is_right || !service.is_idle() || service.child.death().is_some() {
                continue;
            }
            self.last_direct.store(number, Ordering::Relaxed);
            let job = Arc::clone(chunk.job());
            let Posted { generation, was_asleep, rest } = service.post(chunk, true);
            debug_assert!(rest.is_none(), "a single call fits");
            let post = Arc::clone(&service.post);
            *is_lent = true;
            drop(state);
            let lent = Lent { shared: self, number };
            if !was_asleep {
                spin(&post, generation);
            }
            self.attend(&lent, &post, &job);
            return None;
        }
        Some(chunk)
    }

    /// Feeds a worker in its feeder's place until the one call it was given has come back.
    fn attend(self: &Arc<Self>, lent: &Lent<'_>, post: &Arc<Post>, job: &Job) {
        let mut has_waited = false;
        let mut _listening = None;
        loop {
            let bell = post.feeder_bell();
            let announced = bell.announce();
            let mut state = self.seats[lent.number].lock();
            let Tenure::Serving(service) = &mut state.tenure else { return };
            if service.child.death().is_some() {
                // Burying and replacing is the feeder's work.
                return;
            }
            let tended = service.tend(lent.number, &*self.on_line);
            let (is_idle, has_news, mut interval) =
                (service.is_idle(), service.has_news(), service.interval());
            let is_unclaimed = has_waited && service.rest() > 0;
            let (is_held_up, is_parked) = (service.is_held_up(), service.is_parked());
            drop(state);
            if is_held_up {
                match relieve(self, &job.work.module) {
                    Relief::Needless => {}
                    Relief::Exhausted => self.starve(lent.number),
                    Relief::Expected | Relief::Opened => interval = interval.min(EXPECTED_TIME),
                }
            }
            self.requeue(tended.retries);
            if is_parked {
                // Finding calls for it is the feeder's work.
                return;
            }
            if is_unclaimed || tended.opens_window {
                // The worker stands still; a sibling may take the call.
                self.lobby.bell().ring();
            }
            if is_idle || !job.wants(0) {
                return;
            }
            if !has_news {
                bell.sleep(announced, interval);
                has_waited = true;
                // Before the next announcement and look, so that nothing is missed.
                _listening = is_held_up.then(|| self.lobby.listen(post));
            }
        }
    }

    /// Ends the call that a seat's worker sleeps in.
    pub(crate) fn starve(&self, number: usize) {
        if let Tenure::Serving(service) = &mut self.seats[number].lock().tenure {
            service.starve();
        }
    }

    /// Gives calls out again, those that have to rest when they have rested.
    pub(crate) fn requeue(&self, chunks: Vec<Chunk>) {
        if chunks.is_empty() {
            return;
        }
        for mut chunk in chunks {
            match chunk.take_due() {
                Some(due) => self.rests.put(chunk, due),
                None => {
                    let module = Arc::clone(&chunk.job().work.module);
                    module.queue(chunk);
                }
            }
        }
        self.lobby.ring();
    }
}

/// Waits a little for the answer of a worker that sits on another core.
fn spin(post: &Post, generation: u32) {
    if post.worker_cpu() == rustix::thread::sched_getcpu() as u32 {
        return;
    }
    let started = std::time::Instant::now();
    while started.elapsed() < SPIN_MAX {
        for _ in 0..32 {
            if post.has_ended(generation) {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

/// The feeder's role, lent to a caller; given back when this goes, also when the caller panics.
struct Lent<'a> {
    shared: &'a Shared,
    /// Number of the seat.
    number: usize,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.seats[self.number].lock();
        state.is_lent = false;
        let feeder_waits = std::mem::take(&mut state.feeder_waits);
        let needs_feeder = match &state.tenure {
            Tenure::Serving(service) => !service.is_idle() || service.child.death().is_some(),
            _ => true,
        };
        drop(state);
        if feeder_waits || needs_feeder {
            self.shared.lobby.bell().ring();
        }
    }
}
