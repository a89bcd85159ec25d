//! A task as its caller sees it: a function from values to values, run by the pool.
//!
//! Here is what blocks. [`later`] gives handles instead, [`lazy`] iterators.

mod later;
mod lazy;

use std::any::TypeId;
use std::collections::TryReserveError;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use wasmpool_abi::Codec;

use super::admission::Use;
use super::decode::ResultForm;
use super::directories::GrantedDirectory;
use super::error::{Error, ErrorKind};
use super::gate::Entry as Entrance;
use super::gather::Gather;
use super::job::{Job, Terms, Work};
use super::limits;
use super::module::ModuleState;
use super::objects::Shareable;
use super::outcome::{Failure, FailureKind, Outcome};
use super::priority::Priority;
use super::processes::{self, Life, Process};
use super::shape::Shape;
use super::shared::Shared;
use super::source::{Block, Blocks, Integers, Source};
use super::stream::Current;
use super::{Module, cells};
use crate::channel::control::DirRights;
use crate::channel::layout::VALUE_BYTES_MAX;
use crate::channel::order::Entry;
use crate::sandbox::catalog::Task as Entered;
use crate::sandbox::driver::{Number, Signature};
use crate::schedule::back_off::BackOff;
use crate::shm::object::ground::Rights;

/// Inputs of the first block; the next ones double, so that workers begin soon and blocks become few.
pub(super) const FIRST_BLOCK_CALLS: u64 = 64;

/// Most inputs of a block.
pub(super) const BLOCK_CALLS_MAX: u64 = 1 << 16;

/// Bytes of inputs after which a block ends.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 20;

/// How far inputs are encoded ahead of being handed out, in blocks of about [`BLOCK_BYTES_MAX`].
const BLOCKS_AHEAD: u64 = 16;

/// Inputs announced ahead of the cursor when nothing is known of their size.
const CALLS_AHEAD_MIN: u64 = 4;

/// A task of a loaded module, taking `A` and returning `R`. Cheap to clone.
///
/// Calls run in worker processes, any number at a time.
///
/// | blocks until its calls have ended | gives a [`Handle`](crate::Handle) at once | gives results as they come |
/// |---|---|---|
/// | [`apply`](Self::apply) | [`apply_async`](Self::apply_async) | |
/// | [`map`](Self::map), [`map_outcomes`](Self::map_outcomes) | [`map_async`](Self::map_async) | [`imap`](Self::imap), [`imap_unordered`](Self::imap_unordered) |
/// | [`starmap`](Self::starmap) | [`starmap_async`](Self::starmap_async) | |
pub struct Task<A, R> {
    module: Use,
    number: usize,
    terms: Terms,
    /// How `A` is written for a guest.
    form: ArgumentForm,
    /// What calls that are submitted one by one join.
    stream: Current<R>,
    signature: PhantomData<fn(A) -> R>,
}

/// How a caller's arguments become the one array that a guest expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArgumentForm {
    /// The unit: an array of nothing.
    Nothing,
    /// A tuple: an array as it is.
    Tuple,
    /// One argument, to be put into an array.
    Single,
}

impl ArgumentForm {
    fn of<A>() -> Self {
        match Shape::of::<A>() {
            Shape::Tuple(elements) if elements.is_empty() => Self::Nothing,
            Shape::Tuple(_) => Self::Tuple,
            Shape::Scalar(_) | Shape::Opaque => Self::Single,
        }
    }
}

impl<A, R> Clone for Task<A, R> {
    fn clone(&self) -> Self {
        Self {
            module: self.module.clone(),
            number: self.number,
            terms: self.terms.clone(),
            form: self.form,
            stream: self.stream.clone(),
            signature: PhantomData,
        }
    }
}

impl<A, R> std::fmt::Debug for Task<A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl<A, R> Task<A, R> {
    pub(super) fn new(module: &Module, name: &str) -> Result<Self, Error> {
        let (number, task) = module.module.base().task(name)?;
        check_signature::<A, R>(task)?;
        Ok(Self {
            module: module.module.clone(),
            number,
            terms: module.terms.clone(),
            form: ArgumentForm::of::<A>(),
            stream: Current::default(),
            signature: PhantomData,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.module.base().catalog.tasks[self.number].name
    }

    /// The task with another time limit per call.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.terms.time_max = Some(limit);
        self
    }

    /// The task with another time limit per job; see [`Builder::deadline`](super::Builder::deadline).
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.terms.deadline = Some(limit);
        self
    }

