//! Initializers: when they run, what comes of those that fail, and snapshots of what they leave.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmpool::{Builder, DirRights, Error, ErrorKind, FailureKind, Module, Pool};
use wasmpool_tests::processes;
use wasmpool_tests::watchdog::Watchdog;
use wasmpool_tests::{Lines, builder, tasks, tasks_in, text_in};

wasmpool::test_support!();

const INITIALIZED: &str = include_str!("../modules/initialized.wat");

/// Constructors, initializers and calls of the instance, and the value that was set.
type Look = (i64, i64, i64, f64);

/// Has all look around in their instances, `calls` times.
fn look(module: &Module, calls: i64) -> Result<Vec<Look>, Error> {
    module.task::<i64, Look>("look").expect("a task").map(0..calls)
}

/// How many lines are this one.
fn count(lines: &Lines, line: &str) -> usize {
    lines.all().iter().filter(|seen| *seen == line).count()
}

/// A pool that keeps what its guests print, and the module of counters in it.
struct Counters {
    lines: Lines,
    module: Module,
    pool: Pool,
    _watchdog: Watchdog,
}

fn counters(builder: Builder) -> Counters {
    let watchdog = Watchdog::start();
    let lines = Lines::default();
    let pool = builder.on_output(lines.taker()).build().expect("a pool");
    let module = pool.load_bytes("initialized", INITIALIZED.as_bytes()).expect("a module");
    Counters { lines, module, pool, _watchdog: watchdog }
}

/// The one error of a job whose module cannot be initialized.
#[track_caller]
fn uninitialized<R>(result: Result<R, Error>, name: &str) -> (FailureKind, String) {
    let Err(error) = result else { panic!("{name} did not fail") };
    assert_eq!(error.kind(), ErrorKind::Initializer, "{error}");
    let failure = error.failure().expect("a failure");
    assert_eq!(failure.initializer(), Some(name));
    assert!(error.to_string().starts_with(&format!("initializer `{name}` ")), "{error}");
    (failure.kind(), error.to_string())
}

#[test]
fn a_kept_instance_is_initialized_once() {
    for workers in [1, 3] {
        let it = counters(builder(workers));
        let module = it.module.initializer("set", 2.5).expect("an initializer");
        let seen = look(&module, 3000).expect("results");
        assert!(
            seen.iter().all(|(starts, initialized, _, value)| (*starts, *initialized, *value) == (1, 1, 2.5))
        );
        let instances = seen.iter().filter(|(_, _, calls, _)| *calls == 1).count();
        assert_eq!((count(&it.lines, "init"), count(&it.lines, "start")), (instances, instances));
        assert!((1..=workers).contains(&instances), "{instances} instances of {workers} workers");
    }
}

#[test]
fn a_fresh_instance_is_initialized_for_its_call() {
    let it = counters(builder(2).fresh(true));
    let module = it.module.initializer("set", 2.5).expect("an initializer");
    assert_eq!(look(&module, 50).expect("results"), [(1, 1, 1, 2.5); 50]);
    assert_eq!((count(&it.lines, "init"), count(&it.lines, "start")), (50, 50));
}

#[test]
fn a_recycled_instance_is_initialized_again() {
    let it = counters(builder(1).recycle(10));
    let module = it.module.initializer("set", 2.5).expect("an initializer");
    let seen = look(&module, 100).expect("results");
    let expected: Vec<Look> = (0..100).map(|call| (1, 1, call % 10 + 1, 2.5)).collect();
    assert_eq!(seen, expected);
    assert_eq!(count(&it.lines, "init"), 10);
}

#[test]
fn an_instance_that_replaces_a_broken_one_is_initialized() {
    let it = counters(builder(1));
    let module = it.module.initializer("set", 2.5).expect("an initializer");
    let broken = module.task::<(), ()>("break").expect("a task");
    for broken_so_far in 0..3 {
        assert_eq!(look(&module, 2).expect("results"), [(1, 1, 1, 2.5), (1, 1, 2, 2.5)]);
        assert_eq!(count(&it.lines, "init"), broken_so_far + 1);
        assert_eq!(broken.apply(()).expect_err("it traps").kind(), ErrorKind::Call);
    }
}

