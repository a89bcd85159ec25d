//! What `bench` is told: as typed, and as meant.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::args::{
    EnvironmentFlag, JailFlags, ObjectFlags, OnError, Target, directory_parser, environment, unguarded,
};
use crate::cli::directory::DirectoryFlag;
use crate::cli::inputs::{Binding, Text};
use crate::cli::limits::LimitFlags;
use crate::cli::objects::Objects;
use crate::cli::output::{Order, Shape, Strings};
use crate::cli::quantity::{self, Workers};
use crate::cli::request::{Calls, Inputs, Isolation, Place, checked, granted};
use crate::schedule::back_off::BackOff;

/// `bench`, as typed.
// A job's deadline and what it leaves behind are of no use to many jobs in a row.
#[derive(Debug, Args)]
#[command(mut_arg("deadline", |flag| flag.hide(true)), mut_arg("print", |flag| flag.hide(true)))]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    target: Target,
    /// JSON values, or integer ranges such as 0..10, 0..=9 and -5..5; none: JSON Lines from stdin
    ///
    /// Arrays of arguments where the task does not take one. Bare words are taken where the task wants a string. A task
    /// without parameters needs no inputs. Of more than 1000000 inputs that are no range, the first ones are taken.
    #[arg(value_name = "INPUT", value_parser = unguarded)]
    inputs: Vec<String>,

    /// Most worker processes: 1 to 1024, or `auto` for one per usable core
    ///
    /// Up to 8, each number of them is measured; beyond that 1, 2, 4 and so on, and N.
    #[arg(short = 'j', long, value_name = "N", default_value = "auto", help_heading = "Calls")]
    workers: Workers,
    /// Give every call a new instance of the module
    #[arg(long, help_heading = "Calls")]
    fresh: bool,
    /// How long to measure, about; longer when a single turn of calls takes longer
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "5s", help_heading = "Calls")]
    time: Duration,

    #[command(flatten)]
    limits: LimitFlags,
    /// Let the task work in the directory HOST, which it finds under GUEST; `ro`: only read there
    #[arg(
        long,
        value_name = "HOST[::GUEST[::ro]]",
        value_parser = directory_parser(),
        help_heading = "Limits and grants"
    )]
    dir: Vec<DirectoryFlag>,
    /// Let the task see an environment variable, by default with its value here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = environment, help_heading = "Limits and grants")]
    env: Vec<EnvironmentFlag>,

    /// How figures are printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = BenchFormat::Table, help_heading = "Input and output")]
    format: BenchFormat,
    /// Take each input, or line of stdin, for a string as it stands
    #[arg(long, help_heading = "Input and output")]
    strings: bool,

    #[command(flatten)]
    jail: JailFlags,
    #[command(flatten)]
    objects: ObjectFlags,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BenchFormat {
    /// A table for people
    Table,
    /// One JSON object; all times in nanoseconds
    Json,
}

/// `bench`, as meant.
#[derive(Debug)]
pub(crate) struct Bench {
    /// What a pool and its calls are to be like. Its inputs are not looked at.
    pub(super) calls: Calls,
    /// As typed; none for those of stdin.
    pub(super) inputs: Vec<String>,
    pub(super) time: Duration,
    pub(super) format: BenchFormat,
}

impl BenchArguments {
    /// Gives the flags their meaning; `variable` looks a variable of this process's environment up.
    ///
    /// # Errors
    ///
    /// One line for the user.
    pub(crate) fn meant(self, variable: impl Fn(&str) -> Option<String>) -> Result<Bench, String> {
        if self.limits.deadline.is_some() {
            return Err(
                "--deadline ends a job, and bench runs many; --time says how long it measures".to_owned()
            );
        }
        if !self.objects.print.is_empty() {
            return Err("--print shows what a job leaves, and bench runs many; leave it away".to_owned());
        }
        let calls = Calls {
            module: self.target.module,
            task: self.target.task,
            invocations: None,
            initializer: None,
            snapshot: false,
            inputs: Inputs::Stdin(Binding::One),
            text: if self.strings { Text::Strings } else { Text::Json },
            workers: self.workers,
            order: Order::Completion,
            on_error: OnError::Stop,
            retries: 0,
            place: Place::Pool,
            back_off: BackOff::default(),
            stats: false,
            isolation: if self.fresh { Isolation::Fresh } else { Isolation::Reuse },
            seed: None,
            limits: checked(self.limits.limits())?,
            directories: self.dir,
            environment: granted(self.env, variable)?,
            jail: self.jail,
            shape: Shape::Lines,
            strings: Strings::Quoted,
            objects: Objects::new(self.objects)?,
        };
        Ok(Bench { calls, inputs: self.inputs, time: self.time, format: self.format })
    }
}
