//! The pool: worker processes, the modules they run, and the jobs they are given.
//!
//! ```text
//!  Task ──► Job ──► Chunk ──► feeder ──► Seat ══ regions ══ worker process
//!  (typed)  (book)  (calls    (thread)   (slots,
//!                    on the              ledger)
//!                    move)
//! ```
//!
//! [`Task`] turns values into inputs and results into values. A [`job`] keeps the book of its calls; [`chunk`]s carry
//! them from the job to a [`seat`], where a worker sits; a [`feeder`] per seat keeps it busy, and buries and replaces
//! workers that die. [`module`] holds what belongs to one module, [`compile`] makes its machine code. [`limits`] says
//! what each limit may be, and [`bounds`] lets callers choose. Everything that decides who gets what lies in the
//! supervisor's own memory; see `schedule` for the decisions themselves.

mod admission;
mod bounds;
mod callbacks;
mod cells;
pub(crate) mod chunk;
mod clock;
pub(crate) mod command;
pub(crate) mod compile;
mod decode;
pub(crate) mod directories;
mod error;
mod feeder;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gate;
mod gather;
mod handle;
mod imap;
mod inflow;
mod initializer;
pub(crate) mod job;
mod landing;
mod life;
pub(crate) mod limits;
pub(crate) mod module;
mod nesting;
pub(crate) mod objects;
mod outcome;
mod priority;
pub(crate) mod processes;
mod relief;
mod rests;
mod running;
mod seat;
mod shape;
mod shared;
pub(crate) mod sink;
mod slot;
pub(crate) mod source;
mod staff;
mod stats;
mod stream;
mod tally;
mod task;
mod watch;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use command::{Command, Stdin};
pub use directories::DIRECTORIES_MAX;
pub use error::{Error, ErrorKind};
pub use handle::{Completed, Completion, Handle, as_completed, wait_all, wait_any};
pub use imap::Imap;
pub use life::ScopeEnd;
pub use limits::{
    CALL_TIME_DEFAULT, DETERMINISTIC_FUEL_DEFAULT, DETERMINISTIC_TIME_DEFAULT, MEMORY_BYTES_DEFAULT,
    MODULE_BYTES_DEFAULT, PRINTED_BYTES_DEFAULT,
};
#[cfg(feature = "cli")]
pub(crate) use outcome::ending;
pub use outcome::{Failure, FailureKind, Outcome};
pub use priority::Priority;
pub use processes::{AnyResult, PROCESSES_MAX, Process, Sentinel, active_children, cpu_count};
pub use stats::{Outcomes, Stats, Times};
pub use task::Task;

use self::admission::Use;
pub use self::compile::{COMPILE_MEMORY_DEFAULT, COMPILE_TIME_DEFAULT};
use self::compile::{Cache, CompileTerms, Origin};
use self::directories::GrantedDirectory;
use self::job::Terms;
use self::limits::Limits;
use self::module::ModuleState;
#[cfg(feature = "cli")]
use self::objects::Entry;
use self::objects::{Registry, Shareable};
use self::seat::OnLine;
use self::shared::Shared;
use crate::channel::control::{CodeKind, DirRights, Service, Wishes};
use crate::channel::ring::Stream;
use crate::printable::{printable, printable_name};
use crate::process::cores;
use crate::process::reentry::{Executable, Role};
use crate::sandbox::catalog::{self, Catalog};
use crate::sandbox::compile::to_wasm;
use crate::schedule::back_off::BackOff;
use crate::shm::object::ground::Rights;
#[cfg(feature = "cli")]
use crate::shm::object::spec::{PipeShape, Spec};

/// Most workers that a pool may have.
pub const WORKERS_MAX: usize = 1024;

/// Imports that a message names when a module is refused for them.
const IMPORTS_NAMED_MAX: usize = 10;

/// Characters of the reason why a module is refused, which may hold names from the module.
const REASON_CHARACTERS_MAX: usize = 1000;

/// How often a lost worker's call is run again by itself, where nobody could tell from outside.
const LOST_RETRIES_DEFAULT: u32 = 3;

/// Most bytes of an instance's initial memory that are cleared by hand rather than given back between instances.
pub(crate) const KEEP_RESIDENT_BYTES_MAX: u64 = 2 << 20;

