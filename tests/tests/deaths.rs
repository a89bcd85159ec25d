//! Workers that die: killed from outside at any moment, replaced, and every result right all the same.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use wasmpool::{Error, ErrorKind, Exit, FailureKind, Pool};
use wasmpool_tests::processes::{self, Process, send};
use wasmpool_tests::random::Random;
use wasmpool_tests::watchdog::{SetWhenDropped, wait_until};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, failure, tasks, text, text_in};

wasmpool::test_support!();

const KILL: Exit = Exit::Signal(9);

/// Work for tens of microseconds, whose result depends on every turn. Nobody outside can see it run.
const UNSEEN: &str = r#"(module (func (export "work") (param $n i64) (result i64)
  (local $turns i64) (local $state i64)
  (local.set $turns (i64.const 20000))
  (local.set $state (local.get $n))
  (loop $again
    (local.set $state (i64.add (i64.mul (local.get $state) (i64.const 31)) (local.get $turns)))
    (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
    (br_if $again (i64.ne (local.get $turns) (i64.const 0))))
  local.get $state))"#;

/// The same in a module that could print: its calls are not run again by themselves.
fn seen() -> String {
    let import =
        r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
    UNSEEN.replacen("(module ", &format!("(module {import} (memory (export \"memory\") 1)"), 1)
}

fn worked(n: i64) -> i64 {
    // Each turn is `state * 31 + turns`, so all of them are `n * 31^20000` and what they come to for 0.
    static OF_ZERO: LazyLock<(i64, i64)> = LazyLock::new(|| {
        let turn = |(power, state): (i64, i64), turns: i64| {
            (power.wrapping_mul(31), state.wrapping_mul(31).wrapping_add(turns))
        };
        (1..=20_000).rev().fold((1, 0), turn)
    });
    n.wrapping_mul(OF_ZERO.0).wrapping_add(OF_ZERO.1)
}

#[test]
fn the_running_call_is_charged_with_the_signal_that_killed_its_worker() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let signals = [Signal::KILL, Signal::TERM, Signal::ABORT, Signal::HUP, Signal::XCPU];
    for (round, signal) in (1..).zip(signals) {
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| failure(act.apply((i32::from(b'b'), FOR_EVER, 0, 0))));
            lines.wait_for("b", round);
            let pid = processes::workers(&fixture.pool)[0];
            assert!(send(pid, signal));
            let lost = lost.join().expect("a failure");
            let exit = Exit::Signal(signal.as_raw());
            assert_eq!((lost.kind(), lost.index()), (FailureKind::WorkerLost(exit), 0), "{lost}");
            assert!(lost.message().contains(&pid.to_string()), "{lost}");
            assert!(lost.message().ends_with("; the last host call was `fd_write`"), "{lost}");
        });
        assert_eq!(act.apply((7, 0, 0, 0)).expect("a result"), 7);
    }
}

#[test]
fn a_worker_killed_in_mid_job_costs_at_most_the_running_call() {
    const CALLS: usize = 500;
    for victim in [0, 17, CALLS - 1] {
        for fresh in [false, true] {
            let lines = Lines::default();
            let fixture = text_in(builder(2).fresh(fresh).on_output(lines.taker()), "actor", ACTOR);
            let act = fixture.module.task::<Act, i32>("act").expect("a task");
            let inputs = (0..CALLS).map(|call| match call == victim {
                true => (i32::from(b'v'), FOR_EVER, 0, 0),
                false => (0, 5000, 0, 0),
            });
            let before = processes::workers(&fixture.pool);
            let outcomes = std::thread::scope(|scope| {
                let job = scope.spawn(|| act.map_outcomes(inputs).expect("outcomes"));
                lines.wait_for("v", 1);
                // Both of them: nobody knows from outside which one has it.
                before.iter().for_each(|pid| assert!(send(*pid, Signal::KILL)));
                job.join().expect("outcomes")
            });
            assert_eq!(outcomes.len(), CALLS);
            let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(lost.iter().any(|lost| lost.index() == victim as u64), "{lost:?}");
            assert!(lost.len() <= 2, "{lost:?}");
            assert!(lost.iter().all(|lost| lost.kind() == FailureKind::WorkerLost(KILL)), "{lost:?}");
            // The other one's death may be heard of after the job's end.
            wait_until(|| !fixture.pool.worker_pids().iter().any(|pid| before.contains(pid)));
            let after = processes::workers(&fixture.pool);
            assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
        }
    }
}

