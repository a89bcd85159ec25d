//! The command line as meant: flags checked against each other and turned into the modes they stand for.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::args::{
    Arguments, DoctorArguments, EachInput, EnvironmentFlag, Flags, InitializerFlag, InspectArguments,
    JailFlags, MapInput, OnError, OneCall, ProgramFlags, RunArguments, Target, Verb,
};
use super::bench::Bench;
use super::directory::DirectoryFlag;
use super::inputs::{Binding, Text};
use super::objects::Objects;
use super::output::{Order, Shape, Strings};
use super::quantity::Workers;
use crate::pool::Stdin;
use crate::pool::command::{Argument, Invocations};
use crate::pool::limits::{Limits, Spelling};
use crate::schedule::back_off::BackOff;

/// What the command is to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Make calls.
    Calls(Calls),
    /// Run a program within limits.
    Run(RunArguments, Limits),
    /// Measure a task.
    Bench(Bench),
    /// Describe a module, and the limits that would apply to it.
    Inspect(InspectArguments, Limits),
    /// Describe the machine.
    Doctor(DoctorArguments),
}

/// Everything about a job that the command line says.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) module: PathBuf,
    /// Without meaning for a program.
    pub(crate) task: String,
    /// How the module is run, if that is as a program.
    pub(crate) invocations: Option<Invocations>,
    pub(crate) inputs: Inputs,
    pub(crate) text: Text,
    pub(crate) place: Place,
    pub(crate) workers: Workers,
    pub(crate) order: Order,
    pub(crate) on_error: OnError,
    pub(crate) retries: u32,
    pub(crate) back_off: BackOff,
    pub(crate) isolation: Isolation,
    pub(crate) initializer: Option<InitializerFlag>,
    /// Whether it runs once for all instances.
    pub(crate) snapshot: bool,
    /// Where each run is to be like any other.
    pub(crate) seed: Option<u64>,
    pub(crate) limits: Limits,
    /// What the task may see of the file system.
    pub(crate) directories: Vec<DirectoryFlag>,
    /// Names and values that the task may see.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) jail: JailFlags,
    pub(crate) shape: Shape,
    pub(crate) strings: Strings,
    /// Whether to tell what the pool has done.
    pub(crate) stats: bool,
    pub(crate) objects: Objects,
}

/// Where the calls come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// A call for each input on the command line, of which there is at least one.
    Given(Binding, Vec<String>),
    /// A call for each line of stdin.
    Stdin(Binding),
    /// One call with these arguments.
    OneCall(Vec<String>),
}

/// Where calls are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the processes of a pool, as they have time.
    Pool,
    /// Each in a process of its own, all at once.
    OwnProcesses,
}

/// How long an instance of the module lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// From call to call, until one fails.
    Reuse,
    /// For one call.
    Fresh,
    /// For so many calls.
    Recycled(NonZeroU32),
}

impl Request {
    /// Gives the flags their meaning; `variable` looks a variable of this process's environment up.
    ///
    /// # Errors
    ///
    /// One line for the user, when flags contradict each other or the environment.
    pub(crate) fn new(
        arguments: Arguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let each = |binding, each: EachInput| {
            let inputs = match each.inputs {
                none if none.is_empty() => Inputs::Stdin(binding),
                given => Inputs::Given(binding, given),
            };
            (each.target, inputs, each.flags)
        };
        let mut invocations = None;
        let mut place = Place::Pool;
        let (target, inputs, flags) = match arguments.verb {
            Verb::Inspect(inspect) => {
                let limits = checked(inspect.limits.limits())?;
                return Ok(Self::Inspect(inspect, limits));
            }
            Verb::Run(run) => {
                let limits = checked(run.limits.limits())?;
                return Ok(Self::Run(run, limits));
            }
            Verb::Doctor(doctor) => return Ok(Self::Doctor(doctor)),
            Verb::Spawn(spawn) => {
                check_spawn(&spawn.flags)?;
                place = Place::OwnProcesses;
                each(Binding::One, spawn)
            }
            Verb::Bench(bench) => return bench.meant(variable).map(Self::Bench),
            Verb::Map(map) => {
                invocations = map.program.invocations(&map.module)?;
                let binding = if invocations.is_some() { Binding::Text } else { Binding::One };
                each(binding, map.into())
            }
            Verb::Starmap(starmap) => each(Binding::Many, starmap),
            Verb::Apply(OneCall { target, arguments, flags }) => (target, Inputs::OneCall(arguments), flags),
        };
        check_agreement(&flags, &inputs)?;
        Ok(Self::Calls(Calls {
            module: target.module,
            task: target.task,
            invocations,
            inputs,
            text: if flags.strings { Text::Strings } else { Text::Json },
            place,
            workers: flags.workers,
            order: if flags.unordered { Order::Completion } else { Order::Input },
            on_error: flags.on_error,
            retries: flags.retries,
            back_off: flags.retry_delay.unwrap_or_default(),
            isolation: match flags.recycle {
                Some(calls) => Isolation::Recycled(calls),
                None if flags.fresh => Isolation::Fresh,
                None => Isolation::Reuse,
            },
            initializer: flags.initializer,
            snapshot: flags.snapshot,
            seed: flags.deterministic,
            limits: checked(flags.limits.limits())?,
            directories: flags.dir,
            environment: granted(flags.env, variable)?,
            jail: flags.jail,
            shape: flags.format,
            strings: if flags.raw { Strings::Raw } else { Strings::Quoted },
            stats: flags.stats,
            objects: Objects::new(flags.objects)?,
        }))
    }
}