/// A pool of worker processes.
///
/// All workers are started at once when the pool is built. Dropping the pool ends them, and every call that is still
/// under way ends with an error of kind [`ErrorKind::Closed`]; [`close`](Self::close) and [`join`](Self::join) let calls
/// end first. Before that it ends its processes, as [`Process`] tells: daemons are terminated, all others are waited
/// for.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// let pool = wasmpool::Pool::builder().workers(2).build()?;
/// let tasks = pool.load_bytes("numbers", br#"
///     (module (func (export "cube") (param $n i64) (result i64)
///         (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0)))))
/// "#)?;
/// let cube = tasks.task::<i64, i64>("cube")?;
/// assert_eq!(cube.map(0..5)?, [0, 1, 8, 27, 64]);
/// # Ok(())
/// # }
/// ```
pub struct Pool {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    settings: Settings,
    /// Granted to all its modules.
    directories: Arc<[Arc<GrantedDirectory>]>,
}

/// What a pool is built from; see [`Pool::builder`].
pub struct Builder {
    workers: Option<usize>,
    /// All calls will have processes of their own.
    is_without_workers: bool,
    executable: Option<PathBuf>,
    settings: Settings,
    directories: Vec<(PathBuf, String, DirRights)>,
    on_output: Box<OnLine>,
}

/// What calls may do unless their task says otherwise, and what workers are born with.
#[derive(Clone, Debug)]
struct Settings {
    limits: Limits,
    retries: u32,
    back_off: BackOff,
    fresh: bool,
    recycle: u32,
    /// Where each run is to be like any other.
    seed: Option<u64>,
    environment: Vec<(String, String)>,
    cache: CachePlace,
    compiling: CompileTerms,
}

#[derive(Clone, Debug)]
enum CachePlace {
    OfUser,
    At(PathBuf),
    Nowhere,
}

