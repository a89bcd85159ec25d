//! `map`, `starmap` and `apply`: a job from the command line.

use std::io::{BufReader, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use wasmpool_abi::Codec;

use super::deliver::{Delivery, line_of};
use super::directory::DirectoryFlag;
use super::exit::Exit;
use super::inputs::{
    Binder, InputError, JsonLines, LINE_BYTES_MAX, Parameters, Piece, Text, refuse_terminal,
};
use super::interrupt::on_interrupt;
use super::objects::Made;
use super::output::{self, Format, OutputError, ResultStream, Shape};
use super::produce::{Producer, Taking};
use super::quantity::Workers;
use super::request::{Calls, Inputs, Isolation};
use super::{MESSAGE_CHARACTERS_MAX, Refusal, module_file, say};
use crate::channel::order::Entry;
use crate::channel::ring::Stream;
use crate::pool::job::{Job, Terms, Work};
use crate::pool::source::{Blocks, Integers, Source};
use crate::pool::{Error, ErrorKind, Module, Pool};
use crate::printable::printable;
use crate::sandbox::catalog::Task;

/// How far beyond the lowest unprinted call others are started, when results are numbers.
const LOOK_AHEAD_CELLS: u64 = 1 << 21;

/// The same when results are values of any length.
const LOOK_AHEAD_VALUES: u64 = 1 << 16;

/// Bytes read from stdin at a time.
const STDIN_BYTES: usize = 1 << 18;

/// How long the reader of stdout may take to accept what is left, once the job was cancelled.
const GRACE: Duration = Duration::from_secs(2);

/// Makes the calls, and says how the command ends.
pub(super) fn run(calls: &Calls) -> Result<Exit, Refusal> {
    if let Inputs::Stdin(_) = calls.inputs {
        refuse_terminal(std::io::stdin().is_terminal()).map_err(refused)?;
    }
    let path = module_file(&calls.module, true)?;
    // The workers start while the module is read and compiled.
    let pool = pool(calls).map_err(unusable)?;
    let module = pool.load(&path).map_err(unusable)?;
    // Asked first of all, before memory is taken for shared objects.
    module.find(&calls.task).map_err(unusable)?;
    let objects = calls.objects.make(&pool).map_err(unusable)?;
    let module = objects.granted_to(module);
    let (number, task) = module.find(&calls.task).map_err(unusable)?;
    let names: Vec<Option<String>> = task.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let kinds: Vec<String> = task.parameters.iter().map(|parameter| parameter.kind.clone()).collect();
    let parameters = Parameters { task: &calls.task, names: &names, kinds: &kinds };
    let work = module.work(number, Codec::Json, |terms| set_terms(terms, calls), look_ahead(task));
    let work = work.map_err(unusable)?;
    let plan = Plan { calls, pool, module: &module, task, parameters, work, objects };
    plan.run()
}

fn refused(error: InputError) -> Refusal {
    Refusal::new(Exit::from(&error), error)
}

fn unusable(error: Error) -> Refusal {
    let exit = match error.kind() {
        ErrorKind::UnknownTask | ErrorKind::Setting | ErrorKind::Signature => Exit::Usage,
        _ => Exit::Unusable,
    };
    Refusal::new(exit, error)
}

fn pool(calls: &Calls) -> Result<Pool, Error> {
    let mut builder = Pool::builder().on_output(print_guests_line).limits(calls.limits.clone());
    if let Workers::Count(count) = calls.workers {
        builder = builder.workers(count.get().into());
    }
    if let Some(seed) = calls.seed {
        builder = builder.deterministic(seed);
    }
    for (name, value) in &calls.environment {
        builder = builder.env(name, value);
    }
    for DirectoryFlag { host, guest, rights } in &calls.directories {
        builder = builder.dir(host, guest, *rights);
    }
    let terms = calls.jail.compile_terms();
    builder = builder
        .max_compile_memory(terms.memory_bytes_max)
        .max_compile_time(terms.time_max)
        .insecure(terms.wishes.insecure);
    builder.build()
}

/// Guests' output goes to stderr; as it is where a program reads it, harmless where a person does.
fn print_guests_line(_stream: Stream, line: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let mut text =
        if stderr.is_terminal() { crate::printable::line(line).into_bytes() } else { line.to_vec() };
    text.push(b'\n');
    // Nobody is left to tell.
    let _ = stderr.write_all(&text);
}

fn set_terms(terms: &mut Terms, calls: &Calls) {
    terms.retries = calls.retries;
    terms.stop_on_failure = calls.on_error == super::args::OnError::Stop;
    terms.fresh = calls.isolation == Isolation::Fresh;
    terms.timed = calls.shape == Shape::Records;
}

fn look_ahead(task: &Task) -> u64 {
    if task.numeric.is_some() { LOOK_AHEAD_CELLS } else { LOOK_AHEAD_VALUES }
}

/// A job that is ready to be run.
struct Plan<'a> {
    calls: &'a Calls,
    pool: Pool,
    module: &'a Module,
    task: &'a Task,
    parameters: Parameters<'a>,
    work: Work,
    objects: Made,
}