    /// The task with other fuel per call, in a pool that has some; see [`Builder::fuel`](super::Builder::fuel).
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.terms.fuel = Some(units);
        self
    }

    /// The task with another number of retries per call; see [`Builder::retries`](super::Builder::retries).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.terms.retries = retries;
        self
    }

    /// The task with other rests before a call is tried again; see [`Builder::retry_delay`](super::Builder::retry_delay).
    #[must_use]
    pub fn retry_delay(mut self, first: Duration, most: Duration) -> Self {
        self.terms.back_off = BackOff { first, most };
        self
    }

    /// The task with another priority than [`Priority::Normal`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.terms.priority = priority;
        self
    }

    /// The task with an instance of its own for every call, or not.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.terms.fresh = fresh;
        self
    }

    /// The task with a shared object that its calls may use; see [`Module::grant`].
    #[must_use]
    pub fn grant(mut self, object: &impl Shareable) -> Self {
        self.module.grant(object.entry(), Rights::ReadWrite);
        self
    }

    /// The task with a shared object that its calls may look at, and not change.
    #[must_use]
    pub fn grant_read(mut self, object: &impl Shareable) -> Self {
        self.module.grant(object.entry(), Rights::Read);
        self
    }

    /// The task with a directory that its calls may work in; see [`Module::grant_dir`].
    ///
    /// # Errors
    ///
    /// As [`Module::grant_dir`].
    pub fn grant_dir(
        mut self,
        host: impl AsRef<Path>,
        guest: &str,
        rights: DirRights,
    ) -> Result<Self, Error> {
        self.module.grant_directory(GrantedDirectory::open(host.as_ref(), guest, rights)?)?;
        Ok(self)
    }

    fn listed(&self) -> &Entered {
        &self.module.base().catalog.tasks[self.number]
    }

    /// The numbers it takes and returns, when it is entered as a task of numbers.
    fn signature(&self) -> Option<&Signature> {
        self.listed().numeric.as_ref().map(|numeric| &numeric.signature)
    }
}