impl Pool {
    /// Begins to describe a pool.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            workers: None,
            is_without_workers: false,
            executable: None,
            settings: Settings {
                limits: Limits::default(),
                retries: 0,
                back_off: BackOff::default(),
                fresh: false,
                recycle: 0,
                seed: None,
                environment: Vec::new(),
                cache: CachePlace::OfUser,
                compiling: CompileTerms::default(),
            },
            directories: Vec::new(),
            on_output: Box::new(to_stderr),
        }
    }

    /// Loads a module: a `.wasm` file, or a `.wat` file with its text form.
    ///
    /// It is compiled by a process of its own, or found in the user's cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Module`] when the file cannot be read, is not a module, is invalid, or imports what it is not
    /// given; [`ErrorKind::SetUp`] when no process can be started.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Module, Error> {
        let path = path.as_ref();
        let name = module::display_name(path);
        let bytes = read_module_named(path, &name, self.settings.limits.module_bytes)?;
        self.load_named(name, &bytes)
    }

    /// Loads a module from its bytes, binary or text; messages call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Pool::load`].
    pub fn load_bytes(&self, name: &str, bytes: &[u8]) -> Result<Module, Error> {
        self.load_named(format!("`{name}`"), bytes)
    }

    fn load_named(&self, name: String, bytes: &[u8]) -> Result<Module, Error> {
        if self.shared.gate.is_shut() {
            return Err(Error::new(ErrorKind::Closed, "the pool is closed"));
        }
        let Settings { limits, seed, .. } = &self.settings;
        let (wasm, catalog) = read_catalog(&name, bytes, limits.module_bytes)?;
        refuse_imports(
            &name,
            &catalog.ungranted_imports(),
            "tasks may import wasmpool's own functions and those of wasi_snapshot_preview1 but sockets and signals",
        )?;
        if let Some(excess) = module::excess(&catalog, limits) {
            return Err(Error::new(ErrorKind::Module, format!("module {name} {excess}")));
        }
        let code = self.settings.code();
        let cache = match &self.settings.cache {
            CachePlace::OfUser => Cache::of_user(),
            CachePlace::At(directory) => Cache::at(directory),
            CachePlace::Nowhere => None,
        };
        let compiling = &self.settings.compiling;
        let artifact =
            compile::artifact(&wasm, &name, &self.shared.executable, code, cache.as_ref(), compiling)?;
        let service = Service {
            has_drivers: artifact.has_drivers,
            limits: limits.instance_of(catalog.nests()),
            code,
            seed: *seed,
            keep_resident_bytes: catalog.initial_memory_bytes.min(KEEP_RESIDENT_BYTES_MAX),
            environment: self.settings.environment.clone(),
            tasks: module::task_entries(&catalog),
            stand_ins: module::stand_ins(&catalog),
            initializer: None,
            grants: Vec::new(),
            directories: Vec::new(),
        };
        let (terms, module_bytes_max) = (*compiling, limits.module_bytes);
        let origin = Origin { wasm, code, cache, terms, module_bytes_max };
        let (directories, tally) = (Arc::clone(&self.directories), Arc::clone(&self.shared.tally));
        let state = ModuleState::new(name.clone(), catalog, artifact, service, directories, origin, tally);
        let state = state.map_err(|error| {
            Error::new(ErrorKind::SetUp, format!("module {name} cannot be handed to workers"))
                .with_source(error)
        })?;
        self.shared.add_module(Arc::clone(&state));
        let terms = self.settings.terms(is_unseen(&state.catalog));
        Ok(Module { module: Use::new(Arc::clone(&self.shared), state), terms })
    }

    /// How many workers the pool has, or is about to have after [`Pool::resize`].
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.workers()
    }

    /// Changes how many workers the pool has: 1 to [`WORKERS_MAX`].
    ///
    /// More are started at once, in parallel. Fewer: the surplus, those with the highest numbers, are given no more
    /// calls, finish the ones that they are running, and end; what they were given and have not begun goes to the
    /// others, so that no call is lost or run twice. The function does not wait for either. Jobs may be running, and
    /// several threads may resize at the same time: the last one's number holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] for a number that is zero or too large, and for more than one worker where a
    /// [deterministic](Builder::deterministic) pool shares objects; [`ErrorKind::SetUp`] when the system gives no
    /// threads; [`ErrorKind::Closed`] for a closed pool. The pool is then as large as before.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let squares = br#"(module (func (export "square") (param i64) (result i64)
    ///     (i64.mul (local.get 0) (local.get 0))))"#;
    /// let square = pool.load_bytes("squares", squares)?.task::<i64, i64>("square")?;
    /// pool.resize(2)?;
    /// assert_eq!(pool.workers(), 2);
    /// assert_eq!(square.map(1..4)?, [1, 4, 9]);
    /// let error = pool.resize(0).unwrap_err();
    /// assert_eq!(error.to_string(), "a pool of 0 workers: choose between 1 and 1024");
    /// # Ok(())
    /// # }
    /// ```
    pub fn resize(&self, workers: usize) -> Result<(), Error> {
        self.shared.resize(staff::checked(workers)?)
    }

    /// What the pool has done since it was built, and what it is doing.
    ///
    /// Counting costs next to nothing and is always on; asking takes some microseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// let squares = br#"(module (func (export "square") (param i64) (result i64)
    ///     (i64.mul (local.get 0) (local.get 0))))"#;
    /// pool.load_bytes("squares", squares)?.task::<i64, i64>("square")?.map(0..1000)?;
    /// let stats = pool.stats();
    /// assert_eq!((stats.calls_submitted, stats.outcomes.returned), (1000, 1000));
    /// assert_eq!((stats.jobs_running, stats.jobs_ended), (0, 1));
    /// println!("{stats}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Process ids of the workers that are alive now.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        self.shared.open_seats().iter().filter_map(shared::Seat::pid).collect()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

impl Settings {
    /// How modules are compiled.
    fn code(&self) -> CodeKind {
        let is_deterministic = self.seed.is_some();
        let counts_fuel = self.limits.call_fuel(is_deterministic).is_some();
        CodeKind { counts_fuel, has_canonical_nans: is_deterministic }
    }

    /// What a call may do, of a module whose calls can be seen from outside or not.
    fn terms(&self, is_unseen: bool) -> Terms {
        let (limits, is_deterministic) = (&self.limits, self.seed.is_some());
        Terms {
            time_max: Some(limits.call_time(is_deterministic)),
            deadline: limits.deadline,
            fuel: limits.call_fuel(is_deterministic),
            retries: self.retries,
            lost_retries: if is_unseen { LOST_RETRIES_DEFAULT } else { 0 },
            back_off: self.back_off,
            priority: Priority::Normal,
            stop_on_failure: true,
            fresh: self.fresh,
            recycle: self.recycle,
            timed: false,
            printed_bytes_max: limits.printed_bytes,
            result_bytes_max: limits.result_bytes,
            result_depth_max: limits.result_depth,
        }
    }
}

