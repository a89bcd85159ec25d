//! Limits: each ends a call in an outcome of its own, at its own threshold, and can be chosen within a range.

use std::time::Duration;

use wasmpool::{Builder, Error, ErrorKind, FailureKind, Module, Pool, Task};
use wasmpool_tests::{
    Lines, builder, failure, tasks_in, text_in, watchdog::Watchdog, ways_to_keep_instances,
};

wasmpool::test_support!();

/// Tasks that work as long, go as deep and grow as far as they are told.
const APPETITES: &str = r#"(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "turns") (param $turns i64) (result i64)
    (block $done (loop $again
      (br_if $done (i64.eqz (local.get $turns)))
      (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
      (br $again)))
    (i64.const 7))
  (func $depth (export "depth") (param $depth i64) (result i64)
    (if (result i64) (i64.eqz (local.get $depth))
      (then (i64.const 0))
      (else (i64.add (i64.const 1) (call $depth (i64.sub (local.get $depth) (i64.const 1)))))))
  (func (export "grow_table") (param $elements i32) (result i32)
    (table.grow $table (ref.null func) (local.get $elements)))
  (func (export "must_grow_table") (param $elements i32) (result i32)
    (if (i32.eq (table.grow $table (ref.null func) (local.get $elements)) (i32.const -1)) (then (unreachable)))
    (table.size $table))
  (func (export "grow_memory") (param $pages i32) (result i32)
    (memory.grow (local.get $pages))))"#;

/// Whether a call returns that has so much of something.
type Suffices<'a> = &'a dyn Fn(u64) -> bool;

/// The least amount that suffices, found by halving; fails when none up to `most` does.
fn threshold(most: u64, suffices: Suffices<'_>) -> u64 {
    assert!(suffices(most), "{most} is not enough");
    let (mut too_little, mut enough) = (0, most);
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if suffices(middle) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    enough
}

fn turns(builder: Builder) -> (wasmpool_tests::Fixture, Task<i64, i64>) {
    let fixture = text_in(builder, "appetites", APPETITES);
    let turns = fixture.module.task("turns").expect("a task");
    (fixture, turns)
}

#[test]
fn fuel_runs_out_at_one_exact_amount_however_instances_are_kept() {
    let mut thresholds = Vec::new();
    for (_, of) in ways_to_keep_instances() {
        let (_fixture, turns) = turns(of(builder(1).fuel(1)));
        let least = threshold(1 << 20, &|fuel| turns.clone().fuel(fuel).apply(1000).is_ok());
        let (enough, too_little) = (turns.clone().fuel(least), turns.clone().fuel(least - 1));
        for _ in 0..3 {
            assert_eq!(enough.map(vec![1000; 20]).expect("enough fuel"), [7; 20]);
            for outcome in too_little.map_outcomes(vec![1000; 20]).expect("outcomes") {
                let failure = outcome.expect_err("too little fuel");
                assert_eq!(failure.kind(), FailureKind::OutOfFuel);
                assert_eq!(failure.message(), format!("out of fuel: it had {} units", least - 1));
            }
        }
        thresholds.push(least);
    }
    assert!(thresholds[0] > 1000, "a turn costs something: {thresholds:?}");
    assert!(thresholds.iter().all(|least| *least == thresholds[0]), "{thresholds:?}");
}

#[test]
fn each_call_has_its_own_fuel() {
    let (_fixture, turns) = turns(builder(2).fuel(20_000));
    let outcomes = turns.map_outcomes((0..2000).map(|call| if call % 50 == 0 { -1 } else { 1000 }));
    for (call, outcome) in outcomes.expect("outcomes").into_iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(call % 50, 0),
            Err(failure) => assert_eq!((call % 50, failure.kind()), (0, FailureKind::OutOfFuel)),
        }
    }
}

