//! Pools that grow and shrink while they work: no call is lost, none is run twice, and nobody stays who has to go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use wasmpool::{ErrorKind, Pool, WORKERS_MAX};
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::random::Random;
use wasmpool_tests::watchdog::{SetWhenDropped, Watchdog, wait_until};
use wasmpool_tests::{ACTOR, Act, Lines, builder, tasks, text, text_in};

wasmpool::test_support!();

/// A task that takes some microseconds, and whose result depends on each of its turns.
const WORK: &str = r#"(module (func (export "work") (param $n i64) (result i64)
  (local $turns i32)
  (local.set $turns (i32.const 2000))
  (loop $again
    (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 6364136223846793005)) (i64.const 1)))
    (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
    (br_if $again (local.get $turns)))
  (local.get $n)))"#;

fn worked(n: i64) -> i64 {
    (0..2000).fold(n, |n, _| n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
}

/// Calls of a map in the middle of which a pool is resized.
const CALLS: i64 = 100_000;

/// These tests count threads of this process; only one at a time can.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many threads of this process feed workers.
fn feeders() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("wasmpool-feeder")).count()
}

/// Waits until a pool has as many workers and feeders as it should, and no more.
fn settles(pool: &Pool, workers: usize) {
    assert_eq!(pool.workers(), workers);
    wait_until(|| pool.worker_pids().len() == workers && feeders() == workers);
}

/// Runs something beside a map of [`CALLS`] calls, again and again; checks every result, says how often it ran.
fn beside_a_map(pool: &Pool, mut act: impl FnMut(u64) + Send) -> u64 {
    let module = pool.load_bytes("work", WORK.as_bytes()).expect("a module");
    let work = module.task::<i64, i64>("work").expect("a task").retries(1000);
    let (is_over, mut rounds) = (AtomicBool::new(false), 0);
    let (is_over, counted) = (&is_over, &mut rounds);
    let results = std::thread::scope(|scope| {
        let _end = SetWhenDropped(is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                act(*counted);
                *counted += 1;
            }
        });
        work.map(0..CALLS)
    });
    let results = results.expect("results");
    assert_eq!(results.len() as i64, CALLS);
    for (n, result) in (0..).zip(results) {
        assert_eq!(result, worked(n), "call {n}");
    }
    rounds
}

#[test]
fn impossible_numbers_of_workers_are_refused() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    let pool = builder(2).build().expect("a pool");
    for workers in [0, WORKERS_MAX + 1, usize::MAX] {
        let text = format!("a pool of {workers} workers: choose between 1 and {WORKERS_MAX}");
        for error in
            [pool.resize(workers).expect_err("resized"), builder(workers).build().expect_err("built")]
        {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Setting, text.clone()));
        }
    }
    settles(&pool, 2);
}

#[test]
fn a_map_goes_on_while_its_pool_grows_and_shrinks() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    let pool = builder(2).build().expect("a pool");
    let rounds = beside_a_map(&pool, |round| {
        let workers = [1, 4, 2, 3][round as usize % 4];
        pool.resize(workers).expect("resized");
        wait_until(|| pool.worker_pids().len() == workers);
    });
    assert!(rounds >= 4, "only {rounds} changes");
    pool.resize(3).expect("resized");
    settles(&pool, 3);
}

#[test]
fn nothing_is_lost_when_workers_are_killed_while_others_come_and_go() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    let pool = builder(3).build().expect("a pool");
    let mut random = Random::from_environment();
    let mut rounds = 0;
    while rounds < 50 {
        rounds += beside_a_map(&pool, |_| {
            pool.resize(1).expect("resized");
            wait_until(|| pool.worker_pids().len() == 1);
            pool.resize(3).expect("resized");
            wait_until(|| pool.worker_pids().len() == 3);
            let pids = pool.worker_pids();
            if let (0, Some(pid)) = (random.below(4), pids.get(random.below(3) as usize)) {
                send(*pid, Signal::KILL);
            }
        });
    }
    settles(&pool, 3);
}