impl Builder {
    /// How many workers: 1 to [`WORKERS_MAX`]. Without it, one per core that this process may use.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// No workers at all: each call will have a process of its own.
    #[cfg(feature = "cli")]
    pub(crate) fn without_workers(mut self) -> Self {
        self.is_without_workers = true;
        self
    }

    /// Longest time that a call may take: a millisecond to a year, [`CALL_TIME_DEFAULT`] unless said otherwise. A call that takes longer is
    /// stopped, within milliseconds, and ends as [`FailureKind::TimedOut`].
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.time = Some(limit);
        self
    }

    /// How often a call is tried again that failed, panicked, trapped, exited, or lost its worker; 0 unless said
    /// otherwise. A call whose worker is lost in its last instants may have run to its end: attempts are *at least*
    /// what was seen.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// How long a call rests before it is [tried again](Self::retries): `first` before the second attempt, then twice as
    /// long each time, up to `most`. No rest unless said otherwise; a day at most.
    ///
    /// Each rest is up to a quarter longer than that, by the call's index, so that calls which failed together do not all
    /// come back together. A call that rests takes neither a worker nor a thread, and other calls of its job go on
    /// meanwhile; the job's deadline does not wait for it.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// use std::time::{Duration, Instant};
    ///
    /// let (first, most) = (Duration::from_millis(20), Duration::from_secs(1));
    /// let pool = wasmpool::Pool::builder().workers(1).retries(2).retry_delay(first, most).build()?;
    /// let traps = pool.load_bytes("traps", br#"(module (func (export "trap") unreachable))"#)?;
    /// let begin = Instant::now();
    /// let error = traps.task::<(), ()>("trap")?.apply(()).unwrap_err();
    /// assert_eq!(error.failure().unwrap().attempt(), 3);
    /// assert!(begin.elapsed() >= first + 2 * first);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn retry_delay(mut self, first: Duration, most: Duration) -> Self {
        self.settings.back_off = BackOff { first, most };
        self
    }

    /// Whether every call gets an instance of its own, which costs microseconds; otherwise a worker keeps its
    /// instance, and with it the module's globals, from call to call.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.settings.fresh = fresh;
        self
    }

    /// Replaces a worker's instance after so many calls; 0, which is usual, for never.
    #[must_use]
    pub fn recycle(mut self, calls: u32) -> Self {
        self.settings.recycle = calls;
        self
    }

    /// Most bytes of memory that an instance may have, all its memories and tables together: 64 KiB to 4 GiB,
    /// [`MEMORY_BYTES_DEFAULT`] unless said otherwise. More is refused to the guest; a trap that follows ends the call
    /// as [`FailureKind::OutOfMemory`].
    #[must_use]
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.settings.limits.instance.memory_bytes = bytes;
        self
    }

    /// All limits at once.
    #[cfg(feature = "cli")]
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Most bytes that a call may print: up to 1 TiB, [`PRINTED_BYTES_DEFAULT`] unless said otherwise. A call that prints
    /// more ends as [`FailureKind::OutputTooLarge`].
    #[must_use]
    pub fn max_output(mut self, bytes: u64) -> Self {
        self.settings.limits.printed_bytes = bytes;
        self
    }

    /// Most bytes of memory that compiling a module may take; [`COMPILE_MEMORY_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn max_compile_memory(mut self, bytes: u64) -> Self {
        self.settings.compiling.memory_bytes_max = bytes;
        self
    }

    /// Longest time that compiling a module may take; [`COMPILE_TIME_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn max_compile_time(mut self, limit: Duration) -> Self {
        self.settings.compiling.time_max = limit;
        self
    }

    /// Runs modules also on a machine whose kernel cannot take every right from the processes that do it.
    ///
    /// Without it such a machine gives an error that names the rights and what would take them away. With it the
    /// processes are confined as far as the kernel can; nothing is left out that works. `wasmpool doctor` shows how
    /// far that is.
    #[must_use]
    pub fn insecure(mut self, accepted: bool) -> Self {
        self.settings.compiling.wishes.insecure = accepted;
        self
    }

    /// Gives guests an environment variable. They have none of the host's.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.environment.push((name.into(), value.into()));
        self
    }

    /// Lets guests work in a directory, which they find under the path `guest`. They see no other files.
    ///
    /// It is opened when the pool is built: whatever takes the place of `host` later is not theirs. Nothing leads out
    /// of it, neither `..` nor symbolic links, renaming or linking; FIFOs, devices and sockets in it cannot be opened.
    /// What a call leaves open stays open as long as its instance; see [`Builder::fresh`].
    ///
    /// At most [`DIRECTORIES_MAX`] may be granted. How much guests write in one is not limited.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasmpool::{DirRights, Pool};
    ///
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = Pool::builder()
    ///     .dir("/var/lib/corpus", "/corpus", DirRights::ReadOnly)
    ///     .dir("results", "/results", DirRights::ReadWrite)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>, rights: DirRights) -> Self {
        self.directories.push((host.into(), guest.into(), rights));
        self
    }

    /// Who takes the lines that guests print: whole lines, without their ends, in the order of each worker. Without
    /// it they go to this process's standard error.
    ///
    /// It is called by the threads that feed the workers: one that is slow slows its worker down. What a guest
    /// prints is any bytes at all: escape them before they go to a terminal.
    #[must_use]
    pub fn on_output(mut self, take: impl Fn(Stream, &[u8]) + Send + Sync + 'static) -> Self {
        self.on_output = Box::new(take);
        self
    }

    /// Keeps compiled modules in this directory rather than in the user's cache. It must belong to the user, and
    /// nobody else may be able to write to it; otherwise it is not used.
    #[must_use]
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.cache = CachePlace::At(directory.into());
        self
    }

    /// Keeps no compiled modules: each is compiled when it is loaded.
    #[must_use]
    pub fn no_cache(mut self) -> Self {
        self.settings.cache = CachePlace::Nowhere;
        self
    }

    /// Starts workers and compilers from this executable rather than from the one that this process runs.
    ///
    /// For programs that cannot call [`init`](crate::init), such as plugins of programs that somebody else wrote. The
    /// executable has to call it, as the `wasmpool` command of the same version does; one of another version is
    /// refused when the first of its processes says hello.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = wasmpool::Pool::builder().worker_executable("/usr/local/bin/wasmpool").build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn worker_executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] for a number of workers that is zero or too large, for limits outside of their ranges and
    /// for those that contradict each other, a directory that cannot be granted, and a worker executable that cannot be
    /// run; [`ErrorKind::SetUp`] when none was named and
    /// [`init`](crate::init) has not run, or when the system gives no threads.
    pub fn build(self) -> Result<Pool, Error> {
        let workers = self.workers.unwrap_or_else(|| cores::available().min(WORKERS_MAX));
        let workers = if self.is_without_workers { 0 } else { staff::checked(workers)? };
        self.settings.limits.check()?;
        limits::check_back_off(self.settings.back_off)?;
        let executable = executable(self.executable.as_deref())?;
        let mut directories = Vec::new();
        for (host, guest, rights) in &self.directories {
            directories::with_one_more(&mut directories, GrantedDirectory::open(host, guest, *rights)?)?;
        }
        // Most likely all modules have these directories.
        let wishes =
            Wishes { directories: directories::access(&directories), ..self.settings.compiling.wishes };
        let pool = Pool {
            shared: Shared::new(executable, wishes, unwinding_stops_here(self.on_output)),
            registry: Registry::new(),
            settings: self.settings,
            directories: directories.into(),
        };
        pool.shared.resize(workers)?;
        Ok(pool)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("workers", &self.workers).finish_non_exhaustive()
    }
}

