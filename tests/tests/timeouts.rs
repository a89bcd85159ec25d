//! Calls that take too long: stopped, reported, and nobody else the worse for it.

use std::time::{Duration, Instant};

use wasmpool::FailureKind;
use wasmpool_tests::{
    ACTOR, Act, FOR_EVER, builder, failure, processes, tasks, tasks_in, text, text_in, ways_to_keep_instances,
};

wasmpool::test_support!();

/// Short for a test, long for any call here that is not meant to run into it.
const LIMIT: Duration = Duration::from_millis(300);

#[test]
fn a_call_over_its_time_is_stopped_whatever_it_does() {
    for (way, of) in ways_to_keep_instances() {
        let fixture = tasks_in(of(builder(2).timeout(LIMIT)));
        let started = Instant::now();
        let failed = failure(fixture.module.task::<(), ()>("spins").expect("a task").apply(()));
        assert_eq!((failed.kind(), failed.index(), failed.attempt()), (FailureKind::TimedOut, 0, 1), "{way}");
        assert!(failed.message().contains("300ms"), "{failed}");
        assert!(started.elapsed() >= LIMIT, "{way}: it had its time");
        let failed = failure(fixture.module.task::<u64, ()>("sleeps_ms").expect("a task").apply(1_000_000));
        assert_eq!(failed.kind(), FailureKind::TimedOut, "{way}: a sleep in the host");
        let actor = fixture.pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
        let failed = failure(actor.task::<Act, i32>("act").expect("a task").apply((0, FOR_EVER, 0, 0)));
        assert_eq!(failed.kind(), FailureKind::TimedOut, "{way}: a loop of a task of numbers");
        assert_eq!(fixture.module.task::<i64, i64>("cube").expect("a task").apply(3).expect("a result"), 27);
    }
}

#[test]
fn a_bulk_operation_over_its_time_is_stopped() {
    // Half a gigabyte, filled again and again by single instructions that no epoch interrupts.
    let fills = r#"(module (memory 8000) (func (export "fills")
        (loop $again (memory.fill (i32.const 0) (i32.const 7) (i32.const 524288000)) (br $again))))"#;
    let fixture = text_in(builder(1).timeout(LIMIT).max_memory(1 << 30), "fills", fills);
    let failed = failure(fixture.module.task::<(), ()>("fills").expect("a task").apply(()));
    assert_eq!(failed.kind(), FailureKind::TimedOut);
}

#[test]
fn only_the_call_that_took_too_long_is_charged() {
    for (way, of) in ways_to_keep_instances() {
        let fixture = tasks_in(of(builder(2).timeout(LIMIT)));
        let task = fixture.module.task::<(i64, i64), i64>("spins_on").expect("a task");
        let unlucky = |number: i64| if number % 150 == 75 { number } else { -1 };
        let outcomes = task.map_outcomes((0..450).map(|number| (number, unlucky(number)))).expect("outcomes");
        for (number, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(result) => assert_eq!((result, unlucky(number)), (number, -1), "{way}"),
                Err(failed) => {
                    assert_eq!(unlucky(number), number, "{way}: {failed}");
                    assert_eq!(
                        (failed.index(), failed.kind()),
                        (number as u64, FailureKind::TimedOut),
                        "{way}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_limit_is_a_calls_and_not_a_jobs() {
    let fixture = tasks_in(builder(1).timeout(Duration::from_secs(2)));
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task");
    let started = Instant::now();
    sleeps.map(vec![50; 50]).expect("each is far below its limit");
    assert!(started.elapsed() >= Duration::from_millis(2500), "all together they were above it");
}

#[test]
fn a_task_may_have_a_limit_of_its_own() {
    let fixture = tasks(1);
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task");
    let failed = failure(sleeps.clone().timeout(LIMIT).apply(1_000_000));
    assert_eq!(failed.kind(), FailureKind::TimedOut);
    sleeps.apply(500).expect("the other one has the pool's limit");
}

#[test]
fn timeouts_are_the_calls_fault_and_give_no_module_up() {
    let fixture = text_in(builder(2).timeout(Duration::from_millis(20)), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let outcomes = act.map_outcomes([(0, FOR_EVER, 0, 0); 24]).expect("outcomes");
    let kinds: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map_err(|failed| failed.kind())).collect();
    assert_eq!(kinds, [Err(FailureKind::TimedOut); 24]);
    assert_eq!(act.clone().timeout(Duration::from_secs(60)).apply((5, 0, 0, 0)).expect("a result"), 5);
}

#[test]
fn the_lowest_call_over_its_time_is_what_a_job_fails_with() {
    let fixture = tasks_in(builder(2).timeout(LIMIT));
    let task = fixture.module.task::<(i64, i64), i64>("spins_on").expect("a task");
    let failed = failure(task.map((0..100).map(|number| (number, if number >= 30 { number } else { -1 }))));
    assert_eq!((failed.index(), failed.kind()), (30, FailureKind::TimedOut));
}

#[test]
fn a_worker_whose_call_was_stopped_is_replaced() {
    let fixture = tasks_in(builder(1).timeout(LIMIT));
    let before = processes::workers(&fixture.pool);
    failure(fixture.module.task::<(), ()>("spins").expect("a task").apply(()));
    fixture.module.task::<i64, i64>("cube").expect("a task").apply(1).expect("a result");
    assert_ne!(processes::workers(&fixture.pool), before);
}

#[test]
fn short_calls_under_a_tiny_limit_are_left_alone() {
    let module = r#"(module (func (export "same") (param i64) (result i64) local.get 0))"#;
    let fixture = text_in(builder(1).timeout(Duration::from_millis(50)), "same", module);
    let same = fixture.module.task::<i64, i64>("same").expect("a task");
    assert!(same.map(0..3_000_000).expect("each takes nanoseconds").into_iter().eq(0..3_000_000));
}

#[test]
fn time_that_a_slow_reader_of_lines_costs_is_not_the_calls() {
    // It stands for a terminal or a pipe that blocks for a while.
    let slow = |_, line: &[u8]| {
        if line == b"line 60000" {
            std::thread::sleep(4 * LIMIT);
        }
    };
    let fixture = tasks_in(builder(1).timeout(LIMIT).on_output(slow));
    // Several times what lies between worker and reader.
    fixture.module.task::<u64, ()>("prints").expect("a task").apply(120_000).expect("it was held up");
}

#[test]
fn a_call_that_nobody_waits_for_is_stopped_without_a_limit() {
    let fixture = text(2, "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    failure(act.map([(0, 0, 0, 1), (0, FOR_EVER, 0, 0)]));
    assert_eq!(act.map([(1, 0, 0, 0); 4]).expect("both workers are free"), [1; 4]);
}
