//! In which order results come, and what a failing call does to the others of its job.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmpool::FailureKind;
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, failure, tasks, tasks_in, text, text_in};

wasmpool::test_support!();

/// Turns of the actor that take long enough for everybody else to be through: a second or so.
const LONG: i64 = 1_000_000_000;

const TRAP: i32 = 1;

/// A character for a call's number, to be printed when it has done its work.
fn letter(index: usize) -> i32 {
    i32::from(b'a') + index as i32
}

#[test]
fn the_lowest_failing_index_is_reported_whatever_fails_first_in_time() {
    for workers in [2, 4] {
        let lines = Lines::default();
        let fixture = text_in(builder(workers).on_output(lines.taker()), "actor", ACTOR);
        let act = fixture.module.task::<Act, i32>("act").expect("a task");
        // Call 1 fails long after call 3 has.
        let calls = [(0, 0), (LONG, TRAP), (0, 0), (0, TRAP), (0, 0), (0, TRAP)];
        let inputs = (0..).zip(calls).map(|(index, (turns, how))| (0, turns, letter(index), how));
        let failed = failure(act.map(inputs));
        assert_eq!((failed.index(), failed.kind()), (1, FailureKind::Trapped), "{workers} workers");
        let ended = lines.all();
        assert!(["a", "b"].iter().all(|line| ended.contains(&(*line).to_owned())), "{ended:?}");
    }
}

#[test]
fn calls_before_a_failure_run_to_their_end() {
    for fresh in [false, true] {
        let lines = Lines::default();
        let fixture = text_in(builder(2).fresh(fresh).on_output(lines.taker()), "actor", ACTOR);
        let act = fixture.module.task::<Act, i32>("act").expect("a task");
        let failed = failure(act.map([(0, LONG, letter(0), 0), (0, 0, letter(1), TRAP)]));
        assert_eq!(failed.index(), 1);
        let mut ended = lines.all();
        ended.sort_unstable();
        assert_eq!(ended, ["a", "b"], "fresh: {fresh}");
    }
}

#[test]
fn calls_behind_a_failure_are_stopped() {
    let fixture = text(2, "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    for _ in 0..3 {
        let failed = failure(act.map([(0, 1000, 0, TRAP), (0, FOR_EVER, 0, 0), (0, FOR_EVER, 0, 0)]));
        assert_eq!(failed.index(), 0);
        assert_eq!(act.map(vec![(7, 0, 0, 0); 100]).expect("results"), [7; 100]);
    }
}

#[test]
fn calls_far_behind_a_failure_are_not_begun() {
    let lines = Lines::default();
    let fixture = tasks_in(builder(2).on_output(lines.taker()));
    let task = fixture.module.task::<(i32, i64, i32, i32), i32>("act");
    assert!(task.is_err(), "that one belongs to another module");
    let actor = fixture.pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
    let act = actor.task::<Act, i32>("act").expect("a task");
    const CALLS: i64 = 2_000_000;
    let inputs = (0..CALLS).map(|call| (i32::from(b'.'), 1000, 0, i32::from(call == 10)));
    assert_eq!(failure(act.map(inputs)).index(), 10);
    let begun = lines.all().len() as i64;
    assert!((11..CALLS).contains(&begun), "{begun} calls were begun");
}

#[test]
fn an_endless_input_ends_with_its_first_failure() {
    let fixture = tasks(2);
    for name in ["fails_on", "traps_on"] {
        let task = fixture.module.task::<(i64, i64), i64>(name).expect("a task");
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let inputs = (0..).inspect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let failed = failure(task.map(inputs.map(|number| (number, 10_000))));
        assert_eq!(failed.index(), 10_000, "{name}");
        assert!(taken.load(Ordering::Relaxed) > 10_000);
    }
}

#[test]
fn a_range_that_is_too_long_for_its_results_is_an_error_and_no_crash() {
    let module = r#"(module (func (export "below") (param i64) (result i64)
        (if (i64.ge_s (local.get 0) (i64.const 1000)) (then (unreachable))) local.get 0))"#;
    let fixture = text(2, "below", module);
    let below = fixture.module.task::<i64, i64>("below").expect("a task");
    for range in [0..i64::MAX, i64::MIN..i64::MAX, 0..1 << 50] {
        below.map(range.clone()).expect_err("there cannot be so many results");
        below.map_outcomes(range).expect_err("there cannot be so many results");
    }
    assert_eq!(below.map(0..3).expect("results"), [0, 1, 2]);
}