/// A module that a pool has loaded. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    module: Use,
    terms: Terms,
}

impl Module {
    /// Names of its tasks, sorted.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.module.base().catalog.tasks.iter().map(|task| task.name.as_str())
    }

    /// A task that takes `A` and returns `R`.
    ///
    /// `A` is the tuple of the task's parameters; for one parameter it may be that parameter's type itself. A task
    /// without parameters takes `()`, and one without a result returns `()`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownTask`] when the module has no such task, [`ErrorKind::Signature`] when the number of
    /// parameters or a primitive type differs. Types that are not primitive are checked call by call.
    pub fn task<A, R>(&self, name: &str) -> Result<Task<A, R>, Error> {
        Task::new(self, name)
    }

    /// The module as a program, to be run once per call: what a WASI preview 1 toolchain makes of a `main`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownTask`] when it exports no `_start`.
    pub fn command(&self) -> Result<Command, Error> {
        Command::new(self.module.clone(), self.terms.clone())
    }

    /// The module with a shared object that all its tasks may use.
    ///
    /// A guest opens it by its name. A module with grants has workers of its own, which the pool starts when the
    /// first call needs them.
    #[must_use]
    pub fn grant(mut self, object: &impl Shareable) -> Self {
        self.module.grant(object.entry(), Rights::ReadWrite);
        self
    }

    /// The module with a shared object that all its tasks may look at, and none may change.
    #[must_use]
    pub fn grant_read(mut self, object: &impl Shareable) -> Self {
        self.module.grant(object.entry(), Rights::Read);
        self
    }

    /// The module with a directory that its tasks may work in, besides those that its pool grants to all modules.
    ///
    /// Everything else is as with [`Builder::dir`], but that the directory is opened now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] when it cannot be opened, or when `guest` is the path of another one.
    pub fn grant_dir(
        mut self,
        host: impl AsRef<Path>,
        guest: &str,
        rights: DirRights,
    ) -> Result<Self, Error> {
        self.module.grant_directory(GrantedDirectory::open(host.as_ref(), guest, rights)?)?;
        Ok(self)
    }
}

