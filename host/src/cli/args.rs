//! The command line as typed: verbs, flags and their help.
//!
//! What the flags mean together is [`request`](super::request)'s affair; here each stands for itself. clap does the
//! parsing but for two habits of its own: it takes `-5..5` for a cluster of flags (see [`parse`]), and it spreads an
//! error over a page, where ours is one line (see [`explain`]).

use std::ffi::OsString;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::bench::BenchArguments;
use super::directory::{self, DirectoryFlag};
use super::exit::Exit;
use super::limits::{InstanceFlags, LimitFlags};
use super::objects::declare::{self, Declaration};
use super::output::Shape;
use super::quantity::{self, Workers};
use crate::channel::control::Wishes;
use crate::pool::compile::CompileTerms;
use crate::schedule::back_off::BackOff;

/// Runs tasks of WebAssembly modules that nobody has to trust on a pool of processes
///
/// Python's multiprocessing for sandboxed functions: each worker process embeds wasmtime, has no rights but those
/// granted here, and is replaced when it dies.
#[derive(Debug, Parser)]
#[command(name = "wasmpool", bin_name = "wasmpool", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Calls a task once per input and prints the results in input order
    ///
    /// The task takes one parameter. Results are printed as they become available; a failed call stops the rest unless
    /// --on-error says otherwise.
    ///
    /// With --arg or --stdin, and no TASK, MODULE is a program (a WASI command): it is run once per input, each time in
    /// an instance of its own. The result is what it writes to stdout, as a string; with --raw its bytes as they are,
    /// end to end. An exit code other than 0 is a failure; stderr goes to stderr.
    #[command(after_help = MAP_EXAMPLES, override_usage = MAP_USAGE)]
    Map(MapInput),
    /// Like map, but each input is an array with the task's arguments
    ///
    /// An object binds the arguments by name instead.
    #[command(after_help = STARMAP_EXAMPLES)]
    Starmap(EachInput),
    /// Calls a task once with the given arguments
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(OneCall),
    /// Runs each input in a process of its own, all at once, and waits for all of them
    ///
    /// Python's multiprocessing.Process: one process per input, at most 256, started together, confined and limited like
    /// the workers of map. What the tasks print goes to stdout, line by line, between the results; with --format array or
    /// records stdout is JSON alone, and lines go to stderr. A failed call does not stop the others unless
    /// --on-error says so, and nothing is run again. For a task that takes not just one argument, each input is an array
    /// with its arguments.
    #[command(after_help = SPAWN_EXAMPLES)]
    #[command(mut_arg("workers", |flag| flag.hide(true)), mut_arg("recycle", |flag| flag.hide(true)))]
    #[command(mut_arg("retries", |flag| flag.hide(true)), mut_arg("retry_delay", |flag| flag.hide(true)))]
    #[command(mut_arg("on_error", |flag| flag.default_value("continue")))]
    Spawn(EachInput),
    /// Runs a WASI command, as if it were a program of its own
    ///
    /// What follows MODULE is the program's. Its standard streams and its exit code are the command's; it sees the
    /// granted environment variables and directories, and nothing else.
    #[command(after_help = RUN_EXAMPLES, override_usage = RUN_USAGE)]
    Run(RunArguments),
    /// Shows a module's tasks, types, imports and limits without running anything
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArguments),
    /// Measures a task: inline, and in pools of one worker and more
    ///
    /// Creating processes and handing calls to them can cost more than they bring. This tells for a task and inputs of
    /// your own: what a call costs in a pool, and from which length of a call a pool pays.
    ///
    /// The calls are those of `map`, or of `starmap` where the task does not take one argument. A turn makes as many of
    /// them as fit the time, with the inputs over and over again, or as many of the inputs as fit; turns go round all
    /// sizes of pools, the first does not count, and what is shown is the median of the others, and what their middle
    /// half lies between. A machine with other work to do, as its load average tells, spoils them. Results are taken and dropped, and so is what guests print. Shared objects begin anew with each
    /// pool, and not with each turn.
    ///
    /// inline: the calls one after the other in one confined process, by that process's own clock, without what a pool
    /// adds. A pool of N workers pays from calls of the length L = overhead / (N - 1) on: N workers share what would take
    /// L + overhead each in one of them. The overhead of a call of a job is what it takes in a pool of one worker, by the
    /// clock, beyond what it takes inline; that of a call handed over by itself is its way there and back.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArguments),
    /// Shows what this machine gives: how well processes are confined, cores, memory, the cache
    ///
    /// Starts a process that confines itself as a worker does, and reports what came of it. Exits with 96 where some
    /// right cannot be taken away, so that modules run with --insecure only.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArguments),
}