#[test]
fn results_come_in_the_order_of_their_inputs_whatever_takes_longer() {
    let fixture = text(3, "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let inputs = (0..3000).map(|call| (call, i64::from(call % 17 * call % 13) * 3000, 0, 0));
    // Their numbers are characters that nobody prints: the actor returns what it would have begun with.
    let results = act.map(inputs).expect("results");
    assert!(results.iter().copied().eq(0..3000));
}

#[test]
fn one_slow_call_holds_back_no_other() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let inputs: Vec<Act> = (0..400)
        .map(|call| match call {
            200 => (200, 2 * LONG, i32::from(b'!'), 0),
            _ => (call, 10_000, i32::from(b'.'), 0),
        })
        .collect();
    let results = act.map(inputs).expect("results");
    assert!(results.iter().copied().eq(0..400));
    let behind = lines.all().iter().rev().take_while(|line| *line == ".").count();
    // What its worker had claimed, or what was too little to be worth taking from it: microseconds of work.
    assert!(behind < 40, "{behind} calls waited for the slow one");
}

#[test]
fn anything_that_can_be_iterated_over_can_be_mapped_over() {
    let fixture = tasks(2);
    let text = fixture.module.task::<String, String>("echo_text").expect("a task");
    let letters = text.map("grüße, 世界".chars().map(String::from)).expect("results");
    assert_eq!(letters.concat(), "grüße, 世界");
    let words = text.map("a b  c".split(' ').map(str::to_owned)).expect("results");
    assert_eq!(words, ["a", "b", "", "c"]);
    let chars = fixture.module.task::<char, String>("echo_text").expect("a task");
    assert_eq!(chars.map("äöü".chars()).expect("results"), ["ä", "ö", "ü"]);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert_eq!(cube.map([3, 1, 2]).expect("results"), [27, 1, 8]);
    assert_eq!(cube.map(Some(2)).expect("results"), [8]);
    assert_eq!(cube.map(vec![1, 2].into_iter().chain(3..5)).expect("results"), [1, 8, 27, 64]);
    let by_number: HashMap<i64, i64> = (0..100).map(|number| (number, number * number * number)).collect();
    let cubes = cube.map(by_number.keys().copied()).expect("results");
    assert!(by_number.values().eq(&cubes));
}

#[test]
fn an_iterator_that_lies_about_its_length_is_counted() {
    struct Lying(i64, usize);
    impl Iterator for Lying {
        type Item = i64;
        fn next(&mut self) -> Option<i64> {
            self.0 -= 1;
            (self.0 >= 0).then_some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, None)
        }
    }
    let fixture = tasks(2);
    let square = fixture.module.task::<i64, i64>("square").expect("a task");
    let text = fixture.module.task::<i64, String>("echo_text").expect("a task");
    for (length, hint) in [(0, 10), (10, 0), (10, 3), (10_000, 5), (3, usize::MAX)] {
        let wanted: Vec<i64> = (0..length).rev().map(|number| number * number).collect();
        assert_eq!(square.map(Lying(length, hint)).expect("results"), wanted, "{length} {hint}");
        let outcomes = text.map_outcomes(Lying(length, hint)).expect("outcomes");
        assert_eq!(outcomes.len(), length as usize, "{length} {hint}");
        assert!(outcomes.iter().all(|outcome| outcome.is_err()), "numbers are no texts");
    }
}

#[test]
fn a_panic_of_the_input_iterator_is_the_callers_and_the_pool_goes_on() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cube.map((0..1000).map(|number| if number == 700 { panic!("a broken input") } else { number }))
    }));
    assert!(broken.is_err());
    assert_eq!(cube.map(0..3).expect("results"), [0, 1, 8]);
}

#[test]
fn calls_from_many_threads_do_not_mix_up() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let text = fixture.module.task::<String, String>("echo_text").expect("a task");
    std::thread::scope(|scope| {
        for thread in 0..8i64 {
            let (cube, text) = (cube.clone(), text.clone());
            scope.spawn(move || {
                for round in 0..200 {
                    let number = thread * 1000 + round;
                    assert_eq!(cube.apply(number).expect("a result"), number.pow(3));
                    assert_eq!(text.apply(format!("{number}")).expect("a result"), format!("{number}"));
                    if round % 50 == 0 {
                        let cubes = cube.map(number..number + 500).expect("results");
                        assert!(cubes.into_iter().eq((number..number + 500).map(|number| number.pow(3))));
                    }
                }
            });
        }
    });
}

#[test]
fn one_threads_failures_are_not_anothers() {
    let fixture = tasks(2);
    let task = fixture.module.task::<(i64, i64), i64>("traps_on").expect("a task");
    std::thread::scope(|scope| {
        for thread in 0..4i64 {
            let task = task.clone();
            scope.spawn(move || {
                for round in 0..30 {
                    let unlucky = if thread % 2 == 0 { 37 } else { -1 };
                    match task.map((0..100).map(|number| (number, unlucky))) {
                        Ok(results) => {
                            assert!(thread % 2 == 1 && results.iter().copied().eq(0..100), "{round}")
                        }
                        Err(error) => {
                            assert_eq!(error.failure().map(wasmpool::Failure::index), Some(37), "{error}");
                            assert_eq!(thread % 2, 0);
                        }
                    }
                }
            });
        }
    });
}
