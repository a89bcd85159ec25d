//! What a pool counts, and that it adds up whatever happens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use wasmpool::{ErrorKind, Failure, FailureKind, Stats, Task};
use wasmpool_tests::cli::Wasmpool;
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::watchdog::{SetWhenDropped, wait_until};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, text, text_in};

wasmpool::test_support!();

/// `act(turns, how)` turns round, and traps if `how` is 1, exits with 3 if it is 2.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "act") (param $turns i64) (param $how i64) (result i64)
    (local $left i64)
    (local.set $left (local.get $turns))
    (block $done (loop $again
      (br_if $done (i64.eqz (local.get $left)))
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br $again)))
    (if (i64.eq (local.get $how) (i64.const 1)) (then unreachable))
    (if (i64.eq (local.get $how) (i64.const 2)) (then (call $exit (i32.const 3))))
    (local.get $turns)))"#;

/// Every call that was submitted has ended in one way, and every job has ended.
fn adds_up(stats: &Stats) {
    assert_eq!(stats.outcomes.total(), stats.calls_submitted, "{stats:?}");
    assert_eq!((stats.jobs_running, stats.calls_waiting, stats.calls_resting), (0, 0, 0), "{stats:?}");
    let gone = stats.workers_lost + stats.workers_stopped + stats.workers_retired;
    assert!(stats.workers_started >= gone, "{stats:?}");
}

#[test]
fn each_outcome_is_counted_once() {
    let fixture = text(2, "module", MODULE);
    let act: Task<(i64, i64), i64> = fixture.module.task("act").expect("a task");
    let calls = (0..1000).map(|call| (call, i64::from(call % 10 == 0) + 2 * i64::from(call % 10 == 1)));
    act.map_outcomes(calls).expect("outcomes");
    for turns in 0..50 {
        assert_eq!(act.apply((turns, 0)).expect("a result"), turns);
    }
    act.clone().retries(2).apply((1, 1)).expect_err("it traps");
    act.map(Vec::new()).expect("no results");
    // Each attempt is timed, with its chunk, which ends after its last call.
    wait_until(|| fixture.pool.stats().runs.count == 1053);
    let stats = fixture.pool.stats();
    adds_up(&stats);
    assert_eq!((stats.calls_submitted, stats.jobs_ended), (1051, 53));
    let outcomes = stats.outcomes;
    assert_eq!((outcomes.returned, outcomes.failed(), outcomes.not_run), (850, 201, 0), "{stats:?}");
    assert_eq!((outcomes.of(FailureKind::Trapped), outcomes.of(FailureKind::Exited(0))), (101, 100));
    assert_eq!((stats.retries, stats.workers_lost, stats.workers_stopped), (2, 0, 0));
    // A single attempt is a chunk, and so is at most each call.
    assert!((52..=1053).contains(&stats.chunks), "{stats:?}");
    assert!(stats.runs.longest <= stats.busy && stats.runs.total <= stats.busy, "{stats:?}");
}

#[test]
fn calls_that_were_not_run_are_counted_as_such() {
    let fixture = text(2, "module", MODULE);
    let act: Task<(i64, i64), i64> = fixture.module.task("act").expect("a task");
    act.map((0..100_000).map(|call| (10, i64::from(call == 500)))).expect_err("it traps");
    let stats = fixture.pool.stats();
    adds_up(&stats);
    assert_eq!(stats.outcomes.failed(), 1);
    assert!(stats.outcomes.returned >= 500 && stats.outcomes.not_run > 0, "{stats:?}");
    let late = act.deadline(Duration::from_millis(20)).map(vec![(FOR_EVER, 0); 10]).expect_err("too late");
    assert_eq!(late.kind(), ErrorKind::Deadline);
    adds_up(&fixture.pool.stats());
    wait_until(|| fixture.pool.stats().workers_stopped == 2);
}

