//! Hostile modules that aim at memory: more of it than they may have, what lies beside it, and the stack.

use std::fmt::Write as _;

use wasmpool::FailureKind::{OutOfMemory, OutOfTables, StackOverflow, Trapped};
use wasmpool_tests::siege::{Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn attack(name: &'static str, file: &'static str, outcome: Expected) -> Attack {
    Attack { name, module: Weapon::File(file), outcome, ..Attack::PLAIN }
}

const OUT_OF_MEMORY: Expected = Expected::Ends(OutOfMemory, "it may have 16777216 bytes");
const OUT_OF_TABLES: Expected = Expected::Ends(OutOfTables, "elements");
const OUT_OF_BOUNDS: Expected = Expected::Ends(Trapped, "out of bounds memory access");
const OUT_OF_STACK: Expected = Expected::Ends(StackOverflow, "");

const GROWING: [Attack; 7] = [
    attack("a page at a time", "grows-page-by-page", OUT_OF_MEMORY),
    attack("four gigabytes at once", "grows-at-once", OUT_OF_MEMORY),
    attack("all that there is", "grows-to-the-limit", Expected::Returns("256")),
    attack("eight memories", "grows-eight-memories", Expected::Returns("256")),
    attack("a table", "grows-a-table", OUT_OF_MEMORY),
    attack("a table of all elements at once", "grows-a-table-at-once", OUT_OF_TABLES),
    attack("in the start function", "grows-at-start", OUT_OF_MEMORY),
];

const DECLARING: [Attack; 7] = [
    attack("too large a memory", "begins-with-too-much", Expected::Refused("begins with 16842752 bytes")),
    attack("too many elements together", "begins-with-too-many-elements", Expected::Refused("begins with")),
    attack(
        "too large a table",
        "begins-with-a-large-table",
        Expected::Refused("more than 1000000 elements in a table"),
    ),
    attack("too many memories", "nine-memories", Expected::Refused("more than 8 memories")),
    attack("too many tables", "nine-tables", Expected::Refused("more than 8 tables")),
    attack("a 64-bit memory", "wide-memory", Expected::Refused("64-bit memory")),
    attack("a memory for threads", "shared-memory", Expected::Refused("shared memory")),
];

const REACHING_OUT: [Attack; 7] = [
    attack("a read far beyond", "reads-far-beyond", OUT_OF_BOUNDS),
    attack("a read across the end", "reads-just-beyond", OUT_OF_BOUNDS),
    attack("a fill across the end", "fills-beyond", OUT_OF_BOUNDS),
    attack("data behind the end", "data-beyond", OUT_OF_BOUNDS),
    attack(
        "elements behind the end",
        "elements-beyond",
        Expected::Ends(Trapped, "out of bounds table access"),
    ),
    attack("a call of nobody", "calls-nobody", Expected::Ends(Trapped, "undefined element")),
    attack("a call by another type", "calls-another-type", Expected::Ends(Trapped, "type mismatch")),
];

const RECURSING: [Attack; 5] = [
    attack("a function", "recurses", OUT_OF_STACK),
    attack("through a table", "recurses-through-a-table", OUT_OF_STACK),
    attack("in the start function", "recurses-at-start", OUT_OF_STACK),
    attack("with host calls at each depth", "recurses-with-host-calls", OUT_OF_STACK),
    Attack {
        name: "with frames as large as there are",
        module: Weapon::Made(large_frames),
        outcome: OUT_OF_STACK,
        ..Attack::PLAIN
    },
];

/// A function with twenty thousand variables that all live across a call of itself.
fn large_frames() -> Vec<u8> {
    const VARIABLES: usize = 20_000;
    let mut text = String::from(r#"(module (func $attack (export "attack") (result i64)"#);
    for _ in 0..VARIABLES {
        text.push_str("(local i64)");
    }
    text.push_str("(local.set 0 (call $attack))");
    for variable in 1..VARIABLES {
        let _ = write!(text, "(local.set {variable} (i64.add (local.get 0) (i64.const {variable})))");
    }
    text.push_str("(local.set 0 (call $attack)) (local.get 0)");
    for variable in 1..VARIABLES {
        let _ = write!(text, "(i64.add (local.get {variable}))");
    }
    text.push_str("))");
    text.into_bytes()
}

#[test]
fn memory_ends_at_its_limit_however_it_is_asked_for() {
    withstand(&GROWING);
}

#[test]
fn memory_that_is_declared_has_the_same_limit() {
    withstand(&DECLARING);
}

#[test]
fn nothing_beside_a_memory_or_a_table_is_reached() {
    withstand(&REACHING_OUT);
}

#[test]
fn a_stack_ends_before_the_workers_does() {
    withstand(&RECURSING);
}
