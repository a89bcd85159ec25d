//! Tasks of numbers: any export of any module, by whichever way it is called.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool::{Builder, FailureKind, Module};
use wasmpool_tests::{builder, failure, text, text_in, ways_to_keep_instances};

wasmpool::test_support!();

const NUMBERS: &str = r#"(module
  (global $count (mut i64) (i64.const 0))
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "neg32") (param i32) (result i32) i32.const 0 local.get 0 i32.sub)
  (func (export "cube") (param i64) (result i64)
    local.get 0 local.get 0 i64.mul local.get 0 i64.mul)
  (func (export "none"))
  (func (export "count") (result i64)
    global.get $count i64.const 1 i64.add global.set $count global.get $count)
  (func (export "forget") (param f64))
  (func (export "mix") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3 local.get 2 local.get 1 local.get 0)
  (func (export "two") (result i32 i64) i32.const -1 i64.const -2)
  (func (export "divmod") (param i64 i64) (result i64 i64)
    local.get 0 local.get 1 i64.div_s local.get 0 local.get 1 i64.rem_s)
  (func (export "sum12") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    local.get 0 local.get 1 i32.const 2 i32.mul i32.add local.get 2 i32.const 3 i32.mul i32.add
    local.get 3 i32.const 4 i32.mul i32.add local.get 4 i32.const 5 i32.mul i32.add
    local.get 5 i32.const 6 i32.mul i32.add local.get 6 i32.const 7 i32.mul i32.add
    local.get 7 i32.const 8 i32.mul i32.add local.get 8 i32.const 9 i32.mul i32.add
    local.get 9 i32.const 10 i32.mul i32.add local.get 10 i32.const 11 i32.mul i32.add
    local.get 11 i32.const 12 i32.mul i32.add))"#;

/// Runs a task over these inputs in all ways, and compares with what it should return.
fn check<A, R>(name: &str, pairs: &[(A, R)])
where
    A: Serialize + Clone,
    R: DeserializeOwned + Send + 'static + PartialEq + Debug + Clone,
{
    check_in(NUMBERS, name, pairs);
}

fn check_in<A, R>(module: &str, name: &str, pairs: &[(A, R)])
where
    A: Serialize + Clone,
    R: DeserializeOwned + Send + 'static + PartialEq + Debug + Clone,
{
    let (inputs, wanted): (Vec<A>, Vec<R>) = pairs.iter().cloned().unzip();
    for (way, of) in ways_to_keep_instances() {
        let fixture = text_in(of(builder(2)), "numbers", module);
        let task = fixture.module.task::<A, R>(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(task.map(inputs.clone()).expect("results"), wanted, "{way} {name}");
        // Long enough for several chunks and for splitting.
        let many = inputs.iter().cycle().take(5000).cloned();
        let wanted_many: Vec<R> = wanted.iter().cycle().take(5000).cloned().collect();
        assert!(task.map(many).expect("results") == wanted_many, "{way} {name}: many");
        for (input, wanted) in pairs {
            assert_eq!(task.apply(input.clone()).expect("a result"), *wanted, "{way} {name}: apply");
        }
    }
}

fn same<T: Clone>(values: &[T]) -> Vec<(T, T)> {
    values.iter().map(|value| (value.clone(), value.clone())).collect()
}

#[test]
fn numbers_of_all_four_types_come_back_as_they_went() {
    check("i32", &same(&[0, 1, -1, i32::MIN, i32::MAX]));
    check("i64", &same(&[0, 1, -1, i64::MIN, i64::MAX, 1 << 53 | 1]));
    check("f32", &same(&[0.0f32, 1.5, -1.5, f32::MIN, f32::MAX, f32::MIN_POSITIVE / 4.0, f32::INFINITY]));
    check("f64", &same(&[0.0f64, 1.5, -1.5, f64::MIN, f64::MAX, f64::MIN_POSITIVE / 4.0, f64::NEG_INFINITY]));
}

#[test]
fn floats_keep_every_bit() {
    for (way, of) in ways_to_keep_instances() {
        let fixture = text_in(of(builder(1)), "numbers", NUMBERS);
        let doubles = [f64::NAN.to_bits(), 0x7ff8_0000_dead_beef, 0xfff8_0000_0000_0001, (-0.0f64).to_bits()];
        let task = fixture.module.task::<f64, f64>("f64").expect("a task");
        let back = task.map(doubles.map(f64::from_bits)).expect("results");
        assert_eq!(back.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), doubles, "{way}");
        let singles = [f32::NAN.to_bits(), 0x7fc0_beef, (-0.0f32).to_bits()];
        let task = fixture.module.task::<f32, f32>("f32").expect("a task");
        let back = task.map(singles.map(f32::from_bits)).expect("results");
        assert_eq!(back.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), singles, "{way}");
    }
}