impl<A: Serialize, R: DeserializeOwned + Send + 'static> Task<A, R> {
    /// Runs one call per input and returns the results in the inputs' order, like Python's `Pool.map`.
    ///
    /// Inputs may be any number, also too many for memory; ranges of integers are never written down.
    ///
    /// # Errors
    ///
    /// When a call fails: the error names the failing call with the lowest index, whichever failed first in time.
    /// Calls before it have all run to their end, calls after it are stopped.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// let halves = br#"(module (func (export "half") (param f64) (result f64)
    ///     (f64.div (local.get 0) (f64.const 2))))"#;
    /// let half = pool.load_bytes("halves", halves)?.task::<f64, f64>("half")?;
    /// assert_eq!(half.map(vec![1.0, 5.0])?, [0.5, 2.5]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map(&self, inputs: impl IntoIterator<Item = A>) -> Result<Vec<R>, Error> {
        let (gathered, total) = self.run(inputs, true)?;
        // SAFETY: the job is over without a failure, so each of its calls has returned, and its feeders are done.
        #[allow(unsafe_code, reason = "the job vouches for every result")]
        Ok(unsafe { gathered.finish(total) })
    }

    /// The same as [`Task::map`], under the name that `multiprocessing` gives it when each input is a tuple of
    /// arguments.
    ///
    /// # Errors
    ///
    /// As [`Task::map`].
    pub fn starmap(&self, inputs: impl IntoIterator<Item = A>) -> Result<Vec<R>, Error> {
        self.map(inputs)
    }

    /// Runs one call per input and returns what became of each, in the inputs' order. A failing call stops nothing.
    ///
    /// # Errors
    ///
    /// Only when the job as a whole cannot be run.
    pub fn map_outcomes(&self, inputs: impl IntoIterator<Item = A>) -> Result<Vec<Outcome<R>>, Error> {
        let (gathered, total) = self.run(inputs, false)?;
        // SAFETY: the job is over, so each of its calls has returned or failed, and its feeders are done.
        #[allow(unsafe_code, reason = "the job vouches for every outcome")]
        Ok(unsafe { gathered.finish_outcomes(total) })
    }

    /// Runs one call, like Python's `Pool.apply`.
    ///
    /// An idle worker is handed the call directly.
    ///
    /// # Errors
    ///
    /// When the call fails, or cannot be run.
    pub fn apply(&self, arguments: A) -> Result<R, Error> {
        let shared = self.module.shared();
        let module = self.module.module()?;
        let _entry = Entrance::new(shared)?;
        if let Some(obstacle) = shared.obstacle(module) {
            return Err(obstacle);
        }
        let (job, gather) = self.one_call(self.work(module, true)?, &arguments)?;
        shared.run_single(&job);
        sole_result(shared, &job, gather)
    }

    /// Makes a process of its own for one call, like Python's `Process(target=..., args=...)`; see [`Process`].
    ///
    /// The arguments are encoded now, and the process begins with [`Process::start`]. It is granted what the task is
    /// granted. Nothing is ever run again: retries are for calls of the pool.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Call`] when the arguments cannot be encoded; [`ErrorKind::Setting`] for limits that contradict each
    /// other, and in a deterministic pool for grants, which processes reach in whatever order they happen to run.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let double = br#"(module (func (export "double") (param i64) (result i64)
    ///     (i64.mul (local.get 0) (i64.const 2))))"#;
    /// let double = pool.load_bytes("double", double)?.task::<i64, i64>("double")?;
    /// let mut process = double.process(21)?.named("doubler");
    /// process.start()?;
    /// process.join(None)?;
    /// assert_eq!(process.exit_code()?, Some(0));
    /// assert_eq!(process.result()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn process(&self, arguments: A) -> Result<Process<R>, Error> {
        let module = self.module.module()?;
        if module.is_deterministic() && module.can_leave_traces() {
            let text = "processes reach what they are granted in whatever order they happen to run, and a \
                        deterministic pool has each run be like any other: grant nothing";
            return Err(Error::new(ErrorKind::Setting, text));
        }
        let mut work = self.work(module, true)?;
        processes::set_terms(&mut work.terms);
        let (job, gather) = self.one_call(work, &arguments)?;
        let chunk = job.cut(1).ok_or_else(|| Error::new(ErrorKind::Closed, "the call was cancelled"))?;
        Ok(Process::of(Life::new(self.module.clone(), chunk), gather))
    }

    /// A job of one call, whose input is announced.
    fn one_call(&self, work: Work, arguments: &A) -> Result<(Arc<Job>, Arc<Gather<R>>), Error> {
        let mut block = Block::new(self.width(&work));
        if let Err(reason) = self.encode(arguments, &mut block) {
            return Err(Error::call(Failure::new(0, FailureKind::Refused, reason)));
        }
        let gather = Arc::new(Gather::new(1, self.result_form(&work)).map_err(|error| no_room(1, error))?);
        let source = Blocks::default();
        source.push(block);
        let job = Job::new(work, Box::new(source), Arc::clone(&gather) as _);
        job.announce(1, true);
        Ok((job, gather))
    }

    /// Runs a job to its end; returns what it gathered, of how many calls.
    fn run(&self, inputs: impl IntoIterator<Item = A>, stop: bool) -> Result<(Gather<R>, usize), Error> {
        let inputs = inputs.into_iter();
        let shared = self.module.shared();
        let _entry = Entrance::new(shared)?;
        let Prepared { job, gather, blocks, integers } = self.prepare(&inputs, stop)?;
        shared.submit(&job)?;
        let listed = Listed { shared, job: &job };
        let total = match integers {
            Some(calls) => calls,
            None => {
                let wait = |calls_ahead| job.wait_for_room(calls_ahead);
                self.announce_all(inputs, &job, &blocks, |total| gather.reserve(total), wait)
            }
        };
        job.wait(None);
        drop(listed);
        if let Some(error) = shared.conclude(&job) {
            return Err(error);
        }
        Ok((sole(&job, gather)?, total))
    }

    /// A job for these inputs, which is not submitted yet. Ranges of integers are announced, all else is to be.
    fn prepare(&self, inputs: &impl Iterator<Item = A>, stop: bool) -> Result<Prepared<R>, Error> {
        let work = self.work(self.module.module()?, stop)?;
        let form = self.result_form(&work);
        let integers = integers(inputs).filter(|_| self.takes_integers(&work));
        let expected = match &integers {
            Some(range) => count(range)?,
            None => inputs.size_hint().0.min(EXPECTED_MAX / size_of::<R>().max(1)),
        };
        let gather = Gather::new(expected, form).map_err(|error| no_room(expected, error))?;
        let gather = Arc::new(gather);
        let blocks = Arc::new(Blocks::default());
        let source: Box<dyn Source> = match &integers {
            Some(range) => Box::new(Integers { start: range.start }),
            None => Box::new(Arc::clone(&blocks)),
        };
        let job = Job::new(work, source, Arc::clone(&gather) as _);
        let integers = integers.map(|_| expected);
        if let Some(calls) = integers {
            job.announce(calls as u64, true);
        }
        Ok(Prepared { job, gather, blocks, integers })
    }

    /// Encodes inputs as they come; returns how many there were.
    ///
    /// Room for so many results is made by `reserve` before workers hear of the calls. `wait` waits until more inputs
    /// are welcome, and says whether they are, when so many calls are ahead of the workers.
    fn announce_all(
        &self,
        mut inputs: impl Iterator<Item = A>,
        job: &Arc<Job>,
        blocks: &Blocks,
        reserve: impl Fn(usize) -> Result<(), TryReserveError>,
        wait: impl Fn(u64) -> bool,
    ) -> usize {
        let mut calls_max = FIRST_BLOCK_CALLS;
        let mut total = 0;
        loop {
            let mut block = Block::new(self.width(&job.work));
            let mut refused = Vec::new();
            let mut has_ended = false;
            if let (Block::Cells { cells, .. }, true) = (&mut block, self.is_cells()) {
                has_ended = fill_cells(&mut inputs, cells, calls_max as usize);
            }
            while !has_ended && block.calls() < calls_max && block.bytes() < BLOCK_BYTES_MAX {
                let Some(input) = inputs.next() else {
                    has_ended = true;
                    break;
                };
                if let Err(reason) = self.encode(&input, &mut block) {
                    // Its place must be taken, or the calls behind it would move up.
                    self.encode_nothing(&mut block);
                    refused.push((total as u64 + block.calls() - 1, reason));
                }
            }
            let calls_ahead = calls_ahead(&block);
            total += block.calls() as usize;
            if let Err(error) = reserve(total) {
                job.cancel(Some(Failure::new(
                    total as u64,
                    FailureKind::Cancelled,
                    no_room(total, error).to_string(),
                )));
                return total;
            }
            let announced = blocks.push(block);
            for (index, reason) in refused {
                job.refuse(Failure::new(index, FailureKind::Refused, reason));
            }
            job.announce(announced, has_ended);
            self.module.shared().lobby.ring();
            if has_ended || !wait(calls_ahead) {
                return total;
            }
            calls_max = (calls_max * 2).min(BLOCK_CALLS_MAX);
        }
    }

    fn work(&self, module: &Arc<ModuleState>, stop_on_failure: bool) -> Result<Work, Error> {
        let terms = Terms { stop_on_failure, ..self.terms.clone() };
        limits::check_call(terms.time_max, terms.deadline, terms.fuel)?;
        limits::check_back_off(terms.back_off)?;
        if terms.fuel.is_some() && !module.counts_fuel() {
            let text = format!(
                "task `{}` is given fuel, but its pool's code does not count any: build the pool with fuel(units)",
                self.name()
            );
            return Err(Error::new(ErrorKind::Setting, text));
        }
        Ok(Work::new(Arc::clone(module), self.number, Codec::MessagePack, terms, u64::MAX))
    }

    /// Cells per input, for tasks entered with numbers.
    fn width(&self, work: &Work) -> Option<usize> {
        match work.entry {
            Entry::Batch | Entry::Each => self.signature().map(|signature| signature.parameters.len()),
            Entry::Pull(_) | Entry::Command => None,
        }
    }

    fn result_form(&self, work: &Work) -> ResultForm {
        match (work.entry, self.signature()) {
            (Entry::Batch | Entry::Each, Some(signature)) => ResultForm::Numbers(signature.results.clone()),
            _ => ResultForm::MessagePack { depth_max: work.terms.result_depth_max },
        }
    }

    fn takes_integers(&self, work: &Work) -> bool {
        match work.entry {
            Entry::Batch | Entry::Each => self.signature().is_some_and(Signature::takes_range),
            Entry::Pull(_) | Entry::Command => true,
        }
    }

    /// Appends an input to a block, or says why it cannot be one.
    fn encode(&self, input: &A, block: &mut Block) -> Result<(), String> {
        match block {
            Block::Cells { cells, .. } => {
                let parameters = self.signature().map(|signature| &*signature.parameters).unwrap_or_default();
                cells::write(input, parameters, cells).map_err(|error| error.to_string())
            }
            Block::Blobs { ends, bytes } => {
                let start = bytes.len();
                let encoded = encode_arguments(self.form, input, bytes);
                let encoded = encoded.and_then(|()| check_length(bytes.len() - start));
                match encoded {
                    Ok(()) => ends.push(bytes.len()),
                    Err(_) => bytes.truncate(start),
                }
                encoded
            }
        }
    }

    /// Whether an input is, bit for bit, the one cell that the task takes.
    fn is_cells(&self) -> bool {
        let of = typeid::of::<A>();
        match self.signature().map(|signature| &*signature.parameters) {
            Some([Number::I64]) => of == TypeId::of::<i64>(),
            Some([Number::F64]) => of == TypeId::of::<f64>(),
            _ => false,
        }
    }

    fn encode_nothing(&self, block: &mut Block) {
        match block {
            Block::Cells { width, cells } => cells.extend(std::iter::repeat_n(0, (*width).max(1))),
            Block::Blobs { ends, bytes } => ends.push(bytes.len()),
        }
    }
}

