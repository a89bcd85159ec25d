//! `bench`: the table and the JSON, calls that fail, and inputs that make no sense. How fast anything is, is not asked.

use std::fs;

use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use serde_json::Value;
use wasmpool_tests::cli::{Ended, Process, Wasmpool, check, check_refuses};
use wasmpool_tests::watchdog::wait_until;

/// Little time: every figure is measured once at least, whatever `--time` says.
const SHORT: [&str; 2] = ["--time", "200ms"];

fn bench(arguments: &[&str], stdin: &str) -> Ended {
    let ended = Wasmpool::new([&["bench"], arguments, &SHORT].concat()).run(stdin);
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{}", ended.transcript());
    ended
}

/// The JSON object, after looking at what must hold of every one.
fn measured(arguments: &[&str], stdin: &str) -> Value {
    let ended = bench(&[arguments, &["--format", "json"]].concat(), stdin);
    let json: Value = serde_json::from_slice(&ended.stdout).expect("one JSON value");
    check_figures(&json);
    json
}

fn check_figures(json: &Value) {
    let spreads = [
        &json["one_call"]["inline_ns"],
        &json["one_call"]["there_and_back_ns"],
        &json["one_call"]["overhead_ns"],
        &json["inline"]["call_ns"],
        &json["inline"]["overhead_in_pool_ns"],
    ];
    let pools = json["pools"].as_array().expect("pools");
    let of_pools = pools.iter().flat_map(|pool| [&pool["call_ns"], &pool["start_ns"]]);
    for spread in spreads.into_iter().chain(of_pools) {
        let [low, median, high] =
            ["low", "median", "high"].map(|key| spread[key].as_f64().expect("a measured number"));
        assert!((0.0..=median).contains(&low) && median <= high && high.is_finite(), "{json:#}");
    }
    // The worker's own time is part of the way there and back, call by call.
    let [inline, there] =
        ["inline_ns", "there_and_back_ns"].map(|key| json["one_call"][key]["median"].as_f64());
    assert!(0.0 < inline.expect("a time") && inline <= there, "{json:#}");
    assert!(json["inline"]["call_ns"]["median"].as_f64() > Some(0.0), "{json:#}");
    let inline = json["inline"]["call_ns"]["median"].as_f64().expect("a time");
    let overhead = json["inline"]["overhead_in_pool_ns"]["median"].as_f64().expect("a time");
    for pool in pools {
        let workers = pool["workers"].as_f64().expect("a number");
        let call = pool["call_ns"]["median"].as_f64().expect("a time");
        let faster = pool["speed_up"].as_f64().expect("a number");
        assert!(close(faster, inline / call), "{json:#}");
        assert!(close(pool["efficiency"].as_f64().expect("a number"), faster / workers), "{json:#}");
        assert!(pool["starts"].as_u64() > Some(0), "{json:#}");
        match pool["pays_from_ns"].as_f64() {
            Some(from) => assert!(workers > 1.0 && close(from, overhead / (workers - 1.0)), "{json:#}"),
            None => assert_eq!(workers, 1.0, "{json:#}"),
        }
        assert_eq!(pool["start_paid_by_calls"].is_null(), call >= inline, "{json:#}");
    }
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * one.abs().max(other.abs())
}

fn workers(json: &Value) -> Vec<u64> {
    let pools = json["pools"].as_array().expect("pools");
    pools.iter().map(|pool| pool["workers"].as_u64().expect("a number")).collect()
}

#[test]
fn the_table_has_a_row_for_each_size_and_says_from_where_on_a_pool_pays() {
    let ended = bench(&["tasks.wasm", "cube", "0..10", "-j", "2"], "");
    let lines = ended.lines();
    assert!(lines[0].starts_with("cube(number: i64): 10 inputs; "), "{}", ended.transcript());
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>().join(" "),
        "a call middle half speed-up efficiency"
    );
    let rows = [
        "one call, inline",
        "one call, there and back",
        "calls inline",
        "pool of 1 worker",
        "pool of 2 workers",
    ];
    for (line, row) in lines[3..8].iter().zip(rows) {
        assert!(line.starts_with(row), "{}", ended.transcript());
        let unit = line[row.len()..].split_whitespace().nth(1);
        assert!(unit.is_some_and(|unit| ["ns", "us", "ms", "s"].contains(&unit)), "{}", ended.transcript());
    }
    assert_eq!(lines[8], "");
    assert!(lines[9].starts_with("2 workers pay from calls of "), "{}", ended.transcript());
    assert!(lines[10].starts_with("handed over one at a time, from calls of "), "{}", ended.transcript());
    assert!(lines[11].starts_with("Starting 2 workers takes "), "{}", ended.transcript());
    assert_eq!(lines.len(), 12, "{}", ended.transcript());
}

