//! Hostile modules that aim at rights: files, descriptors, the environment, other processes, the network, and whatever
//! can be asked for by an import.

use std::fmt::Write as _;

use wasmpool::FailureKind::Exited;
use wasmpool_tests::siege::{Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn attack(name: &'static str, file: &'static str, outcome: Expected) -> Attack {
    Attack { name, module: Weapon::File(file), outcome, ..Attack::PLAIN }
}

/// An import that nobody is given.
const fn import(name: &'static str, make: fn() -> Vec<u8>, says: &'static str) -> Attack {
    Attack { name, module: Weapon::Made(make), outcome: Expected::Refused(says), ..Attack::PLAIN }
}

const NOTHING: Expected = Expected::Returns("0");

const PROBES: [Attack; 7] = [
    attack("descriptors", "probes-descriptors", NOTHING),
    attack("standard streams", "probes-streams", NOTHING),
    attack("the environment", "probes-environment", NOTHING),
    Attack {
        settings: |builder| builder.env("GRANTED", "value"),
        ..attack("addresses", "writes-through-host", NOTHING)
    },
    attack("files", "probes-files", Expected::RefusedOrReturns("0")),
    attack("signals", "signals", Expected::RefusedOrReturns("0")),
    attack("the network", "connects", Expected::RefusedOrReturns("0")),
];

const LEAVING: [Attack; 1] =
    [attack("an exit at the start", "exits-at-start", Expected::Ends(Exited(-1), "-1"))];

const IMPORTS: [Attack; 11] = [
    import("a system call", || of("env", "syscall", "(param i64) (result i64)"), "`syscall` from `env`"),
    import("a host's memory", || of_kind("env", "memory", "memory 1"), "`memory` from `env`"),
    import("a host's table", || of_kind("env", "table", "table 1 funcref"), "`table` from `env`"),
    import("a host's global", || of_kind("env", "base", "global i32"), "`base` from `env`"),
    import("the pull loop as a memory", || of_kind("wasmpool", "next", "memory 1"), "`next` from `wasmpool`"),
    import(
        "the pull loop by another type",
        || of("wasmpool", "done", "(param i64 i64 i64)"),
        "`done` from `wasmpool`",
    ),
    import("what wasmpool has not", || of("wasmpool", "spawn", ""), "`spawn` from `wasmpool`"),
    import(
        "an exit by another type",
        || of("wasi_snapshot_preview1", "proc_exit", "(param i64)"),
        "`proc_exit` from `wasi_snapshot_preview1`",
    ),
    import("an older interface", || of("wasi_unstable", "fd_write", ""), "`fd_write` from `wasi_unstable`"),
    import(
        "a thousand things",
        || {
            let mut text = String::from("(module");
            for number in 0..1000 {
                let _ = write!(text, r#"(import "env" "thing{number}" (func))"#);
            }
            (text + ")").into_bytes()
        },
        "and 990 more",
    ),
    import(
        "a name of a hundred kilobytes that would clear a terminal",
        || of(&format!("\\1b[2J{}", "x".repeat(90_000)), "\\0a", ""),
        "`\\n` from `\\u{1b}[2Jxxx",
    ),
];

fn of(module: &str, name: &str, kind: &str) -> Vec<u8> {
    of_kind(module, name, &format!("func {kind}"))
}

fn of_kind(module: &str, name: &str, kind: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (import "{module}" "{name}" ({kind})) (func (export "attack") (result i64) (i64.const 1)))"#
    );
    text.into_bytes()
}

#[test]
fn there_is_nothing_to_be_found() {
    withstand(&PROBES);
}

#[test]
fn leaving_is_an_outcome() {
    withstand(&LEAVING);
}

#[test]
fn what_is_not_given_is_refused_by_name() {
    withstand(&IMPORTS);
}