/// A job that is about to be submitted.
struct Prepared<R> {
    job: Arc<Job>,
    gather: Arc<Gather<R>>,
    /// Where its inputs go, unless they are integers.
    blocks: Arc<Blocks>,
    /// How many integers its inputs are, if they are a range.
    integers: Option<usize>,
}

/// A job on its module's list, which is taken off it when the caller's own code panics.
pub(super) struct Listed<'a> {
    pub(super) shared: &'a Shared,
    pub(super) job: &'a Arc<Job>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.job.cancel(None);
            self.shared.conclude(self.job);
        }
    }
}

/// Appends inputs that are cells already, at most `calls`; says whether there are no more.
fn fill_cells<A>(inputs: &mut impl Iterator<Item = A>, cells: &mut Vec<u64>, calls: usize) -> bool {
    cells.reserve_exact(calls);
    cells.extend(inputs.take(calls).map(|input| {
        // SAFETY: the caller has seen that `A` is `i64` or `f64`: eight bytes, all of them meaningful.
        #[allow(unsafe_code, reason = "there is no specialisation in stable Rust")]
        unsafe {
            std::mem::transmute_copy::<A, u64>(&input)
        }
    }));
    cells.len() < calls
}

fn no_room(results: usize, error: TryReserveError) -> Error {
    Error::new(ErrorKind::SetUp, format!("there is no memory for {results} results")).with_source(error)
}