#[test]
fn one_worker_is_measured_and_never_pays() {
    let ended = bench(&["tasks.wasm", "cube", "7", "-j", "1"], "");
    let lines = ended.lines();
    assert!(lines[0].starts_with("cube(number: i64): 1 input; "), "{}", ended.transcript());
    assert!(lines[8].starts_with("One worker never pays: "), "{}", ended.transcript());
}

#[test]
fn every_kind_of_task_and_input_can_be_measured() {
    for (arguments, stdin, inputs) in [
        (&["tasks.wasm", "cube", "0..10"][..], "", 10),
        (&["tasks.wasm", "cube", "-2..3", "7"], "", 6),
        (&["tasks.wasm", "cube", "0..100000000000"], "", 100_000_000_000_u64),
        (&["tasks.wasm", "cube"], "1\n2\n3\n", 3),
        (&["tasks.wasm", "cube", "--fresh", "5"], "", 1),
        (&["tasks.wasm", "greet", "Ada", "Grace"], "", 2),
        (&["tasks.wasm", "greet", "--strings"], "Ada\n\n", 2),
        (&["tasks.wasm", "add", "[1, 2]", r#"{"a": 3, "b": 4}"#], "", 2),
        (&["tasks.wasm", "counts_calls"], "never read", 1),
        (&["numbers.wat", "identity64", "1..=3"], "", 3),
        (&["tasks.wasm", "bill"], ORDERS, 2),
        (&["tasks.wasm", "environment", "A", "--env", "A=b"], "", 1),
    ] {
        let json = measured(arguments, stdin);
        assert_eq!(json["inputs"], inputs, "{arguments:?}");
        assert_eq!(json["inputs_left_out"], false, "{arguments:?}");
    }
}

const ORDERS: &str = r#"{"id": 1, "customer": "Ada", "article": "screws", "count": 2, "cents_each": 3, "express": true}
{"id": 2, "customer": "Bob", "article": "nails", "count": 1, "cents_each": 1, "express": false}
"#;

#[test]
fn all_sizes_up_to_the_number_of_workers_are_measured() {
    assert_eq!(workers(&measured(&["tasks.wasm", "cube", "1", "-j", "3"], "")), [1, 2, 3]);
    assert_eq!(workers(&measured(&["tasks.wasm", "cube", "1", "-j", "10"], "")), [1, 2, 4, 8, 10]);
}

#[test]
fn calls_longer_than_the_time_are_measured_once_and_each_worker_gets_one() {
    let json = measured(&["tasks.wasm", "sleeps_ms", "300", "-j", "2"], "");
    assert_eq!((&json["turns"], &json["calls_per_turn"]), (&Value::from(1), &Value::from(2)), "{json:#}");
    assert_eq!(json["one_call"]["calls"], 1);
    // However busy the machine is: a sleep is never shorter.
    assert!(json["inline"]["call_ns"]["low"].as_f64() >= Some(3e8), "{json:#}");
    assert!(json["pools"][0]["call_ns"]["low"].as_f64() >= Some(3e8), "{json:#}");
}

#[test]
fn inputs_too_many_to_be_run_in_a_turn_are_measured_by_the_first_of_them() {
    let inputs = ["5"; 500];
    let json = measured(&[&["tasks.wasm", "sleeps_ms", "-j", "2"], &inputs[..]].concat(), "");
    let calls = json["calls_per_turn"].as_u64().expect("a number");
    assert!((2..500).contains(&calls) && calls.is_multiple_of(2), "{json:#}");
    assert_eq!(json["inputs"], 500);
}

#[test]
fn objects_begin_anew_with_each_pool() {
    let shared = ["--value", "counter=i32:0", "-j", "2"];
    let json = measured(&[&["tasks.wasm", "count_process", "0..4"], &shared[..]].concat(), "");
    assert_eq!(json["inputs"], 4);
    // Each call puts an item that nobody takes, and takes longer than there is time: a pool makes two calls, the one
    // that is started to see what that takes makes one, and a queue of two has no room for three.
    let script = r#"[["event", "never", "wait_for", 20], ["queue", "jobs", "put", 1]]"#;
    let objects = ["--event", "never", "--queue", "jobs=2", "--timeout", "20s"];
    let arguments = ["bench", "tasks.wasm", "shared_ops", script, "-j", "1", "--time", "1ms"];
    let ended = Wasmpool::new([&arguments[..], &objects].concat()).run("");
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{}", ended.transcript());
}

#[test]
fn what_guests_print_is_dropped() {
    let ended = bench(&["tasks.wasm", "worker", "0..3"], "");
    assert!(!ended.transcript().contains("Worker: "), "{}", ended.transcript());
}

#[test]
fn a_failing_call_ends_it_as_it_ends_a_map() {
    for (task, inputs, line) in [
        ("fails_on", &["[1, 2]", "[2, 2]"][..], "wasmpool: call 1 failed: 2 is unlucky\n"),
        ("panics_on", &["[2, 2]"], "wasmpool: call 0 panicked at …: this number is unlucky…\n…"),
        ("traps_on", &["[1, 2]", "[1, 2]", "[2, 2]"], "wasmpool: call 2 trapped: …\n…"),
        ("divides", &["[1, 1]", "[1, 0]"], "wasmpool: call 1 panicked at …\n…"),
    ] {
        let arguments = [&["bench", "tasks.wasm", task], inputs, &SHORT].concat();
        check(&arguments, "", "", line, 100);
    }
    check(
        &["bench", "tasks.wasm", "sleeps_ms", "0", "60000", "--timeout", "50ms"],
        "",
        "",
        "wasmpool: call 1 timed out: …\n",
        100,
    );
    check(&["bench", "tasks.wasm", "cube", "1", "\"x\""], "", "", "wasmpool: call 1 refused: …\n", 100);
}

#[test]
fn a_call_that_fails_in_a_later_pass_is_named_by_its_input() {
    // The list takes ten records, and there is one input: it fails when it comes for the eleventh time.
    let arguments = ["bench", "tasks.wasm", "append_to_log", "a", "-j", "1", "--list", "log=10"];
    let ended = Wasmpool::new([&arguments[..], &SHORT].concat()).run("");
    assert_eq!(ended.code(), 100, "{}", ended.transcript());
    assert!(ended.stderr.starts_with("wasmpool: call 0 failed: "), "{}", ended.transcript());
}

#[test]
fn a_terminal_as_stdin_is_answered_with_a_message() {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    rustix::pty::grantpt(&master).expect("rights to it");
    rustix::pty::unlockpt(&master).expect("it can be opened");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
    let terminal = || fs::File::options().read(true).write(true).open(name.to_str().expect("a path"));
    let ended = Wasmpool::new(["bench", "tasks.wasm", "cube"]).stdin(terminal().expect("a terminal")).run("");
    ended.check("", "wasmpool: no inputs, and stdin is a terminal; …\n", 2);
    // A task without parameters needs no inputs.
    let arguments = [&["bench", "tasks.wasm", "counts_calls"][..], &SHORT].concat();
    let ended = Wasmpool::new(arguments).stdin(terminal().expect("a terminal")).run("");
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{}", ended.transcript());
}

#[test]
fn an_interrupt_ends_it_without_figures() {
    let running = Wasmpool::new(["bench", "tasks.wasm", "sleeps_ms", "600000", "-j", "1"]).start();
    wait_until(|| !running.workers().is_empty());
    let workers = running.workers();
    running.process().signal(Signal::INT);
    running.end().check("", "", 130);
    workers.iter().for_each(Process::wait);
}

#[test]
fn silly_requests_are_refused() {
    let nothing =
        "there is nothing to measure without an input; give INPUTs after the task, or pipe JSON Lines in";
    check_refuses(&["bench", "tasks.wasm", "cube"], "", nothing, 2);
    check_refuses(&["bench", "tasks.wasm", "cube", "5..5", "9..1"], "", nothing, 2);
    check_refuses(
        &["bench", "tasks.wasm", "cube", "1", "-j", "0"],
        "",
        "invalid value '0' for '--workers <N>': give a number from 1 to 1024, or `auto` for one per usable core",
        2,
    );
    check_refuses(
        &["bench", "tasks.wasm", "cube", "1", "--time", "0s"],
        "",
        "invalid value '0s' for '--time <DURATION>': no call can end in no time; leave the flag away for the default",
        2,
    );
    check_refuses(
        &["bench", "tasks.wasm", "cube", "1", "--deadline", "1s"],
        "",
        "--deadline ends a job, and bench runs many; --time says how long it measures",
        2,
    );
    check_refuses(
        &["bench", "tasks.wasm", "count_process", "1", "--value", "counter=i32:0", "--print", "counter"],
        "",
        "--print shows what a job leaves, and bench runs many; leave it away",
        2,
    );
    check(&["bench", "tasks.wasm", "cubes", "1"], "", "", "wasmpool: …`cubes`…\n", 2);
    check(&["bench", "empty.wat", "cube", "1"], "", "", "wasmpool: …\n", 2);
    check(&["bench", "nowhere.wasm", "cube", "1"], "", "", "wasmpool: …nowhere.wasm…\n", 96);
    check(
        &["bench", "tasks.wasm", "add", "1"],
        "",
        "",
        "wasmpool: input 1: starmap takes arrays of arguments, not 1; …\n",
        2,
    );
}
