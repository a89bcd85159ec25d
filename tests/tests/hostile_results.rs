//! Hostile modules that aim at whoever takes their results, and at the pull loop by which they hand them over.

use serde::{Deserialize, Serialize};
use wasmpool::FailureKind::{BadResult, Failed, Refused, ResultTooDeep, ResultTooLarge, Trapped};
use wasmpool::{Error, Module};
use wasmpool_tests::siege::{Attack, Expected, Weapon, outcome, withstand};

wasmpool::test_support!();

/// A module whose task `attack` does this in its pull loop. It has `$next`, `$fetch`, `$done`, 8 MiB of memory, of
/// which inputs may take the kilobyte at 1024, and a function `$pull` that begins a call.
fn pulling(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
          (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
          (import "wasmpool" "fetch" (func $fetch (param i32)))
          (import "wasmpool" "done" (func $done (param i32 i32 i32)))
          (memory (export "memory") 128)
          (func $pull (drop (call $next (i32.const 1024) (i32.const 1024))))
          (func (export "wasmpool:task:attack") (param $codec i32) {body}))"#
    );
    text.into_bytes()
}

/// The same, handing back just these bytes, written as in a text module.
fn answering(bytes: &str, length: usize) -> Vec<u8> {
    let text =
        pulling(&format!("(call $pull) (call $done (i32.const 0) (i32.const 0) (i32.const {length}))"));
    let text = String::from_utf8(text).expect("text");
    let end = text.len() - 1;
    format!("{} (data (i32.const 0) \"{bytes}\"))", &text[..end]).into_bytes()
}

const fn attack(name: &'static str, make: fn() -> Vec<u8>, outcome: Expected) -> Attack {
    Attack { name, module: Weapon::Made(make), outcome, ..Attack::PLAIN }
}

const fn broken_order(name: &'static str, make: fn() -> Vec<u8>) -> Attack {
    attack(name, make, Expected::Ends(Trapped, "broke the order of the pull loop"))
}

const ORDER: [Attack; 7] = [
    broken_order("two calls at a time", || pulling("(call $pull) (call $pull)")),
    broken_order("two ends of a call", || {
        pulling(
            "(call $pull) (call $done (i32.const 3) (i32.const 0) (i32.const 1))
             (call $done (i32.const 0) (i32.const 0) (i32.const 1))",
        )
    }),
    broken_order("an end of no call", || pulling("(call $done (i32.const 0) (i32.const 0) (i32.const 0))")),
    broken_order("an input of no call", || pulling("(call $fetch (i32.const 0))")),
    broken_order("an end of no known kind", || {
        pulling("(call $pull) (call $done (i32.const -1) (i32.const 0) (i32.const 0))")
    }),
    attack(
        "no end",
        || pulling("(call $pull)"),
        Expected::Ends(Trapped, "the task returned before it ended its call"),
    ),
    attack("no call", || pulling(""), Expected::Ends(Trapped, "the task returned before it ended its call")),
];

const fn outside(name: &'static str, make: fn() -> Vec<u8>) -> Attack {
    attack(name, make, Expected::Ends(Trapped, "the task named bytes"))
}

const ADDRESSES: [Attack; 6] = [
    outside("an input to outside", || pulling("(drop (call $next (i32.const -1) (i32.const -1)))")),
    outside("an input fetched to outside", || pulling("(call $pull) (call $fetch (i32.const -1))")),
    outside("a result from outside", || {
        pulling("(call $pull) (call $done (i32.const 0) (i32.const -8) (i32.const 4))")
    }),
    outside("a result across the end", || {
        pulling("(call $pull) (call $done (i32.const 0) (i32.const 0x7fffff) (i32.const 2))")
    }),
    outside("a result that wraps around", || {
        pulling("(call $pull) (call $done (i32.const 0) (i32.const 2) (i32.const -1))")
    }),
    outside("an error's text from outside", || {
        pulling("(call $pull) (call $done (i32.const 1) (i32.const -8) (i32.const -8))")
    }),
];

const fn bad(name: &'static str, make: fn() -> Vec<u8>) -> Attack {
    attack(name, make, Expected::Ends(BadResult, ""))
}

/// Lists of lists.
#[derive(Debug, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

fn text(module: &Module) -> Result<String, Error> {
    outcome::<String>(module, "attack")
}

fn list(module: &Module) -> Result<String, Error> {
    outcome::<Vec<i64>>(module, "attack")
}

fn nested(module: &Module) -> Result<String, Error> {
    outcome::<Nested>(module, "attack")
}

