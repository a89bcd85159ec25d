//! Worker processes that die, signals, and that nothing is left behind.

use rustix::process::Signal;
use serde_json::{Value, json};
use wasmpool_tests::cli::{Process, Running, Wasmpool};

/// Starts a command and waits until so many of its calls run.
fn with_running_calls(arguments: &[&str], calls: usize) -> Running {
    let running = Wasmpool::new(arguments).start();
    running.wait_for_stderr("started\n", calls);
    running
}

/// The workers, once as many are there as there must be in the end.
fn workers(running: &Running, count: usize) -> Vec<Process> {
    loop {
        // They are started side by side, so that the first may answer before the last is there.
        let workers = running.workers();
        assert!(workers.len() <= count, "{} workers", workers.len());
        if workers.len() == count {
            return workers;
        }
        std::thread::yield_now();
    }
}

#[test]
fn there_are_as_many_workers_as_asked_for_and_none_is_left_at_the_end() {
    for count in [1, 3, 8] {
        let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "-j", &count.to_string()]).start();
        running.write("3\n");
        assert_eq!(running.line().as_deref(), Some("27"));
        let workers = workers(&running, count);
        running.end().check("", "", 0);
        workers.iter().for_each(Process::wait);
    }
}

#[test]
fn a_worker_killed_in_a_call_fails_that_call() {
    let running = with_running_calls(&["map", "slow.wat", "sleeps", "600", "-j", "1"], 1);
    workers(&running, 1)[0].signal(Signal::KILL);
    running.end().check("", "started\nwasmpool: call 0 worker lost: …SIGKILL…\n", 100);
}

#[test]
fn a_worker_killed_in_a_call_costs_only_that_call() {
    let arguments = ["starmap", "slow.wat", "spins_on", "[1, 2]", "[2, 2]", "[3, 2]", "-j", "1"];
    for (signal, name) in [(Signal::KILL, "SIGKILL"), (Signal::TERM, "SIGTERM"), (Signal::ABORT, "SIGABRT")] {
        let running = with_running_calls(&[&arguments[..], &["--on-error", "continue"]].concat(), 1);
        workers(&running, 1)[0].signal(signal);
        let stderr = format!("started\nwasmpool: call 1 worker lost: …{name}…\n");
        running.end().check("1\nnull\n3\n", &stderr, 100);
    }
}

#[test]
fn a_call_of_a_killed_worker_is_tried_again_on_another_one() {
    let running = with_running_calls(
        &["map", "slow.wat", "sleeps", "3", "-j", "1", "--retries", "1", "--format", "records"],
        1,
    );
    let worker = workers(&running, 1).remove(0);
    worker.signal(Signal::KILL);
    worker.wait();
    let ended = running.end();
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let record: Value = serde_json::from_slice(&ended.stdout).expect("one record");
    assert_eq!((&record["value"], &record["attempt"]), (&json!(3), &json!(2)));
    assert_eq!(ended.stderr, "started\nstarted\n");
}

#[test]
fn retries_end_when_each_worker_is_killed() {
    let arguments = [
        "apply",
        "slow.wat",
        "spins",
        "-j",
        "1",
        "--retries",
        "2",
        "--on-error",
        "continue",
        "--format",
        "records",
    ];
    let running = Wasmpool::new(arguments).start();
    for attempt in 1..=3 {
        running.wait_for_stderr("started\n", attempt);
        workers(&running, 1)[0].signal(Signal::KILL);
    }
    let ended = running.end();
    assert_eq!(ended.code(), 100, "{}", ended.transcript());
    let record: Value = serde_json::from_slice(&ended.stdout).expect("one record");
    assert_eq!((&record["outcome"], &record["attempt"]), (&json!("worker lost"), &json!(3)));
}

#[test]
fn idle_workers_may_die_without_anybody_noticing() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "-j", "2"]).start();
    for number in 1..=5 {
        running.write(&format!("{number}\n"));
        assert_eq!(running.line(), Some((number * number * number).to_string()));
        for worker in running.workers() {
            worker.signal(Signal::KILL);
            worker.wait();
        }
    }
    running.end().check("", "", 0);
}

