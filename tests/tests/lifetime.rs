//! From a pool's first process to its last: nothing is left behind, whoever ends it and when.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Signal, WaitOptions};
use wasmpool::{ErrorKind, Exit, FailureKind};
use wasmpool_tests::processes::{self, Process, children, descriptors, send};
use wasmpool_tests::watchdog::{SetWhenDropped, Watchdog, wait_until};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, failure, tasks, tasks_in, text, text_in};

wasmpool::test_support!();

/// These tests count what this process has; only one at a time can.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something between two looks at what this process has, and waits until everything is gone that it brought.
fn leaves_nothing(what: &str, run: impl Fn()) {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    // What lives as long as the process (the executable, the thread that starts workers) is there from now on.
    drop(tasks(1));
    wait_until(|| children().is_empty());
    let before = settled_descriptors();
    for _ in 0..3 {
        run();
    }
    wait_until(|| children().is_empty());
    wait_until(|| descriptors().len() <= before.len());
    assert_eq!(descriptors(), before, "{what}");
}

/// Descriptors go when the thread that starts workers has heard of the last death.
fn settled_descriptors() -> BTreeSet<String> {
    let is_ours = |shown: &String| shown.contains("wasmpool") || shown.contains("pidfd");
    wait_until(|| !descriptors().iter().any(is_ours));
    descriptors()
}

#[test]
fn nothing_is_left_of_a_pool_that_did_its_work() {
    leaves_nothing("work", || {
        let fixture = tasks(3);
        fixture.module.task::<i64, i64>("cube").expect("a task").map(0..10_000).expect("results");
        let other = fixture.pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
        other.task::<Act, i32>("act").expect("a task").apply((1, 0, 0, 0)).expect("a result");
    });
}

#[test]
fn nothing_is_left_of_a_pool_that_was_never_used() {
    leaves_nothing("nothing", || drop(builder(4).build().expect("a pool")));
}

#[test]
fn nothing_is_left_of_failed_stopped_and_killed_calls() {
    leaves_nothing("misfortunes", || {
        let fixture = tasks_in(builder(2).timeout(std::time::Duration::from_millis(50)));
        let task = fixture.module.task::<(i64, i64), i64>("spins_on").expect("a task");
        failure(task.map((0..20).map(|number| (number, 10))));
        let task = fixture.module.task::<(i64, i64), i64>("traps_on").expect("a task");
        task.map_outcomes((0..200).map(|number| (number, number))).expect("outcomes");
        processes::kill(&processes::workers(&fixture.pool));
        failure(task.clone().retries(9).apply((1, 1)));
    });
}

#[test]
fn nothing_is_left_of_modules_that_could_not_be_loaded() {
    leaves_nothing("bad modules", || {
        let pool = builder(1).build().expect("a pool");
        pool.load_bytes("bad", b"(module (func (result i32)))").expect_err("invalid");
        pool.load("/nowhere/at/all.wasm").expect_err("missing");
    });
}

#[test]
fn workers_are_gone_when_join_returns() {
    let _alone = alone();
    for _ in 0..5 {
        let fixture = tasks(3);
        fixture.module.task::<i64, i64>("cube").expect("a task").map(0..1000).expect("results");
        let pids = processes::workers(&fixture.pool);
        fixture.pool.close();
        fixture.pool.join(None).expect("it ends");
        let left: Vec<Process> = pids.into_iter().filter_map(Process::find).collect();
        assert_eq!(left, [], "join waits until all of them are gone");
    }
}

#[test]
fn a_killed_worker_is_no_zombie_for_long() {
    let _alone = alone();
    let fixture = tasks(2);
    let pids = processes::workers(&fixture.pool);
    pids.iter().for_each(|pid| assert!(send(*pid, Signal::KILL)));
    wait_until(|| pids.iter().all(|pid| Process::find(*pid).is_none()));
    wait_until(|| children().iter().all(|child| child.state != 'Z'));
}

#[test]
fn a_pool_can_be_dropped_in_mid_job() {
    let _alone = alone();
    for workers in [1, 2] {
        let lines = Lines::default();
        let fixture = text_in(builder(workers).on_output(lines.taker()), "actor", ACTOR);
        let act = fixture.module.task::<Act, i32>("act").expect("a task");
        let forever = (i32::from(b'b'), FOR_EVER, 0, 0);
        std::thread::scope(|scope| {
            let jobs = [
                scope.spawn(|| act.map(vec![forever; 100]).expect_err("the pool goes")),
                scope.spawn(|| act.map_outcomes(vec![forever; 100]).expect_err("the pool goes")),
                scope.spawn(|| act.apply(forever).expect_err("the pool goes")),
                scope.spawn(|| act.map(std::iter::repeat(forever)).expect_err("the pool goes")),
            ];
            lines.wait_for("b", workers);
            drop(fixture);
            for job in jobs {
                let error = job.join().expect("no panic");
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            }
        });
        assert_eq!(act.apply(forever).expect_err("closed").kind(), ErrorKind::Closed);
        assert_eq!(act.map([forever]).expect_err("closed").kind(), ErrorKind::Closed);
        assert_eq!(act.map([]).expect_err("closed").kind(), ErrorKind::Closed);
        wait_until(|| children().is_empty());
    }
}

