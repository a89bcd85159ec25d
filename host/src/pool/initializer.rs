//! Initializers: a task of a module that runs in each of its instances before the first call, or once for all.
//!
//! A module with an initializer is, to everybody who schedules, a module of its own, like one with grants
//! ([`admission`](super::admission)): its workers are told the task and its arguments, and run it in each instance that
//! they make (`sandbox::initializer`). With a snapshot they are told nothing: their code is another one, which begins
//! where an instance stood after the initializer (`sandbox::snapshot` has the steps and who takes them). Here the
//! snapshot is asked for, as a job of one call, so that the initializer is watched, stopped, tried again and reported as
//! any call is.
//!
//! # When it fails
//!
//! Without instances no call can run. So the first failure that is final ends the job, also one that otherwise goes on
//! after failed calls, with one error that names the initializer. What may pass is tried again as often as a call would
//! be, counted over the whole job ([`Job::failed_to_initialize`]); in the worker at most once per order
//! (`sandbox::tenant`). The next job begins afresh. A module whose initializer kills its workers is quarantined as any
//! that does.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use serde::Serialize;

use super::Module;
use super::admission::Admission;
use super::compile::Origin;
use super::directories::GrantedDirectory;
use super::error::{Error, ErrorKind};
use super::job::{Job, Terms, Work};
use super::module::{Artifact, ModuleState};
use super::outcome::Failure;
use super::shared::Shared;
use super::sink::{Results, Sink};
use super::source::Integers;
use super::task::{check_arguments, encode_cells, encode_message_pack};
use crate::channel::control::{Arguments, Form, Initializer};
use crate::channel::order::Entry;
use crate::sandbox::snapshot::region_bytes;
use crate::shm::region::{Region, Writer};

/// How the instances of a module begin.
#[derive(Clone)]
pub(crate) struct Start {
    /// Name of the initializer.
    pub(crate) name: Arc<str>,
    pub(crate) initializer: Arc<Initializer>,
    /// What it may do while a snapshot is taken.
    terms: Terms,
    snapshot: Option<Arc<Snapshot>>,
}

/// What came of taking a snapshot.
enum Snapshot {
    Taken(Warm),
    /// There can be none, and why.
    Refused(String),
}

/// A module that begins where its initializer ended.
pub(crate) struct Warm {
    pub(crate) artifact: Arc<Artifact>,
    /// Bytes of its memory that are not zeros, about.
    pub(crate) image_bytes: u64,
}

impl Start {
    /// Whether instances of both begin alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_same_snapshot = match (&self.snapshot, &other.snapshot) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        is_same_snapshot && self.initializer == other.initializer
    }

    /// The snapshot to begin from, if there is one.
    pub(crate) fn warm(&self) -> Option<&Warm> {
        match self.snapshot.as_deref() {
            Some(Snapshot::Taken(warm)) => Some(warm),
            _ => None,
        }
    }

    /// Takes the snapshot again, if there is one: what the initializer could see of files has changed.
    pub(super) fn renew(
        &mut self,
        shared: &Arc<Shared>,
        base: &ModuleState,
        directories: &[Arc<GrantedDirectory>],
    ) -> Result<(), Error> {
        if self.snapshot.is_some() { self.take_snapshot(shared, base, directories) } else { Ok(()) }
    }

    /// Takes a snapshot, or finds that there can be none.
    fn take_snapshot(
        &mut self,
        shared: &Arc<Shared>,
        base: &ModuleState,
        directories: &[Arc<GrantedDirectory>],
    ) -> Result<(), Error> {
        self.snapshot = None;
        let snapshot = match self.warmed(shared, base, directories) {
            Ok(warm) => Snapshot::Taken(warm),
            Err(error) if error.kind() == ErrorKind::Module => Snapshot::Refused(error.to_string()),
            Err(error) => return Err(error),
        };
        self.snapshot = Some(Arc::new(snapshot));
        Ok(())
    }

    /// # Errors
    ///
    /// [`ErrorKind::Module`] when there can be no snapshot of the module.
    fn warmed(
        &self,
        shared: &Arc<Shared>,
        base: &ModuleState,
        directories: &[Arc<GrantedDirectory>],
    ) -> Result<Warm, Error> {
        let no_room = |error: std::io::Error| {
            let text = format!("there is no memory for a snapshot of module {}", base.name);
            Error::new(ErrorKind::SetUp, text).with_source(error)
        };
        let origin: &Origin = &base.origin;
        let instrumented = origin.compile(&base.name, &shared.executable, Form::Instrumented, None)?;
        let bytes = region_bytes(base.memory_bytes_max());
        let (_, region) =
            Region::create("wasmpool-snapshot", bytes as usize, Writer::Worker).map_err(no_room)?;
        let region = Arc::new(Model { region, bytes });
        let state =
            base.model(self, Arc::new(instrumented), directories, Arc::clone(&region)).map_err(no_room)?;
        run_initializer(shared, state, &self.terms)?;
        let form = Form::Warmed { module_bytes_max: origin.module_bytes_max };
        let artifact = origin.compile(&base.name, &shared.executable, form, Some(region.region.as_fd()))?;
        let image_bytes = rustix::fs::fstat(&region.region).map_or(0, |stat| stat.st_blocks as u64 * 512);
        Ok(Warm { artifact: Arc::new(artifact), image_bytes })
    }
}