#[test]
fn the_surplus_finishes_what_it_runs_and_gives_the_rest_away() {
    let _alone = alone();
    let lines = Lines::default();
    let fixture = text_in(builder(3).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let call: Act = (i32::from(b'b'), 300_000_000, i32::from(b'e'), 0);
    std::thread::scope(|scope| {
        let job = scope.spawn(|| act.map(vec![call; 8]));
        lines.wait_for("b", 3);
        fixture.pool.resize(1).expect("resized");
        assert_eq!(job.join().expect("no panic").expect("results"), vec![i32::from(b'b'); 8]);
    });
    for line in ["b", "e"] {
        assert_eq!(lines.all().iter().filter(|seen| *seen == line).count(), 8, "each call ran once");
    }
    settles(&fixture.pool, 1);
}

#[test]
fn the_last_of_many_that_resize_at_the_same_time_is_heeded() {
    let _alone = alone();
    let fixture = text(2, "work", WORK);
    let work = fixture.module.task::<i64, i64>("work").expect("a task");
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (pool, work, calls) = (&fixture.pool, work.clone(), &calls);
            scope.spawn(move || {
                for round in 0..25 {
                    pool.resize(1 + (round + thread) % 4).expect("resized");
                    assert_eq!(work.apply(round as i64).expect("a result"), worked(round as i64));
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(calls.into_inner(), 100);
    settles(&fixture.pool, fixture.pool.workers());
    fixture.pool.resize(2).expect("resized");
    settles(&fixture.pool, 2);
}

#[test]
fn workers_that_were_started_only_to_wait_do_not_count() {
    let _alone = alone();
    let fixture = tasks(1);
    let barrier = fixture.pool.barrier("barrier", 4).expect("a barrier");
    let wait = fixture.module.clone().grant(&barrier).task::<(), usize>("wait_at_barrier").expect("a task");
    for workers in [2, 1, 3] {
        std::thread::scope(|scope| {
            let job = scope.spawn(|| wait.map(vec![(); 4]));
            wait_until(|| barrier.n_waiting().is_ok_and(|waiting| waiting > 0));
            fixture.pool.resize(workers).expect("resized");
            let mut places = job.join().expect("no panic").expect("all meet");
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3]);
        });
        // Those beyond the pool's number go when they have had nothing to do for a while.
        settles(&fixture.pool, workers);
    }
}

#[test]
fn a_pool_may_outgrow_the_seats_that_it_was_built_with() {
    let _alone = alone();
    let fixture = text(1, "work", WORK);
    let work = fixture.module.task::<i64, i64>("work").expect("a task");
    fixture.pool.resize(70).expect("resized");
    processes::workers(&fixture.pool);
    assert_eq!(work.map(0..1000).expect("results"), (0..1000).map(worked).collect::<Vec<_>>());
    fixture.pool.resize(2).expect("resized");
    assert_eq!(work.map(0..1000).expect("results"), (0..1000).map(worked).collect::<Vec<_>>());
    settles(&fixture.pool, 2);
}

#[test]
fn a_deterministic_pool_that_shares_objects_stays_with_one_worker() {
    let _alone = alone();
    let _watchdog = Watchdog::start();
    let pool = builder(1).deterministic(0).build().expect("a pool");
    let counter = pool.value("counter", 0i64).expect("a value");
    let module = pool.load_bytes("work", WORK.as_bytes()).expect("a module");
    pool.resize(2).expect("nothing is shared");
    pool.resize(1).expect("resized");
    let work = module.grant(&counter).task::<i64, i64>("work").expect("a task");
    assert_eq!(work.apply(1).expect("a result"), worked(1));
    let error = pool.resize(2).expect_err("runs would differ");
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert!(error.to_string().contains("stay with one worker"), "{error}");
    settles(&pool, 1);
}
