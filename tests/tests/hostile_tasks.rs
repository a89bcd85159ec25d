//! Hostile tasks that are written like any others, with the SDK.

use serde::{Deserialize, Serialize};
use wasmpool::FailureKind::{
    BadResult, Exited, Failed, OutOfMemory, OutputTooLarge, Panicked, Refused, ResultTooDeep, TimedOut,
    Trapped,
};
use wasmpool::{Error, Module};
use wasmpool_tests::siege::{Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn attack(name: &'static str, call: fn(&Module) -> Result<String, Error>, outcome: Expected) -> Attack {
    Attack { name, module: Weapon::Tasks, call, outcome, ..Attack::PLAIN }
}

const fn endless(name: &'static str, call: fn(&Module) -> Result<String, Error>) -> Attack {
    let outcome = Expected::Ends(TimedOut, "longer than its limit of 150ms");
    Attack { name, module: Weapon::Tasks, call, outcome, ..Attack::HASTY }
}

/// Calls a task that takes these arguments and returns nothing of interest.
fn call<A: Serialize>(module: &Module, task: &str, arguments: A) -> Result<String, Error> {
    module.task::<A, ()>(task)?.apply(arguments).map(|()| "nothing".into())
}

/// Lists of lists.
#[derive(Debug, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

fn nested(depth: usize) -> Nested {
    (1..depth).fold(Nested(Vec::new()), |inside, _| Nested(vec![inside]))
}

const TOO_MUCH: Expected = Expected::Ends(OutputTooLarge, "at most 65536 bytes a call");

const TALKING: [Attack; 5] = [
    attack("lines", |module| call(module, "floods", true), TOO_MUCH),
    attack("a line without end", |module| call(module, "floods", false), TOO_MUCH),
    attack("errors", |module| call(module, "floods_errors", ()), TOO_MUCH),
    attack(
        "a panic of a megabyte",
        |module| call(module, "panics_at_length", 1usize << 20),
        Expected::Ends(Panicked, "xxxx"),
    ),
    attack(
        "an error of a megabyte",
        |module| call(module, "fails_at_length", 1usize << 20),
        Expected::Ends(Failed, "xxxx"),
    ),
];

const TAKING: [Attack; 6] = [
    endless("time", |module| call(module, "spins", ())),
    endless("time, asleep", |module| call(module, "sleeps_ms", u64::MAX / 2_000_000)),
    attack(
        "memory in large pieces",
        |module| Ok(format!("{}", module.task::<(u32, u64), u64>("eats_memory")?.apply((1 << 22, 1 << 40))?)),
        Expected::Ends(OutOfMemory, "it may have 16777216 bytes"),
    ),
    attack(
        "memory in small pieces",
        |module| Ok(format!("{}", module.task::<(u32, u64), u64>("eats_memory")?.apply((100, 1 << 40))?)),
        Expected::Ends(OutOfMemory, "it may have 16777216 bytes"),
    ),
    attack("memory from call to call", leaking, Expected::Returns("a new instance")),
    attack(
        "the stack",
        |module| Ok(format!("{}", module.task::<i64, i64>("overflows_stack")?.apply(100_000_000)?)),
        Expected::Ends(Trapped, ""),
    ),
];

/// Leaks from call to call. An instance has memory for a few of them; the one that runs out of it goes, and the next
/// call has all of it again.
fn leaking(module: &Module) -> Result<String, Error> {
    const CALLS: usize = 40;
    let outcomes = module.task::<usize, usize>("leaks_memory")?.map_outcomes([2 << 20; CALLS])?;
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(failures.iter().all(|failure| failure.kind() == OutOfMemory), "{failures:?}");
    assert!(failures.len() < CALLS / 4, "{failures:?}");
    Ok("a new instance".into())
}

const BREAKING: [Attack; 7] = [
    attack(
        "a panic in a panic",
        |module| call(module, "panics_twice", ()),
        Expected::Ends(Panicked, "the first one"),
    ),
    attack("a lock taken twice", |module| call(module, "locks_itself_out", ()), Expected::Ends(Panicked, "")),
    attack(
        "a thread",
        |module| Ok(module.task::<(), bool>("starts_threads")?.apply(())?.to_string()),
        Expected::Returns("false"),
    ),
    attack("an exit", |module| call(module, "exits", i32::MIN), Expected::Ends(Exited(i32::MIN), "")),
    attack(
        "arguments too deep",
        |module| Ok(format!("{:?}", module.task::<Nested, Nested>("echo_nested")?.apply(nested(1000))?)),
        Expected::Ends(Refused, ""),
    ),
    attack(
        "a result too deep",
        |module| Ok(format!("{:?}", module.task::<u32, Nested>("deep_result")?.apply(1000)?)),
        Expected::Ends(ResultTooDeep, ""),
    ),
    attack(
        "a result of another type",
        |module| Ok(format!("{:?}", module.task::<&str, Vec<f64>>("echo_text")?.apply("text")?)),
        Expected::Ends(BadResult, ""),
    ),
];

#[test]
fn talking_has_an_end() {
    withstand(&TALKING);
}

#[test]
fn taking_has_an_end() {
    withstand(&TAKING);
}

#[test]
fn breaking_down_is_an_outcome() {
    withstand(&BREAKING);
}