/// `map`.
#[derive(Debug, Args)]
pub(crate) struct MapInput {
    /// A .wasm or .wat file, or a directory with a Cargo.toml, which is built first
    #[arg(value_name = "MODULE", value_parser = path_parser())]
    pub(crate) module: PathBuf,
    /// The task's name (`wasmpool inspect MODULE` lists them); none for a program
    #[arg(value_name = "TASK", value_parser = unguarded, required_unless_present_any = ["arg", "stdin"])]
    pub(crate) task: Option<String>,
    /// JSON values, or integer ranges such as 0..10, 0..=9 and -5..5; none: JSON Lines from stdin
    ///
    /// A range is one call for each of its numbers. Bare words are taken where the task wants a string, and by
    /// programs. Stdin is read as the calls progress.
    #[arg(value_name = "INPUT", value_parser = unguarded)]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) program: ProgramFlags,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// How `map` runs a module as a program.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Programs")]
pub(crate) struct ProgramFlags {
    /// Run MODULE as a program with this argument: `{}` is the input, `{#}` its index
    ///
    /// May be given more than once. `{{}}` and `{{#}}` stand for these signs themselves.
    #[arg(long, value_name = "TEXT", value_parser = unguarded, allow_hyphen_values = true)]
    pub(crate) arg: Vec<String>,
    /// Run MODULE as a program with the input on its stdin, as it stands
    #[arg(long)]
    pub(crate) stdin: bool,
}

/// `starmap` and `spawn`.
#[derive(Debug, Args)]
pub(crate) struct EachInput {
    #[command(flatten)]
    pub(crate) target: Target,
    /// JSON values, or integer ranges such as 0..10, 0..=9 and -5..5; none: JSON Lines from stdin
    ///
    /// A range is one call for each of its numbers. Bare words are taken where the task wants a string. Stdin is read
    /// as the calls progress.
    #[arg(value_name = "INPUT", value_parser = unguarded)]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct OneCall {
    #[command(flatten)]
    pub(crate) target: Target,
    /// JSON values, or bare words where the task wants a string
    ///
    /// One object alone binds the task's parameters by name.
    #[arg(value_name = "ARGUMENT", value_parser = unguarded)]
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Let the program work in the directory HOST, which it finds under GUEST; `ro`: only read there
    ///
    /// GUEST is HOST as typed unless given. May be given more than once. Nothing outside of it can be reached.
    #[arg(long, value_name = "HOST[::GUEST[::ro]]", value_parser = directory_parser())]
    pub(crate) dir: Vec<DirectoryFlag>,
    /// Let the program see an environment variable, by default with its value here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = environment)]
    pub(crate) env: Vec<EnvironmentFlag>,
    /// Call the program so: its first argument, by default the name of MODULE's file
    #[arg(long, value_name = "NAME", value_parser = unguarded)]
    pub(crate) argv0: Option<String>,
    /// Longest the program may run: 250ms, 5s, 1m; then it is killed, and the exit code is 124 [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, help_heading = "Limits and grants")]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) limits: InstanceFlags,
    #[command(flatten)]
    pub(crate) foreign: ForeignFlags,
    /// A .wasm or .wat file that exports _start, and the program's arguments as they stand
    // One argument for both, so that even `--` behind MODULE is the program's.
    #[arg(value_name = "MODULE", value_parser = word_parser(), required = true, trailing_var_arg = true)]
    pub(crate) words: Vec<OsString>,
    // Last: its heading would be that of what follows.
    #[command(flatten)]
    pub(crate) jail: JailFlags,
}

impl RunArguments {
    /// The module, and the arguments of its program.
    ///
    /// # Errors
    ///
    /// When an argument is no text: WASI has no others.
    pub(crate) fn module_and_arguments(&self) -> Result<(&Path, Vec<String>), String> {
        let (module, arguments) = self.words.split_first().ok_or("the MODULE is missing")?;
        let arguments = (1..).zip(arguments).map(|(position, argument)| {
            let text = argument.to_str().map(str::to_owned);
            text.ok_or_else(|| format!("argument {position} is not UTF-8, as arguments of programs must be"))
        });
        Ok((Path::new(module), arguments.collect::<Result<_, _>>()?))
    }
}

/// Flags of the wasmtime command that are spelt otherwise here. They are known so as to be refused with a remedy.
#[derive(Debug, Args)]
pub(crate) struct ForeignFlags {
    #[arg(long, hide = true, value_name = "FUNCTION", value_parser = no_invoke)]
    invoke: Option<std::convert::Infallible>,
    #[arg(short = 'W', long = "wasm", hide = true, value_name = "OPTION", value_parser = no_wasm_options)]
    wasm: Option<std::convert::Infallible>,
    #[arg(short = 'S', long = "wasi", hide = true, value_name = "OPTION", value_parser = no_wasi_options)]
    wasi: Option<std::convert::Infallible>,
}

fn no_invoke(_: &str) -> Result<std::convert::Infallible, &'static str> {
    Err("functions of a module are called by `wasmpool apply MODULE FUNCTION [ARGUMENT]...`")
}