#[test]
fn sdk_tasks_initialize_with_any_arguments() {
    for fresh in [false, true] {
        let fixture = tasks_in(builder(2).fresh(fresh));
        let module = fixture.module.clone().initializer("prepare_primes", 1000_u32).expect("an initializer");
        let primes = module.task::<u32, bool>("is_prime").expect("a task").map(0..=1000).expect("results");
        assert_eq!(primes.iter().filter(|prime| **prime).count(), 168);
        let module = fixture.module.clone().initializer("joins", (vec!["a", "b"], "-"));
        // Whatever it returns is ignored.
        drop(
            module.map(|module| module.task::<i64, i64>("cube").expect("a task").map(0..3).expect("results")),
        );
        let plain = fixture.module.task::<u32, bool>("is_prime").expect("a task").apply(1);
        assert!(plain.expect_err("no table").to_string().contains("beyond the table of 0 numbers"));
    }
}

#[test]
fn an_initializer_that_cannot_be_called_is_refused_at_once() {
    let fixture = tasks(1);
    let refused = |module: Result<Module, Error>| module.err().map(|error| (error.kind(), error.to_string()));
    let of = |name: &str| fixture.module.clone().initializer(name, ());
    let (kind, text) = refused(of("prepare_prime")).expect("refused");
    assert_eq!(kind, ErrorKind::UnknownTask);
    assert!(text.contains("did you mean `prepare_primes`?"), "{text}");
    let (kind, text) = refused(of("prepare_primes")).expect("refused");
    assert_eq!(kind, ErrorKind::Signature);
    assert!(text.contains("takes 1 arguments, 0 given"), "{text}");
    let mistyped = fixture.module.clone().initializer("prepare_primes", 1.5_f64);
    assert_eq!(refused(mistyped).expect("refused").0, ErrorKind::Signature);
    let too_large = fixture.module.clone().initializer("prepare_primes", 1_u64 << 40);
    assert_eq!(refused(too_large).map(|(kind, _)| kind), Some(ErrorKind::Signature));
    let nothing = fixture.module.clone().snapshot();
    assert_eq!(refused(nothing).expect("refused").0, ErrorKind::Setting);
}

/// Every way to fail in a module without the SDK, and what it is called.
const TRAPS: [(&str, FailureKind); 5] = [
    ("trap", FailureKind::Trapped),
    ("exit", FailureKind::Exited(3)),
    ("grow", FailureKind::OutOfMemory),
    ("deep", FailureKind::StackOverflow),
    ("shout", FailureKind::OutputTooLarge),
];

#[test]
fn a_failing_initializer_is_one_error_after_one_attempt() {
    for fresh in [false, true] {
        for (name, expected) in TRAPS {
            let workers = 2;
            let it = counters(builder(workers).fresh(fresh).max_output(10_000));
            let module = it.module.initializer(name, ()).expect("an initializer");
            let (kind, text) = uninitialized(look(&module, 10_000), name);
            assert_eq!(kind, expected, "{text}");
            // Each worker may have been at it, and with another chunk in hand once more.
            assert!(count(&it.lines, "init") <= 2 * workers, "{name}: {} attempts", count(&it.lines, "init"));
        }
    }
}

#[test]
fn sdk_initializers_fail_with_their_own_words() {
    let fixture = tasks_in(builder(2));
    let of = |name: &str, message: &str| {
        let module = fixture.module.clone().initializer(name, message).expect("an initializer");
        let cube = module.task::<i64, i64>("cube").expect("a task");
        // A job that survives failed calls does not survive this.
        let outcomes = uninitialized(cube.map_outcomes(0..1000), name);
        let applied = uninitialized(cube.apply(1), name);
        assert_eq!(outcomes, applied);
        outcomes
    };
    let failed = "initializer `fails` failed: no dictionary".to_owned();
    assert_eq!(of("fails", "no dictionary"), (FailureKind::Failed, failed));
    let (kind, text) = of("panics", "größer\nthan that");
    assert_eq!(kind, FailureKind::Panicked);
    assert!(text.contains("panicked") && text.contains("größer\nthan that"), "{text}");
    let undecodable = fixture.module.clone().initializer("norm", (1, 2, 3));
    if let Ok(module) = undecodable {
        let (kind, _) = uninitialized(module.task::<i64, i64>("cube").expect("a task").apply(1), "norm");
        assert_eq!(kind, FailureKind::Refused);
    }
}

#[test]
fn an_endless_initializer_is_stopped_and_other_modules_go_on() {
    let it = counters(builder(2).timeout(Duration::from_millis(300)));
    let sibling = it.module.clone().initializer("set", 3.0).expect("an initializer");
    let module = it.module.initializer("spin", ()).expect("an initializer");
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| look(&module, 1000));
        let times = sibling.task::<f64, f64>("times").expect("a task");
        while !spinning.is_finished() {
            assert_eq!(times.apply(2.0).expect("a result"), 6.0);
        }
        let (kind, text) = uninitialized(spinning.join().expect("a thread"), "spin");
        assert_eq!(kind, FailureKind::TimedOut);
        assert!(text.contains("ran longer than its limit of 300ms"), "{text}");
    });
    assert_eq!(sibling.task::<f64, f64>("times").expect("a task").apply(3.0).expect("a result"), 9.0);
}