#[test]
fn a_lost_call_is_run_again_if_that_is_allowed() {
    let fixture = tasks(2);
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task").retries(1);
    let pids = processes::workers(&fixture.pool);
    fixture.module.task::<i64, i64>("cube").expect("a task").map(0..1000).expect("both are awake");
    std::thread::scope(|scope| {
        let job = scope.spawn(|| sleeps.map([400; 4]));
        send(pids[0], Signal::KILL);
        send(pids[1], Signal::KILL);
        job.join().expect("no panic").expect("all of them slept");
    });
}

#[test]
fn what_nobody_can_see_is_run_again_without_being_asked_for() {
    let module = r#"(module (func (export "turn") (param $turns i64) (result i64)
      (loop $again
        (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
        (br_if $again (i64.gt_s (local.get $turns) (i64.const 0))))
      i64.const 5))"#;
    let fixture = text(1, "turn", module);
    let turn = fixture.module.task::<i64, i64>("turn").expect("a task");
    assert_eq!(turn.apply(1).expect("a result"), 5);
    for _ in 0..3 {
        let pid = processes::workers(&fixture.pool)[0];
        std::thread::scope(|scope| {
            let job = scope.spawn(|| turn.map(vec![1_000_000_000; 3]));
            wait_until(|| Process::find(pid).is_some_and(|worker| worker.state == 'R'));
            send(pid, Signal::KILL);
            assert_eq!(job.join().expect("no panic").expect("results"), [5; 3]);
        });
    }
}

#[test]
fn an_idle_workers_death_is_nobodys_loss() {
    let fixture = tasks(1);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    for round in 0..20 {
        assert_eq!(cube.apply(round).expect("a result"), round.pow(3));
        let pid = processes::workers(&fixture.pool)[0];
        assert!(send(pid, Signal::KILL));
        // Its death is proved before anything is asked of it; otherwise a call may be on its way already.
        wait_until(|| !fixture.pool.worker_pids().contains(&pid));
    }
}

#[test]
fn blank_workers_may_die_before_there_is_a_module() {
    let _watchdog = wasmpool_tests::watchdog::Watchdog::start();
    let pool = builder(2).build().expect("a pool");
    for _ in 0..5 {
        let pids = processes::workers(&pool);
        processes::kill(&pids);
        wait_until(|| pool.worker_pids().iter().all(|pid| !pids.contains(pid)));
    }
    let module = pool.load_bytes("work", UNSEEN.as_bytes()).expect("a module");
    let work = module.task::<i64, i64>("work").expect("a task");
    // Several deaths in a row look as if none could be started; that is said until one is.
    wait_until(|| !work.apply(1).is_err_and(|error| error.kind() == ErrorKind::SetUp));
    assert_eq!(work.apply(1).expect("a result"), worked(1));
}