#[test]
fn outcomes_add_up_although_workers_are_killed() {
    const CALLS: u64 = 40_000;
    let fixture = text(2, "module", MODULE);
    let act: Task<(i64, i64), i64> = fixture.module.task("act").expect("a task");
    let is_over = AtomicBool::new(false);
    let mut killed = BTreeSet::new();
    let outcomes = std::thread::scope(|scope| {
        let _end = SetWhenDropped(&is_over);
        let (pool, is_over, killed) = (&fixture.pool, &is_over, &mut killed);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // After each death something is finished, or the module would be given up.
                let returned = pool.stats().outcomes.returned;
                wait_until(|| {
                    is_over.load(Ordering::Relaxed) || pool.stats().outcomes.returned > returned + 1000
                });
                // One that was killed may be among them until its death is proved.
                let pid = pool.worker_pids().into_iter().find(|pid| !killed.contains(pid));
                killed.extend(pid.filter(|pid| send(*pid, Signal::KILL)));
            }
        });
        act.map_outcomes((0..CALLS).map(|_| (10_000, 0))).expect("outcomes")
    });
    wait_until(|| fixture.pool.stats().workers_lost == killed.len() as u64);
    let stats = fixture.pool.stats();
    adds_up(&stats);
    let of =
        |kind| outcomes.iter().filter(|outcome| outcome.as_ref().err().map(Failure::kind) == kind).count();
    assert_eq!(stats.calls_submitted, CALLS);
    assert_eq!(stats.outcomes.returned, of(None) as u64);
    assert_eq!(stats.outcomes.failed(), CALLS - of(None) as u64);
    assert!(killed.len() > 3, "only {killed:?} were killed");
}

#[test]
fn the_ends_of_workers_are_told_apart() {
    let fixture = text_in(builder(2).timeout(Duration::from_millis(50)), "module", MODULE);
    let act: Task<(i64, i64), i64> = fixture.module.task("act").expect("a task");
    // Both serve the module from now on.
    wait_until(|| {
        act.map(vec![(1000, 0); 1000]).expect("results");
        fixture.pool.stats().workers_alive == 2
    });
    let alive = || fixture.pool.stats().workers_alive;
    let failed = wasmpool_tests::failure(act.apply((FOR_EVER, 0)));
    assert_eq!(failed.kind(), FailureKind::TimedOut);
    wait_until(|| fixture.pool.stats().workers_started == 3 && alive() == 2);
    assert!(send(processes::workers(&fixture.pool)[1], Signal::KILL));
    wait_until(|| fixture.pool.stats().workers_started == 4 && alive() == 2);
    fixture.pool.resize(1).expect("resized");
    wait_until(|| alive() == 1);
    let stats = fixture.pool.stats();
    adds_up(&stats);
    assert_eq!((stats.workers, stats.workers_started), (1, 4));
    assert_eq!((stats.workers_lost, stats.workers_stopped, stats.workers_retired), (1, 1, 1));
}

#[test]
fn chunks_change_hands_and_that_is_counted() {
    let fixture = text(2, "module", MODULE);
    let act: Task<(i64, i64), i64> = fixture.module.task("act").expect("a task");
    // Short ones first, so that chunks become long; then long ones, all of which are in one of them at first.
    let uneven = || (0..4000).map(|call| (if call < 3000 { 100 } else { 100_000 }, 0));
    wait_until(|| {
        act.map(uneven()).expect("results");
        let stats = fixture.pool.stats();
        stats.steals > 0 && stats.splits > 0
    });
    adds_up(&fixture.pool.stats());
}

#[test]
fn waiting_is_measured_where_calls_wait() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act: Task<Act, i32> = fixture.module.task("act").expect("a task");
    act.apply((0, 0, 0, 0)).expect("a result");
    let before = fixture.pool.stats();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| act.map([(i32::from(b'x'), 200_000_000, 0, 0); 2]));
        lines.wait_for("x", 1);
        let waits = scope.spawn(|| act.apply((0, 0, 0, 0)));
        held.join().expect("no panic").expect("results");
        waits.join().expect("no panic").expect("a result");
    });
    let stats = fixture.pool.stats();
    adds_up(&stats);
    assert_eq!(stats.waits.count - before.waits.count, 3);
    // It waited for what was left of the first of two that take as long as each other, and perhaps for the second one.
    assert!(stats.waits.longest > before.waits.longest, "{stats:?}");
}

#[test]
fn the_command_tells_at_the_end_on_stderr() {
    let flags = ["--stats", "-j", "2", "--on-error", "continue"];
    let words = [&["starmap", "numbers.wat", "divides", "[7, 1]", "[1, 0]"], flags.as_slice()].concat();
    Wasmpool::new(words).run("").check(
        "7\nnull\n",
        "wasmpool: call 1 trapped: …\n…\n\
         wasmpool: 2 calls in … s: 1 returned, 1 trapped\n\
         wasmpool: a call took … on average, half of them at most …, 99 % at most …, the longest …\n\
         wasmpool: calls waited … for a worker on average, … at most\n\
         wasmpool: 2 workers, busy for … s together; … chunks, … stolen, … split; 2 processes started\n",
        100,
    );
}
