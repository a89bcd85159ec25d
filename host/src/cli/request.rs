//! The command line as meant: flags checked against each other and turned into the modes they stand for.

use std::path::PathBuf;

use super::args::{
    Arguments, DoctorArguments, EachInput, EnvironmentFlag, Flags, InspectArguments, JailFlags, OnError,
    OneCall, RunArguments, Verb,
};
use super::directory::DirectoryFlag;
use super::inputs::{Binding, Text};
use super::objects::Objects;
use super::output::{Order, Shape, Strings};
use super::quantity::Workers;
use crate::pool::limits::{Limits, Spelling};

/// What the command is to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Make calls.
    Calls(Calls),
    /// Run a program within limits.
    Run(RunArguments, Limits),
    /// Describe a module, and the limits that would apply to it.
    Inspect(InspectArguments, Limits),
    /// Describe the machine.
    Doctor(DoctorArguments),
}

/// Everything about a job that the command line says.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) module: PathBuf,
    pub(crate) task: String,
    pub(crate) inputs: Inputs,
    pub(crate) text: Text,
    pub(crate) place: Place,
    pub(crate) workers: Workers,
    pub(crate) order: Order,
    pub(crate) on_error: OnError,
    pub(crate) retries: u32,
    pub(crate) isolation: Isolation,
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
            Verb::Map(map) => each(Binding::One, map),
            Verb::Starmap(starmap) => each(Binding::Many, starmap),
            Verb::Apply(OneCall { target, arguments, flags }) => (target, Inputs::OneCall(arguments), flags),
        };
        check_agreement(&flags, &inputs)?;
        Ok(Self::Calls(Calls {
            module: target.module,
            task: target.task,
            inputs,
            text: if flags.strings { Text::Strings } else { Text::Json },
            place,
            workers: flags.workers,
            order: if flags.unordered { Order::Completion } else { Order::Input },
            on_error: flags.on_error,
            retries: flags.retries,
            isolation: if flags.fresh { Isolation::Fresh } else { Isolation::Reuse },
            seed: flags.deterministic,
            limits: checked(flags.limits.limits())?,
            directories: flags.dir,
            environment: granted(flags.env, variable)?,
            jail: flags.jail,
            shape: flags.format,
            strings: if flags.raw { Strings::Raw } else { Strings::Quoted },
            objects: Objects::new(flags.objects)?,
        }))
    }
}

/// The limits, if there can be such.
fn checked(limits: Limits) -> Result<Limits, String> {
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
        check_refused("map m t --env GONE", "--env GONE: not set here");
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