fn no_wasm_options(_: &str) -> Result<std::convert::Infallible, &'static str> {
    Err("limits have flags of their own here, such as --fuel, --timeout, --max-memory and --max-stack")
}

fn no_wasi_options(_: &str) -> Result<std::convert::Infallible, &'static str> {
    Err(
        "programs have WASI preview 1, what --dir and --env grant, and no sockets; there is nothing to choose",
    )
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A .wasm or .wat file, or with --build a directory with a Cargo.toml
    #[arg(value_name = "MODULE", value_parser = path_parser())]
    pub(crate) module: PathBuf,
    /// Print the catalogue as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Build a directory first, which runs its build scripts
    #[arg(long)]
    pub(crate) build: bool,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// What is called.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// A .wasm or .wat file, or a directory with a Cargo.toml, which is built first
    #[arg(value_name = "MODULE", value_parser = path_parser())]
    pub(crate) module: PathBuf,
    /// The task's name (`wasmpool inspect MODULE` lists them)
    #[arg(value_name = "TASK", value_parser = unguarded)]
    pub(crate) task: String,
}

/// The flags of every verb that makes calls.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Worker processes: 1 to 1024, or `auto` for one per usable core
    #[arg(short = 'j', long, value_name = "N", default_value = "auto", help_heading = "Calls")]
    pub(crate) workers: Workers,
    /// Print results as they finish instead of in input order
    #[arg(long, help_heading = "Calls")]
    pub(crate) unordered: bool,
    /// What a failed call does to the rest
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnError::Stop, help_heading = "Calls")]
    pub(crate) on_error: OnError,
    /// Run a failed call again up to N times
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Calls")]
    pub(crate) retries: u32,
    /// Let a call rest before it is run again: at first so long, then twice as long each time
    ///
    /// Up to a minute, or up to the second of two durations: 100ms..10s. Rests are up to a quarter longer, so that calls
    /// that failed together do not all come back together. Other calls go on meanwhile.
    #[arg(long, value_name = "DURATION", value_parser = quantity::rests, help_heading = "Calls")]
    pub(crate) retry_delay: Option<BackOff>,
    /// Give every call a new instance of the module
    ///
    /// Otherwise a worker keeps its instance from call to call, as a Python worker keeps its globals, until a call
    /// fails.
    #[arg(long, help_heading = "Calls")]
    pub(crate) fresh: bool,
    /// Give a worker a new instance of the module after every N calls
    #[arg(long, value_name = "N", value_parser = quantity::calls, help_heading = "Calls")]
    pub(crate) recycle: Option<NonZeroU32>,
    /// Run a task once in every instance before its first call: load, or load='["words.txt", 3]'
    ///
    /// Arguments are a JSON array, an object that binds them by name, or the one that the task takes. The task runs
    /// within the limits and with the grants of the call that waits for it, and its result is ignored. If it fails, no
    /// call can run, and the command exits with 96.
    #[arg(long, value_name = "TASK[=ARGUMENTS]", value_parser = initializer, help_heading = "Calls")]
    pub(crate) initializer: Option<InitializerFlag>,
    /// Run the initializer once, and begin all instances where it ended
    ///
    /// So that --fresh costs no more than without an initializer. It cannot open shared objects then. A module that
    /// no snapshot can be taken of runs it in every instance, with a message that says why.
    #[arg(long, help_heading = "Calls")]
    pub(crate) snapshot: bool,

    /// Have each run of this command be like any other, to the byte of its stdout
    ///
    /// Clocks begin at a fixed instant, random bytes come from SEED (0 if left out) and the call's index, every call has
    /// an instance of its own and 100000000000 units of fuel unless --fuel says otherwise, and NaNs have one bit pattern.
    /// Records leave out attempt, worker and time. Shared objects need -j 1.
    #[arg(
        long,
        value_name = "SEED",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = quantity::count,
        help_heading = "Calls"
    )]
    pub(crate) deterministic: Option<u64>,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    /// Let the task work in the directory HOST, which it finds under GUEST; `ro`: only read there
    ///
    /// GUEST is HOST as typed unless given. May be given more than once. Nothing outside of it can be reached, by
    /// whatever path or link, and without this flag there are no files at all.
    #[arg(
        long,
        value_name = "HOST[::GUEST[::ro]]",
        value_parser = directory_parser(),
        help_heading = "Limits and grants"
    )]
    pub(crate) dir: Vec<DirectoryFlag>,
    /// Let the task see an environment variable, by default with its value here
    ///
    /// May be given more than once. Nothing else of the environment can be seen.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = environment, help_heading = "Limits and grants")]
    pub(crate) env: Vec<EnvironmentFlag>,

    /// How results are printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Shape::Lines, help_heading = "Input and output")]
    pub(crate) format: Shape,
    /// Print results that are strings without quotes
    #[arg(long, help_heading = "Input and output")]
    pub(crate) raw: bool,
    /// Take each input, or line of stdin, for a string as it stands
    #[arg(long, help_heading = "Input and output")]
    pub(crate) strings: bool,
    /// Say at the end on stderr how many calls there were, how they ended and how long they took
    #[arg(long, help_heading = "Input and output")]
    pub(crate) stats: bool,

    #[command(flatten)]
    pub(crate) jail: JailFlags,

    #[command(flatten)]
    pub(crate) objects: ObjectFlags,
}

