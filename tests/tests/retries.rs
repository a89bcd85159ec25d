//! Calls that rest before they are tried again.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmpool::{ErrorKind, FailureKind, Task};
use wasmpool_tests::cli::Wasmpool;
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::watchdog::{Watchdog, wait_until};
use wasmpool_tests::{ACTOR, Act, Lines, builder, failure, text, text_in};

wasmpool::test_support!();

/// Nobody ever sees it pass.
const HOUR: Duration = Duration::from_secs(60 * 60);

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A task that traps for its first argument's sake, where it equals the second.
const TRAPS_ON: &str = r#"(module (func (export "traps_on") (param i64 i64) (result i64)
  (if (i64.eq (local.get 0) (local.get 1)) (then unreachable))
  (local.get 0)))"#;

#[test]
fn rests_are_at_least_as_long_as_asked_for_and_double_up_to_a_limit() {
    let fixture = text(1, "traps_on", TRAPS_ON);
    let task: Task<(i64, i64), i64> = fixture.module.task("traps_on").expect("a task");
    let begin = Instant::now();
    let failed = failure(task.retries(4).retry_delay(MS(20), MS(50)).apply((1, 1)));
    assert_eq!((failed.kind(), failed.attempt()), (FailureKind::Trapped, 5));
    assert!(begin.elapsed() >= MS(20 + 40 + 50 + 50), "{:?}", begin.elapsed());
}

#[test]
fn impossible_rests_are_refused() {
    let fixture = text(1, "traps_on", TRAPS_ON);
    let task: Task<(i64, i64), i64> = fixture.module.task("traps_on").expect("a task");
    let (long, short) = (Duration::from_secs(2), Duration::from_secs(1));
    let text = "retry_delay(2s, 1s): the first rest is longer than the longest, so raise the second time";
    let of_task = task.clone().retry_delay(long, short).apply((1, 2)).expect_err("refused");
    let of_pool = builder(1).retry_delay(long, short).build().expect_err("refused");
    for error in [of_task, of_pool] {
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Setting, text));
    }
    let error = task.retry_delay(MS(1), 25 * HOUR).map([(1, 2)]).expect_err("refused");
    assert_eq!(error.to_string(), "retry_delay(1ms, 90000s): choose from 0s to 24h");
}

#[test]
fn a_call_that_rests_holds_nobody_up_but_its_own_job_and_that_until_its_deadline() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act: Task<Act, i32> = fixture.module.task("act").expect("a task");
    let calls = |letter: char| (0..50).map(move |call| (letter as i32, 0, 0, i32::from(call == 0)));
    std::thread::scope(|scope| {
        let resting = act.clone().retries(1).retry_delay(HOUR, HOUR).deadline(Duration::from_secs(20));
        let single = resting.clone();
        let all = scope.spawn(move || resting.map_outcomes(calls('a')).expect_err("too late"));
        let one = scope.spawn(move || single.apply((i32::from(b's'), 0, 0, 1)).expect_err("too late"));
        lines.wait_for("a", 50);
        lines.wait_for("s", 1);
        wait_until(|| fixture.pool.stats().calls_resting == 2);
        let outcomes = act.map_outcomes(calls('b')).expect("outcomes");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 49);
        assert_eq!(fixture.pool.stats().calls_resting, 2, "both rest still");
        for job in [all, one] {
            assert_eq!(job.join().expect("no panic").kind(), ErrorKind::Deadline);
        }
    });
    assert_eq!(fixture.pool.stats().calls_resting, 0, "nobody waits for them any more");
}

#[test]
fn a_lost_call_returns_after_a_rest() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act: Task<Act, i32> = fixture.module.task("act").expect("a task");
    let act = act.retries(1).retry_delay(MS(100), MS(100));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| act.apply((i32::from(b'b'), 300_000_000, 0, 0)));
        lines.wait_for("b", 1);
        let begin = Instant::now();
        assert!(send(processes::workers(&fixture.pool)[0], Signal::KILL));
        lines.wait_for("b", 2);
        assert!(begin.elapsed() >= MS(100));
        assert_eq!(job.join().expect("no panic").expect("a result"), i32::from(b'b'));
    });
}

#[test]
fn every_call_of_many_that_fail_is_tried_as_often_as_asked_for() {
    let fixture = text(2, "traps_on", TRAPS_ON);
    let task: Task<(i64, i64), i64> = fixture.module.task("traps_on").expect("a task");
    let task = task.retries(2).retry_delay(MS(2), MS(50));
    let calls = (0..2000).map(|call| (call, if call % 3 == 0 { call } else { -1 }));
    let outcomes = task.map_outcomes(calls).expect("outcomes");
    assert_eq!(outcomes.len(), 2000);
    for (call, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(result) => assert_eq!(result, call),
            Err(failed) => assert_eq!((failed.index() as i64, failed.attempt(), call % 3), (call, 3, 0)),
        }
    }
    let stats = fixture.pool.stats();
    assert_eq!((stats.outcomes.of(FailureKind::Trapped), stats.retries), (667, 2 * 667));
}

#[test]
fn terminating_a_pool_does_not_wait_for_calls_that_rest() {
    let _watchdog = Watchdog::start();
    let pool = builder(1).retries(1).retry_delay(HOUR, HOUR).build().expect("a pool");
    let module = pool.load_bytes("traps_on", TRAPS_ON.as_bytes()).expect("a module");
    let task: Task<(i64, i64), i64> = module.task("traps_on").expect("a task");
    std::thread::scope(|scope| {
        let single = scope.spawn(|| task.apply((1, 1)));
        let job = scope.spawn(|| task.map([(1, 1)]));
        wait_until(|| pool.stats().calls_resting == 2);
        pool.terminate();
        assert_eq!(single.join().expect("no panic").expect_err("closed").kind(), ErrorKind::Closed);
        assert_eq!(job.join().expect("no panic").expect_err("closed").kind(), ErrorKind::Closed);
    });
}

#[test]
fn streams_go_on_behind_calls_that_rest() {
    let begin = Instant::now();
    let flags = ["--on-error", "continue", "--retries", "2", "--retry-delay", "50ms..60ms", "-j", "2"];
    let words = [&["starmap", "numbers.wat", "divides"], flags.as_slice()].concat();
    let lines: String = (0..500).map(|call| format!("[{call}, {}]\n", i32::from(call % 50 != 0))).collect();
    let ended = Wasmpool::new(words).run(&lines);
    let expected = (0..500).map(|call| if call % 50 == 0 { "null".to_owned() } else { call.to_string() });
    assert_eq!(ended.lines(), expected.collect::<Vec<_>>());
    assert_eq!(ended.code(), 100);
    assert!(begin.elapsed() >= MS(50 + 60));
}