/// Where an instance is copied to.
pub(crate) struct Model {
    pub(crate) region: OwnedFd,
    pub(crate) bytes: u64,
}

/// Has a worker make an instance of the instrumented module, whose one purpose is to be copied.
fn run_initializer(shared: &Arc<Shared>, state: Arc<ModuleState>, terms: &Terms) -> Result<(), Error> {
    shared.add_module(Arc::clone(&state));
    // Struck off when this returns.
    let _admission = Admission::new(Arc::clone(shared), Arc::clone(&state), None);
    let lost_retries = if state.can_leave_traces() { 0 } else { terms.lost_retries };
    let terms = Terms { fresh: true, stop_on_failure: true, deadline: None, lost_retries, ..terms.clone() };
    // The entry says how the answer comes back: without a result, as the worker runs no task.
    let entry = Entry::Pull(wasmpool_abi::Codec::MessagePack);
    let work = Work { module: state, task: 0, entry, width: 0, terms, look_ahead: u64::MAX };
    let job = Job::new(work, Box::new(Integers { start: 0 }), Arc::new(Nowhere));
    job.announce(1, true);
    shared.submit(&job)?;
    job.wait(None);
    shared.conclude(&job).map_or(Ok(()), Err)
}

/// Takes results that are none.
struct Nowhere;

impl Sink for Nowhere {
    fn returned(&self, _first: u64, _results: Results<'_>) -> Result<(), Vec<Failure>> {
        Ok(())
    }

    fn failed(&self, _failure: &Failure) {}
}