#[test]
fn fuel_of_an_sdk_task_is_exact_in_fresh_instances_and_its_set_up_takes_none_of_it() {
    let fixture = tasks_in(builder(1).fuel(1).fresh(true));
    let greet = fixture.module.task::<String, String>("greet").expect("a task");
    let name = || "Ada".to_owned();
    let least = threshold(1 << 30, &|fuel| greet.clone().fuel(fuel).apply(name()).is_ok());
    for _ in 0..5 {
        assert!(greet.clone().fuel(least).apply(name()).is_ok());
        let kind = failure(greet.clone().fuel(least - 1).apply(name())).kind();
        assert_eq!(kind, FailureKind::OutOfFuel);
    }
    let again = threshold(1 << 30, &|fuel| greet.clone().fuel(fuel).apply(name()).is_ok());
    assert_eq!(again, least);
}

#[test]
fn a_start_function_that_never_ends_runs_out_of_fuel_too() {
    let spins = r#"(module (func $start (loop $again (br $again))) (start $start)
        (func (export "never") (result i32) (i32.const 1)))"#;
    let fixture = text_in(builder(1).fuel(10), "spins", spins);
    let never = fixture.module.task::<(), i32>("never").expect("a task");
    assert_eq!(failure(never.apply(())).kind(), FailureKind::OutOfFuel);
}

#[test]
fn fuel_for_a_pool_that_counts_none_is_refused_with_the_remedy() {
    let (_fixture, turns) = turns(builder(1));
    let refused = turns.fuel(1000).apply(1).expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Setting);
    assert!(refused.to_string().contains("build the pool with fuel(units)"), "{refused}");
}

#[test]
fn compiled_code_with_and_without_fuel_is_kept_apart() {
    for _ in 0..2 {
        let (_plain, without) = turns(builder(1));
        assert_eq!(without.apply(1000).expect("no limit"), 7);
        let (_counting, with) = turns(builder(1).fuel(100));
        assert_eq!(failure(with.apply(1000)).kind(), FailureKind::OutOfFuel);
    }
}

#[test]
fn a_deeper_stack_goes_deeper_and_none_takes_its_worker_along() {
    let mut depths = Vec::new();
    for bytes in [16 << 10, 1 << 20, 16 << 20] {
        let fixture = text_in(builder(1).max_stack(bytes), "appetites", APPETITES);
        let depth = fixture.module.task::<i64, i64>("depth").expect("a task");
        assert_eq!(depth.apply(1).expect("a result"), 1);
        let pids = fixture.pool.worker_pids();
        // How deep one gets, to the power of two below.
        let deepest = (0..40).take_while(|power| depth.apply(1 << power).is_ok()).last().expect("some depth");
        let failure = failure(depth.apply(1 << (deepest + 1)));
        assert_eq!(failure.kind(), FailureKind::StackOverflow);
        assert_eq!(failure.message(), format!("stack overflow: it may have {bytes} bytes of stack"));
        assert_eq!(fixture.pool.worker_pids(), pids);
        depths.push(deepest);
    }
    assert!(depths[0] < depths[1] && depths[1] < depths[2], "{depths:?}");
}

#[test]
fn an_sdk_task_overflows_the_engines_stack_where_that_is_the_smaller_one() {
    let fixture = tasks_in(builder(1).max_stack(16 << 10));
    let deep = fixture.module.task::<i64, i64>("overflows_stack").expect("a task");
    let failure = failure(deep.apply(10_000_000));
    assert_eq!(failure.kind(), FailureKind::StackOverflow);
    assert!(failure.backtrace().contains("overflows_stack"), "{}", failure.backtrace());
    assert_eq!(deep.apply(10).expect("a result"), 10);
}

#[test]
fn a_stack_overflow_is_not_tried_again() {
    let fixture = text_in(builder(1).retries(5), "appetites", APPETITES);
    let depth = fixture.module.task::<i64, i64>("depth").expect("a task");
    assert_eq!(failure(depth.apply(i64::MAX)).attempt(), 1);
}