/// Runs something, and counts the worker processes that there were meanwhile.
fn workers_during(pool: &Pool, run: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let mut seen: HashSet<u32> = HashSet::new();
            while !is_over.load(Ordering::SeqCst) {
                seen.extend(pool.worker_pids());
                std::thread::yield_now();
            }
            seen.len()
        });
        run();
        is_over.store(true, Ordering::SeqCst);
        counting.join().expect("a thread")
    })
}

#[test]
fn an_initializer_whose_workers_die_is_tried_as_often_as_a_call() {
    for retries in [0, 2] {
        let it = counters(builder(1).retries(retries));
        let module = it.module.clone().initializer("spin", ()).expect("an initializer");
        let attempts = retries as usize + 1;
        let workers = workers_during(&it.pool, || {
            std::thread::scope(|scope| {
                let job = scope.spawn(|| look(&module, 1000));
                for attempt in 1..=attempts {
                    it.lines.wait_for("init", attempt);
                    processes::kill(&processes::workers(&it.pool));
                }
                let (kind, text) = uninitialized(job.join().expect("a thread"), "spin");
                assert!(matches!(kind, FailureKind::WorkerLost(_)), "{text}");
                assert_eq!(text.contains("(attempt 3)"), retries == 2, "{text}");
            });
        });
        assert_eq!(count(&it.lines, "init"), attempts);
        // The base module's worker, one for each attempt, and the one that replaces the last.
        assert!(workers <= attempts + 2, "{workers} workers for {attempts} attempts");
    }
}

#[test]
fn retries_help_an_initializer_that_fails_at_first() {
    for (retries, is_enough) in [(2, false), (3, true)] {
        let fixture = tasks_in(builder(1).retries(retries));
        let value = fixture.pool.value("count", 0_i64).expect("a value");
        let module = fixture.module.clone().grant(&value);
        let module = module.initializer("fails_at_first", ("count", 3_i64)).expect("an initializer");
        let results = module.task::<i64, i64>("cube").expect("a task").map(0..100);
        if is_enough {
            assert_eq!(results.expect("results").len(), 100);
            assert_eq!(value.get().expect("a number"), 4);
        } else {
            let (_, text) = uninitialized(results, "fails_at_first");
            assert!(text.starts_with("initializer `fails_at_first` failed 3 times"), "{text}");
            // The worker may have begun its next chunk before it was told that the job is over.
            assert!((3..=4).contains(&value.get().expect("a number")));
        }
    }
}

#[test]
fn the_next_job_begins_afresh() {
    let fixture = tasks_in(builder(1));
    let value = fixture.pool.value("count", 0_i64).expect("a value");
    let module = fixture.module.clone().grant(&value);
    let module = module.initializer("fails_at_first", ("count", 2_i64)).expect("an initializer");
    let cube = module.task::<i64, i64>("cube").expect("a task");
    uninitialized(cube.map(0..100), "fails_at_first");
    uninitialized(cube.apply(2), "fails_at_first");
    assert_eq!(cube.map(0..3).expect("results"), [0, 1, 8]);
}

#[test]
fn an_initializer_has_fuel_of_its_own() {
    let it = counters(builder(1).fresh(true).fuel(1000));
    let module = it.module.clone().initializer("set", 2.0).expect("an initializer");
    assert_eq!(look(&module, 3).expect("results"), [(1, 1, 1, 2.0); 3]);
    let module = it.module.initializer("spin", ()).expect("an initializer");
    let (kind, text) = uninitialized(look(&module, 3), "spin");
    assert_eq!(kind, FailureKind::OutOfFuel);
    assert!(text.contains("it had 1000 units"), "{text}");
}

// Snapshots.

