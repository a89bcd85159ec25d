//! Scripts of operations on shared objects, done by a guest in a worker, and what their steps should answer.
//!
//! A step is `[kind, name, operation, arguments...]`; `wasm-tasks/src/shared/script.rs` says which there are.

use serde_json::{Value as Json, json};
use wasmpool::{Module, Task};

/// The task that does scripts.
pub type Script = Task<Vec<Json>, Vec<Json>>;

/// The task that does scripts and then ends as it is told.
pub type ScriptThen = Task<(Vec<Json>, String), Vec<Json>>;

/// The task `shared_ops` of a module that has been granted what its scripts use.
///
/// # Panics
///
/// When the module is not `wasm-tasks`.
#[must_use]
pub fn script(module: &Module) -> Script {
    module.task("shared_ops").expect("wasm-tasks has it")
}

/// The task `shared_ops_then` of a module that has been granted a queue named `stage`, too.
///
/// # Panics
///
/// When the module is not `wasm-tasks`.
#[must_use]
pub fn script_then(module: &Module) -> ScriptThen {
    module.task("shared_ops_then").expect("wasm-tasks has it")
}

/// A step that is refused for this reason.
#[must_use]
pub fn err(kind: &str) -> Json {
    json!({ "err": kind })
}

/// What a step answered: its value, or `{"err": kind}`.
#[must_use]
pub fn short(answer: &Json) -> Json {
    match answer.get("err") {
        Some(kind) => json!({ "err": kind }),
        None => answer["ok"].clone(),
    }
}

/// Does steps in one call, and returns their short answers.
///
/// # Panics
///
/// When the call fails.
#[must_use]
pub fn run(script: &Script, steps: &[Json]) -> Vec<Json> {
    let answers = script.apply(steps.to_vec()).unwrap_or_else(|error| panic!("{error} at {steps:?}"));
    assert_eq!(answers.len(), steps.len());
    answers.iter().map(short).collect()
}

/// Does one step in a call of its own, and returns its whole answer.
///
/// # Panics
///
/// When the call fails.
#[must_use]
pub fn answer(script: &Script, step: Json) -> Json {
    script.apply(vec![step]).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

/// Does the steps of a table in one call; each has to answer what stands behind it.
///
/// # Panics
///
/// When some do not: all of them are shown.
pub fn check(script: &Script, table: &[(Json, Json)]) {
    let steps: Vec<Json> = table.iter().map(|(step, _)| step.clone()).collect();
    let answers = script.apply(steps).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answers.len(), table.len());
    let wrong = table.iter().zip(&answers).filter(|((_, expected), answer)| short(answer) != *expected);
    let wrong: Vec<String> =
        wrong.map(|((step, expected), answer)| format!("{step} answers {answer}, not {expected}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows of a table: a step and what it answers, `["lock", "l", "acquire"] => null;`, or why it is refused,
/// `["lock", "l", "release"] ! NotHeld;`.
#[macro_export]
macro_rules! rows {
    (@ => $answer:tt) => {
        serde_json::json!($answer)
    };
    (@ ! $kind:tt) => {
        $crate::script::err(stringify!($kind))
    };
    ($([$($step:tt)*] $mark:tt $answer:tt;)*) => {
        [$((serde_json::json!([$($step)*]), $crate::rows!(@ $mark $answer))),*]
    };
}