#[test]
fn results_have_their_own_limits_in_bytes_and_depth() {
    let fixture = tasks_in(builder(1).max_result(1000).max_depth(3));
    let big = fixture.module.task::<u64, String>("big_result").expect("a task");
    // A string of 900 bytes takes three more.
    assert_eq!(big.apply(900).expect("small enough").len(), 900);
    let too_large = failure(big.apply(1000));
    assert_eq!(too_large.kind(), FailureKind::ResultTooLarge);
    assert!(too_large.message().ends_with("at most 1000 are allowed"), "{too_large}");
    // What it says for itself is not its result.
    let fails = fixture.module.task::<String, ()>("fails").expect("a task");
    assert_eq!(failure(fails.apply("x".repeat(2000))).message().len(), 2000);

    #[derive(Debug, serde::Deserialize)]
    struct Nested(#[allow(dead_code, reason = "only its depth counts")] Vec<Nested>);
    let deep = fixture.module.task::<u32, Nested>("deep_result").expect("a task");
    assert!(deep.apply(1).is_ok());
    let deepest = tasks_in(builder(1).max_depth(256));
    assert!(deepest.module.task::<u32, Nested>("deep_result").expect("a task").apply(200).is_ok());
    let too_deep = failure(deep.apply(50));
    assert_eq!(too_deep.kind(), FailureKind::ResultTooDeep);
    assert_eq!(too_deep.message(), "result too deep: nested deeper than 3 levels");
}

#[test]
fn numbers_are_results_of_any_limit() {
    for (_, of) in ways_to_keep_instances() {
        let (_fixture, turns) = turns(of(builder(1).max_result(1)));
        assert_eq!(turns.map([1, 2]).expect("numbers"), [7, 7]);
    }
}

#[test]
fn tables_grow_to_their_limit_and_no_further() {
    let fixture = text_in(builder(1).max_table_elements(100), "appetites", APPETITES);
    let grow = fixture.module.task::<i32, i32>("grow_table").expect("a task").fresh(true);
    let must_grow = fixture.module.task::<i32, i32>("must_grow_table").expect("a task").fresh(true);
    assert_eq!(grow.map([99, 100]).expect("answers"), [1, -1]);
    assert_eq!(must_grow.apply(99).expect("room"), 100);
    let failure = failure(must_grow.apply(100));
    assert_eq!(failure.kind(), FailureKind::OutOfTables);
    assert_eq!(failure.message(), "out of tables: it may have 100 elements of tables and wanted more");
}

#[test]
fn tables_count_towards_the_memory_of_their_instance() {
    let fixture = text_in(builder(1).max_memory(128 << 10), "appetites", APPETITES);
    let must_grow = fixture.module.task::<i32, i32>("must_grow_table").expect("a task").fresh(true);
    assert_eq!(failure(must_grow.apply(10_000)).kind(), FailureKind::OutOfMemory);
    let grow = fixture.module.task::<i32, i32>("grow_memory").expect("a task").fresh(true);
    assert_eq!(grow.map([1, 2]).expect("answers"), [-1, -1], "the table has taken some of the second page");
}

fn load(builder: Builder, text: &str) -> Result<Module, Error> {
    builder.build().expect("a pool").load_bytes("needy", text.as_bytes())
}

#[test]
fn a_module_that_begins_with_more_than_it_may_have_is_not_loaded() {
    let _watchdog = Watchdog::start();
    let cases: [(Builder, &str, &str); 4] = [
        (
            builder(1).max_memory(1 << 20),
            "(module (memory 10) (memory 7))",
            "module `needy` begins with 1114112 bytes of memory, but may have 1048576: raise max_memory",
        ),
        (
            builder(1).max_tables(1),
            "(module (table 1 funcref) (table 1 funcref))",
            "module `needy` has 2 tables, but may have 1: raise max_tables",
        ),
        (
            builder(1).max_table_elements(10),
            "(module (table 6 funcref) (table 5 funcref))",
            "module `needy` begins with 11 elements in its tables, but may have 10: raise max_table_elements",
        ),
        (
            builder(1).max_module(10),
            "(module (func))",
            "module `needy` has 15 bytes, but may have 10: raise max_module",
        ),
    ];
    for (builder, text, expected) in cases {
        let refused = load(builder, text).expect_err("refused");
        assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Module, expected));
    }
    assert!(load(builder(1).max_tables(0), "(module)").is_ok());
}

#[test]
fn a_module_file_that_is_too_large_is_not_read() {
    let _watchdog = Watchdog::start();
    let file = tempfile::NamedTempFile::new().expect("a file");
    // Longer than this machine's memory: whoever reads it does not come back.
    file.as_file().set_len(1 << 40).expect("a sparse file");
    let refused = builder(1).build().expect("a pool").load(file.path()).expect_err("refused");
    let expected = "has 1099511627776 bytes, but may have 268435456: raise max_module";
    assert!(refused.to_string().ends_with(expected), "{refused}");
}

