//! A module as the pool holds it: its code, its catalog, its queue, and its record.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crossbeam_deque::Injector;

use super::KEEP_RESIDENT_BYTES_MAX;
use super::admission::Admission;
use super::chunk::Chunk;
use super::compile::Origin;
use super::directories::{self, GrantedDirectory};
use super::error::{Error, ErrorKind};
use super::initializer::{Model, Start};
use super::job::Job;
use super::limits::{Limit, Limits};
use super::nesting::NestedBytes;
use super::objects::{self, Granted};
use super::outcome::{Failure, FailureKind};
use super::priority::Priority;
use super::tally::Tally;
use crate::channel::control::{NumericEntry, Service, TaskEntries};
use crate::sandbox::catalog::{Catalog, Task};
use crate::schedule::deques;
use crate::schedule::turns::{self, CLASSES};

/// Deaths without one finished chunk between them after which a module is not run any more.
const CRASHES_MAX: u32 = 5;

/// Compiled code, sealed.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) module: OwnedFd,
    /// An empty file when the module has no exports of numbers.
    pub(crate) drivers: OwnedFd,
    pub(crate) has_drivers: bool,
}

/// A module of a pool.
pub(crate) struct ModuleState {
    /// Name for messages: its path, or what the caller calls it.
    pub(crate) name: String,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) artifact: Arc<Artifact>,
    /// What its workers are told.
    service: Service,
    /// The pool's, which all its modules count on.
    /// The same, as the file that they get it in.
    pub(crate) load: OwnedFd,
    /// The shared objects that its calls may open, in the order of the service's grants.
    pub(crate) granted: Arc<[Granted]>,
    /// The directories that its calls may work in, in the order of the service's.
    pub(crate) directories: Arc<[Arc<GrantedDirectory>]>,
    /// What it was compiled from.
    pub(crate) origin: Arc<Origin>,
    /// Name of the task that its instances begin with.
    initializer: Option<Arc<str>>,
    /// Where its worker copies an instance to, when that is all it is there for.
    pub(crate) model: Option<Arc<Model>>,
    /// The same module with other grants.
    pub(super) admissions: Admissions,
    /// Chunks that anyone may take: single calls, retries, and what dead workers left; by their priorities.
    queues: [Injector<Chunk>; CLASSES],
    /// Calls that are not of the usual priority have been given to it.
    has_priorities: AtomicBool,
    /// How many chunks have been taken since then.
    turn: AtomicU32,
    jobs: Mutex<Vec<Arc<Job>>>,
    /// What its pool counts.
    pub(crate) tally: Arc<Tally>,
    /// Those that calls have submitted, the oldest first.
    nested: Mutex<Vec<Arc<Job>>>,
    /// How much is held for them.
    pub(super) nested_bytes: NestedBytes,
    /// Which of its tasks of numbers submit calls, as far as they have done it.
    nesting_tasks: Vec<AtomicBool>,
    /// Workers that serve it, or are being started to.
    pub(crate) workers: AtomicUsize,
    /// Whether those that serve it sleep while calls wait, so that one more has to come.
    is_short_handed: AtomicBool,
    /// When a worker was last seated for it, in seatings of the pool; the module that has waited longest goes first.
    last_seated: AtomicU64,
    crashes: AtomicU32,
    /// How often finished calls have been taken back.
    successes: AtomicU64,
    /// Why it is not run any more.
    verdict: OnceLock<String>,
    /// Nobody will give it calls any more.
    is_struck_off: AtomicBool,
}

/// The living admissions of a module.
#[derive(Default)]
pub(super) struct Admissions(Mutex<Vec<Weak<Admission>>>);

impl Admissions {
    /// The living one with these grants and this start, else the one that `make` makes.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub(super) fn find_or(
        &self,
        granted: &[Granted],
        directories: &[Arc<GrantedDirectory>],
        start: Option<&Start>,
        make: impl FnOnce() -> Result<Arc<Admission>, Error>,
    ) -> Result<Arc<Admission>, Error> {
        let mut admissions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut living = admissions.iter().filter_map(Weak::upgrade);
        let living = living.find(|admission| admission.is_of(granted, directories, start));
        if let Some(admission) = living {
            return Ok(admission);
        }
        let admission = make()?;
        admissions.retain(|admission| admission.strong_count() > 0);
        admissions.push(Arc::downgrade(&admission));
        Ok(admission)
    }
}

