//! `map`, `starmap`, `apply` and `spawn`: a job from the command line.

use std::io::{BufReader, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use wasmpool_abi::Codec;

use super::args::InitializerFlag;
use super::cells;
use super::deliver::{Delivery, line_of, say_frames};
use super::directory::DirectoryFlag;
use super::exit::Exit;
use super::inputs::{
    Binder, Binding, InputError, JsonLines, LINE_BYTES_MAX, Parameters, Piece, Text, refuse_terminal,
};
use super::interrupt::on_interrupt;
use super::objects::Made;
use super::output::{self, Format, OutputError, ResultStream, Shape};
use super::produce::{Producer, Taking};
use super::quantity::Workers;
use super::request::{Calls, Inputs, Isolation, Place};
use super::{MESSAGE_CHARACTERS_MAX, Refusal, module_file, say};
use crate::channel::control::Arguments;
use crate::channel::order::Entry;
use crate::channel::ring::Stream;
use crate::pool::job::{Job, Terms, Work};
use crate::pool::source::{Blocks, Integers, Source};
use crate::pool::{Builder, Error, ErrorKind, Module, Pool, processes};
use crate::printable::{printable, printable_name};
use crate::sandbox::catalog::{Parameter, START_EXPORT, Task};

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
    let printed = Printed::default();
    let pool = pool(calls, &printed).map_err(unusable)?;
    let module = pool.load(&path).map_err(unusable)?;
    // Asked first of all, before memory is taken for shared objects.
    Callee::find(&module, calls).map_err(unusable)?;
    let module = initialized(module, calls)?;
    let objects = calls.objects.make(&pool).map_err(unusable)?;
    let mut module = objects.granted_to(module);
    if calls.snapshot {
        module = match module.snapshot() {
            Err(error) if error.kind() == ErrorKind::Initializer => return Ok(uninitialized(&error)),
            taken => taken.map_err(unusable)?,
        };
        tell_refusal(&module);
    }
    let callee = Callee::find(&module, calls).map_err(unusable)?;
    let task = callee.task();
    let names: Vec<Option<String>> = task.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let kinds: Vec<String> = task.parameters.iter().map(|parameter| parameter.kind.clone()).collect();
    let parameters = Parameters { task: &calls.task, names: &names, kinds: &kinds };
    let set_terms = |terms: &mut Terms| set_terms(terms, calls);
    let work = match &callee {
        Callee::Task(number, task) => module.work(*number, Codec::Json, set_terms, look_ahead(task)),
        Callee::Program(task) => module.command_work(set_terms, look_ahead(task)),
    };
    let work = work.map_err(unusable)?;
    let plan = Plan { calls, printed, pool, module: &module, task, parameters, work, objects };
    plan.run()
}

/// What is called.
enum Callee<'a> {
    /// A task, and its number.
    Task(usize, &'a Task),
    /// The whole module; it looks like a task of one text that returns one.
    Program(Task),
}

impl<'a> Callee<'a> {
    fn find(module: &'a Module, calls: &Calls) -> Result<Self, Error> {
        if calls.invocations.is_none() {
            return module.find(&calls.task).map(|(number, task)| Self::Task(number, task));
        }
        module.command()?;
        let text = || "text".to_owned();
        Ok(Self::Program(Task {
            name: START_EXPORT.to_owned(),
            documentation: String::new(),
            parameters: vec![Parameter { name: None, kind: text() }],
            result: Some(text()),
            fallible: true,
            pull: None,
            numeric: None,
            described: true,
        }))
    }

    fn task(&self) -> &Task {
        match self {
            Self::Task(_, task) => task,
            Self::Program(task) => task,
        }
    }
}

/// The module with the initializer that is asked for.
fn initialized(module: Module, calls: &Calls) -> Result<Module, Refusal> {
    let Some(InitializerFlag { task: name, arguments }) = &calls.initializer else { return Ok(module) };
    let (number, task) = module.find(name).map_err(unusable)?;
    let names: Vec<Option<String>> = task.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let kinds: Vec<String> = task.parameters.iter().map(|parameter| parameter.kind.clone()).collect();
    let parameters = Parameters { task: name, names: &names, kinds: &kinds };
    let json = Binder::new(Binding::Many, Text::Json, parameters)
        .and_then(|binder| binder.initializer(arguments.as_deref().unwrap_or("[]")))
        .map_err(refused)?;
    let arguments = match (&task.pull, &task.numeric) {
        (None, Some(numeric)) => {
            let mut written = Vec::new();
            cells::cells(&json, &numeric.signature.parameters, &names, &mut written).map_err(|reason| {
                refused(InputError::Refused(format!("--initializer {}: {reason}", printable_name(name))))
            })?;
            Arguments::Cells(written)
        }
        _ => Arguments::Json(json.into_bytes()),
    };
    Ok(module.initialized_by(number, arguments))
}