/// What compiling may take, and what is done where the kernel cannot confine.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Compiling and confinement")]
pub(crate) struct JailFlags {
    /// Longest that compiling the module may take [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) max_compile_time: Option<Duration>,
    /// Most memory that compiling the module may take [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_compile_memory: Option<u64>,
    /// Go on where this machine's kernel cannot confine processes as they must be
    ///
    /// They are confined as far as it can; `wasmpool doctor` shows how far that is.
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Objects that all calls of the job share, and may change. Each flag may be given more than once.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Shared objects")]
pub(crate) struct ObjectFlags {
    /// A number: counter=i32:0; types are bool, i8 to i64, u8 to u64, f32 and f64
    ///
    /// Without INITIAL it is 0, or false. A task opens it by its name, as all others.
    #[arg(long, value_name = "NAME=TYPE[:INITIAL]", value_parser = declare::value)]
    pub(crate) value: Vec<Declaration>,
    /// A fixed number of numbers: grid=f64:1000, or with initial values primes=u8:[2,3,5]
    #[arg(long, value_name = "NAME=TYPE:LENGTH", value_parser = declare::array)]
    pub(crate) array: Vec<Declaration>,
    /// A lock that anyone may release
    #[arg(long, value_name = "NAME", value_parser = declare::lock)]
    pub(crate) lock: Vec<Declaration>,
    /// A lock that its holder may take again
    #[arg(long, value_name = "NAME", value_parser = declare::rlock)]
    pub(crate) rlock: Vec<Declaration>,
    /// A semaphore: pool=3
    #[arg(long, value_name = "NAME=PERMITS", value_parser = declare::semaphore)]
    pub(crate) semaphore: Vec<Declaration>,
    /// A semaphore that never has more permits than at first
    #[arg(long, value_name = "NAME=PERMITS", value_parser = declare::bounded_semaphore)]
    pub(crate) bounded_semaphore: Vec<Declaration>,
    /// A lock with a place to wait
    #[arg(long, value_name = "NAME", value_parser = declare::condition)]
    pub(crate) condition: Vec<Declaration>,
    /// A flag to wait for, not set at first
    #[arg(long, value_name = "NAME", value_parser = declare::event)]
    pub(crate) event: Vec<Declaration>,
    /// A meeting of a fixed number of calls: start=4
    #[arg(long, value_name = "NAME=PARTIES", value_parser = declare::barrier)]
    pub(crate) barrier: Vec<Declaration>,
    /// A queue of at most CAPACITY items: jobs=64
    #[arg(long, value_name = "NAME=CAPACITY", value_parser = declare::queue)]
    pub(crate) queue: Vec<Declaration>,
    /// A queue that counts unfinished items
    #[arg(long, value_name = "NAME=CAPACITY", value_parser = declare::joinable_queue)]
    pub(crate) joinable_queue: Vec<Declaration>,
    /// Two connected ends, NAME.0 and NAME.1, each of which sends to the other
    #[arg(long, value_name = "NAME", value_parser = declare::pipe)]
    pub(crate) pipe: Vec<Declaration>,
    /// A list of values of any type, at most RECORDS of them
    #[arg(long, value_name = "NAME[=RECORDS]", value_parser = declare::list)]
    pub(crate) list: Vec<Declaration>,
    /// A dictionary of values of any type, at most RECORDS of them
    #[arg(long, value_name = "NAME[=RECORDS]", value_parser = declare::dict)]
    pub(crate) dict: Vec<Declaration>,
    /// A dictionary whose keys are attribute names
    #[arg(long, value_name = "NAME", value_parser = declare::namespace)]
    pub(crate) namespace: Vec<Declaration>,
    /// Print what is left in an object when the job is over: NAME = JSON
    ///
    /// In the order of these flags, behind all results, also when calls failed; with --format records as an object. A
    /// queue or pipe end shows what nobody took. When the reader of stdout is gone, nothing is printed.
    #[arg(long, value_name = "NAME", value_parser = declare::print)]
    pub(crate) print: Vec<String>,
}

impl JailFlags {
    /// What they say, and the defaults for what they do not.
    pub(crate) fn compile_terms(self) -> CompileTerms {
        let default = CompileTerms::default();
        CompileTerms {
            memory_bytes_max: self.max_compile_memory.unwrap_or(default.memory_bytes_max),
            time_max: self.max_compile_time.unwrap_or(default.time_max),
            wishes: Wishes { insecure: self.insecure, ..default.wishes },
        }
    }
}

impl ObjectFlags {
    /// All declarations, in the order of the flags in the help, and the names to print.
    pub(crate) fn into_parts(self) -> (Vec<Declaration>, Vec<String>) {
        let kinds = [
            self.value,
            self.array,
            self.lock,
            self.rlock,
            self.semaphore,
            self.bounded_semaphore,
            self.condition,
            self.event,
            self.barrier,
            self.queue,
            self.joinable_queue,
            self.pipe,
            self.list,
            self.dict,
            self.namespace,
        ];
        (kinds.into_iter().flatten().collect(), self.print)
    }
}

/// What a failed call does to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Finish the calls before it, drop those after it
    Stop,
    /// Run all others too; the failed one's result line is `null`
    Continue,
}