#[test]
fn a_pool_can_be_dropped_at_any_moment_of_its_start() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    for delay_us in (0..20_000).step_by(500) {
        let pool = builder(2).build().expect("a pool");
        let module = pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        drop((pool, module));
    }
    wait_until(|| children().is_empty());
}

#[test]
fn pools_live_side_by_side() {
    let _alone = alone();
    let fixtures = [tasks(1), tasks(2), text(1, "actor", ACTOR)];
    let cube = fixtures[0].module.task::<i64, i64>("cube").expect("a task");
    let square = fixtures[1].module.task::<i64, i64>("square").expect("a task");
    assert_eq!(cube.map(0..3).expect("results"), [0, 1, 8]);
    drop(fixtures);
    assert_eq!(square.apply(1).expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn a_stopped_worker_does_not_hold_up_the_end_of_its_pool() {
    let _alone = alone();
    let fixture = tasks(2);
    fixture.module.task::<i64, i64>("cube").expect("a task").apply(1).expect("a result");
    let pids = processes::workers(&fixture.pool);
    pids.iter().for_each(|pid| assert!(send(*pid, Signal::STOP)));
    wait_until(|| pids.iter().all(|pid| Process::find(*pid).is_some_and(|worker| worker.state == 'T')));
    drop(fixture);
    wait_until(|| children().is_empty());
}

#[test]
fn a_host_that_takes_its_childrens_statuses_gets_outcomes_all_the_same() {
    let _alone = alone();
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Sometimes it is quicker than the pool, sometimes not.
                let _ = rustix::process::wait(WaitOptions::NOHANG);
            }
        });
        let _end = SetWhenDropped(&is_over);
        for round in 1..=10 {
            let lost = scope.spawn(|| act.apply((i32::from(b'b'), FOR_EVER, 0, 0)));
            lines.wait_for("b", round);
            processes::kill(&processes::workers(&fixture.pool));
            let lost = failure(lost.join().expect("no panic"));
            let exits = [Exit::Signal(9), Exit::Unknown].map(FailureKind::WorkerLost);
            assert!(exits.contains(&lost.kind()), "{lost}");
            assert_eq!(act.apply((1, 0, 0, 0)).expect("a result"), 1);
        }
    });
}

#[test]
fn workers_die_with_their_supervisor() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    // Not SIGINT, which a program started in the background of a script ignores.
    for signal in [Signal::KILL, Signal::TERM, Signal::ABORT] {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut supervisor = Command::new(env!("CARGO_BIN_EXE_supervisor"))
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let shared_before = names_in("/dev/shm");
        let out = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        let said: Vec<String> =
            out.lines().map(|line| line.expect("a line")).take_while(|line| line != "busy").collect();
        let workers: Vec<u32> = said.iter().map(|pid| pid.parse().expect("a process id")).collect();
        // Those of the pool, and two processes of their own.
        assert_eq!(workers.len(), 4);
        let is_worker =
            |pid: &u32| Process::find(*pid).is_some_and(|worker| worker.parent == supervisor.id());
        assert!(workers.iter().all(is_worker), "{workers:?}");
        assert!(send(supervisor.id(), signal));
        supervisor.wait().expect("its status");
        // Nobody is left to take their statuses but the system, which does so in its own time.
        let is_gone = |pid: &u32| Process::find(*pid).is_none_or(|process| process.state == 'Z');
        wait_until(|| workers.iter().all(is_gone));
        let left: Vec<_> = fs::read_dir(temporary.path()).expect("a directory").collect();
        assert!(left.is_empty(), "{left:?}");
        let shared: Vec<_> = names_in("/dev/shm").difference(&shared_before).cloned().collect();
        assert!(shared.iter().all(|name| !name.contains("wasmpool")), "{shared:?}");
    }
}

fn names_in(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_pools_threads_end_with_it() {
    let _alone = alone();
    let threads = || {
        let tasks = fs::read_dir("/proc/self/task").expect("threads").flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("wasmpool-feede")).count()
    };
    for _ in 0..3 {
        let fixture = tasks(4);
        // A thread takes its name as its first act.
        wait_until(|| threads() == 4);
        drop(fixture);
        wait_until(|| threads() == 0);
    }
}
