//! A module's program as its caller sees it: a function from inputs to what the program prints, run by the pool.
//!
//! Real programs run unchanged: whatever exports `_start` and imports WASI preview 1. Each run has an instance of its
//! own, arguments of its own and a stdin of its own, and ends with an exit code. A run that exits with 0 returns what
//! it wrote to stdout; every other end is a failure. What it writes to stderr goes where tasks' lines go.

mod argument;
mod outputs;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::argument::Argument;
use self::outputs::Outputs;
use super::admission::Use;
use super::error::{Error, ErrorKind};
use super::gate::Entry as Entrance;
use super::job::{Job, Terms, Work};
use super::limits;
use super::module::ModuleState;
use super::outcome::{Failure, FailureKind, Outcome};
use super::source::{Block, Blocks};
use super::task::{BLOCK_BYTES_MAX, BLOCK_CALLS_MAX, FIRST_BLOCK_CALLS, Listed, calls_ahead};
use crate::channel::invocation::Writer;
use crate::channel::layout::VALUE_BYTES_MAX;

/// What a program finds on its stdin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdin {
    /// Nothing: it is at its end.
    #[default]
    Empty,
    /// The input of the call.
    Input,
    /// These bytes, in every call.
    Bytes(Vec<u8>),
}

/// A loaded module as a program, run once per call. Cheap to clone.
///
/// Each call runs the program's `_start` in an instance of its own, with its own arguments and stdin, and returns what
/// it wrote to stdout. The program sees the environment and the directories that the pool or the module was granted.
/// An exit code other than 0 is a failure of kind [`FailureKind::Exited`].
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(2).build()?;
/// // Prints its second argument.
/// let echo = br#"(module
///     (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
///     (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
///     (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
///     (memory (export "memory") 1)
///     (func (export "_start")
///         (drop (call $sizes (i32.const 0) (i32.const 4)))
///         (drop (call $args_get (i32.const 16) (i32.const 1024)))
///         (i32.store (i32.const 32) (i32.load (i32.const 24)))
///         (i32.store (i32.const 36) (i32.sub (i32.const 1023)
///             (i32.sub (i32.load (i32.const 24)) (i32.load (i32.const 4)))))
///         (drop (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 8)))))"#;
/// let echo = pool.load_bytes("echo", echo)?.command()?.args(["-n", "call {#}: {}"]);
/// assert_eq!(echo.map(["one", "two"])?, [b"call 0: one", b"call 1: two"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Command {
    module: Use,
    terms: Terms,
    invocations: Invocations,
}

/// How the runs of a program are started.
#[derive(Clone, Debug)]
pub(crate) struct Invocations {
    name: String,
    arguments: Vec<Argument>,
    stdin: Stdin,
}

impl Invocations {
    /// With nothing but the program's name.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), arguments: Vec::new(), stdin: Stdin::Empty }
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }

    /// With this on stdin.
    pub(crate) fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Appends one, or says why it cannot be.
    pub(crate) fn write(&self, index: u64, input: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        let start = into.len();
        let written = self.try_write(index, input, into);
        if written.is_err() {
            into.truncate(start);
        }
        written
    }

    fn try_write(&self, index: u64, input: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        let start = into.len();
        let mut writer = Writer::new(into);
        writer.push(self.name.as_bytes());
        writer.end_argument().map_err(|unfit| unfit.to_string())?;
        for argument in &self.arguments {
            argument.write(index, input, &mut writer);
            writer.end_argument().map_err(|unfit| unfit.to_string())?;
        }
        let stdin = match &self.stdin {
            Stdin::Empty => &[],
            Stdin::Input => input,
            Stdin::Bytes(bytes) => &bytes[..],
        };
        writer.finish(stdin).map_err(|unfit| unfit.to_string())?;
        let length = into.len() - start;
        if length > VALUE_BYTES_MAX {
            return Err(format!(
                "arguments and stdin of {length} bytes, at most {VALUE_BYTES_MAX} are allowed"
            ));
        }
        Ok(())
    }
}

impl Command {
    pub(super) fn new(module: Use, terms: Terms) -> Result<Self, Error> {
        let base = module.base();
        if !base.catalog.has_start {
            return Err(Error::new(ErrorKind::UnknownTask, no_command(base)));
        }
        let invocations = Invocations::new(program_name(&base.name));
        Ok(Self { module, terms, invocations })
    }