/// In what a module differs from the others of its bytes.
struct Variant {
    artifact: Arc<Artifact>,
    service: Service,
    granted: Arc<[Granted]>,
    directories: Arc<[Arc<GrantedDirectory>]>,
    initializer: Option<Arc<str>>,
    model: Option<Arc<Model>>,
}

/// A module's record when a worker begins to serve it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    crashes: u32,
    successes: u64,
}

impl ModuleState {
    /// A module that is granted no objects, and these directories.
    ///
    /// # Errors
    ///
    /// When the system has no memory or no descriptor left.
    pub(crate) fn new(
        name: String,
        catalog: Catalog,
        artifact: Artifact,
        service: Service,
        directories: Arc<[Arc<GrantedDirectory>]>,
        origin: Origin,
        tally: Arc<Tally>,
    ) -> io::Result<Arc<Self>> {
        let (catalog, artifact, origin) = (Arc::new(catalog), Arc::new(artifact), Arc::new(origin));
        let granted = Arc::default();
        let variant = Variant { artifact, service, granted, directories, initializer: None, model: None };
        Self::with(name, catalog, origin, variant, tally)
    }

    /// The same module, granted these objects and directories, and with instances that begin so.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(crate) fn with_grants(
        &self,
        granted: Arc<[Granted]>,
        directories: Arc<[Arc<GrantedDirectory>]>,
        start: Option<&Start>,
    ) -> io::Result<Arc<Self>> {
        let mut artifact = Arc::clone(&self.artifact);
        let mut service = Service { grants: objects::describe(&granted), ..self.service.clone() };
        let mut initializer = None;
        match start.map(|start| (start, start.warm())) {
            Some((_, Some(warm))) => {
                artifact = Arc::clone(&warm.artifact);
                service.has_drivers = artifact.has_drivers;
                service.keep_resident_bytes =
                    service.keep_resident_bytes.saturating_add(warm.image_bytes).min(KEEP_RESIDENT_BYTES_MAX);
            }
            Some((start, None)) => {
                service.initializer = Some(start.initializer.as_ref().clone());
                initializer = Some(Arc::clone(&start.name));
            }
            None => {}
        }
        let variant = Variant { artifact, service, granted, directories, initializer, model: None };
        self.variant(variant)
    }

    /// The same module as `instrumented` code, for a worker that runs the initializer of an instance, with these
    /// directories and no objects, and copies it to `model`.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(crate) fn model(
        &self,
        start: &Start,
        instrumented: Arc<Artifact>,
        directories: &[Arc<GrantedDirectory>],
        model: Arc<Model>,
    ) -> io::Result<Arc<Self>> {
        let initializer = Some(start.initializer.as_ref().clone());
        let service = Service { initializer, has_drivers: instrumented.has_drivers, ..self.service.clone() };
        let variant = Variant {
            artifact: instrumented,
            service,
            granted: Arc::default(),
            directories: directories.into(),
            initializer: Some(Arc::clone(&start.name)),
            model: Some(model),
        };
        self.variant(variant)
    }

    /// The same module in another way.
    fn variant(&self, variant: Variant) -> io::Result<Arc<Self>> {
        let (catalog, origin) = (Arc::clone(&self.catalog), Arc::clone(&self.origin));
        Self::with(self.name.clone(), catalog, origin, variant, Arc::clone(&self.tally))
    }

    fn with(
        name: String,
        catalog: Arc<Catalog>,
        origin: Arc<Origin>,
        variant: Variant,
        tally: Arc<Tally>,
    ) -> io::Result<Arc<Self>> {
        let Variant { artifact, mut service, granted, directories, initializer, model } = variant;
        service.directories = directories::describe(&directories);
        let load = service.to_file()?;
        let nesting_tasks = catalog.tasks.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Arc::new(Self {
            name,
            catalog,
            artifact,
            service,
            load,
            granted,
            directories,
            origin,
            initializer,
            model,
            admissions: Admissions::default(),
            queues: Default::default(),
            has_priorities: AtomicBool::new(false),
            turn: AtomicU32::new(0),
            jobs: Mutex::new(Vec::new()),
            tally,
            nested: Mutex::default(),
            nested_bytes: NestedBytes::default(),
            nesting_tasks,
            workers: AtomicUsize::new(0),
            is_short_handed: AtomicBool::new(false),
            last_seated: AtomicU64::new(0),
            crashes: AtomicU32::new(0),
            successes: AtomicU64::new(0),
            verdict: OnceLock::new(),
            is_struck_off: AtomicBool::new(false),
        }))
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a chunk where every worker of this module looks.
    ///
    /// Nested calls go back to their job, where those who may run nothing else find them.
    pub(crate) fn queue(&self, chunk: Chunk) {
        if let Some(lineage) = chunk.job().lineage.clone() {
            let (job, calls) = chunk.into_parts();
            job.give_back(calls);
            lineage.ring_all();
        } else {
            self.note_priority(chunk.priority());
            self.queues[chunk.priority() as usize].push(chunk.waiting_since(Instant::now()));
        }
        if self.is_quarantined() {
            // It may have come after the queue was cleared.
            self.give_up();
        }
    }

    /// Lists a job whose calls workers are to come for.
    pub(crate) fn list(&self, job: Arc<Job>) {
        self.note_priority(job.work.terms.priority);
        self.jobs().push(job);
    }

    fn note_priority(&self, priority: Priority) {
        if priority != Priority::Normal {
            // Relaxed: it schedules, nothing more.
            self.has_priorities.store(true, Ordering::Relaxed);
        }
    }

    /// The priority of the most urgent calls that wait.
    pub(crate) fn most_urgent(&self) -> Option<Priority> {
        let waits = |priority: &Priority| {
            let of = |job: &&Arc<Job>| job.work.terms.priority == *priority;
            !self.queues[*priority as usize].is_empty()
                || self.jobs().iter().filter(of).any(|job| job.backlog() > 0)
        };
        // Relaxed: as in `note_priority`.
        match self.has_priorities.load(Ordering::Relaxed) {
            false => None,
            true => Priority::ALL.into_iter().rev().find(waits),
        }
    }

    /// Whether calls wait that are more urgent than these.
    pub(crate) fn outranks(&self, priority: Priority) -> bool {
        self.most_urgent().is_some_and(|most| most > priority)
    }

    /// Strikes a job off the list.
    pub(crate) fn unlist(&self, job: &Job) {
        let is_it = |listed: &Arc<Job>| std::ptr::eq(&**listed, job);
        let mut jobs = self.jobs();
        let found = jobs.iter().position(is_it).map(|at| jobs.remove(at));
        drop(jobs);
        // The last of it goes without the lock.
        drop(found);
    }

    fn nested(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.nested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a job that a call has submitted.
    pub(crate) fn list_nested(&self, job: Arc<Job>) {
        if self.is_quarantined() {
            job.cancel(None);
        }
        self.nested().push(job);
    }

    /// Strikes it off.
    pub(crate) fn unlist_nested(&self, job: &Arc<Job>) {
        self.nested().retain(|listed| !Arc::ptr_eq(listed, job));
    }

    /// Whether there are calls to be taken that descend from the call of this family.
    pub(crate) fn has_nested(&self, family: u64) -> bool {
        self.nested().iter().any(|job| descends(job, family) && job.backlog() > 0)
    }

    /// Takes nested calls: of the oldest job, which is the largest as a rule, or, for a worker whose call waits, of the
    /// newest that this call waits for, which is soonest done.
    pub(crate) fn take_nested(&self, family: Option<u64>, workers: usize) -> Option<Chunk> {
        let nested = self.nested();
        match family {
            None => nested.iter().find_map(|job| job.cut(workers)),
            Some(family) => {
                nested.iter().rev().filter(|job| descends(job, family)).find_map(|job| job.cut(workers))
            }
        }
    }

    /// How deep calls may be nested.
    pub(crate) fn nested_calls_max(&self) -> u32 {
        self.service.limits.nested_calls
    }

    /// Notes that a task of numbers submits calls: from now on its calls are run by themselves.
    pub(crate) fn note_nesting(&self, task: usize) {
        // Relaxed: whoever has not seen it yet has the call run once more in vain.
        self.nesting_tasks[task].store(true, Ordering::Relaxed);
    }

    /// Whether a task of numbers is known to submit calls.
    pub(crate) fn nests(&self, task: usize) -> bool {
        // Relaxed: as above.
        self.nesting_tasks[task].load(Ordering::Relaxed)
    }

    /// Whether each run of it is to be like any other.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.service.seed.is_some()
    }

    /// Whether its workers may keep an instance of a batch driver beside its own.
    pub(crate) fn has_room_for_drivers(&self) -> bool {
        self.service.limits.instances > 1
    }

    /// Most bytes of memory that its instances may have.
    pub(crate) fn memory_bytes_max(&self) -> u64 {
        self.service.limits.memory_bytes
    }

    /// Name of the task that runs in each of its instances before the first call.
    pub(crate) fn initializer(&self) -> Option<&str> {
        self.initializer.as_deref()
    }

    /// Whether its code counts what it does.
    pub(crate) fn counts_fuel(&self) -> bool {
        self.service.code.counts_fuel
    }

    /// Takes a chunk for one of `workers` workers, of the most urgent calls first; see [`turns`].
    pub(crate) fn take(&self, workers: usize) -> Option<Chunk> {
        // Relaxed: as in `note_priority`.
        if !self.has_priorities.load(Ordering::Relaxed) {
            return self.take_of(Priority::Normal, workers);
        }
        let order = turns::order(self.turn.load(Ordering::Relaxed));
        let chunk = order.into_iter().find_map(|class| self.take_of(Priority::ALL[class], workers))?;
        self.turn.fetch_add(1, Ordering::Relaxed);
        Some(chunk)
    }

    /// Takes a chunk of this priority from the queue, or else from the jobs in turn.
    fn take_of(&self, priority: Priority, workers: usize) -> Option<Chunk> {
        if let Some(chunk) = deques::take(&self.queues[priority as usize]) {
            return Some(chunk);
        }
        let mut jobs = self.jobs();
        let mut of_priority = jobs.iter().enumerate().filter(|(_, job)| job.work.terms.priority == priority);
        let found = of_priority.find_map(|(at, job)| Some((at, job.cut(workers)?)));
        let chunk = found.map(|(at, chunk)| {
            // The job that was served goes to the end, so that none waits for all of another.
            let served = jobs.remove(at);
            jobs.push(served);
            chunk
        });
        // Some may turn out to be over: calls were passed that cannot be run, or the time has come.
        let ended: Vec<Arc<Job>> = jobs.iter().filter(|job| job.has_ended()).map(Arc::clone).collect();
        drop(jobs);
        ended.iter().for_each(|job| job.tell_end());
        chunk
    }

    /// How many calls nobody has taken, about; chunks of the queue count as one.
    pub(crate) fn backlog(&self) -> u64 {
        let queued = self.queues.iter().map(|queue| queue.len() as u64).sum::<u64>();
        let of_jobs = self.jobs().iter().map(|job| job.backlog()).fold(0, u64::saturating_add);
        let nested = self.nested().iter().map(|job| job.backlog()).fold(0, u64::saturating_add);
        queued.saturating_add(of_jobs).saturating_add(nested)
    }

    /// Asks for one more worker, whatever the number of those that sleep.
    pub(crate) fn call_for_worker(&self) {
        // Relaxed: as in `join`.
        self.is_short_handed.store(true, Ordering::Relaxed);
    }

    /// Whether one more worker was asked for, and none has come since.
    pub(crate) fn is_short_handed(&self) -> bool {
        // Relaxed: as in `join`.
        self.is_short_handed.load(Ordering::Relaxed)
    }

    /// Counts one more worker that serves it, or soon will.
    pub(crate) fn join(&self) {
        // Relaxed: both only schedule, nothing more.
        self.workers.fetch_add(1, Ordering::Relaxed);
        self.is_short_handed.store(false, Ordering::Relaxed);
    }

    /// Whether it is not run any more.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.verdict.get().is_some()
    }

    /// Whether its calls can leave something behind: in shared objects, or in directories that they may change.
    pub(crate) fn can_leave_traces(&self) -> bool {
        !self.granted.is_empty() || self.directories.iter().any(|directory| directory.is_writable())
    }

    /// Notes that nobody will give it calls any more.
    pub(crate) fn strike_off(&self) {
        // Relaxed: feeders look again after the bell that follows.
        self.is_struck_off.store(true, Ordering::Relaxed);
    }

    /// Whether nobody will give it calls any more.
    pub(crate) fn is_struck_off(&self) -> bool {
        // Relaxed: as above.
        self.is_struck_off.load(Ordering::Relaxed)
    }

    /// Notes that a worker is being seated for it, the pool's `seating`th.
    pub(crate) fn note_seated(&self, seating: u64) {
        // Relaxed: as in `note_success`.
        self.last_seated.store(seating, Ordering::Relaxed);
    }

    /// When a worker was last seated for it.
    pub(crate) fn last_seated(&self) -> u64 {
        // Relaxed: as in `note_success`.
        self.last_seated.load(Ordering::Relaxed)
    }

    /// Notes that finished calls came back: whatever happened before was not the module's doing.
    pub(crate) fn note_success(&self) {
        // Relaxed: counts that only their own values depend on. The load spares the cache line's owner.
        self.successes.fetch_add(1, Ordering::Relaxed);
        if self.crashes.load(Ordering::Relaxed) != 0 {
            self.crashes.store(0, Ordering::Relaxed);
        }
    }

    /// The record for a worker that is about to begin.
    pub(crate) fn record(&self) -> Record {
        // Relaxed: as in `note_success`.
        let crashes = self.crashes.load(Ordering::Relaxed);
        Record { crashes, successes: self.successes.load(Ordering::Relaxed) }
    }

    /// Notes that a worker died over the module that began at this record; returns how many have in a row now.
    ///
    /// What tells against a module is a chain of deaths, each of a worker that was started after the one before it,
    /// and none with a finished call meanwhile. Workers that die at the same time all began at the same record, so
    /// they count as one.
    pub(crate) fn note_crash(&self, before: Record, story: &str) -> u32 {
        // Relaxed: as in `note_success`.
        let has_succeeded = self.successes.load(Ordering::Relaxed) != before.successes;
        let crashes = if has_succeeded { 1 } else { before.crashes + 1 };
        self.crashes.fetch_max(crashes, Ordering::Relaxed);
        if crashes >= CRASHES_MAX {
            self.quarantine(format!(
                "module {} is not run any more: {crashes} workers in a row ended without finishing anything; the \
                 last one {story}",
                self.name
            ));
        }
        crashes
    }

    fn quarantine(&self, verdict: String) {
        // The first reason stands.
        let _ = self.verdict.set(verdict);
        self.give_up();
    }

    fn give_up(&self) {
        let jobs = std::mem::take(&mut *self.jobs());
        for job in jobs {
            job.cancel(None);
        }
        // Their families strike them off.
        self.nested().iter().for_each(|job| job.cancel(None));
        while let Some(chunk) = self.queues.iter().find_map(deques::take) {
            chunk.job().cancel(None);
        }
    }

    /// The error that keeps the module from being run, if there is one.
    pub(crate) fn obstacle(&self) -> Option<Error> {
        self.verdict.get().map(|verdict| Error::new(ErrorKind::Quarantined, verdict))
    }

    /// Ends every job with the same failure.
    pub(crate) fn cancel_all(&self, message: &str) {
        let jobs = std::mem::take(&mut *self.jobs());
        for job in jobs {
            job.cancel(Some(Failure::new(0, FailureKind::Cancelled, message)));
        }
        // Their families strike them off.
        self.nested().iter().for_each(|job| job.cancel(None));
        while let Some(chunk) = self.queues.iter().find_map(deques::take) {
            chunk.job().cancel(Some(Failure::new(0, FailureKind::Cancelled, message)));
        }
    }

    /// The task of this name and its number.
    ///
    /// # Errors
    ///
    /// When there is none; the error lists near matches and all tasks.
    pub(crate) fn task(&self, name: &str) -> Result<(usize, &Task), Error> {
        self.catalog
            .task(name)
            .ok_or_else(|| Error::new(ErrorKind::UnknownTask, unknown_task(&self.name, &self.catalog, name)))
    }
}