#[test]
fn one_instance_a_worker_still_runs_every_task() {
    for instances in [1, 2, 3] {
        let fixture = text_in(builder(1).max_instances(instances), "appetites", APPETITES);
        let turns = fixture.module.task::<i64, i64>("turns").expect("a task");
        let depth = fixture.module.task::<i64, i64>("depth").expect("a task");
        let grow = fixture.module.task::<i32, i32>("grow_memory").expect("a task");
        for _ in 0..3 {
            assert_eq!(turns.map(0..100).expect("results"), [7; 100]);
            assert!(depth.map(0..100).expect("results").into_iter().eq(0..100));
            assert!(grow.apply(0).expect("a result") >= 1);
        }
    }
}

#[test]
fn a_job_ends_at_its_deadline_and_the_pool_goes_on() {
    let printed = Lines::default();
    let builder = builder(2).on_output(printed.taker());
    let fixture = text_in(builder, "actor", wasmpool_tests::ACTOR);
    let act = fixture.module.task::<wasmpool_tests::Act, i32>("act").expect("a task");
    let limit = Duration::from_millis(200);
    let never = (i32::from(b'a'), wasmpool_tests::FOR_EVER, 0, 0);
    let late = [
        act.clone().deadline(limit).apply(never).map(drop),
        act.clone().deadline(limit).map(vec![never; 5]).map(drop),
        act.clone().deadline(limit).map_outcomes(vec![never; 5]).map(drop),
        act.clone().deadline(limit).map(std::iter::repeat_n(never, 10_000_000)).map(drop),
    ];
    for late in late {
        let error = late.expect_err("late");
        let expected = "the job's deadline of 200ms passed; calls that had not ended were stopped";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Deadline, expected));
    }
    assert_eq!(act.deadline(Duration::from_hours(1)).apply((5, 10, 0, 0)).expect("in time"), 5);
}

#[test]
fn limits_beyond_their_ranges_are_refused_with_the_range() {
    let second = Duration::from_secs(1);
    let cases: [(Builder, &str); 8] = [
        (Pool::builder().max_memory(0), "max_memory(0 B): choose from 64 KiB to 4 GiB"),
        (Pool::builder().max_stack(16 << 30), "max_stack(16 GiB): choose from 16 KiB to 16 MiB"),
        (Pool::builder().fuel(0), "fuel(0): choose from 1 to 1000000000000000000"),
        (Pool::builder().max_result(65 << 20), "max_result(65 MiB): choose from 1 B to 64 MiB"),
        (Pool::builder().max_depth(0), "max_depth(0): choose from 1 to 256"),
        (Pool::builder().max_objects(1025), "max_objects(1025): choose from 0 to 1024"),
        (Pool::builder().timeout(Duration::ZERO), "timeout(0s): choose from 1ms to 8760h"),
        (
            Pool::builder().timeout(2 * second).deadline(second),
            "timeout(2s) contradicts deadline(1s): no call can take longer than its job",
        ),
    ];
    for (builder, expected) in cases {
        let refused = builder.build().expect_err("refused");
        assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Setting, expected));
    }
    let (_fixture, turns) = turns(builder(1).fuel(1));
    let refused = turns.clone().fuel(0).apply(1).expect_err("refused");
    assert_eq!(refused.to_string(), "fuel(0): choose from 1 to 1000000000000000000");
    let refused = turns.timeout(Duration::ZERO).map([1]).expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Setting);
}

#[test]
fn a_call_opens_as_many_shared_objects_as_it_may() {
    for (most, expected) in [(0, false), (1, true)] {
        let fixture = tasks_in(builder(1).max_objects(most));
        let counter = fixture.pool.value::<i32>("counter", 0).expect("a value");
        let module = fixture.module.clone().grant(&counter);
        let outcome = module.task::<i64, ()>("count_process").expect("a task").apply(3);
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
        if let Err(error) = outcome {
            assert!(error.to_string().contains("has 0 shared objects open, which is the most"), "{error}");
        }
    }
}