/// Bytes of results for which room is made before any input is seen.
const EXPECTED_MAX: usize = 1 << 30;

/// Takes the result of a job of one call that is over.
pub(super) fn sole_result<R>(shared: &Shared, job: &Arc<Job>, gather: Arc<Gather<R>>) -> Result<R, Error> {
    if let Some(error) = shared.conclude(job) {
        return Err(error);
    }
    let gathered = sole(job, gather)?;
    // SAFETY: the job is over without a failure, so its one call has returned.
    #[allow(unsafe_code, reason = "the job vouches for the result")]
    let mut results = unsafe { gathered.finish(1) };
    results.pop().ok_or_else(|| Error::new(ErrorKind::Call, "the call left no result"))
}

/// Takes the gathered results from a job that is over, and that nobody writes to any more.
fn sole<R>(job: &Job, gather: Arc<Gather<R>>) -> Result<Gather<R>, Error> {
    job.detach();
    Arc::try_unwrap(gather)
        .map_err(|_| Error::new(ErrorKind::Closed, "results of a finished job are still in use"))
}

/// Writes a call's arguments as the guest expects them: one array.
fn encode_arguments<A: Serialize>(
    form: ArgumentForm,
    arguments: &A,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    let mut serializer = rmp_serde::Serializer::new(bytes).with_struct_map();
    let encoded = match form {
        ArgumentForm::Nothing => serializer.serialize_tuple(0).map(drop),
        ArgumentForm::Tuple => arguments.serialize(&mut serializer),
        ArgumentForm::Single => (arguments,).serialize(&mut serializer),
    };
    encoded.map_err(|error| format!("the input cannot be encoded: {error}"))
}