fn descends(job: &Job, family: u64) -> bool {
    job.lineage.as_ref().is_some_and(|lineage| lineage.descends_from(family))
}

/// Most tasks that an error lists.
const LISTED_TASKS_MAX: usize = 40;

fn unknown_task(module: &str, catalog: &Catalog, name: &str) -> String {
    let mut text = format!("module {module} has no task `{name}`");
    let near = catalog.nearest(name);
    if !near.is_empty() {
        let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!("; did you mean {}?", near.join(" or ")));
    }
    let names: Vec<&str> =
        catalog.tasks.iter().take(LISTED_TASKS_MAX).map(|task| task.name.as_str()).collect();
    match (names.len(), catalog.tasks.len() - names.len()) {
        (0, _) if catalog.has_start => {
            text.push_str(
                "; it is a WASI command: run it with --arg '{}' or --stdin (in a program, Module::command)",
            );
        }
        (0, _) => text.push_str("; it has no tasks at all"),
        (_, 0) => text.push_str(&format!("; its tasks: {}", names.join(", "))),
        (_, more) => text.push_str(&format!("; its tasks: {} and {more} more", names.join(", "))),
    }
    text
}

/// What a module needs from the start and may not have, if there is anything, with the remedy.
pub(crate) fn excess(catalog: &Catalog, limits: &Limits) -> Option<String> {
    let most = &limits.instance;
    let needs = [
        (Limit::Memory, catalog.initial_memory_bytes, most.memory_bytes, "begins with", " bytes of memory"),
        (Limit::Tables, catalog.tables.into(), most.tables.into(), "has", " tables"),
        (
            Limit::TableElements,
            catalog.initial_table_elements,
            most.table_elements,
            "begins with",
            " elements in its tables",
        ),
    ];
    let (limit, needs, most, verb, what) = needs.into_iter().find(|(_, needs, most, ..)| needs > most)?;
    let option = limit.name().replace('-', "_");
    Some(format!("{verb} {needs}{what}, but may have {most}: raise {option}"))
}

/// What workers are told about a module's tasks.
pub(crate) fn task_entries(catalog: &Catalog) -> Vec<TaskEntries> {
    let entries = |task: &Task| TaskEntries {
        pull: task.pull.clone(),
        numeric: task.numeric.as_ref().map(|numeric| NumericEntry {
            export: numeric.export.clone(),
            parameters: numeric.signature.parameters.len() as u32,
            results: numeric.signature.results.len() as u32,
            driver: numeric.driver,
        }),
    };
    catalog.tasks.iter().map(entries).collect()
}

/// For each driver, an export of its signature.
pub(crate) fn stand_ins(catalog: &Catalog) -> Vec<String> {
    let of_driver = |index: usize| {
        let mut numeric = catalog.tasks.iter().filter_map(|task| task.numeric.as_ref());
        numeric
            .find(|numeric| numeric.driver.map(usize::from) == Some(index))
            .map(|numeric| numeric.export.clone())
    };
    (0..catalog.signatures.len()).map_while(of_driver).collect()
}

/// Name of a module file in messages.
pub(crate) fn display_name(path: &Path) -> String {
    format!("`{}`", path.display())
}