#[test]
fn tasks_take_and_return_any_number_of_numbers() {
    check::<(), ()>("none", &[((), ()), ((), ())]);
    check::<f64, ()>("forget", &[(1.0, ()), (2.0, ())]);
    check::<(), (i32, i64)>("two", &[((), (-1, -2))]);
    check(
        "divmod",
        &[((7i64, 2i64), (3i64, 1i64)), ((-7, 2), (-3, -1)), ((i64::MIN, 3), (i64::MIN / 3, i64::MIN % 3))],
    );
    check(
        "mix",
        &[
            ((-1i32, i64::MIN, 0.5f32, -2.25f64), (-2.25f64, 0.5f32, i64::MIN, -1i32)),
            ((i32::MAX, -1, f32::MAX, f64::MIN), (f64::MIN, f32::MAX, -1, i32::MAX)),
        ],
    );
    let ones = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    let last = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -5);
    check("sum12", &[(ones, 78), (last, -60)]);
}

#[test]
fn ranges_of_integers_are_inputs_like_any_others() {
    for (way, of) in ways_to_keep_instances() {
        let fixture = text_in(of(builder(2)), "numbers", NUMBERS);
        let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
        let ends_before_it_starts = std::ops::Range { start: 5, end: 3 };
        let ranges = [
            0..0,
            ends_before_it_starts,
            0..1,
            -5..5,
            0..3000,
            i64::MIN..i64::MIN + 10,
            i64::MAX - 10..i64::MAX,
        ];
        for range in ranges {
            let wanted: Vec<i64> = range.clone().map(|n| n.wrapping_mul(n).wrapping_mul(n)).collect();
            assert_eq!(cube.map(range.clone()).expect("results"), wanted, "{way} {range:?}");
            assert_eq!(
                cube.map(range.clone().collect::<Vec<_>>()).expect("results"),
                wanted,
                "{way} {range:?}"
            );
        }
        let negate = fixture.module.task::<i32, i32>("neg32").expect("a task");
        for range in [0..0, -3..3, i32::MIN + 1..i32::MIN + 5, i32::MAX - 3..i32::MAX] {
            let wanted: Vec<i32> = range.clone().map(|n| -n).collect();
            assert_eq!(negate.map(range.clone()).expect("results"), wanted, "{way} {range:?}");
        }
        assert_eq!(cube.map(0..=3).expect("results"), [0, 1, 8, 27], "{way}");
        assert_eq!(cube.map((0..6).rev().step_by(2)).expect("results"), [125, 27, 1], "{way}");
    }
}

#[test]
fn a_million_calls_are_all_right_and_in_order() {
    let fixture = text(2, "numbers", NUMBERS);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let cubes = cube.map(-500_000..500_000).expect("results");
    assert_eq!(cubes.len(), 1_000_000);
    assert!((-500_000i64..).zip(&cubes).all(|(n, cube)| *cube == n.wrapping_mul(n).wrapping_mul(n)));
}