fn check_length(bytes: usize) -> Result<(), String> {
    let fits = bytes <= VALUE_BYTES_MAX;
    fits.then_some(())
        .ok_or_else(|| format!("an input of {bytes} bytes, at most {VALUE_BYTES_MAX} are allowed"))
}

/// Arguments of one call of an SDK task.
pub(super) fn encode_message_pack<A: Serialize>(arguments: &A) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    encode_arguments(ArgumentForm::of::<A>(), arguments, &mut bytes)?;
    check_length(bytes.len()).map(|()| bytes)
}

/// Arguments of one call of a task of numbers.
pub(super) fn encode_cells<A: Serialize>(arguments: &A, parameters: &[Number]) -> Result<Vec<u64>, String> {
    let mut written = Vec::new();
    cells::write(arguments, parameters, &mut written).map_err(|error| error.to_string())?;
    Ok(written)
}

/// The range behind an iterator, when it is a range of `i64` or `i32`.
fn integers<I: Iterator>(inputs: &I) -> Option<Range<i64>> {
    let of = typeid::of::<I>();
    if of == TypeId::of::<Range<i64>>() {
        // SAFETY: `I` is this very type, which has no lifetimes that could differ.
        #[allow(unsafe_code, reason = "there is no specialisation in stable Rust")]
        return Some(unsafe { &*std::ptr::from_ref(inputs).cast::<Range<i64>>() }.clone());
    }
    if of == TypeId::of::<Range<i32>>() {
        // SAFETY: as above.
        #[allow(unsafe_code, reason = "there is no specialisation in stable Rust")]
        let range = unsafe { &*std::ptr::from_ref(inputs).cast::<Range<i32>>() };
        return Some(i64::from(range.start)..i64::from(range.end));
    }
    None
}

fn count(range: &Range<i64>) -> Result<usize, Error> {
    let calls = i128::from(range.end) - i128::from(range.start);
    usize::try_from(calls.max(0))
        .map_err(|_| Error::new(ErrorKind::Setting, format!("a job of {calls} calls")))
}

/// How far ahead of the workers inputs of this size may be encoded.
pub(super) fn calls_ahead(block: &Block) -> u64 {
    let call_bytes = (block.bytes() as u64 / block.calls().max(1)).max(1);
    (BLOCKS_AHEAD * BLOCK_BYTES_MAX as u64 / call_bytes).max(CALLS_AHEAD_MIN)
}

fn check_signature<A, R>(task: &Entered) -> Result<(), Error> {
    check_arguments::<A>(task)?;
    if !task.described {
        return Ok(());
    }
    let wrong = |what| Err(other_signature(task, what));
    let returned = Shape::of::<R>();
    match &task.result {
        Some(result) if !returned.may_be(result) => wrong(format!("returns {result}, not {returned}")),
        None if matches!(returned, Shape::Scalar(_)) => wrong(format!("returns nothing, not {returned}")),
        _ => Ok(()),
    }
}

fn other_signature(task: &Entered, what: String) -> Error {
    let parameters: Vec<String> = task.parameters.iter().map(ToString::to_string).collect();
    let result = task.result.as_ref().map(|result| format!(" -> {result}")).unwrap_or_default();
    let text = format!("task `{}({}){result}` {what}", task.name, parameters.join(", "));
    Error::new(ErrorKind::Signature, text)
}

/// Checks that a task may be given `A`, as far as its module says.
pub(super) fn check_arguments<A>(task: &Entered) -> Result<(), Error> {
    let given = Shape::of::<A>().arguments();
    let wrong = |what: String| other_signature(task, what);
    if !task.described {
        return Ok(());
    }
    // A single tuple parameter may be given as it is.
    let is_one_tuple =
        task.parameters.len() == 1 && given.len() != 1 && task.parameters[0].kind.starts_with('(');
    if given.len() != task.parameters.len() && !is_one_tuple {
        let caller = Shape::of::<A>();
        return Err(wrong(format!(
            "takes {} arguments, {} given as {caller}",
            task.parameters.len(),
            given.len()
        )));
    }
    for (shape, parameter) in given.iter().zip(&task.parameters) {
        if !shape.may_be(&parameter.kind) {
            return Err(wrong(format!("takes {parameter}, not {shape}")));
        }
    }
    Ok(())
}