/// `--initializer TASK` or `--initializer TASK=ARGUMENTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InitializerFlag {
    pub(crate) task: String,
    /// `None`: it takes none.
    pub(crate) arguments: Option<String>,
}

/// `--env NAME` or `--env NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvironmentFlag {
    pub(crate) name: String,
    /// `None`: the value that the variable has here.
    pub(crate) value: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  wasmpool inspect tasks.wasm
  wasmpool map tasks.wasm cube 0..10
  wasmpool apply tasks.wasm greet Ada

Exit codes:
  0 all calls returned    100 some calls failed      130 interrupted
  2 wrong usage or input  124 the deadline passed    1   anything else
  96 the module or this machine cannot be used";

const MAP_USAGE: &str = "\
wasmpool map [OPTIONS] <MODULE> <TASK> [INPUT]...
       wasmpool map [OPTIONS] <MODULE> --arg <TEXT>... [INPUT]...
       wasmpool map [OPTIONS] <MODULE> --stdin [INPUT]...";

const MAP_EXAMPLES: &str = "\
Examples:
  wasmpool map tasks.wasm cube 0..10
  wasmpool map tasks.wasm cube -j 4 -5..5 100 '7'
  wasmpool map tasks.wasm greet Ada Grace --raw
  wasmpool map ./tasks parse --strings --on-error continue < lines.txt
  wasmpool map tasks.wasm count 0..100 --value counter=i64 --print counter
  wasmpool map tasks.wasm is_prime 0..100 --initializer prepare_primes=100 --snapshot --fresh
  wasmpool map tasks.wasm words_in /texts/a /texts/b --dir ./texts::/texts::ro
  tail -f log.jsonl | wasmpool map tasks.wasm classify --timeout 250ms
  wasmpool map thumbnail.wasm --arg --width=64 --arg '{}' --raw --dir . a.png b.png
  wasmpool map wc.wasm --stdin --strings < lines.txt";