impl Module {
    /// The module with a task that runs once in every instance before its first call, like Python's
    /// `Pool(initializer=f, initargs=(...))`.
    ///
    /// `arguments` are its parameters as a tuple, or the value itself for one parameter. Its result is ignored. It runs
    /// in each instance that a worker makes: once per worker where instances are kept, for each call with
    /// [`fresh`](super::Builder::fresh), and again after an instance was replaced, by
    /// [`recycle`](super::Builder::recycle) or after a failure. The call that the instance is made for waits, in its own
    /// time limit; otherwise the initializer has the limits and the grants of a call. What it opens of shared objects is
    /// closed when it ends; files stay open as long as the instance.
    ///
    /// When it fails, no call can run: the job ends with one error of [`ErrorKind::Initializer`], after as many attempts
    /// as a call would have. That goes for jobs, too, that otherwise survive failed calls. Other modules go on.
    ///
    /// In a deterministic pool it sees the time and the chance of the call that its instance is made for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownTask`] and [`ErrorKind::Signature`] as for [`Module::task`]; [`ErrorKind::Signature`] also
    /// when the arguments cannot be encoded.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// let module = pool.load_bytes("scale", br#"(module
    ///     (global $factor (mut i64) (i64.const 1))
    ///     (func (export "set_factor") (param i64) (global.set $factor (local.get 0)))
    ///     (func (export "scale") (param i64) (result i64)
    ///         (i64.mul (local.get 0) (global.get $factor))))"#)?;
    /// let module = module.initializer("set_factor", 10_i64)?;
    /// assert_eq!(module.task::<i64, i64>("scale")?.map(0..4)?, [0, 10, 20, 30]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn initializer<A: Serialize>(self, task: &str, arguments: A) -> Result<Self, Error> {
        let (number, entered) = self.module.base().task(task)?;
        check_arguments::<A>(entered)?;
        let encoded = match (&entered.pull, &entered.numeric) {
            (None, Some(numeric)) => {
                encode_cells(&arguments, &numeric.signature.parameters).map(Arguments::Cells)
            }
            _ => encode_message_pack(&arguments).map(Arguments::MessagePack),
        };
        let encoded = encoded.map_err(|reason| {
            Error::new(ErrorKind::Signature, format!("initializer `{task}` cannot be called: {reason}"))
        })?;
        Ok(self.initialized_by(number, encoded))
    }

    /// The same, with arguments that are encoded already.
    pub(crate) fn initialized_by(mut self, task: usize, arguments: Arguments) -> Self {
        let name = self.module.base().catalog.tasks[task].name.as_str().into();
        let initializer = Arc::new(Initializer { task: task as u32, arguments });
        self.module.start(Start { name, initializer, terms: self.terms.clone(), snapshot: None });
        self
    }

    /// The module with its initializer run once, now: all its instances begin where that one ended.
    ///
    /// The initializer runs in a worker of its own; the memories and globals of its instance are written into a new
    /// module, which is compiled in the module's place. So a fresh call costs what it costs without an initializer, and
    /// a little more for each page that it touches. Constructors are part of the snapshot and do not run again either.
    ///
    /// Random numbers that were drawn, hash seeds among them, and times that were read are the same in all
    /// instances. A task that draws its secrets from a generator that the initializer has seeded draws the same in each
    /// instance. In a deterministic pool the initializer sees the time and the chance of a job's first call. It may read
    /// files in directories that the module is granted by now, and a directory granted later has it run again; it must
    /// leave none open. Shared objects it cannot open.
    ///
    /// A module that no snapshot can be taken of runs its initializer in each instance, as without this;
    /// [`Module::snapshot_refusal`] says why. Snapshots are kept as long as the module, and never on disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] without an initializer, [`ErrorKind::Initializer`] when it fails, and as [`Module::task`]'s
    /// methods when nothing can be run.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).fresh(true).build()?;
    /// let module = pool.load_bytes("table", br#"(module
    ///     (memory 1)
    ///     (func (export "fill") (i32.store (i32.const 8) (i32.const 42)))
    ///     (func (export "look") (result i32) (i32.load (i32.const 8))))"#)?;
    /// let module = module.initializer("fill", ())?.snapshot()?;
    /// assert_eq!(module.snapshot_refusal(), None);
    /// assert_eq!(module.task::<(), i32>("look")?.map([(), ()])?, [42, 42]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(mut self) -> Result<Self, Error> {
        self.module.change_start(|start, shared, base, directories| match start {
            Some(start) => start.take_snapshot(shared, base, directories),
            None => {
                let text =
                    format!("a snapshot of module {} without an initializer: name one first", base.name);
                Err(Error::new(ErrorKind::Setting, text))
            }
        })?;
        Ok(self)
    }

    /// Why there is no snapshot of this module, where one was asked for; in words.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let module = pool.load_bytes("table", br#"(module
    ///     (table 1 funcref)
    ///     (func (export "forget") (table.set (i32.const 0) (ref.null func))))"#)?;
    /// let module = module.initializer("forget", ())?.snapshot()?;
    /// assert_eq!(module.snapshot_refusal(), Some("unsupported `table.set` instruction"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot_refusal(&self) -> Option<&str> {
        match self.module.started()?.snapshot.as_deref()? {
            Snapshot::Refused(reason) => Some(reason),
            Snapshot::Taken(_) => None,
        }
    }
}