/// What the command line needs beyond typed objects: it says their sizes and types in words.
#[cfg(feature = "cli")]
impl Pool {
    /// Makes a shared object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] for a name or a size that cannot be; [`ErrorKind::SetUp`] when there is not enough memory.
    pub(crate) fn create_object(&self, name: &str, spec: Spec) -> Result<Arc<Entry>, Error> {
        self.registry.create(name, spec)
    }

    /// Makes both ends of a pipe, under the names `name.0` and `name.1`.
    ///
    /// # Errors
    ///
    /// As [`Self::create_object`].
    pub(crate) fn create_pipe(&self, name: &str, shape: PipeShape) -> Result<[Arc<Entry>; 2], Error> {
        self.registry.create_pipe(name, shape)
    }
}

/// What the command line needs beyond typed tasks: it brings its own inputs and takes results as they come.
#[cfg(feature = "cli")]
impl Module {
    /// The module with a shared object that all its tasks may use.
    pub(crate) fn grant_entry(mut self, entry: &Arc<Entry>) -> Self {
        self.module.grant(entry, Rights::ReadWrite);
        self
    }

    /// The task of this name and its number.
    pub(crate) fn find(&self, name: &str) -> Result<(usize, &catalog::Task), Error> {
        self.module.base().task(name)
    }

    /// The cheapest way to run a task on the module's terms with some changes.
    pub(crate) fn work(
        &self,
        task: usize,
        codec: wasmpool_abi::Codec,
        change: impl FnOnce(&mut Terms),
        look_ahead: u64,
    ) -> Result<job::Work, Error> {
        let mut terms = self.terms.clone();
        change(&mut terms);
        Ok(job::Work::new(Arc::clone(self.module.module()?), task, codec, terms, look_ahead))
    }

    /// Runs of the module as a program, on its terms with some changes.
    pub(crate) fn command_work(
        &self,
        change: impl FnOnce(&mut Terms),
        look_ahead: u64,
    ) -> Result<job::Work, Error> {
        self.command()?;
        let mut terms = self.terms.clone();
        change(&mut terms);
        Ok(job::Work::command(Arc::clone(self.module.module()?), terms, look_ahead))
    }

    /// Offers a job's calls to the workers.
    pub(crate) fn submit(&self, job: &Arc<job::Job>) -> Result<(), Error> {
        self.module.shared().submit(job)
    }

    /// Runs a job of one call as [`Task::apply`] does, on a worker that has nothing to do if there is one.
    ///
    /// # Errors
    ///
    /// What ended it before its time.
    pub(crate) fn run_one(&self, job: &Arc<job::Job>) -> Result<(), Error> {
        let shared = self.module.shared();
        shared.run_single(job);
        shared.conclude(job).map_or(Ok(()), Err)
    }

    /// Starts a process of its own for each call of a job, as its input comes; see [`processes::start_each`].
    pub(crate) fn start_each(&self, job: &Arc<job::Job>) -> Result<(), Error> {
        processes::start_each(&self.module, job)
    }

    /// Strikes a job off that is over, and says what ended it before its time.
    pub(crate) fn conclude(&self, job: &Arc<job::Job>) -> Option<Error> {
        self.module.shared().conclude(job)
    }

    /// Wakes feeders that sleep: there are more inputs, or more room for results.
    pub(crate) fn wake_feeders(&self) {
        self.module.shared().lobby.ring();
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.module.base().name).finish_non_exhaustive()
    }
}