#[test]
fn a_job_outlives_all_its_workers() {
    const CALLS: i64 = 3_000_000;
    let range = format!("0..{CALLS}");
    let mut running = Wasmpool::new(["map", "numbers.wat", "identity64", &range, "-j", "2"]).start();
    for number in 0..CALLS {
        assert_eq!(running.line(), Some(number.to_string()));
        // More is to come than may be computed ahead of us, so that they cannot have finished.
        if number % 200_000 == 0 && number < 600_000 {
            running.workers().iter().for_each(|worker| worker.signal(Signal::KILL));
        }
    }
    running.end().check("", "", 0);
}

#[test]
fn a_stopped_worker_is_not_dead() {
    let running = with_running_calls(&["map", "slow.wat", "sleeps", "1", "-j", "1"], 1);
    let worker = workers(&running, 1).remove(0);
    worker.signal(Signal::STOP);
    worker.wait_until_stopped();
    worker.signal(Signal::CONT);
    running.end().check("1\n", "started\n", 0);
}

#[test]
fn an_interrupt_ends_the_command_and_all_its_workers() {
    for signal in [Signal::INT, Signal::TERM] {
        let running =
            with_running_calls(&["starmap", "slow.wat", "spins_on", "[1, 1]", "[2, 2]", "-j", "2"], 2);
        let workers = workers(&running, 2);
        running.process().signal(signal);
        let ended = running.end();
        assert_eq!((ended.code(), ended.stdout.as_slice()), (130, &b""[..]), "{}", ended.transcript());
        assert!(!ended.stderr.contains("panicked"), "{}", ended.transcript());
        workers.iter().for_each(Process::wait);
    }
}

#[test]
fn an_interrupt_keeps_what_was_finished() {
    let arguments = ["starmap", "slow.wat", "spins_on", "[1, 2]", "[2, 2]", "-j", "1", "--format", "array"];
    let running = with_running_calls(&arguments, 1);
    running.process().signal(Signal::INT);
    let ended = running.end();
    assert_eq!(ended.code(), 130, "{}", ended.transcript());
    let array: Value = serde_json::from_slice(&ended.stdout).expect("a whole array");
    assert_eq!(array, json!([1]));
}

#[test]
fn an_interrupt_ends_the_command_while_it_waits_for_stdin() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "-j", "2"]).start();
    let stdin = running.take_stdin();
    let mut writer = &stdin;
    std::io::Write::write_all(&mut writer, b"3\n").expect("somebody reads");
    assert_eq!(running.line().as_deref(), Some("27"));
    let workers = workers(&running, 2);
    running.process().signal(Signal::INT);
    let ended = running.end();
    assert_eq!(ended.code(), 130, "{}", ended.transcript());
    assert!(!ended.stderr.contains("panicked"), "{}", ended.transcript());
    workers.iter().for_each(Process::wait);
    drop(stdin);
}

#[test]
fn an_interrupt_ends_the_command_whose_output_nobody_reads() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000000000", "-j", "2"]).start();
    assert!(running.line().is_some());
    let workers = workers(&running, 2);
    running.process().signal(Signal::INT);
    // Not a byte is read before it has ended.
    running.process().wait();
    workers.iter().for_each(Process::wait);
    let ended = running.end();
    assert_eq!(ended.code(), 130);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.transcript());
}

#[test]
fn an_interrupt_in_the_thick_of_it_never_breaks_the_command() {
    for _ in 0..30 {
        let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000000000", "-j", "2"]).start();
        assert!(running.line().is_some());
        running.process().signal(Signal::INT);
        let ended = running.end();
        assert_eq!((ended.code(), ended.stderr.as_str()), (130, ""));
    }
}

#[test]
fn a_killed_supervisor_leaves_no_worker() {
    for arguments in [
        &["starmap", "slow.wat", "spins_on", "[1, 1]", "[2, 2]", "-j", "2"][..],
        &["map", "slow.wat", "sleeps", "600", "600", "-j", "2"],
    ] {
        let running = with_running_calls(arguments, 2);
        let workers = workers(&running, 2);
        running.process().signal(Signal::KILL);
        workers.iter().for_each(Process::wait);
    }
}

#[test]
fn a_timed_out_call_costs_only_itself_and_its_worker_is_replaced() {
    let arguments =
        ["starmap", "slow.wat", "spins_on", "[1, 2]", "[2, 2]", "[3, 2]", "-j", "1", "--timeout", "1s"];
    let running = with_running_calls(&[&arguments[..], &["--on-error", "continue"]].concat(), 1);
    let worker = workers(&running, 1).remove(0);
    running.end().check("1\nnull\n3\n", "started\nwasmpool: call 1 timed out: …\n", 100);
    worker.wait();
}
