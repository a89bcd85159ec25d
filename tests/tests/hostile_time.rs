//! Hostile modules that aim at time: they take the worker and never give it back.

use wasmpool::FailureKind::{TimedOut, Trapped};
use wasmpool::{Error, Module};
use wasmpool_tests::siege::{Attack, Expected, Weapon, outcome, withstand};

wasmpool::test_support!();

/// An attack that only the clock ends.
const fn endless(name: &'static str, file: &'static str) -> Attack {
    let outcome = Expected::Ends(TimedOut, "longer than its limit of 150ms");
    Attack { name, module: Weapon::File(file), outcome, ..Attack::HASTY }
}

const SPINNING: [Attack; 8] = [
    endless("a loop", "spins"),
    endless("a loop of short host calls", "spins-in-host-calls"),
    endless("a loop of long host calls", "spins-in-long-host-calls"),
    endless("a loop of writes of nothing", "spins-in-empty-writes"),
    endless("a loop of fills", "spins-in-fill"),
    endless("a loop of overlapping copies", "spins-in-copy"),
    endless("a loop over tables", "spins-in-tables"),
    endless("a loop of tail calls", "spins-in-tail-calls"),
];

const OUTSIDE_OF_THE_TASK: [Attack; 4] = [
    endless("a start function", "spins-at-start"),
    endless("an initializer", "spins-in-initializer"),
    endless("a function that should flush output", "spins-in-flush"),
    Attack {
        call: |module| outcome::<()>(module, "attack"),
        ..endless("a pull loop that does not pull", "spins-before-next")
    },
];

const SLEEPING: [Attack; 4] = [
    endless("a sleep", "sleeps"),
    endless("a thousand alarms", "sleeps-until-a-date"),
    endless("an initializer that sleeps", "sleeps-at-start"),
    Attack {
        outcome: Expected::Ends(Trapped, "shared memory"),
        ..endless("a wait at an address", "waits-at-an-address")
    },
];

/// The call itself returns; the workers that it keeps are taken from it all the same.
const BEHIND_THE_RESULT: [Attack; 2] = [
    Attack {
        call: on_both_workers,
        outcome: Expected::Returns("[0, 0, 0, 0]"),
        ..endless("a loop behind the result", "spins-behind-done")
    },
    Attack {
        call: on_both_workers,
        outcome: Expected::Returns("[0, 0, 0, 0]"),
        ..endless("a loop behind the last call", "spins-behind-no-more-calls")
    },
];

fn on_both_workers(module: &Module) -> Result<String, Error> {
    Ok(format!("{:?}", module.task::<(), i64>("attack")?.map([(); 4])?))
}

#[test]
fn a_call_that_never_ends_is_stopped() {
    withstand(&SPINNING);
}

#[test]
fn whatever_runs_around_a_call_is_stopped_with_it() {
    withstand(&OUTSIDE_OF_THE_TASK);
}

#[test]
fn a_call_that_sleeps_for_ever_is_stopped() {
    withstand(&SLEEPING);
}

#[test]
fn a_worker_that_is_kept_behind_the_result_is_taken_back() {
    withstand(&BEHIND_THE_RESULT);
}