/// Kills random workers at random times as long as `job` runs; returns what it came to and how many were killed.
///
/// A module none of whose workers finishes anything is given up, and rightly. So at least every other victim has had
/// time to: more time on a core, which does not depend on how busy the machine is, than `warm_up` takes a new worker.
fn kill_at_random<R: Send>(
    pool: &Pool,
    random: &mut Random,
    warm_up: impl Fn() -> bool,
    job: impl FnOnce() -> R + Send,
) -> (R, u64) {
    assert!(warm_up());
    let start_ns = processes::workers(pool).into_iter().filter_map(core_time_ns).max().expect("a worker");
    let is_over = AtomicBool::new(false);
    let killed = AtomicU64::new(0);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut was_early = false;
            while !is_over.load(Ordering::Relaxed) {
                let pids = pool.worker_pids();
                let Some(pid) = pids.get(random.below(pids.len().max(1) as u64) as usize) else { continue };
                let is_early = !was_early && random.below(8) == 0;
                if !is_early {
                    let grown_ns = 2 * start_ns + random.below(2 * start_ns);
                    let is_grown = || core_time_ns(*pid).is_none_or(|ns| ns >= grown_ns);
                    wait_until(|| is_over.load(Ordering::Relaxed) || is_grown());
                }
                if send(*pid, Signal::KILL) {
                    killed.fetch_add(1, Ordering::Relaxed);
                    was_early = is_early;
                }
            }
        });
        let _end = SetWhenDropped(&is_over);
        job()
    });
    (result, killed.into_inner())
}

/// How long a process's main thread has been on a core.
fn core_time_ns(pid: u32) -> Option<u64> {
    let statistics = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    statistics.split_whitespace().next()?.parse().ok()
}

/// Calls of a soak.
const SOAK_CALLS: i64 = 100_000;

#[test]
fn every_result_is_right_although_workers_are_killed_at_random() {
    let fixture = text(2, "seen", &seen());
    let work = fixture.module.task::<i64, i64>("work").expect("a task").retries(1000);
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let (results, killed) =
        kill_at_random(&fixture.pool, &mut random, || work.apply(0).is_ok(), || work.map(0..SOAK_CALLS));
    let results = results.unwrap_or_else(|error| panic!("{error} after {killed} kills; {repeat}"));
    assert_eq!(results.len() as i64, SOAK_CALLS, "{repeat}");
    for (n, result) in (0..).zip(results) {
        assert_eq!(result, worked(n), "call {n} after {killed} kills; {repeat}");
    }
    assert!(killed > 5, "only {killed} kills; {repeat}");
}

#[test]
fn only_charged_calls_are_lost_when_workers_are_killed_at_random() {
    let fixture = text(2, "seen", &seen());
    let work = fixture.module.task::<i64, i64>("work").expect("a task");
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let (outcomes, killed) = kill_at_random(
        &fixture.pool,
        &mut random,
        || work.apply(0).is_ok(),
        || work.map_outcomes((0..SOAK_CALLS).collect::<Vec<_>>()),
    );
    let outcomes = outcomes.unwrap_or_else(|error| panic!("{error} after {killed} kills; {repeat}"));
    assert_eq!(outcomes.len() as i64, SOAK_CALLS, "{repeat}");
    let mut lost = 0;
    for (n, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(result) => assert_eq!(result, worked(n), "call {n}; {repeat}"),
            Err(failure) => {
                assert_eq!(failure.kind(), FailureKind::WorkerLost(KILL), "{failure}; {repeat}");
                assert_eq!(failure.index(), n as u64, "{repeat}");
                lost += 1;
            }
        }
    }
    assert!(lost <= killed, "{lost} calls lost by {killed} kills; {repeat}");
    assert!(killed > 5, "only {killed} kills; {repeat}");
}

#[test]
fn every_result_of_sdk_tasks_is_right_although_workers_are_killed_at_random() {
    for fresh in [false, true] {
        let fixture = tasks(2);
        let echo =
            fixture.module.task::<String, String>("echo_text").expect("a task").fresh(fresh).retries(1000);
        let mut random = Random::from_environment();
        let repeat = random.how_to_repeat();
        let text = |n: i64| format!("{n} ").repeat((n % 97) as usize);
        let (results, killed) = kill_at_random(
            &fixture.pool,
            &mut random,
            || echo.apply(text(1)).is_ok(),
            || echo.map((0..SOAK_CALLS).map(text)),
        );
        let results = results.unwrap_or_else(|error| panic!("{error} after {killed} kills; {repeat}"));
        assert_eq!(results.len() as i64, SOAK_CALLS, "{repeat}");
        for (n, result) in (0..).zip(results) {
            assert_eq!(result, text(n), "fresh {fresh}, after {killed} kills; {repeat}");
        }
        assert!(killed > 3, "only {killed} kills; {repeat}");
    }
}