#[test]
fn results_can_be_read_as_wider_or_as_options() {
    let fixture = text(1, "numbers", NUMBERS);
    let task = fixture.module.task::<i64, Option<i64>>("cube").expect("a task");
    assert_eq!(task.map(0..3).expect("results"), [Some(0), Some(1), Some(8)]);
    let task = fixture.module.task::<(i64, i64), [i64; 2]>("divmod").expect("a task");
    assert_eq!(task.apply((9, 4)).expect("a result"), [2, 1]);
    let task = fixture.module.task::<(i64, i64), Vec<i64>>("divmod").expect("a task");
    assert_eq!(task.apply((9, 4)).expect("a result"), [2, 1]);
}

#[test]
fn a_trap_in_mid_batch_is_one_calls_alone() {
    for (way, of) in ways_to_keep_instances() {
        let fixture = text_in(of(builder(2)), "numbers", NUMBERS);
        let task = fixture.module.task::<(i64, i64), (i64, i64)>("divmod").expect("a task");
        let inputs = (0..20_000).map(|n| (n, n % 1000));
        let outcomes = task.map_outcomes(inputs).expect("outcomes");
        for (n, outcome) in (0i64..).zip(outcomes) {
            match (n % 1000, outcome) {
                (0, outcome) => {
                    let failed = outcome.expect_err("a division by zero");
                    assert_eq!((failed.index(), failed.kind()), (n as u64, FailureKind::Trapped), "{way}");
                    assert!(failed.message().contains("divide by zero"), "{way}: {failed}");
                }
                (by, outcome) => assert_eq!(outcome.expect("a result"), (n / by, n % by), "{way}"),
            }
        }
    }
}

#[test]
fn instances_are_kept_renewed_or_recycled_as_asked_for() {
    let counts = |builder: Builder| {
        let fixture = text_in(builder, "numbers", NUMBERS);
        let count = fixture.module.task::<(), i64>("count").expect("a task");
        count.map([(); 10]).expect("counts")
    };
    assert_eq!(counts(builder(1)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(counts(builder(1).fresh(true)), [1; 10]);
    assert_eq!(counts(builder(1).recycle(4)), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]);
    assert_eq!(counts(builder(1).recycle(1)), [1; 10]);
}

fn one_of_each_arity(exports: usize) -> String {
    let functions = (0..exports).map(|arity| {
        let parameters = "i32 ".repeat(arity);
        format!(r#"(func (export "take{arity}") (param {parameters}) (result i32) i32.const {arity})"#)
    });
    format!("(module {})", functions.collect::<String>())
}

/// Calls a task of so many parameters with ones.
fn take(module: &Module, arity: usize) -> Result<i32, wasmpool::Error> {
    let name = format!("take{arity}");
    match arity {
        0 => module.task::<(), i32>(&name)?.apply(()),
        1 => module.task::<(i32,), i32>(&name)?.apply((1,)),
        2 => module.task::<(i32, i32), i32>(&name)?.apply((1, 1)),
        3 => module.task::<(i32, i32, i32), i32>(&name)?.apply((1, 1, 1)),
        4 => module.task::<(i32, i32, i32, i32), i32>(&name)?.apply((1, 1, 1, 1)),
        5 => module.task::<(i32, i32, i32, i32, i32), i32>(&name)?.apply((1, 1, 1, 1, 1)),
        6 => module.task::<(i32, i32, i32, i32, i32, i32), i32>(&name)?.apply((1, 1, 1, 1, 1, 1)),
        _ => unreachable!("more parameters than this table has"),
    }
}

#[test]
fn one_instance_serves_more_tasks_than_it_keeps_drivers_for() {
    let functions = (0..40).map(|n| {
        format!(r#"(func (export "plus{n}") (param i64) (result i64) local.get 0 i64.const {n} i64.add)"#)
    });
    let fixture = text(1, "many", &format!("(module {})", functions.collect::<String>()));
    for round in 0..3 {
        for n in 0..40 {
            let plus = fixture.module.task::<i64, i64>(&format!("plus{n}")).expect("a task");
            let result = plus.apply(round).unwrap_or_else(|error| panic!("plus{n}, round {round}: {error}"));
            assert_eq!(result, round + n);
        }
    }
}

#[test]
fn more_signatures_than_there_are_drivers_can_be_called() {
    let fixture = text(1, "arities", &one_of_each_arity(100));
    for arity in 0..7 {
        assert_eq!(take(&fixture.module, arity).expect("a result"), arity as i32);
    }
}

#[test]
fn text_and_binary_files_are_the_same_module() {
    let directory = tempfile::tempdir().expect("a directory");
    let (text, binary) = (directory.path().join("numbers.wat"), directory.path().join("numbers.wasm"));
    std::fs::write(&text, NUMBERS).expect("written");
    std::fs::write(&binary, wat::parse_str(NUMBERS).expect("valid")).expect("written");
    let fixture = wasmpool_tests::text(2, "numbers", NUMBERS);
    for path in [text, binary] {
        let module = fixture.pool.load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(module.task_names().collect::<Vec<_>>(), fixture.module.task_names().collect::<Vec<_>>());
        let cube = module.task::<i64, i64>("cube").expect("a task");
        assert_eq!(cube.map(0..5).expect("results"), [0, 1, 8, 27, 64]);
    }
}

#[test]
fn a_module_may_keep_its_memory_to_itself_or_have_none_or_import_nothing() {
    let modules = [
        r#"(module (func (export "f") (param i64) (result i64) local.get 0))"#,
        r#"(module (memory 1) (func (export "f") (param i64) (result i64)
            (i64.store (i32.const 8) (local.get 0)) (i64.load (i32.const 8))))"#,
        r#"(module (memory (export "mem") 1 2) (table 10 funcref) (func (export "f") (param i64) (result i64)
            (drop (memory.grow (i32.const 1))) local.get 0))"#,
    ];
    for module in modules {
        check_in(module, "f", &same(&[1i64, -1]));
    }
}