const CONTENTS: [Attack; 13] = [
    bad("nothing", || answering("", 0)),
    bad("a byte that means nothing", || answering("\\c1", 1)),
    bad("a number cut short", || answering("\\d3\\00\\00", 3)),
    attack(
        "a number and more",
        || answering("\\07\\07", 2),
        Expected::Ends(BadResult, "trailing bytes behind the result"),
    ),
    bad("another type", || answering("\\a1a", 2)),
    Attack { call: text, ..bad("text that is not UTF-8", || answering("\\a2\\ff\\fe", 3)) },
    Attack { call: text, ..bad("text of four gigabytes", || answering("\\db\\ff\\ff\\ff\\ffa", 6)) },
    Attack {
        call: list,
        ..bad("a list of four thousand million", || answering("\\dd\\ff\\ff\\ff\\ff\\01", 6))
    },
    Attack { call: list, ..bad("a map of as many", || answering("\\df\\ff\\ff\\ff\\ff\\01\\01", 7)) },
    Attack {
        call: nested,
        outcome: Expected::Ends(ResultTooDeep, "deeper than 128 levels"),
        ..bad("lists eight million deep", || {
            pulling(
                "(call $pull) (memory.fill (i32.const 0) (i32.const 0x91) (i32.const 0x7fffff))
                 (call $done (i32.const 0) (i32.const 0) (i32.const 0x800000))",
            )
        })
    },
    Attack {
        settings: |builder| builder.max_memory(128 << 20),
        ..attack(
            "sixty-four megabytes and a byte",
            || {
                pulling(
                    "(drop (memory.grow (i32.const 1024)))
                     (call $pull) (call $done (i32.const 0) (i32.const 0) (i32.const 0x4000001))",
                )
            },
            Expected::Ends(ResultTooLarge, "67108865 bytes"),
        )
    },
    attack(
        "an error of eight megabytes that is not text",
        || {
            pulling(
                "(call $pull) (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 0x800000))
                 (call $done (i32.const 1) (i32.const 0) (i32.const 0x800000))",
            )
        },
        Expected::Ends(Failed, "\u{fffd}\u{fffd}"),
    ),
    attack(
        "a refusal that would clear a terminal",
        || {
            pulling(
                "(call $pull) (i64.store (i32.const 0) (i64.const 0x4a325b1b))
                 (call $done (i32.const 2) (i32.const 0) (i32.const 4))",
            )
        },
        Expected::Ends(Refused, "\u{1b}[2J"),
    ),
];

const ELSEWHERE: [Attack; 3] = [
    Attack {
        call: |module| Ok(format!("{:?}", module.task::<i64, i64>("attack")?.map(0..100)?.len())),
        ..attack("calls pulled by a task of numbers", numeric_that_pulls, Expected::Returns("100"))
    },
    Attack {
        call: |module| Ok(format!("{:?}", module.task::<(), i64>("attack")?.map([(); 100])?.len())),
        ..attack("calls pulled at the start", initializer_that_pulls, Expected::Returns("100"))
    },
    Attack {
        call: |module| outcome::<()>(module, "attack"),
        ..attack(
            "no memory",
            || {
                br#"(module (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
                    (func (export "wasmpool:task:attack") (param i32)
                      (drop (call $next (i32.const 0) (i32.const 1000)))))"#
                    .to_vec()
            },
            Expected::Ends(Trapped, "exports no memory named `memory`"),
        )
    },
];

/// A task that runs in blocks, and tries to end the calls of its block itself.
fn numeric_that_pulls() -> Vec<u8> {
    br#"(module
      (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
      (import "wasmpool" "done" (func $done (param i32 i32 i32)))
      (memory (export "memory") 1)
      (func (export "attack") (param i64) (result i64)
        (if (i64.ge_s (call $next (i32.const 0) (i32.const 1024)) (i64.const 0))
          (then (call $done (i32.const 1) (i32.const 0) (i32.const 4))))
        (local.get 0)))"#
        .to_vec()
}

/// A module that tries to end all calls in one instance, before the pool has entered its task.
fn initializer_that_pulls() -> Vec<u8> {
    let text =
        String::from_utf8(pulling("(call $pull) (call $done (i32.const 0) (i32.const 0) (i32.const 1))"));
    let text = text.expect("text");
    let end = text.len() - 1;
    let initializer = r#"(func (export "_initialize")
      (loop $again
        (if (i64.ge_s (call $next (i32.const 1024) (i32.const 1024)) (i64.const 0))
          (then (call $done (i32.const 1) (i32.const 0) (i32.const 4)) (br $again)))))"#;
    format!("{}{initializer})", &text[..end]).into_bytes()
}

#[test]
fn the_pull_loop_has_one_order() {
    withstand(&ORDER);
}

#[test]
fn inputs_and_results_stay_within_the_guests_memory() {
    withstand(&ADDRESSES);
}

#[test]
fn results_that_are_none_end_their_calls_and_nothing_else() {
    withstand(&CONTENTS);
}

#[test]
fn calls_are_pulled_by_the_pull_loop_alone() {
    withstand(&ELSEWHERE);
}