/// What ended a job before its time, other than a failed call.
#[derive(Default)]
struct Ending {
    was_interrupted: AtomicBool,
    has_passed_deadline: AtomicBool,
}

impl Plan<'_> {
    fn run(self) -> Result<Exit, Refusal> {
        let takes_numbers = matches!(self.work.entry, Entry::Batch | Entry::Each);
        let signature =
            self.task.numeric.as_ref().map(|numeric| &numeric.signature).filter(|_| takes_numbers);
        let taking = Taking {
            numbers: signature.map(|signature| signature.parameters.clone()),
            names: self.parameters.names.to_vec(),
        };
        let has_result = match signature {
            Some(signature) => !signature.results.is_empty(),
            None => self.task.result.is_some() || !self.task.described,
        };
        let format = Format {
            shape: self.calls.shape,
            strings: self.calls.strings,
            task_has_result: has_result,
            tells_circumstances: self.calls.seed.is_none(),
        };
        let numbers = signature.map(|signature| signature.results.clone());
        let delivery = Arc::new(Delivery::new(format, numbers, self.calls.limits.result_depth));

        let mut pieces = self.given_pieces()?;
        let integers = match pieces.as_deref() {
            Some([Piece::Range { start, length }])
                if signature.is_none_or(|signature| signature.takes_range()) =>
            {
                Some((*start, *length))
            }
            _ => None,
        };
        let blocks = Arc::new(Blocks::default());
        let source: Box<dyn Source> = match integers {
            Some((start, _)) => Box::new(Integers { start }),
            None => Box::new(Arc::clone(&blocks)),
        };
        let job = Job::new(self.work, source, Arc::clone(&delivery) as _);
        delivery.open(open_stdout(self.calls, &job, self.module)?);
        let ending = Arc::new(Ending::default());
        cancel_on_interrupt(&job, &ending)?;
        if let Some((_, length)) = integers {
            job.announce(length, true);
            pieces = Some(Vec::new());
        }
        self.module.submit(&job).map_err(unusable)?;
        let production = Production { module: self.module.clone(), job: Arc::clone(&job), blocks, taking };
        let input = match pieces {
            Some(_) if integers.is_some() => None,
            Some(pieces) => Some(production.read_pieces(pieces)),
            None => Some(production.read_stdin(self.calls, self.parameters)?),
        };
        wait(&job, &ending);
        let error = self.module.conclude(&job);
        job.detach();
        let (pool, objects) = (self.pool, self.objects);
        let shape = self.calls.shape;
        let last_words =
            move || if objects.is_printed() { print(pool, &objects, shape) } else { Ok(Vec::new()) };
        finish(&job, error, &delivery, last_words, input, &ending)
    }

    /// The inputs on the command line, all read before anything runs; none when they come from stdin.
    fn given_pieces(&self) -> Result<Option<Vec<Piece>>, Refusal> {
        let bind = |binding| Binder::new(binding, self.calls.text, self.parameters).map_err(refused);
        match &self.calls.inputs {
            Inputs::Given(binding, inputs) => {
                let binder = bind(*binding)?;
                let pieces = (1..).zip(inputs).map(|(position, input)| binder.input(position, input));
                Ok(Some(pieces.collect::<Result<_, _>>().map_err(refused)?))
            }
            Inputs::OneCall(arguments) => {
                let binder = bind(super::inputs::Binding::Many)?;
                Ok(Some(vec![binder.call(arguments).map_err(refused)?]))
            }
            Inputs::Stdin(binding) => {
                bind(*binding)?;
                Ok(None)
            }
        }
    }
}

fn open_stdout(calls: &Calls, job: &Arc<Job>, module: &Module) -> Result<ResultStream, Refusal> {
    let output = |error: OutputError| Refusal::new(Exit::from(&error), error);
    let stdout = output::stdout().map_err(|error| output(OutputError::Write(error)))?;
    let (watched, module) = (Arc::downgrade(job), module.clone());
    let advanced = move |_| {
        // More may be started; or nothing more can be written, and then the job is in vain.
        if let Some(job) = Weak::upgrade(&watched) {
            job.notice_delivery();
            module.wake_feeders();
        }
    };
    ResultStream::start(stdout, calls.shape, calls.order, advanced).map_err(output)
}

fn cancel_on_interrupt(job: &Arc<Job>, ending: &Arc<Ending>) -> Result<(), Refusal> {
    let (job, ending) = (Arc::downgrade(job), Arc::clone(ending));
    let handled = on_interrupt(move || {
        ending.was_interrupted.store(true, Ordering::SeqCst);
        if let Some(job) = job.upgrade() {
            job.cancel(None);
        }
        end_soon(Exit::Interrupted);
    });
    handled.context("signals cannot be handled").map_err(|error| Refusal::new(Exit::Other, error))
}