impl From<MapInput> for EachInput {
    /// Where there is no task, what stands in its place is the first input.
    fn from(map: MapInput) -> Self {
        let MapInput { module, task, inputs, program, flags } = map;
        let (task, inputs) = match (task, program.is_given()) {
            (task, true) => (String::new(), task.into_iter().chain(inputs).collect()),
            (task, false) => (task.unwrap_or_default(), inputs),
        };
        Self { target: Target { module, task }, inputs, flags }
    }
}

impl ProgramFlags {
    /// Whether the module is to be run as a program.
    fn is_given(&self) -> bool {
        self.stdin || !self.arg.is_empty()
    }

    /// How its runs are started, if it is to be run as a program.
    ///
    /// # Errors
    ///
    /// When no run would get anything of its input.
    fn invocations(&self, module: &Path) -> Result<Option<Invocations>, String> {
        if !self.is_given() {
            return Ok(None);
        }
        let arguments: Vec<Argument> = self.arg.iter().map(|text| Argument::parse(text)).collect();
        if !self.stdin && !arguments.iter().any(Argument::varies) {
            return Err(
                "no --arg holds {} or {#}, so that all runs would be alike; write '{}' where the input \
                        belongs, or give it on stdin with --stdin"
                    .to_owned(),
            );
        }
        let name = module.file_name().unwrap_or(module.as_os_str()).to_string_lossy();
        let invocations = Invocations::new(name).stdin(if self.stdin { Stdin::Input } else { Stdin::Empty });
        Ok(Some(arguments.into_iter().fold(invocations, Invocations::arg)))
    }
}

/// The limits, if there can be such.
pub(super) fn checked(limits: Limits) -> Result<Limits, String> {
    limits.check().map_err(|error| error.text(Spelling::Flag))?;
    Ok(limits)
}

fn check_agreement(flags: &Flags, inputs: &Inputs) -> Result<(), String> {
    if flags.raw && flags.format != Shape::Lines {
        return Err("--raw prints plain lines, but --format asks for JSON; leave one of them away".to_owned());
    }
    if flags.unordered && flags.deterministic.is_some() {
        return Err(
            "--unordered prints results as they finish, but --deterministic has them in one order; leave one of \
             them away"
                .to_owned(),
        );
    }
    let other = flags.recycle.and(match (flags.fresh, flags.deterministic) {
        (true, _) => Some("--fresh"),
        (false, Some(_)) => Some("--deterministic"),
        (false, None) => None,
    });
    if let Some(other) = other {
        return Err(format!(
            "--recycle keeps an instance for some calls, but {other} gives each call its own; leave one of them away"
        ));
    }
    if flags.snapshot && flags.initializer.is_none() {
        return Err("--snapshot begins all instances where an initializer ended, and none is given; add \
                    --initializer TASK"
            .to_owned());
    }
    if flags.retry_delay.is_some() && flags.retries == 0 {
        return Err(
            "--retry-delay says when a failed call is run again, and none is: add --retries N".to_owned()
        );
    }
    let arrays_wanted = matches!(inputs, Inputs::Given(Binding::Many, _) | Inputs::Stdin(Binding::Many));
    if flags.strings && arrays_wanted {
        return Err(
            "--strings gives each call one string, but starmap takes arrays of arguments; use map".to_owned()
        );
    }
    Ok(())
}

/// Flags that mean nothing where each call has a process of its own.
fn check_spawn(flags: &Flags) -> Result<(), String> {
    if flags.workers != Workers::Auto {
        let text = "--workers is the size of a pool, but spawn starts one process per input; leave it away, or use map";
        return Err(text.to_owned());
    }
    if flags.retries != 0 {
        let text =
            "--retries runs calls again, but spawn runs each input once, in a process of its own; use map";
        return Err(text.to_owned());
    }
    Ok(())
}