const STARMAP_EXAMPLES: &str = "\
Examples:
  wasmpool starmap tasks.wasm add '[1, 2]' '[3, 4]'
  wasmpool starmap tasks.wasm add '{\"a\": 1, \"b\": 2}'
  wasmpool starmap tasks.wasm add --format array < pairs.jsonl";

const APPLY_EXAMPLES: &str = "\
Examples:
  wasmpool apply tasks.wasm add 1 -2
  wasmpool apply tasks.wasm add '{\"a\": 1, \"b\": -2}'
  wasmpool apply tasks.wasm greet Ada --env LANG --format records";

const RUN_USAGE: &str = "wasmpool run [OPTIONS] <MODULE> [ARGUMENT]...";
const SPAWN_EXAMPLES: &str = "\
Examples:
  wasmpool spawn tasks.wasm worker 0..5
  wasmpool spawn tasks.wasm whoami '[]' '[]'
  wasmpool spawn tasks.wasm consume 1 2 3 --queue jobs=64 --timeout 10s
  wasmpool spawn tasks.wasm deposit 0..10 --value balance=i64:0 --print balance";

const RUN_EXAMPLES: &str = "\
Examples:
  wasmpool run app.wasm --flag-of-the-app file
  wasmpool run --dir . app.wasm notes.txt
  wasmpool run --env LANG --max-memory 1GiB app.wasm < input.txt";

const INSPECT_EXAMPLES: &str = "\
Examples:
  wasmpool inspect tasks.wasm
  wasmpool inspect --json tasks.wasm | jq '.tasks[].name'
  wasmpool inspect --build ./tasks";

const BENCH_EXAMPLES: &str = "\
Examples:
  wasmpool bench tasks.wasm cube 0..10
  wasmpool bench tasks.wasm count_primes 1000 2000 3000 -j 4 --time 20s
  wasmpool bench tasks.wasm add '[1, 2]' --fresh --format json";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  wasmpool doctor
  wasmpool doctor --json | jq -r .verdict";

/// Reads the process's arguments, the program's name first.
///
/// Flags may stand anywhere, also behind inputs like `-5..5`. clap offers either numbers with a hyphen, which leaves
/// out ranges, or any hyphen, which ends all flags; so such arguments go through it behind a [`GUARD`].
///
/// # Errors
///
/// Help and version requests are errors too, as clap has it; [`explain`] handles them all.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(arguments.into_iter().map(guarded)).map_err(unguarded_error)
}

/// Prints help or version to stdout, or one line about the mistake to stderr, and says how to exit.
pub(crate) fn explain(error: &clap::Error) -> Exit {
    // Nobody is left to tell if either stream cannot be written.
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            Exit::Success
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            let _ = writeln!(std::io::stderr(), "wasmpool: {}", one_line(&error.render().to_string()));
            Exit::Usage
        }
    }
}

/// Stands before an argument that looks like a negative number. No argument of a process can hold it itself.
pub(super) const GUARD: char = '\0';

fn guarded(argument: OsString) -> OsString {
    let negative = matches!(argument.as_encoded_bytes(), [b'-', digit, ..] if digit.is_ascii_digit());
    if !negative {
        return argument;
    }
    let mut guarded = OsString::from(GUARD.to_string());
    guarded.push(argument);
    guarded
}

/// An argument as it was typed.
pub(super) fn without_guard(text: &str) -> &str {
    text.strip_prefix(GUARD).unwrap_or(text)
}

/// As an INPUT was typed. Never fails, but clap wants a `Result`.
pub(super) fn unguarded(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(without_guard(text).to_owned())
}

fn path_parser() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    word_parser().map(PathBuf::from)
}

fn word_parser() -> impl clap::builder::TypedValueParser<Value = OsString> {
    OsStringValueParser::new().map(|word| {
        let unguarded = word.to_str().and_then(|text| text.strip_prefix(GUARD)).map(OsString::from);
        unguarded.unwrap_or(word)
    })
}

pub(super) fn directory_parser() -> impl clap::builder::TypedValueParser<Value = DirectoryFlag> {
    OsStringValueParser::new().try_map(|typed| directory::parse(&typed))
}

fn unguarded_error(mut error: clap::Error) -> clap::Error {
    let guarded: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) if text.contains(GUARD) => Some((kind, text.replace(GUARD, ""))),
            _ => None,
        })
        .collect();
    for (kind, text) in guarded {
        error.insert(kind, ContextValue::String(text));
    }
    error
}