/// Says that an initializer failed: without it nothing can be run.
fn uninitialized(error: &Error) -> Exit {
    say(&format!("wasmpool: {}", printable(&error.to_string(), MESSAGE_CHARACTERS_MAX)));
    if let Some(failure) = error.failure() {
        say_frames(failure);
    }
    Exit::Unusable
}

/// Says why there is no snapshot, if there is none.
fn tell_refusal(module: &Module) {
    if let Some(reason) = module.snapshot_refusal() {
        let reason = printable(reason, MESSAGE_CHARACTERS_MAX);
        say(&format!("wasmpool: no snapshot can be taken: {reason}; the initializer runs in every instance"));
    }
}

pub(super) fn refused(error: InputError) -> Refusal {
    Refusal::new(Exit::from(&error), error)
}

pub(super) fn unusable(error: Error) -> Refusal {
    let exit = match error.kind() {
        ErrorKind::UnknownTask | ErrorKind::Setting | ErrorKind::Signature => Exit::Usage,
        _ => Exit::Unusable,
    };
    Refusal::new(exit, error)
}

fn pool(calls: &Calls, printed: &Printed) -> Result<Pool, Error> {
    let printed = printed.clone();
    let mut builder = match calls.place {
        Place::Pool => builder(calls).on_output(print_guests_line),
        Place::OwnProcesses => builder(calls).without_workers().on_output(move |stream, line| {
            if stream == Stream::Stderr || !printed.to_stdout(line) {
                print_guests_line(stream, line);
            }
        }),
    };
    if let Workers::Count(count) = calls.workers {
        builder = builder.workers(count.get().into());
    }
    builder.build()
}

/// What the flags say about a pool, but for its workers' number and where guests' lines go.
pub(super) fn builder(calls: &Calls) -> Builder {
    let mut builder = Pool::builder().limits(calls.limits.clone());
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
    builder
        .max_compile_memory(terms.memory_bytes_max)
        .max_compile_time(terms.time_max)
        .insecure(terms.wishes.insecure)
}

/// Guests' output goes to stderr; as it is where a program reads it, harmless where a person does.
fn print_guests_line(_stream: Stream, line: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let text = line_for(stderr.is_terminal(), line);
    // Nobody is left to tell.
    let _ = stderr.write_all(&text);
}

/// A guest's line, with its end, for a terminal or for a program.
fn line_for(terminal: bool, line: &[u8]) -> Vec<u8> {
    let mut text = if terminal { crate::printable::line(line).into_bytes() } else { line.to_vec() };
    text.push(b'\n');
    text
}

/// The way of guests' lines to stdout, once there is one.
///
/// They go the way of the results, so that neither is ever torn. Where stdout is JSON alone there is no such way.
#[derive(Clone, Default)]
struct Printed(Arc<OnceLock<Arc<Delivery>>>);

impl Printed {
    /// Has lines go out between the results.
    fn go_with(&self, delivery: &Arc<Delivery>) {
        // Once per command.
        let _ = self.0.set(Arc::clone(delivery));
    }

    /// Puts a line to stdout; says whether it could.
    fn to_stdout(&self, line: &[u8]) -> bool {
        let delivery = self.0.get();
        delivery.is_some_and(|delivery| delivery.put_line(line_for(std::io::stdout().is_terminal(), line)))
    }
}

fn set_terms(terms: &mut Terms, calls: &Calls) {
    terms.retries = calls.retries;
    terms.back_off = calls.back_off;
    if calls.place == Place::OwnProcesses {
        terms.lost_retries = 0;
    }
    terms.stop_on_failure = calls.on_error == super::args::OnError::Stop;
    terms.fresh = calls.isolation == Isolation::Fresh;
    terms.recycle = match calls.isolation {
        Isolation::Recycled(calls) => calls.get(),
        Isolation::Reuse | Isolation::Fresh => 0,
    };
    terms.timed = calls.shape == Shape::Records;
}

