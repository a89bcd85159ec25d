//! `spawn`: a process for each input, all at once, and what the tutorials print.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;
use wasmpool_tests::cli::{Ended, Wasmpool, check, check_prints, check_refuses};

fn run(arguments: &[&str]) -> Ended {
    Wasmpool::new(arguments).run("")
}

fn sorted_lines(ended: &Ended) -> Vec<String> {
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{}", ended.transcript());
    let mut lines: Vec<String> = ended.lines().iter().map(ToString::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn each_input_has_a_process_whose_lines_go_to_stdout() {
    let expected: Vec<String> = (0..5).map(|number| format!("Worker: {number}")).collect();
    assert_eq!(sorted_lines(&run(&["spawn", "tasks.wasm", "worker", "0..5"])), expected);
}

#[test]
fn results_are_printed_as_map_prints_them() {
    for flags in [&[][..], &["--format", "array"], &["--format", "lines", "--raw"]] {
        let verb = |verb| run(&[&[verb, "tasks.wasm", "cube", "-2", "0", "3..5"], flags].concat());
        let (map, spawn) = (verb("map"), verb("spawn"));
        assert_eq!((spawn.code(), &spawn.stdout), (0, &map.stdout), "{flags:?}: {}", spawn.transcript());
    }
}

/// Five calls of a second each: their processes all say that they have begun before the first ends.
#[test]
fn processes_run_all_at_once() {
    let ended = run(&["spawn", "tasks.wasm", "calculate_square", "1", "2", "3", "4", "5"]);
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{}", ended.transcript());
    let lines = ended.lines();
    let begun = lines.iter().take(5).filter(|line| line.starts_with("Calculating square of ")).count();
    assert_eq!(begun, 5, "{}", ended.transcript());
    let results: Vec<&str> = lines.iter().copied().filter(|line| line.parse::<i64>().is_ok()).collect();
    assert_eq!(results, ["1", "4", "9", "16", "25"]);
    assert_eq!(lines.len(), 15);
}

#[test]
fn lines_of_many_processes_are_never_torn_nor_mixed_with_results() {
    let inputs = vec!["300"; 16];
    let ended = run(&[&["spawn", "tasks.wasm", "prints"], &inputs[..]].concat());
    let mut expected: Vec<String> =
        (0..16).flat_map(|_| (1..=300).map(|line| format!("line {line}"))).collect();
    expected.sort();
    assert_eq!(sorted_lines(&ended), expected);
}

#[test]
fn where_stdout_is_json_alone_lines_go_to_stderr() {
    let ended = run(&["spawn", "tasks.wasm", "calculate_square", "2", "--format", "array"]);
    ended.check("[4]\n", "Calculating square of 2\nSquare of 2 is 4\n", 0);
    let ended = run(&["spawn", "tasks.wasm", "calculate_square", "2", "3", "--format", "records"]);
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let values = ended.lines().into_iter().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    assert!(values.map(|record| record["value"].as_i64()).eq([Some(4), Some(9)]), "{}", ended.transcript());
}

#[test]
fn every_process_is_another_one_with_a_name_of_its_own() {
    let ended = run(&["spawn", "tasks.wasm", "about_me", "0..20"]);
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let told: Vec<Value> =
        ended.lines().into_iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let pids: BTreeSet<u64> = told.iter().filter_map(|told| told["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 20);
    for (index, told) in (0..).zip(&told) {
        assert_eq!(told["process"], format!("Process-{}", index + 1));
        let of_call = ["job", "index", "attempt"].map(|field| told[field].as_u64());
        assert_eq!(of_call, [Some(1), Some(index), Some(1)]);
    }
}

#[test]
fn a_task_that_takes_not_just_one_argument_takes_arrays() {
    let ended = run(&["spawn", "tasks.wasm", "whoami", "[]", "[]", "--raw"]);
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    for (number, line) in (1..).zip(ended.lines()) {
        assert!(line.starts_with(&format!("I am Process-{number} with process id ")), "{line}");
    }
    check_prints(&["spawn", "tasks.wasm", "divides", "[6, 3]", r#"{"a": 8, "b": 2}"#], "", "2\n4\n");
}

#[test]
fn inputs_come_from_stdin_too() {
    check_prints(&["spawn", "tasks.wasm", "cube"], "1\n2\n\n3\n", "1\n8\n27\n");
    let mut running = Wasmpool::new(["spawn", "tasks.wasm", "cube"]).start();
    for number in 1..4 {
        // Each is started when its line comes.
        running.write(&format!("{number}\n"));
        assert_eq!(running.line(), Some((number * number * number).to_string()));
    }
    running.end().check("", "", 0);
}

#[test]
fn shared_objects_are_shared_by_all_processes() {
    let arguments = ["spawn", "tasks.wasm", "count_process", "0..10", "--value", "counter=i32:0"];
    check_prints(&[&arguments[..], &["--print", "counter"]].concat(), "", "counter = 10\n");
}

#[test]
fn a_failed_process_stops_no_other_unless_it_is_to() {
    let calls = ["spawn", "tasks.wasm", "divides", "[6, 3]", "[1, 0]", "[9, 3]"];
    check(&calls, "", "2\nnull\n3\n", "wasmpool: call 1 panicked…: attempt to divide by zero\n…\n", 100);
    let ended = run(&[&calls[..], &["--on-error", "stop"]].concat());
    assert_eq!(ended.code(), 100, "{}", ended.transcript());
    assert_eq!(ended.lines(), ["2"]);
}

#[test]
fn each_limit_holds_in_each_process() {
    let arguments = ["spawn", "slow.wat", "sleeps", "600", "0", "--timeout", "200ms"];
    let stderr = "wasmpool: call 0 timed out: ran longer than its limit of 200ms and was stopped\n";
    let ended = run(&arguments);
    assert_eq!((ended.code(), ended.stderr.as_str()), (100, stderr), "{}", ended.transcript());
    assert_eq!(ended.lines(), ["started", "started", "null", "0"]);
    let ended = run(&["spawn", "slow.wat", "sleeps", "600", "600", "--deadline", "200ms"]);
    assert_eq!(ended.code(), 124, "{}", ended.transcript());
}

#[test]
fn a_killed_process_fails_its_call_and_no_other() {
    let running = Wasmpool::new(["spawn", "slow.wat", "sleeps", "600", "1"]).start();
    let mut running = running;
    for _ in 0..2 {
        assert_eq!(running.line().as_deref(), Some("started"));
    }
    let workers = running.workers();
    assert_eq!(workers.len(), 2, "a process per input, and nothing else");
    // Whichever of the two this is, one call is lost and the other one ends by itself or by the second signal.
    workers[0].signal(Signal::KILL);
    workers[1].signal(Signal::TERM);
    let ended = running.end();
    let stderr = &ended.stderr;
    assert_eq!(ended.code(), 100, "{}", ended.transcript());
    assert!(stderr.contains("SIGKILL") && stderr.contains("SIGTERM"), "{stderr}");
    assert_eq!(ended.lines(), ["null", "null"]);
}

#[test]
fn ctrl_c_ends_all_processes() {
    let mut running = Wasmpool::new(["spawn", "slow.wat", "sleeps", "600", "600", "600"]).start();
    for _ in 0..3 {
        assert_eq!(running.line().as_deref(), Some("started"));
    }
    let workers = running.workers();
    running.process().signal(Signal::INT);
    assert_eq!(running.end().code(), 130);
    workers.iter().for_each(wasmpool_tests::cli::Process::wait);
}

#[test]
fn a_killed_command_leaves_no_process() {
    let mut running = Wasmpool::new(["spawn", "slow.wat", "spins_on", "[1, 1]", "[2, 2]"]).start();
    for _ in 0..2 {
        assert_eq!(running.line().as_deref(), Some("started"));
    }
    let workers = running.workers();
    assert_eq!(workers.len(), 2);
    running.process().signal(Signal::KILL);
    let _ = running.end();
    workers.iter().for_each(wasmpool_tests::cli::Process::wait);
}

#[test]
fn there_is_a_bound_and_the_error_names_it() {
    let line = "more than 256 inputs, and as many processes may be at once: give fewer, or use map, which runs any \
                number of calls in a few processes";
    check_refuses(&["spawn", "tasks.wasm", "cube", "0..257"], "", line, 2);
    check_refuses(&["spawn", "tasks.wasm", "cube", "0..18446744073709551615"], "", "…", 2);
    let inputs: String = (0..257).map(|number| format!("{number}\n")).collect();
    let ended = Wasmpool::new(["spawn", "tasks.wasm", "cube"]).run(&inputs);
    assert_eq!((ended.code(), ended.stderr.as_str()), (2, format!("wasmpool: {line}\n").as_str()));
}

#[test]
fn flags_of_a_pool_are_refused() {
    let workers =
        "--workers is the size of a pool, but spawn starts one process per input; leave it away, or use map";
    check_refuses(&["spawn", "tasks.wasm", "cube", "1", "-j", "2"], "", workers, 2);
    let retries =
        "--retries runs calls again, but spawn runs each input once, in a process of its own; use map";
    check_refuses(&["spawn", "tasks.wasm", "cube", "1", "--retries", "1"], "", retries, 2);
}

#[test]
fn deterministic_runs_are_alike() {
    let arguments = ["spawn", "tasks.wasm", "about_me", "0..4", "--deterministic=7", "--format", "records"];
    let one = run(&arguments);
    assert_eq!(one.code(), 0, "{}", one.transcript());
    assert_eq!(one.stdout, run(&arguments).stdout);
}