#[test]
fn single_calls_come_back_although_workers_are_killed_at_random() {
    let fixture = text(2, "unseen", UNSEEN);
    let work = fixture.module.task::<i64, i64>("work").expect("a task").retries(1000);
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let calls = || -> Result<(), Error> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let work = work.clone();
                    scope.spawn(move || {
                        (0..2000).map(|n| n + thread).try_for_each(|n| {
                            assert_eq!(work.apply(n)?, worked(n));
                            Ok(())
                        })
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })
    };
    let (result, killed) = kill_at_random(&fixture.pool, &mut random, || work.apply(0).is_ok(), calls);
    result.unwrap_or_else(|error| panic!("{error} after {killed} kills; {repeat}"));
}

#[test]
fn a_pool_goes_on_while_one_of_its_workers_lives() {
    let fixture = text(2, "unseen", UNSEEN);
    let work = fixture.module.task::<i64, i64>("work").expect("a task").retries(1000);
    work.map(0..1000).expect("results");
    let survivor = processes::workers(&fixture.pool)[0];
    let is_over = AtomicBool::new(false);
    let killed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let others = fixture.pool.worker_pids().into_iter().filter(|pid| *pid != survivor);
                killed.fetch_add(
                    others.filter(|pid| send(*pid, Signal::KILL)).count() as u64,
                    Ordering::Relaxed,
                );
            }
        });
        let _end = SetWhenDropped(&is_over);
        // The job lasts until several replacements have died, whenever that is.
        let inputs = (0..).take_while(|_| killed.load(Ordering::Relaxed) < 9);
        let results = work.map(inputs).expect("one worker is enough");
        assert!(results.into_iter().zip(0..).all(|(result, n)| result == worked(n)));
    });
    assert!(fixture.pool.worker_pids().contains(&survivor));
}

/// Runs a call that never ends, and kills each worker as soon as it has begun with it, `most` times at most.
fn kill_whoever_begins(pool: &Pool, lines: &Lines, most: usize, job: impl FnOnce() -> Error + Send) -> Error {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut killed = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) && killed.len() < most {
                let begun = lines.all().iter().filter(|line| *line == "b").count();
                if begun > killed.len() {
                    let fresh = pool.worker_pids().into_iter().find(|pid| !killed.contains(pid));
                    killed.extend(fresh.filter(|pid| send(*pid, Signal::KILL)));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _end = SetWhenDropped(&is_over);
        job()
    })
}

#[test]
fn a_module_that_kills_every_worker_is_given_up_by_name() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "murderer", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task").retries(1000);
    let forever = (i32::from(b'b'), FOR_EVER, 0, 0);
    let error = kill_whoever_begins(&fixture.pool, &lines, 100, || act.apply(forever).expect_err("given up"));
    assert_eq!(error.kind(), ErrorKind::Quarantined, "{error}");
    assert!(error.to_string().contains("`murderer`"), "{error}");
    let how = "was killed by SIGKILL in call 0; the last host call was `fd_write`";
    assert!(error.to_string().ends_with(how), "it tells how the last one ended: {error}");
    // From now on it is refused at once, and other modules are not.
    for error in [act.apply(forever).expect_err("given up"), act.map([forever]).expect_err("given up")] {
        assert_eq!(error.kind(), ErrorKind::Quarantined, "{error}");
    }
    let other = fixture.pool.load_bytes("work", UNSEEN.as_bytes()).expect("a module");
    let work = other.task::<i64, i64>("work").expect("a task");
    assert!(work.map(0..100).expect("results").into_iter().eq((0..100).map(worked)));
}