/// Gives granted variables their values; `variable` looks one of this process's up.
///
/// # Errors
///
/// When a variable that was granted with the value it has here has none.
pub(super) fn granted(
    flags: Vec<EnvironmentFlag>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, String> {
    let with_value = |EnvironmentFlag { name, value }| match value.or_else(|| variable(&name)) {
        Some(value) => Ok((name, value)),
        None => Err(format!("--env {name}: not set here, or not UTF-8; give --env {name}=VALUE")),
    };
    flags.into_iter().map(with_value).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args;
    use crate::pool::limits::Limit;

    fn meant(line: &str) -> Result<Calls, String> {
        let words = line.split(' ').map(OsString::from);
        let arguments =
            args::parse(std::iter::once(OsString::from("wasmpool")).chain(words)).expect("accepted");
        let variable = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        match Request::new(arguments, variable)? {
            Request::Calls(calls) => Ok(calls),
            other => panic!("{other:?}"),
        }
    }

    fn check_inputs(line: &str, expected: &Inputs) {
        assert_eq!(meant(line).expect("accepted").inputs, *expected, "{line}");
    }

    fn check_refused(line: &str, expected: &str) {
        let refusal = meant(line).expect_err("refused");
        assert!(refusal.starts_with(expected), "{line}: {refusal}");
    }

    #[test]
    fn the_verb_says_where_calls_come_from() {
        check_inputs("map m t", &Inputs::Stdin(Binding::One));
        check_inputs("map m t -5..5", &Inputs::Given(Binding::One, vec!["-5..5".to_owned()]));
        check_inputs("starmap m t", &Inputs::Stdin(Binding::Many));
        check_inputs("apply m t", &Inputs::OneCall(vec![]));
        check_inputs("apply m t 1 -2", &Inputs::OneCall(vec!["1".to_owned(), "-2".to_owned()]));
    }

    #[test]
    fn contradictions_are_refused() {
        check_refused("map m t --raw --format array", "--raw prints plain lines");
        check_refused("starmap m t --strings", "--strings gives each call one string");
        check_refused("map m t --retry-delay 1s", "--retry-delay says when a failed call is run again");
        check_refused("map m t --env GONE", "--env GONE: not set here");
        check_refused(
            "map m t --recycle 3 --fresh",
            "--recycle keeps an instance for some calls, but --fresh",
        );
        check_refused(
            "map m t --recycle 3 --deterministic",
            "--recycle keeps an instance for some calls, but --det",
        );
        check_refused("map m t --snapshot", "--snapshot begins all instances where an initializer ended");
        check_refused("map m t --unordered --deterministic", "--unordered prints results as they finish");
        check_refused("map m t --timeout 2s --deadline 1s", "--timeout 2s contradicts --deadline 1s");
        check_refused("map m t --max-stack 1KiB", "--max-stack 1 KiB: choose from 16 KiB to 16 MiB");
    }

    #[test]
    fn spawn_is_map_with_processes_of_their_own_that_do_not_stop_each_other() {
        let (map, spawn) =
            (meant("map m t 1 2").expect("accepted"), meant("spawn m t 1 2").expect("accepted"));
        assert_eq!(spawn.inputs, map.inputs);
        assert_eq!((map.place, spawn.place), (Place::Pool, Place::OwnProcesses));
        assert_eq!((map.on_error, spawn.on_error), (OnError::Stop, OnError::Continue));
        assert_eq!(meant("spawn m t --on-error stop").expect("accepted").on_error, OnError::Stop);
        check_refused("spawn m t -j 2", "--workers is the size of a pool");
        check_refused("spawn m t --retries 1", "--retries runs calls again");
    }

    #[test]
    fn a_seed_is_zero_unless_given() {
        let seed = |line| meant(line).expect("accepted").seed;
        assert_eq!(seed("map m t 1 2"), None);
        assert_eq!(seed("map m t --deterministic 1 2"), Some(0));
        assert_eq!(seed("map m t --deterministic=7 1 2"), Some(7));
    }

    #[test]
    fn an_initializer_has_a_name_and_perhaps_arguments() {
        let initializer = |line| {
            let flag = meant(line).expect("accepted").initializer.expect("an initializer");
            (flag.task, flag.arguments)
        };
        assert_eq!(initializer("map m t --initializer load"), ("load".to_owned(), None));
        assert_eq!(
            initializer("map m t --initializer load=[1]"),
            ("load".to_owned(), Some("[1]".to_owned()))
        );
        assert_eq!(initializer("map m t --initializer load="), ("load".to_owned(), Some(String::new())));
        assert_eq!(initializer("map m t --initializer f={\"a\":\"=\"}").1.as_deref(), Some("{\"a\":\"=\"}"));
        assert!(meant("map m t --initializer load --snapshot").expect("accepted").snapshot);
        let recycled = meant("map m t --recycle 3").expect("accepted").isolation;
        assert_eq!(recycled, Isolation::Recycled(NonZeroU32::new(3).expect("not zero")));
    }

    #[test]
    fn each_flag_sets_its_own_limit() {
        let line = "map m t --timeout 1s --deadline 2s --max-memory 3MiB --max-stack 40KiB --fuel 5 --max-tables 6 \
                    --max-table-elements 7 --max-module 8KiB --max-output 9 --max-result 10 --max-depth 11 \
                    --max-objects 12 --max-instances 13";
        let limits = meant(line).expect("accepted").limits;
        let amounts = Limit::ALL.map(|limit| limits.amount(limit).expect("set"));
        let (second, kib) = (1_000_000_000, 1 << 10);
        let expected = [3 << 20, 40 * kib, second, 2 * second, 5, 9, 10, 11, 12, 13, 6, 7, 8 * kib];
        assert_eq!(amounts, expected);
    }

    #[test]
    fn granted_variables_carry_their_values() {
        let calls = meant("map m t --env HOME --env A=b").expect("accepted");
        let expected =
            [("HOME", "/home/ada"), ("A", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(calls.environment, expected);
    }
}