fn look_ahead(task: &Task) -> u64 {
    if task.numeric.is_some() { LOOK_AHEAD_CELLS } else { LOOK_AHEAD_VALUES }
}

/// A job that is ready to be run.
struct Plan<'a> {
    calls: &'a Calls,
    printed: Printed,
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
            invocations: self.calls.invocations.clone(),
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
        let delivery = Delivery::new(format, numbers, self.calls.limits.result_depth);
        let is_program = self.work.entry == Entry::Command;
        let delivery = Arc::new(if is_program { delivery.of_program() } else { delivery });

        if self.calls.shape == Shape::Lines {
            self.printed.go_with(&delivery);
        }
        let is_spawned = self.calls.place == Place::OwnProcesses;
        let mut pieces = self.given_pieces()?;
        if let (true, Some(pieces)) = (is_spawned, &pieces) {
            let processes = pieces.iter().map(Piece::calls).fold(0, u64::saturating_add);
            processes::check_count(processes).map_err(unusable)?;
        }
        let integers = match pieces.as_deref() {
            Some([Piece::Range { start, length }])
                if !is_program && signature.is_none_or(|signature| signature.takes_range()) =>
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
        let started = if is_spawned { self.module.start_each(&job) } else { Ok(()) };
        wait(&job, &ending);
        let error = self.module.conclude(&job);
        let error = started.err().or(error);
        job.detach();
        let stats = self.calls.stats.then(|| self.pool.stats());
        let (pool, objects) = (self.pool, self.objects);
        let shape = self.calls.shape;
        let last_words =
            move || if objects.is_printed() { print(pool, &objects, shape) } else { Ok(Vec::new()) };
        let exit = finish(&job, error, &delivery, last_words, input, &ending);
        if let Some(stats) = stats {
            stats.to_string().lines().for_each(|line| say(&format!("wasmpool: {line}")));
        }
        exit
    }

    /// Whether programs can be started with these inputs: better told before any is.
    fn check_arguments(&self, pieces: &[Piece]) -> Result<(), InputError> {
        let Some(invocations) = &self.calls.invocations else { return Ok(()) };
        let mut written = Vec::new();
        for (position, piece) in (1..).zip(pieces) {
            if let Piece::Text(text) = piece {
                written.clear();
                let fits = invocations.write(0, text.as_bytes(), &mut written);
                fits.map_err(|reason| InputError::Refused(format!("input {position}: {reason}")))?;
            }
        }
        Ok(())
    }

    /// The inputs on the command line, all read before anything runs; none when they come from stdin.
    fn given_pieces(&self) -> Result<Option<Vec<Piece>>, Refusal> {
        let bind = |binding| Binder::new(binding, self.calls.text, self.parameters).map_err(refused);
        match &self.calls.inputs {
            Inputs::Given(binding, inputs) => {
                let binder = bind(binding_of(self.calls, *binding, self.parameters))?;
                let pieces = (1..).zip(inputs).map(|(position, input)| binder.input(position, input));
                let pieces: Vec<Piece> = pieces.collect::<Result<_, _>>().map_err(refused)?;
                self.check_arguments(&pieces).map_err(refused)?;
                Ok(Some(pieces))
            }
            Inputs::OneCall(arguments) => {
                let binder = bind(Binding::Many)?;
                Ok(Some(vec![binder.call(arguments).map_err(refused)?]))
            }
            Inputs::Stdin(binding) => {
                bind(binding_of(self.calls, *binding, self.parameters))?;
                Ok(None)
            }
        }
    }
}

/// How inputs become arguments. Processes of their own take any task: one that has not just one parameter gets arrays.
fn binding_of(calls: &Calls, asked_for: Binding, parameters: Parameters<'_>) -> Binding {
    let takes_arrays = calls.place == Place::OwnProcesses && parameters.names.len() != 1;
    if takes_arrays && calls.text == Text::Json { Binding::Many } else { asked_for }
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
        let binding = binding_of(calls, binding, parameters);
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
    let of_call = error.as_ref().filter(|error| error.kind() == ErrorKind::Call).and_then(Error::failure);
    if let Some(failure) = of_call {
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
    if let Some(failure) = of_call {
        say(&line_of(failure));
        return Ok(Exit::CallsFailed);
    }
    if let Some(error) = error.as_ref().filter(|error| error.kind() == ErrorKind::Initializer) {
        return Ok(uninitialized(error));
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