#[test]
fn a_snapshot_is_taken_once_and_all_instances_begin_there() {
    for fresh in [false, true] {
        let it = counters(builder(2).fresh(fresh));
        let module =
            it.module.initializer("set", 2.5).expect("an initializer").snapshot().expect("a snapshot");
        assert_eq!(module.snapshot_refusal(), None);
        let seen = look(&module, 500).expect("results");
        assert!(seen.iter().all(|(starts, initialized, calls, value)| {
            (*starts, *initialized, *value) == (1, 1, 2.5) && (!fresh || *calls == 1)
        }));
        // Neither the constructor nor the initializer has run anywhere else.
        assert_eq!(it.lines.all(), ["start", "init"]);
        // The batch driver is another one, too.
        let times = module.task::<f64, f64>("times").expect("a task");
        let expected: Vec<f64> = (0..10_000).map(|n| f64::from(n) * 2.5).collect();
        assert_eq!(times.map((0..10_000).map(f64::from)).expect("results"), expected);
        assert_eq!(it.lines.count(), 2);
    }
}

#[test]
fn sdk_tasks_begin_from_a_snapshot() {
    let lines = Lines::default();
    let fixture = tasks_in(builder(2).fresh(true).on_output(lines.taker()));
    let module = fixture.module.clone().initializer("prepare_primes", 100_000_u32).expect("an initializer");
    let module = module.snapshot().expect("a snapshot");
    assert_eq!(module.snapshot_refusal(), None);
    let primes = module.task::<u32, bool>("is_prime").expect("a task").map(0..1000).expect("results");
    assert_eq!(primes.iter().filter(|prime| **prime).count(), 168);
    let calls = module.task::<(), u64>("counts_calls").expect("a task").map(vec![(); 100]).expect("results");
    assert_eq!(calls, [1; 100]);
    assert_eq!(lines.all(), ["found the primes up to 100000"]);
}

