//! Hostile modules that aim at output: too much of it on every channel, from addresses that there are not, and lies
//! about how a call ended.

use wasmpool::FailureKind::{OutputTooLarge, Panicked, Trapped};
use wasmpool::{Error, Module};
use wasmpool_tests::siege::{Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn attack(name: &'static str, file: &'static str, outcome: Expected) -> Attack {
    Attack { name, module: Weapon::File(file), outcome, ..Attack::PLAIN }
}

const TOO_MUCH: Expected = Expected::Ends(OutputTooLarge, "at most 65536 bytes a call");

const FLOODS: [Attack; 8] = [
    attack("lines", "floods-lines", TOO_MUCH),
    attack("lines on both channels", "floods-errors", TOO_MUCH),
    attack("a line without end", "floods-one-line", TOO_MUCH),
    attack("empty lines", "floods-empty-lines", TOO_MUCH),
    attack("one write of everything", "floods-by-one-write", TOO_MUCH),
    attack("before there is a call", "floods-at-start", TOO_MUCH),
    attack("when output is flushed", "floods-in-flush", TOO_MUCH),
    attack("a last word", "floods-panics", Expected::Ends(Panicked, "\u{fffd}\u{fffd}")),
];

const FROM_NOWHERE: [Attack; 3] = [
    attack("writes", "writes-from-nowhere", Expected::Returns("0")),
    attack(
        "a last word",
        "panics-from-nowhere",
        Expected::Ends(Trapped, "the task named bytes 65535..65537"),
    ),
    attack("no memory", "panics-without-memory", Expected::Ends(Trapped, "exports no memory named `memory`")),
];

/// Calls of a few nanoseconds each, which run in blocks.
const LIES: [Attack; 3] = [
    Attack {
        settings: |builder| builder.max_output(5),
        call: |module| every_hundredth_fails(module, 0),
        ..attack("output of other calls", "prints-little", Expected::Returns("[]"))
    },
    Attack {
        call: |module| every_hundredth_fails(module, 1),
        ..attack("a panic of another call", "cries-wolf", Expected::Returns("[Trapped]"))
    },
    Attack {
        call: |module| every_hundredth_fails(module, 1),
        ..attack("memory of another call", "blames-memory", Expected::Returns("[Trapped]"))
    },
];

/// The ways in which the calls failed, of which so many of each hundred do: the last ones.
fn every_hundredth_fails(module: &Module, failing: usize) -> Result<String, Error> {
    let outcomes = module.task::<i64, i64>("attack")?.map_outcomes(0..10_000)?;
    let mut kinds = Vec::new();
    for (call, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(_) => assert!(call % 100 < 100 - failing, "call {call} returned"),
            Err(failure) => {
                assert!(call % 100 >= 100 - failing, "{failure}");
                kinds.push(failure.kind());
            }
        }
    }
    kinds.dedup();
    Ok(format!("{kinds:?}"))
}

#[test]
fn output_ends_at_its_limit_on_every_channel() {
    withstand(&FLOODS);
}

#[test]
fn nothing_is_printed_that_the_guest_does_not_have() {
    withstand(&FROM_NOWHERE);
}

#[test]
fn a_call_is_charged_with_what_it_did_itself() {
    withstand(&LIES);
}