/// The executable that processes are started from: the named one, or else the one that this process runs.
///
/// # Errors
///
/// When there is none, or when this process is itself one that a pool has started and should not have come this far.
pub(crate) fn executable(named: Option<&Path>) -> Result<Executable, Error> {
    if Role::of_this_process().is_some() {
        let text = "this process was started to be a worker and builds a pool instead: call wasmpool::init() first \
                    thing in main";
        return Err(Error::new(ErrorKind::SetUp, text));
    }
    let Some(path) = named else {
        let text = "wasmpool::init() has not been called: make it the first statement of main, because worker \
                    processes are this same executable, started again (tests use wasmpool::test_support!()), or name \
                    an executable that calls it by worker_executable";
        return Executable::own().ok_or_else(|| Error::new(ErrorKind::SetUp, text));
    };
    Executable::at(path).map_err(|error| {
        let text = format!("the worker executable `{}` cannot be run", path.display());
        Error::new(ErrorKind::Setting, text).with_source(error)
    })
}

/// Keeps a panic of the caller's closure from the thread that feeds a worker; the line is lost.
fn unwinding_stops_here(on_line: Box<OnLine>) -> Box<OnLine> {
    Box::new(move |stream, line| {
        let _ = catch_unwind(AssertUnwindSafe(|| on_line(stream, line)));
    })
}

/// Prints guests' lines to this process's standard error.
fn to_stderr(_stream: Stream, line: &[u8]) {
    use std::io::Write;
    let mut text = crate::printable::line(line);
    text.push('\n');
    // There is nobody to tell that nobody can be told.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Reads a module's file; messages call it `name`.
///
/// One that has more than `bytes_max` is not read.
pub(crate) fn read_module_named(path: &Path, name: &str, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorKind::Module, format!("module {name} cannot be read")).with_source(error)
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > bytes_max {
        return Err(module_too_large(name, length, bytes_max));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // What is no plain file has no length beforehand, and a plain one may grow meanwhile.
    file.by_ref().take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn module_too_large(name: &str, bytes: u64, bytes_max: u64) -> Error {
    let text = format!("module {name} has {bytes} bytes, but may have {bytes_max}: raise max_module");
    Error::new(ErrorKind::Module, text)
}

/// Reads what a module offers, after turning text into the binary form.
pub(crate) fn read_catalog(name: &str, bytes: &[u8], bytes_max: u64) -> Result<(Vec<u8>, Catalog), Error> {
    if bytes.len() as u64 > bytes_max {
        return Err(module_too_large(name, bytes.len() as u64, bytes_max));
    }
    let unusable = |error: &dyn std::fmt::Display| {
        // It may name things by the module's own, endless words.
        let reason = error.to_string();
        let reason = printable(&reason, REASON_CHARACTERS_MAX);
        Error::new(ErrorKind::Module, format!("module {name} cannot be used: {reason}"))
    };
    let wasm = to_wasm(bytes).map_err(|error| unusable(&error))?;
    let catalog = catalog::read(&wasm).map_err(|error| unusable(&error))?;
    Ok((wasm.into_owned(), catalog))
}

/// Refuses a module that imports what it is not given, by name; `rule` tells what it may import.
///
/// # Errors
///
/// [`ErrorKind::Module`] when there is any.
pub(crate) fn refuse_imports(name: &str, ungranted: &[&catalog::Import], rule: &str) -> Result<(), Error> {
    if ungranted.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = ungranted
        .iter()
        .take(IMPORTS_NAMED_MAX)
        .map(|import| format!("`{}` from `{}`", printable_name(&import.name), printable_name(&import.module)))
        .collect();
    if ungranted.len() > IMPORTS_NAMED_MAX {
        names.push(format!("and {} more", ungranted.len() - IMPORTS_NAMED_MAX));
    }
    let text = format!("module {name} imports what it is not given: {}; {rule}", names.join(", "));
    Err(Error::new(ErrorKind::Module, text))
}

/// Whether running a call twice cannot be told from running it once: the module has no way to be seen from outside.
///
/// What it may be granted later is [`ModuleState::can_leave_traces`]' affair.
fn is_unseen(catalog: &Catalog) -> bool {
    const SEEN: [&str; 1] = ["fd_write"];
    catalog.imports.iter().all(|import| !SEEN.contains(&import.name.as_str()))
}