#[test]
fn a_module_that_kills_every_worker_is_given_up_in_the_midst_of_a_job() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "murderer", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let error = kill_whoever_begins(&fixture.pool, &lines, 100, || {
        act.map_outcomes([(i32::from(b'b'), FOR_EVER, 0, 0); 1000]).expect_err("given up")
    });
    assert_eq!(error.kind(), ErrorKind::Quarantined, "{error}");
    assert!(error.to_string().contains("`murderer`"), "{error}");
}

#[test]
fn a_module_whose_workers_are_killed_now_and_then_is_not_given_up() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "innocent", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    for round in 1..=20 {
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| failure(act.apply((i32::from(b'b'), FOR_EVER, 0, 0))));
            lines.wait_for("b", round);
            processes::kill(&processes::workers(&fixture.pool));
            let lost = lost.join().expect("a failure");
            assert_eq!(lost.kind(), FailureKind::WorkerLost(KILL), "round {round}: {lost}");
        });
        assert_eq!(act.apply((1, 0, 0, 0)).expect("one finished call between the deaths"), 1);
    }
}

#[test]
fn workers_killed_as_fast_as_they_appear_end_the_job_with_an_error() {
    let fixture = text(2, "victim", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task").retries(1000);
    let is_over = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                processes::kill(&fixture.pool.worker_pids());
            }
        });
        let _end = SetWhenDropped(&is_over);
        act.map([(0, FOR_EVER, 0, 0); 10]).expect_err("nobody can run it")
    });
    // They die before they have a module, too, which is not the module's doing.
    assert!([ErrorKind::Quarantined, ErrorKind::SetUp].contains(&error.kind()), "{error}");
    // What was said of workers in general ends with the first that starts again.
    let other = fixture.pool.load_bytes("work", UNSEEN.as_bytes()).expect("a module");
    processes::workers(&fixture.pool);
    let work = other.task::<i64, i64>("work").expect("a task");
    wait_until(|| !work.apply(1).is_err_and(|error| error.kind() == ErrorKind::SetUp));
    assert_eq!(work.apply(2).expect("a result"), worked(2));
}

#[test]
fn a_stopped_worker_is_not_dead() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    for round in 1..=3 {
        let before = processes::workers(&fixture.pool);
        let results = std::thread::scope(|scope| {
            let first = i32::from(b'b');
            let inputs = (0..200)
                .map(move |call| if call == 0 { (first, 300_000_000, 0, 0) } else { (call, 100_000, 0, 0) });
            let job = scope.spawn(|| act.map(inputs));
            lines.wait_for("b", round);
            before.iter().for_each(|pid| assert!(send(*pid, Signal::STOP)));
            let stands_still = |pid: &u32| Process::find(*pid).is_some_and(|worker| worker.state == 'T');
            wait_until(|| before.iter().all(stands_still));
            // Much longer than any pause of the supervisor, which must leave them in peace.
            std::thread::sleep(Duration::from_millis(500));
            assert!(before.iter().all(stands_still), "somebody continued or killed them");
            assert!(!job.is_finished());
            before.iter().for_each(|pid| assert!(send(*pid, Signal::CONT)));
            job.join().expect("no panic").expect("results")
        });
        assert!(results[1..].iter().copied().eq(1..200));
        assert_eq!(fixture.pool.worker_pids(), before, "nobody was replaced");
    }
}

#[test]
fn one_stopped_worker_holds_up_only_the_call_that_it_runs() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let pids = processes::workers(&fixture.pool);
    act.map([(0, 1_000_000, 0, 0); 8]).expect("both have the module");
    assert!(send(pids[0], Signal::STOP));
    wait_until(|| Process::find(pids[0]).is_some_and(|worker| worker.state == 'T'));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| act.map(vec![(i32::from(b'.'), 1_000_000, 0, 0); 300]));
        // It may have claimed a few; all others are taken from it.
        lines.wait_for(".", 290);
        send(pids[0], Signal::CONT);
        assert_eq!(job.join().expect("no panic").expect("results").len(), 300);
    });
    assert_eq!(fixture.pool.worker_pids(), pids, "nobody was replaced");
}
