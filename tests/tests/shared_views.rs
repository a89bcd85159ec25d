//! Views of arrays: what those see who may only read, and what becomes of views that outlive their call.

use std::thread;

use wasmpool::shared::{Array, Value};
use wasmpool::{FailureKind, Task};
use wasmpool_tests::{Fixture, failure, tasks, text};

wasmpool::test_support!();

const ADDITIONS: u64 = 1_000_000;

#[test]
fn who_may_only_read_sums_what_others_add() {
    let fixture = tasks(2);
    let elements: Vec<i64> = (0..5000).collect();
    let numbers = fixture.pool.array_of("numbers", &elements).expect("an array");
    let reader = fixture.module.clone().grant_read(&numbers);
    let writer = fixture.module.clone().grant(&numbers);
    let watch: Task<i64, u64> = reader.task("watch_sum").expect("wasm-tasks has it");
    let add: Task<u64, u64> = writer.task("bench_mapped_add").expect("wasm-tasks has it");
    let before: i64 = elements.iter().sum();
    assert_eq!(watch.apply(before).expect("the sum is right at once"), 1);
    let rounds = thread::scope(|threads| {
        let watched = threads.spawn(|| watch.apply(before + ADDITIONS as i64));
        assert_eq!(add.apply(ADDITIONS).expect("additions"), ADDITIONS);
        watched.join().expect("no panic").expect("the sum is reached and never falls")
    });
    assert!(rounds >= 1);
}

/// Looks at an array to which it has only been granted reading, or touches it in a way that is not.
const TOUCHING: &str = r#"(module
    (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
    (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 16) "numbers")
    (func $view (result i32)
        (i32.wrap_i64 (call $map
            (i32.wrap_i64 (call $open (i32.const 16) (i32.const 7) (i32.const -1) (i32.const -1)))
            (i32.const 3) (i64.const 0) (i64.const 4))))
    (func (export "load") (param i32) (result i64)
        (i64.load (i32.add (call $view) (i32.mul (local.get 0) (i32.const 8)))))
    (func (export "store") (param i32) (result i64)
        (i64.store (call $view) (i64.const 99)) (i64.const 0))
    (func (export "add") (param i32) (result i64)
        (i64.atomic.rmw.add (call $view) (i64.const 99)))
    (func (export "store_behind") (param i32) (result i64)
        (i64.store (i32.add (call $view) (i32.const 32)) (i64.const 99)) (i64.const 0)))"#;

#[test]
fn a_store_to_what_one_may_only_read_is_a_trap_of_that_call() {
    let fixture = text(1, "touching", TOUCHING);
    let numbers = fixture.pool.array_of("numbers", &[1i64, 2, 3, 4]).expect("an array");
    let module = fixture.module.clone().grant_read(&numbers);
    let load: Task<i32, i64> = module.task("load").expect("it has it");
    assert_eq!(load.map(0..4).expect("numbers"), [1, 2, 3, 4]);
    for name in ["store", "add", "store_behind"] {
        let task: Task<i32, i64> = module.task(name).expect("it has it");
        let failure = failure(task.apply(0));
        assert_eq!(failure.kind(), FailureKind::Trapped, "{name}: {failure}");
        assert_eq!(numbers.to_vec().expect("numbers"), [1, 2, 3, 4], "{name}");
    }
    assert_eq!(load.apply(3).expect("the worker goes on"), 4);
}

/// A pool of one worker, and tasks that keep things from one call to the next, all in the same instance as long as it
/// lives.
struct Keeping {
    keep: Task<String, ()>,
    use_kept: Task<(), Option<i64>>,
    drop_kept: Task<(), Option<i64>>,
    keep_uncounted: Task<(), i64>,
    use_kept_uncounted: Task<(), i64>,
    counter: Value<i64>,
    numbers: Array<i64>,
    others: Array<i64>,
    _fixture: Fixture,
}

impl Keeping {
    fn new() -> Self {
        let fixture = tasks(1);
        let counter = fixture.pool.value("counter", 0i64).expect("a value");
        let numbers = fixture.pool.array_of("numbers", &[10i64; 10]).expect("an array");
        let others = fixture.pool.array_of("others", &[20i64; 10]).expect("an array");
        let module = fixture.module.clone().grant(&counter).grant(&numbers).grant(&others);
        Self {
            keep: module.task("keep").expect("wasm-tasks has it"),
            use_kept: module.task("use_kept").expect("wasm-tasks has it"),
            drop_kept: module.task("drop_kept").expect("wasm-tasks has it"),
            keep_uncounted: module.task("keep_uncounted").expect("wasm-tasks has it"),
            use_kept_uncounted: module.task("use_kept_uncounted").expect("wasm-tasks has it"),
            counter,
            numbers,
            others,
            _fixture: fixture,
        }
    }

    fn keep(&self, what: &str) {
        self.keep.apply(what.to_owned()).expect("it can be kept");
    }
}

#[test]
fn what_is_kept_of_an_earlier_call_is_refused_and_touches_nothing() {
    for (what, name) in [("value", "counter"), ("mapped value", "counter"), ("view", "numbers")] {
        let keeping = Keeping::new();
        keeping.keep(what);
        let counted = keeping.counter.get().expect("a number");
        for _ in 0..2 {
            let failure = failure(keeping.use_kept.apply(()));
            let message = failure.to_string();
            let expected = format!("{name} was opened in an earlier call");
            assert!(
                failure.kind() == FailureKind::Failed && message.contains(&expected),
                "{what}: {message}"
            );
        }
        assert_eq!(keeping.counter.get().expect("a number"), counted, "{what}");
        assert_eq!(keeping.numbers.to_vec().expect("numbers"), [10; 10], "{what}");
        assert_eq!(keeping.others.to_vec().expect("numbers"), [20; 10], "{what}");
        // Its end does not take away what the running call has mapped where it was.
        assert_eq!(keeping.drop_kept.apply(()).expect("it can be dropped"), Some(22), "{what}");
    }
}

#[test]
fn a_slice_that_is_kept_ends_its_instance() {
    let keeping = Keeping::new();
    keeping.keep("value");
    failure(keeping.use_kept.apply(()));
    keeping.keep("slice");
    assert_eq!(keeping.use_kept.apply(()).expect("another instance"), None);
    // Also when the next call comes right behind it, in the same block.
    keeping.keep.map(["slice", "slice", "slice"].map(str::to_owned)).expect("each in its own instance");
    assert_eq!(keeping.use_kept.apply(()).expect("another instance"), None);
    keeping.numbers.set(0, 1).expect("no lease is left");
}

#[test]
fn a_task_of_numbers_that_keeps_what_is_mapped_ends_its_instance() {
    let keeping = Keeping::new();
    keeping.keep("value");
    for _ in 0..3 {
        assert_eq!(keeping.keep_uncounted.apply(()).expect("it can be kept"), 1, "the first of its instance");
        assert_eq!(keeping.use_kept_uncounted.apply(()).expect("another instance"), -1);
    }
    // What a call with a loop has kept is refused by one without.
    keeping.keep("mapped value");
    let counted = keeping.counter.get().expect("a number");
    assert_eq!(keeping.use_kept_uncounted.apply(()).expect("the same instance"), 0);
    assert_eq!(keeping.counter.get().expect("a number"), counted);
}
