//! Nobody spins while idle: what waits takes no processor time.

use std::fs;
use std::time::Duration;

use wasmpool_tests::cli::{Running, Wasmpool};

/// How long a command is watched at a time.
const WATCHED: Duration = Duration::from_secs(1);

/// Processor time that it may take meanwhile, all its processes together: a twentieth of what one takes that spins.
/// A look at a call that sleeps takes up to two milliseconds where everything about it has gone cold.
const IDLE_TIME_MAX: Duration = Duration::from_millis(50);

/// Processor time that the threads of a process have taken so far.
fn time_of(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs");
    let times = threads.map(|thread| {
        // A thread that has just ended takes no more. Nanoseconds on a processor come first.
        let path = thread.expect("a thread").path().join("schedstat");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().next().map_or(0, |time| time.parse().expect("nanoseconds"))
    });
    Duration::from_nanos(times.sum())
}

/// Waits until a command takes no time any more; the watchdog ends one that goes on and on.
fn rests(running: &Running) {
    let time = || -> Duration {
        let workers: Duration = running.workers().iter().map(|worker| time_of(worker.pid())).sum();
        workers + time_of(running.process().pid())
    };
    loop {
        let before = time();
        std::thread::sleep(WATCHED);
        if time().saturating_sub(before) < IDLE_TIME_MAX {
            return;
        }
    }
}

#[test]
fn a_pool_without_calls_rests() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "-j", "2"]).start();
    running.write("1\n");
    assert_eq!(running.line().as_deref(), Some("1"));
    rests(&running);
    running.write("2\n");
    assert_eq!(running.line().as_deref(), Some("8"));
    running.end().check("", "", 0);
}

#[test]
fn calls_that_wait_for_shared_objects_rest() {
    let waiting: [(&str, &[&str]); 5] = [
        ("sum_squares", &["--queue", "jobs=4"]),
        ("wait_for_start", &["--event", "start"]),
        ("wait_at_barrier", &["--barrier", "barrier=3"]),
        ("acquire_permit", &["--semaphore", "seats=0"]),
        ("pong", &["--pipe", "pipe"]),
    ];
    for (task, flags) in waiting {
        // The first call ends when the command does, and not before.
        let running = Wasmpool::new([&["apply", "tasks.wasm", task, "-j", "2"], flags].concat()).start();
        rests(&running);
        assert_eq!(running.workers().len(), 2, "{task}");
    }
}

#[test]
fn a_call_that_rests_before_its_next_attempt_takes_no_time() {
    let flags = ["--retries", "1", "--retry-delay", "1h", "-j", "2"];
    let running =
        Wasmpool::new([&["apply", "numbers.wat", "divides", "1", "0"], &flags[..]].concat()).start();
    rests(&running);
    assert_eq!(running.workers().len(), 2);
}