#[test]
fn memory_of_one_call_is_not_seen_by_another_fresh_one() {
    let module = r#"(module (memory 1) (func (export "f") (param i64) (result i64)
        (i64.load (i32.const 8)) (i64.store (i32.const 8) (local.get 0))))"#;
    let fixture = text_in(builder(2).fresh(true), "secrets", module);
    let task = fixture.module.task::<i64, i64>("f").expect("a task");
    assert!(task.map(1..2000).expect("results").iter().all(|seen| *seen == 0));
    let kept = text(1, "secrets", module);
    let task = kept.module.task::<i64, i64>("f").expect("a task");
    assert_eq!(task.map(1..5).expect("results"), [0, 1, 2, 3]);
}

#[test]
fn an_empty_job_runs_nothing() {
    let fixture = text(2, "numbers", NUMBERS);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert!(cube.map(Vec::new()).expect("nothing").is_empty());
    assert!(cube.map(0..0).expect("nothing").is_empty());
    assert!(cube.map(std::iter::empty()).expect("nothing").is_empty());
    assert!(cube.starmap([]).expect("nothing").is_empty());
    assert!(cube.map_outcomes(0..0).expect("nothing").is_empty());
    let none = fixture.module.task::<(), ()>("none").expect("a task");
    assert!(none.map([(); 0]).expect("nothing").is_empty());
}

#[test]
fn a_task_that_returns_nothing_returns_it_for_every_call() {
    let fixture = text(2, "numbers", NUMBERS);
    let none = fixture.module.task::<(), ()>("none").expect("a task");
    assert_eq!(none.map([(); 1000]).expect("nothing").len(), 1000);
    assert_eq!(none.map_outcomes(std::iter::repeat_n((), 1000)).expect("nothing").len(), 1000);
}

#[test]
fn a_trap_is_told_with_the_names_of_its_functions() {
    let module = r#"(module
        (func $inner unreachable)
        (func $outer (export "outer") (param i64) (result i64) call $inner local.get 0))"#;
    let fixture = text(1, "named", module);
    let failed = failure(fixture.module.task::<i64, i64>("outer").expect("a task").apply(1));
    let frames: Vec<&str> = failed.backtrace().lines().collect();
    assert!(frames[0].contains("inner") && frames[1].contains("outer"), "{frames:?}");
}