/// Ends the process after a grace, whatever it waits for: a reader of stdout that takes nothing must not keep a
/// command alive whose time is over.
fn end_soon(exit: Exit) {
    let end = move || {
        std::thread::sleep(GRACE);
        std::process::exit(exit.code().into());
    };
    // Without a thread there is no grace, and the command may wait for its reader.
    let _ = std::thread::Builder::new().name("wasmpool-grace".into()).spawn(end);
}

/// What a producing thread needs.
struct Production {
    module: Module,
    job: Arc<Job>,
    blocks: Arc<Blocks>,
    taking: Taking,
}

/// How the inputs ended, once they have.
type InputEnd = mpsc::Receiver<Result<(), InputError>>;

impl Production {
    fn read_pieces(self, pieces: Vec<Piece>) -> InputEnd {
        let (done, end) = mpsc::channel();
        let produce = move || {
            let mut pieces = pieces.into_iter().map(Ok);
            let producer = Producer::new(&self.module, &self.job, &self.blocks, &self.taking);
            // Nobody asks any more when the job ended first.
            let _ = done.send(producer.run(&mut pieces, |_| true));
        };
        std::thread::spawn(produce);
        end
    }

    /// Reads stdin on a thread of its own: the job may end while a read waits for input that never comes.
    fn read_stdin(self, calls: &Calls, parameters: Parameters<'_>) -> Result<InputEnd, Refusal> {
        let Inputs::Stdin(binding) = calls.inputs else { unreachable!("asked for stdin only") };
        let text: Text = calls.text;
        let task = parameters.task.to_owned();
        let (names, kinds) = (parameters.names.to_vec(), parameters.kinds.to_vec());
        let (done, end) = mpsc::channel();
        let produce = move || {
            let parameters = Parameters { task: &task, names: &names, kinds: &kinds };
            let result = Binder::new(binding, text, parameters).and_then(|binder| {
                let stdin = BufReader::with_capacity(STDIN_BYTES, std::io::stdin());
                let mut lines = JsonLines::new(stdin, &binder, LINE_BYTES_MAX);
                let producer = Producer::new(&self.module, &self.job, &self.blocks, &self.taking);
                producer.run(&mut lines, JsonLines::has_line)
            });
            // As above.
            let _ = done.send(result);
        };
        let spawned = std::thread::Builder::new().name("wasmpool-stdin".into()).spawn(produce);
        spawned.context("a thread cannot be started").map_err(|error| Refusal::new(Exit::Other, error))?;
        Ok(end)
    }
}

fn wait(job: &Arc<Job>, ending: &Ending) {
    job.wait(None);
    if job.was_late() {
        ending.has_passed_deadline.store(true, Ordering::SeqCst);
        end_soon(Exit::Deadline);
    }
}

/// Prints what is left in shared objects; says what could not be shown.
fn print(pool: Pool, objects: &Made, shape: Shape) -> Result<Vec<String>, OutputError> {
    // Calls that were stopped may not have noticed yet. Once their workers are gone nothing changes any more, and
    // whatever they held or had in hand is back in its place.
    drop(pool);
    let stdout = output::stdout().map_err(OutputError::Write)?;
    output::write_last(stdout, |out| objects.print(shape, out))
}

/// Ends the output, prints the `last_words`, and says how the command ends.
fn finish(
    job: &Job,
    error: Option<Error>,
    delivery: &Delivery,
    last_words: impl FnOnce() -> Result<Vec<String>, OutputError>,
    input: Option<InputEnd>,
    ending: &Ending,
) -> Result<Exit, Refusal> {
    if let Some(failure) = error.as_ref().and_then(Error::failure) {
        delivery.put_last(failure);
    }
    let written = delivery.close().map_or(Ok(0), ResultStream::finish).and_then(|_| last_words());
    if let Ok(problems) = &written {
        problems
            .iter()
            .for_each(|problem| say(&format!("wasmpool: {}", printable(problem, MESSAGE_CHARACTERS_MAX))));
    }
    if ending.was_interrupted.load(Ordering::SeqCst) {
        return Ok(Exit::Interrupted);
    }
    let problems = match written {
        Ok(problems) => problems,
        Err(OutputError::ReaderGone) => return Ok(Exit::from(&OutputError::ReaderGone)),
        Err(error) => return Err(Refusal::new(Exit::from(&error), error)),
    };
    if ending.has_passed_deadline.load(Ordering::SeqCst) {
        say("wasmpool: the job's deadline passed; calls that had not ended were stopped");
        return Ok(Exit::Deadline);
    }
    if let Some(failure) = error.as_ref().and_then(Error::failure) {
        say(&line_of(failure));
        return Ok(Exit::CallsFailed);
    }
    if let Some(error) = error {
        return Err(unusable(error));
    }
    // Every call has ended, so no more inputs will come, and their reader is about to say how they ended.
    if let Some(Ok(Err(error))) = input.map(|end| end.recv_timeout(GRACE)) {
        return Err(refused(error));
    }
    Ok(match (job.failures(), problems.len()) {
        (0, 0) => Exit::Success,
        (0, _) => Exit::Other,
        _ => Exit::CallsFailed,
    })
}