    /// The program with another name for itself, its first argument: by default the module's last word.
    #[must_use]
    pub fn argv0(mut self, name: impl Into<String>) -> Self {
        self.invocations.name = name.into();
        self
    }

    /// The program with one more argument.
    ///
    /// `{}` stands for the call's input and `{#}` for its index, wherever in the argument; `{{}}` and `{{#}}` stand for
    /// those signs themselves.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.invocations = self.invocations.arg(Argument::parse(argument.as_ref()));
        self
    }

    /// The program with more arguments; see [`Command::arg`].
    #[must_use]
    pub fn args<A: AsRef<str>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The program with this on its stdin, by default nothing.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.invocations = self.invocations.stdin(stdin);
        self
    }

    /// The program with another time limit per run.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.terms.time_max = Some(limit);
        self
    }

    /// The program with another time limit per job; see [`Builder::deadline`](super::Builder::deadline).
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.terms.deadline = Some(limit);
        self
    }

    /// The program with another number of retries per call; see [`Builder::retries`](super::Builder::retries).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.terms.retries = retries;
        self
    }

    /// Runs the program once per input and returns what each run wrote to stdout, in the inputs' order.
    ///
    /// # Errors
    ///
    /// When a run fails: the error names the failing call with the lowest index, whichever failed first in time.
    /// Calls before it have all run to their end, calls after it are stopped.
    pub fn map<I>(&self, inputs: I) -> Result<Vec<Vec<u8>>, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let outcomes = self.run(inputs.into_iter(), true)?;
        outcomes.into_iter().map(|outcome| outcome.map_err(Error::call)).collect()
    }

    /// Runs the program once per input and returns what became of each run. A failing one stops nothing.
    ///
    /// # Errors
    ///
    /// Only when the job as a whole cannot be run.
    pub fn map_outcomes<I>(&self, inputs: I) -> Result<Vec<Outcome<Vec<u8>>>, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.run(inputs.into_iter(), false)
    }

    /// Runs the program once and returns what it wrote to stdout.
    ///
    /// An idle worker is handed the call directly.
    ///
    /// # Errors
    ///
    /// When the run fails, or the program cannot be run.
    pub fn apply(&self, input: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let shared = self.module.shared();
        let module = self.module.module()?;
        let _entry = Entrance::new(shared)?;
        if let Some(obstacle) = shared.obstacle(module) {
            return Err(obstacle);
        }
        let work = self.work(module, true)?;
        let mut block = Block::new(None);
        if let Err(reason) = self.encode(0, input.as_ref(), &mut block) {
            return Err(Error::call(Failure::new(0, FailureKind::Refused, reason)));
        }
        let (outputs, source) = (Arc::new(Outputs::default()), Blocks::default());
        source.push(block);
        let job = Job::new(work, Box::new(source), Arc::clone(&outputs) as _);
        job.announce(1, true);
        shared.run_single(&job);
        if let Some(error) = shared.conclude(&job) {
            return Err(error);
        }
        job.detach();
        outputs.take(0).map_err(Error::call)
    }

    /// Runs a job to its end.
    fn run<T: AsRef<[u8]>>(
        &self,
        inputs: impl Iterator<Item = T>,
        stop: bool,
    ) -> Result<Vec<Outcome<Vec<u8>>>, Error> {
        let shared = self.module.shared();
        let _entry = Entrance::new(shared)?;
        let work = self.work(self.module.module()?, stop)?;
        let (outputs, blocks) = (Arc::new(Outputs::default()), Arc::new(Blocks::default()));
        let job = Job::new(work, Box::new(Arc::clone(&blocks)), Arc::clone(&outputs) as _);
        shared.submit(&job)?;
        let listed = Listed { shared, job: &job };
        let total = self.announce_all(inputs, &job, &blocks);
        job.wait(None);
        drop(listed);
        if let Some(error) = shared.conclude(&job) {
            return Err(error);
        }
        job.detach();
        Ok((0..total).map(|index| outputs.take(index)).collect())
    }

    /// Encodes inputs as they come, not too far ahead of the workers; returns how many there were.
    fn announce_all<T: AsRef<[u8]>>(
        &self,
        mut inputs: impl Iterator<Item = T>,
        job: &Arc<Job>,
        blocks: &Blocks,
    ) -> u64 {
        let (mut calls_max, mut total, mut has_ended) = (FIRST_BLOCK_CALLS, 0, false);
        loop {
            let mut block = Block::new(None);
            let mut refused = Vec::new();
            while block.calls() < calls_max && block.bytes() < BLOCK_BYTES_MAX {
                let Some(input) = inputs.next() else {
                    has_ended = true;
                    break;
                };
                let index = total + block.calls();
                if let Err(reason) = self.encode(index, input.as_ref(), &mut block) {
                    refused.push(Failure::new(index, FailureKind::Refused, reason));
                }
            }
            let calls_ahead = calls_ahead(&block);
            total = blocks.push(block);
            refused.into_iter().for_each(|failure| job.refuse(failure));
            job.announce(total, has_ended);
            self.module.shared().lobby.ring();
            if has_ended || !job.wait_for_room(calls_ahead) {
                return total;
            }
            calls_max = (calls_max * 2).min(BLOCK_CALLS_MAX);
        }
    }

    /// Appends an invocation to a block, or nothing for one that cannot be: its place must be taken.
    fn encode(&self, index: u64, input: &[u8], block: &mut Block) -> Result<(), String> {
        let Block::Blobs { ends, bytes } = block else { unreachable!("made as a block of blobs") };
        let encoded = self.invocations.write(index, input, bytes);
        ends.push(bytes.len());
        encoded
    }

    fn work(&self, module: &Arc<ModuleState>, stop_on_failure: bool) -> Result<Work, Error> {
        let terms = Terms { stop_on_failure, ..self.terms.clone() };
        limits::check_call(terms.time_max, terms.deadline, terms.fuel)?;
        Ok(Work::command(Arc::clone(module), terms, u64::MAX))
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("name", &self.invocations.name).finish_non_exhaustive()
    }
}