#[test]
fn nothing_of_a_call_is_in_the_snapshot_of_the_next() {
    let it = counters(builder(2).fresh(true));
    let module = it.module.initializer("set", 1.0).expect("an initializer").snapshot().expect("a snapshot");
    let marks = module.task::<i64, i64>("mark").expect("a task").map(1..2000).expect("results");
    assert!(marks.iter().all(|mark| *mark == 0));
    let disguise = (0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
    let fixture = tasks_in(builder(1));
    let module = fixture.module.clone().initializer("prepare_primes", 1000_u32).expect("an initializer");
    let module = module.snapshot().expect("a snapshot");
    let plants = module.task::<(String, (u64, u64)), ()>("plants").expect("a task");
    let hunts = module.task::<((u64, u64), u32), u32>("hunts").expect("a task");
    let found = |fresh, place: &str| {
        plants.clone().fresh(fresh).apply((place.to_owned(), disguise)).expect("planted");
        hunts.clone().fresh(fresh).apply((disguise, 1 << 20)).expect("a hunt")
    };
    for place in ["heap", "freed heap", "statics", "thread", "stack"] {
        assert_eq!(found(true, place), 0, "{place}");
    }
    for place in ["heap", "statics", "thread"] {
        assert!(found(false, place) > 0, "the hunter sees what a kept instance keeps in its {place}");
    }
}

#[test]
fn memory_that_the_initializer_has_grown_is_part_of_the_snapshot() {
    let it = counters(builder(1).fresh(true));
    let module = it.module.clone().initializer("fill", 100_i32).expect("an initializer");
    let module = module.snapshot().expect("a snapshot");
    let byte = module.task::<i32, i32>("byte").expect("a task");
    let seen = byte.map([1024, 1025, 1536, 100 * 65_536 + 512]).expect("results");
    assert_eq!(seen, [7, 0, 7, 7]);
    // As much as an instance may have, and no more.
    let it = counters(builder(1).max_memory(8 << 20));
    let module = it.module.initializer("grow", ()).expect("an initializer");
    let (kind, _) = uninitialized(module.snapshot(), "grow");
    assert_eq!(kind, FailureKind::OutOfMemory);
}

#[test]
fn a_failing_initializer_fails_the_snapshot() {
    let it = counters(builder(1).timeout(Duration::from_millis(300)));
    for (name, expected) in [("trap", FailureKind::Trapped), ("spin", FailureKind::TimedOut)] {
        let module = it.module.clone().initializer(name, ()).expect("an initializer");
        let (kind, text) = uninitialized(module.snapshot(), name);
        assert_eq!(kind, expected, "{text}");
    }
    assert_eq!(count(&it.lines, "init"), 2);
    assert_eq!(look(&it.module, 1).expect("results"), [(1, 0, 1, 0.0)], "the pool goes on");
}

#[test]
fn a_module_that_no_snapshot_holds_runs_its_initializer_in_each_instance() {
    let text = include_str!("../modules/tables.wat");
    let fixture = text_in(builder(2).fresh(true), "tables", text);
    let module = fixture.module.clone().initializer("set", 5_i64).expect("an initializer");
    let module = module.snapshot().expect("a module all the same");
    assert_eq!(module.snapshot_refusal(), Some("unsupported `table.set` instruction"));
    assert_eq!(module.task::<i64, i64>("get").expect("a task").map(0..100).expect("results"), [5; 100]);
}

#[test]
fn a_snapshot_that_is_larger_than_modules_may_be_is_refused() {
    let it = counters(builder(1).fresh(true).max_module(20_000));
    let module = it.module.initializer("fill", 100_i32).expect("an initializer");
    let module = module.snapshot().expect("a module all the same");
    let refusal = module.snapshot_refusal().expect("refused");
    assert!(refusal.ends_with("but may have 20000: raise max_module"), "{refusal}");
    assert_eq!(module.task::<i32, i32>("byte").expect("a task").apply(1024).expect("a result"), 7);
}

#[test]
fn a_snapshot_cannot_hold_shared_objects() {
    let fixture = tasks_in(builder(1));
    let value = fixture.pool.value("count", 0_i64).expect("a value");
    let module = fixture.module.clone().grant(&value);
    let module = module.initializer("fails_at_first", ("count", 0_i64)).expect("an initializer");
    let (kind, text) = uninitialized(module.clone().snapshot(), "fails_at_first");
    assert_eq!(kind, FailureKind::Failed);
    assert!(text.contains("cannot be opened by an initializer that runs once for a snapshot"), "{text}");
    // In each instance it can, and calls of a module with a snapshot can as well.
    module.task::<i64, i64>("cube").expect("a task").apply(1).expect("a result");
    let module = fixture.module.clone().initializer("prepare_primes", 10_u32).expect("an initializer");
    let module = module.snapshot().expect("a snapshot").grant(&value);
    let opens = module.task::<(String, i64), ()>("fails_at_first").expect("a task");
    opens.apply(("count".to_owned(), 0)).expect("a result");
    assert!(module.task::<u32, bool>("is_prime").expect("a task").apply(7).expect("a result"));
    assert_eq!(value.get().expect("a number"), 2);
}

#[test]
fn a_directory_granted_later_has_the_snapshot_taken_again() {
    let place = tempfile::tempdir().expect("a directory");
    let it = counters(builder(1));
    let module = it.module.initializer("set", 2.0).expect("an initializer").snapshot().expect("a snapshot");
    let module = module.grant_dir(place.path(), "/data", DirRights::ReadOnly).expect("a grant");
    assert_eq!(look(&module, 2).expect("results").len(), 2);
    assert_eq!(count(&it.lines, "init"), 2);
}

#[test]
fn a_deterministic_pool_has_the_same_snapshot_each_time() {
    let of = |workers, snapshot| {
        let chances = include_str!("../modules/chances.wat");
        let fixture = text_in(builder(workers).deterministic(7), "chances", chances);
        let module = fixture.module.clone().initializer("chances", 1_i64).expect("an initializer");
        let module = if snapshot { module.snapshot().expect("a snapshot") } else { module };
        assert_eq!(module.snapshot_refusal(), None);
        let chances = module.task::<i64, (i64, i64, i64, i64, i64)>("chances").expect("a task");
        let seen = chances.map(0..50).expect("results");
        // The initializer was a call of the instance, too.
        assert!(seen.iter().all(|(_, _, _, calls, _)| *calls == 2), "{seen:?}");
        seen
    };
    for snapshot in [false, true] {
        assert_eq!(of(1, snapshot), of(3, snapshot), "snapshot: {snapshot}");
    }
}

/// Prints what a fresh call costs: `cargo test -p wasmpool-tests --test initializers -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "it is what this is for")]
fn what_a_fresh_call_costs_with_and_without_a_snapshot() {
    const CALLS: i64 = 2000;
    let fixture = tasks_in(builder(1).fresh(true));
    let cost = |module: &Module| {
        let cube = module.task::<i64, i64>("cube").expect("a task");
        cube.map(0..100).expect("results");
        let started = Instant::now();
        cube.map(0..CALLS).expect("results");
        started.elapsed() / CALLS as u32
    };
    let plain = cost(&fixture.module);
    let each = fixture.module.clone().initializer("prepare_primes", 200_000_u32).expect("an initializer");
    let in_each = cost(&each);
    let started = Instant::now();
    let warm = each.snapshot().expect("a snapshot");
    let taken = started.elapsed();
    println!("a fresh call without an initializer     {plain:?}");
    println!("with the initializer in each instance   {in_each:?}");
    println!("from a snapshot                         {:?}", cost(&warm));
    println!("taking the snapshot, once               {taken:?}");
}