fn initializer(text: &str) -> Result<InitializerFlag, String> {
    let text = without_guard(text);
    let (task, arguments) = match text.split_once('=') {
        Some((task, arguments)) => (task, Some(arguments.to_owned())),
        None => (text, None),
    };
    if task.is_empty() {
        return Err("the task's name is missing; give TASK or TASK=ARGUMENTS".to_owned());
    }
    Ok(InitializerFlag { task: task.to_owned(), arguments })
}

pub(super) fn environment(text: &str) -> Result<EnvironmentFlag, String> {
    let text = without_guard(text);
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("the name is missing; give NAME or NAME=VALUE".to_owned());
    }
    Ok(EnvironmentFlag { name: name.to_owned(), value })
}

/// clap's page about a mistake as one line: message and tips stay, the usage becomes a pointer to the help.
fn one_line(page: &str) -> String {
    let usage = page.lines().find_map(|line| line.strip_prefix("Usage: wasmpool "));
    let verb = usage.and_then(|usage| usage.split(' ').next()).filter(|word| !word.starts_with(['<', '[']));
    let mut line = String::new();
    let message = page.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    for part in message.filter(|part| !part.is_empty() && !part.starts_with("For more information")) {
        let separator = if line.is_empty() {
            ""
        } else if part.starts_with("tip:") {
            "; "
        } else {
            " "
        };
        line.push_str(separator);
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    match (usage, verb) {
        (_, Some(verb)) => format!("{line} (see `wasmpool {verb} --help`)"),
        (Some(_), None) => format!("{line} (see `wasmpool --help`)"),
        (None, None) => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::control::DirRights;

    fn typed(line: &[&str]) -> Result<Arguments, clap::Error> {
        parse(std::iter::once("wasmpool").chain(line.iter().copied()).map(OsString::from))
    }

    fn map(line: &[&str]) -> MapInput {
        match typed(&[&["map"], line].concat()).expect("accepted").verb {
            Verb::Map(each) => each,
            other => panic!("{other:?}"),
        }
    }

    fn check_refused(line: &[&str], expected: &str) {
        let error = typed(line).expect_err("refused");
        assert_eq!(one_line(&error.render().to_string()), expected, "{line:?}");
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_stand_anywhere_among_inputs_that_begin_with_a_hyphen() {
        let each = map(&[
            "-j",
            "3",
            "m.wasm",
            "cube",
            "-5..5",
            "--unordered",
            "-3",
            "-0.5e3",
            "--on-error",
            "continue",
            "7",
        ]);
        assert_eq!(each.module, PathBuf::from("m.wasm"));
        assert_eq!(each.task.as_deref(), Some("cube"));
        assert_eq!(each.inputs, ["-5..5", "-3", "-0.5e3", "7"]);
        assert_eq!(each.flags.on_error, OnError::Continue);
        assert!(each.flags.unordered);
        assert_ne!(each.flags.workers, Workers::Auto);
    }

    #[test]
    fn whatever_follows_the_module_of_run_is_the_programs() {
        let program = |line: &[&str]| match typed(&[&["run"], line].concat()).expect("accepted").verb {
            Verb::Run(run) => {
                let (module, arguments) = run.module_and_arguments().expect("text");
                (module.to_owned(), arguments, run.argv0)
            }
            other => panic!("{other:?}"),
        };
        let expected = |arguments: &[&str], argv0: Option<&str>| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            (PathBuf::from("m"), arguments, argv0.map(str::to_owned))
        };
        for (line, arguments) in [
            (&["m"][..], &[][..]),
            (&["m", "--", "--argv0", "x"], &["--", "--argv0", "x"]),
            (&["--", "m", "-5", "--help", "--"], &["-5", "--help", "--"]),
            (&["m", "-x", "-5..5", ""], &["-x", "-5..5", ""]),
        ] {
            assert_eq!(program(line), expected(arguments, None), "{line:?}");
        }
        assert_eq!(program(&["--argv0", "me", "m", "--argv0", "x"]), expected(&["--argv0", "x"], Some("me")));
        check_refused(
            &["run", "--invoke", "f", "m"],
            "invalid value 'f' for '--invoke <FUNCTION>': functions of a module are called by `wasmpool apply MODULE \
             FUNCTION [ARGUMENT]...`",
        );
    }

    #[test]
    fn two_hyphens_end_the_flags() {
        let each = map(&["m.wasm", "greet", "--", "--raw", "-7", "-x"]);
        assert_eq!(each.inputs, ["--raw", "-7", "-x"]);
        assert!(!each.flags.raw);
    }

    #[test]
    fn every_flag_is_read() {
        let each = map(&[
            "m",
            "t",
            "--format",
            "records",
            "--timeout=250ms",
            "--deadline",
            "1m",
            "--retries",
            "2",
            "--fresh",
            "--max-memory",
            "64MiB",
            "--max-output=1MiB",
            "--strings",
            "--raw",
            "--env",
            "HOME",
            "--env=A=b=c",
            "--env",
            "EMPTY=",
            "--dir",
            "in::/in::ro",
            "--dir=out",
        ]);
        let flags = each.flags;
        assert_eq!(flags.format, Shape::Records);
        assert_eq!(flags.limits.timeout, Some(std::time::Duration::from_millis(250)));
        assert_eq!(flags.limits.deadline, Some(std::time::Duration::from_secs(60)));
        let limits = flags.limits;
        assert_eq!((limits.instance.max_memory, limits.max_output), (Some(64 << 20), Some(1 << 20)));
        assert_eq!((flags.retries, flags.fresh, flags.strings, flags.raw), (2, true, true, true));
        let environment: Vec<(&str, Option<&str>)> =
            flags.env.iter().map(|flag| (flag.name.as_str(), flag.value.as_deref())).collect();
        assert_eq!(environment, [("HOME", None), ("A", Some("b=c")), ("EMPTY", Some(""))]);
        let directories: Vec<(&str, DirRights)> =
            flags.dir.iter().map(|flag| (flag.guest.as_str(), flag.rights)).collect();
        assert_eq!(directories, [("/in", DirRights::ReadOnly), ("out", DirRights::ReadWrite)]);
    }

    #[test]
    fn mistakes_take_one_line() {
        check_refused(
            &["map", "m", "t", "-j", "0"],
            "invalid value '0' for '--workers <N>': give a number from 1 to 1024, or `auto` for one per usable core",
        );
        check_refused(
            &["map", "m", "t", "-j", "-5"],
            "invalid value '-5' for '--workers <N>': give a number from 1 to 1024, or `auto` for one per usable core",
        );
        check_refused(
            &["map", "m", "t", "--unorderd"],
            "unexpected argument '--unorderd' found; tip: a similar argument exists: '--unordered' (see `wasmpool map --help`)",
        );
        check_refused(
            &["starmap", "m"],
            "the following required arguments were not provided: <TASK> (see `wasmpool starmap --help`)",
        );
        check_refused(
            &["map", "m", "t", "--format", "xml"],
            "invalid value 'xml' for '--format <FORMAT>' [possible values: lines, array, records]",
        );
        check_refused(
            &["inspect", "m", "-5..5"],
            "unexpected argument '-5..5' found (see `wasmpool inspect --help`)",
        );
        check_refused(
            &["inspct", "m"],
            "unrecognized subcommand 'inspct'; tip: a similar subcommand exists: 'inspect' (see `wasmpool --help`)",
        );
        check_refused(
            &["map", "m", "t", "--env", "=x"],
            "invalid value '=x' for '--env <NAME[=VALUE]>': the name is missing; give NAME or NAME=VALUE",
        );
        check_refused(
            &["map", "m", "t", "--dir", "a::b::rw"],
            "invalid value 'a::b::rw' for '--dir <HOST[::GUEST[::ro]]>': behind HOST::GUEST only `::ro` can stand, \
             for a directory to read",
        );
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        for (line, kind) in [
            (&["--help"][..], ErrorKind::DisplayHelp),
            (&["map", "-h"], ErrorKind::DisplayHelp),
            (&["--version"], ErrorKind::DisplayVersion),
            (&[], ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ] {
            assert_eq!(typed(line).expect_err("not a request").kind(), kind, "{line:?}");
        }
    }

    #[test]
    fn help_shows_examples_and_stays_within_the_page() {
        for verb in ["map", "starmap", "apply", "spawn", "inspect", "bench", "doctor"] {
            for flag in ["-h", "--help"] {
                let help = typed(&[verb, flag]).expect_err("help").render().to_string();
                assert!(help.contains(&format!("Examples:\n  wasmpool {verb}")), "{help}");
                assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
            }
        }
    }
}