/// What is said of a module that cannot be run.
fn no_command(module: &ModuleState) -> String {
    let tasks: Vec<&str> = module.catalog.tasks.iter().map(|task| task.name.as_str()).take(8).collect();
    let remedy = if tasks.is_empty() {
        String::new()
    } else {
        format!("; it has tasks to call by name: {}", tasks.join(", "))
    };
    format!("module {} is no WASI command: it exports no _start{remedy}", module.name)
}

/// What a program is called by default: the last part of its module's path, which stands in quotes in messages.
fn program_name(module: &str) -> String {
    let path = Path::new(module.trim_matches('`'));
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::invocation::{HEAD_BYTES, Head};

    fn written(invocations: &Invocations, index: u64, input: &[u8]) -> (u32, Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::new();
        invocations.write(index, input, &mut bytes).unwrap();
        let head = Head::read(*bytes.first_chunk().unwrap(), bytes.len()).unwrap();
        let (text, stdin) = bytes[HEAD_BYTES..].split_at(head.text_bytes as usize);
        (head.arguments, text.to_vec(), stdin.to_vec())
    }

    #[test]
    fn an_invocation_has_a_name_arguments_and_stdin() {
        let bare = Invocations::new("app");
        assert_eq!(written(&bare, 0, b"in"), (1, b"app\0".to_vec(), vec![]));
        let both = bare.arg(Argument::parse("-{#}")).arg(Argument::parse("{}")).stdin(Stdin::Input);
        assert_eq!(written(&both, 3, b"in"), (3, b"app\0-3\0in\0".to_vec(), b"in".to_vec()));
        let fixed = both.stdin(Stdin::Bytes(b"same".to_vec()));
        assert_eq!(written(&fixed, 3, b"in").2, b"same");
    }

    #[test]
    fn what_cannot_be_leaves_nothing_behind() {
        let invocations = Invocations::new("app").arg(Argument::parse("{}"));
        let mut bytes = b"before".to_vec();
        let nul = "argument 1 holds a NUL byte, which no argument can; give the input on stdin instead";
        assert_eq!(invocations.write(0, b"a\0b", &mut bytes).unwrap_err(), nul);
        let large = vec![b'x'; VALUE_BYTES_MAX];
        let error = invocations.write(0, &large, &mut bytes).unwrap_err();
        assert!(error.starts_with("arguments and stdin of 67108877 bytes, at most 67108864"), "{error}");
        assert_eq!(bytes, b"before");
        let on_stdin = Invocations::new("app").stdin(Stdin::Input);
        assert_eq!(written(&on_stdin, 0, b"a\0b").2, b"a\0b");
    }

    #[test]
    fn a_program_is_called_by_its_modules_last_word() {
        for (module, name) in [("`dir/app.wasm`", "app.wasm"), ("`echo`", "echo"), ("`/`", "/")] {
            assert_eq!(program_name(module), name);
        }
    }
}
