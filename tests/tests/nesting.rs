//! Tasks that call tasks of their own pool: right on any number of workers, bounded, and gone with whoever called.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use wasmpool::FailureKind;
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::random::Random;
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{
    Fixture, Lines, builder, failure, tasks, tasks_in, text, text_in, ways_to_keep_instances,
};

wasmpool::test_support!();

fn fib(n: u32) -> u64 {
    (0..n).fold((0, 1), |(one, two), _| (two, one + two)).0
}

fn numbers(count: usize, random: &mut Random) -> Vec<i64> {
    (0..count).map(|_| random.below(1 << 40) as i64 - (1 << 39)).collect()
}

fn call_all(fixture: &Fixture, task: &str, inputs: Vec<Value>) -> Result<Vec<Value>, wasmpool::Error> {
    fixture.module.task::<(String, Vec<Value>), Vec<Value>>("call_all")?.apply((task.to_owned(), inputs))
}

#[test]
fn a_tree_of_calls_comes_to_what_one_call_does() {
    for workers in [1, 2, 8] {
        for (way, of) in ways_to_keep_instances() {
            let fixture = tasks_in(of(builder(workers)));
            let tree = fixture.module.task::<(u32, u32), u64>("fib").expect("a task");
            assert_eq!(tree.apply((16, 8)).expect("a result"), fib(16), "{way} on {workers}");
            let many = tree.map((0..12).map(|n| (n, 2))).expect("results");
            assert!(many.into_iter().eq((0..12).map(fib)), "{way} on {workers}: many");
        }
    }
}

#[test]
fn tasks_of_numbers_call_and_are_called() {
    for workers in [1, 3] {
        let fixture = tasks(workers);
        let tree = fixture.module.task::<i64, i64>("fib_of_numbers").expect("a task");
        assert_eq!(tree.map(0..17).expect("results"), (0..17).map(|n| fib(n) as i64).collect::<Vec<_>>());
        assert_eq!(tree.apply(18).expect("a result"), 2584);
        let cubes = call_all(&fixture, "cube", (0..500).map(Value::from).collect()).expect("cubes");
        assert!(cubes.into_iter().eq((0..500i64).map(|n| Value::from(n * n * n))));
    }
}

#[test]
fn a_hundred_thousand_numbers_are_sorted_by_halves() {
    for workers in [1, 4] {
        let fixture = tasks(workers);
        let mut random = Random::from_environment();
        let values = numbers(100_000, &mut random);
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let sort = fixture.module.task::<(Vec<i64>,), Vec<i64>>("merge_sort").expect("a task");
        assert!(
            sort.apply((values,)).expect("numbers") == sorted,
            "on {workers} workers; {}",
            random.how_to_repeat()
        );
    }
}

#[test]
fn calls_nest_as_deep_as_they_may_and_no_deeper() {
    for workers in [1, 2] {
        let fixture = tasks(workers);
        let descend = fixture.module.task::<u32, u32>("descend").expect("a task");
        assert_eq!(descend.apply(64).expect("64 levels"), 64);
        let failed = failure(descend.apply(65));
        assert_eq!(failed.kind(), FailureKind::Failed);
        assert!(failed.message().contains("64 levels deep"), "{failed}");
        assert_eq!(descend.apply(3).expect("a result"), 3);
    }
    let fixture = tasks_in(builder(2).max_nested_calls(2));
    let descend = fixture.module.task::<u32, u32>("descend").expect("a task");
    assert_eq!(descend.apply(2).expect("2 levels"), 2);
    assert!(failure(descend.apply(3)).message().contains("2 levels deep"));
}

#[test]
fn a_failed_call_is_told_to_its_caller_as_a_value() {
    let fixture = tasks(2);
    let cases = [
        ("fails", json!("no luck"), "Failed: nested call 0 failed: no luck"),
        ("panics", json!("no luck"), "Panicked: nested call 0 panicked: panicked at"),
        ("cube", json!("three"), "Refused: nested call 0 was refused: the task takes 1 numbers"),
        ("descend", json!(-1), "Refused: nested call 0 was refused: argument `levels`"),
        ("cubes", json!(3), "UnknownTask: nested call 0 names no task"),
    ];
    for (task, input, wanted) in cases {
        let failed = failure(call_all(&fixture, task, vec![input]));
        assert_eq!(failed.kind(), FailureKind::Failed, "{task}");
        assert!(failed.message().contains(wanted), "{task}: {failed}");
    }
    // The lowest index, whichever failed first; and a caller that goes on.
    let inputs = (0..100).map(|n| if n < 40 { json!(8) } else { json!(-1) }).collect();
    let failed = failure(call_all(&fixture, "descend", inputs));
    assert!(failed.message().contains("nested call 40"), "{failed}");
    assert_eq!(call_all(&fixture, "cube", vec![]).expect("nothing"), Vec::<Value>::new());
}

/// Waits until as many processes are alive as a pool of `workers` has, and a job of all of them ends.
fn is_at_rest(fixture: &Fixture, workers: usize) {
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert_eq!(cube.map(0..1000).expect("cubes").len(), 1000);
    wait_until(|| fixture.pool.worker_pids().len() == workers);
    // Nobody spins: all of them are asleep.
    wait_until(|| processes::workers(&fixture.pool).into_iter().all(is_asleep));
}

fn is_asleep(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
}

#[test]
fn what_a_call_leaves_behind_ends_with_it() {
    for workers in [1, 3] {
        let lines = Lines::default();
        let fixture = tasks_in(builder(workers).on_output(lines.taker()));
        let leave = fixture.module.task::<(u32, String), ()>("leave_children").expect("a task");
        for (how, wanted) in
            [("returns", None), ("fails", Some(FailureKind::Failed)), ("panics", Some(FailureKind::Panicked))]
        {
            let ended = leave.apply((5, how.to_owned()));
            assert_eq!(ended.err().map(|error| error.failure().expect("a failure").kind()), wanted, "{how}");
            is_at_rest(&fixture, workers);
        }
    }
}

#[test]
fn a_wait_counts_as_time_and_ends_with_its_deadline() {
    let fixture = tasks(2);
    let leave = fixture.module.task::<(u32, String), ()>("leave_children").expect("a task");
    let limit = Duration::from_millis(300);
    let failed = failure(leave.clone().timeout(limit).apply((4, "waits".to_owned())));
    assert_eq!(failed.kind(), FailureKind::TimedOut, "{failed}");
    assert!(failed.message().contains("300ms"), "{failed}");
    is_at_rest(&fixture, 2);
    let late = leave.deadline(limit).apply((4, "waits".to_owned())).expect_err("late");
    assert_eq!(late.kind(), wasmpool::ErrorKind::Deadline, "{late}");
    is_at_rest(&fixture, 2);
}

#[test]
fn workers_killed_in_nested_jobs_change_no_result() {
    let mut random = Random::from_environment();
    for workers in [1, 3] {
        let fixture = tasks_in(builder(workers).retries(1000));
        let tree = fixture.module.task::<(u32, u32), u64>("fib").expect("a task");
        for _ in 0..12 {
            let results = std::thread::scope(|scope| {
                let job = scope.spawn(|| tree.map((0..8).map(|n| (n + 6, 4))));
                // The kills fall anywhere in the job. Few enough for each: a module may not lose worker after worker.
                for _ in 0..3 {
                    std::thread::sleep(Duration::from_millis(random.below(30)));
                    let pids = fixture.pool.worker_pids();
                    if let Some(victim) = pids.get(random.below(pids.len().max(1) as u64) as usize) {
                        send(*victim, Signal::KILL);
                    }
                }
                job.join().expect("no panic")
            });
            let wanted: Vec<u64> = (6..14).map(fib).collect();
            assert_eq!(results.expect("results"), wanted, "{}", random.how_to_repeat());
        }
        is_at_rest(&fixture, workers);
    }
}

#[test]
fn a_lock_that_the_caller_holds_is_waited_for_until_time_is_up() {
    let fixture = tasks(1);
    let lock = fixture.pool.lock("gate").expect("a lock");
    let call =
        fixture.module.task::<(String, bool, u64), bool>("lock_and_call").expect("a task").grant(&lock);
    // Its worker stands still, and another one is started for the call; nothing is taken from under the caller.
    assert!(!call.apply(("gate".into(), true, 200)).expect("an answer"));
    // Let go of, it is free for the call.
    assert!(call.apply(("gate".into(), false, 60_000)).expect("an answer"));
    let failed =
        failure(call.clone().timeout(Duration::from_millis(500)).apply(("gate".into(), true, 60_000)));
    assert_eq!(failed.kind(), FailureKind::TimedOut, "{failed}");
    assert!(call.apply(("gate".into(), false, 60_000)).expect("an answer"));
    wait_until(|| fixture.pool.worker_pids().len() == 1);
    let ungranted = fixture.module.task::<(String, bool, u64), bool>("lock_and_call").expect("a task");
    assert!(failure(ungranted.apply(("gate".into(), false, 0))).message().contains("gate"));
}

#[test]
fn a_call_has_so_many_calls_outstanding_and_no_more() {
    let fixture = tasks(2);
    let submit = fixture.module.task::<(), (u64, String)>("submit_for_ever").expect("a task");
    let (submitted, refusal) = submit.apply(()).expect("a count");
    assert_eq!(submitted, 65, "{refusal}");
    assert!(refusal.contains("65536 calls outstanding"), "{refusal}");
    is_at_rest(&fixture, 2);
}

/// Tasks of a module that was not made with the SDK: what it asks of the host, in which order, is its own affair.
const HOSTILE: &str = r#"(module
  (import "wasmpool" "nested_submit" (func $submit (param i32 i32 i32 i32) (result i64)))
  (import "wasmpool" "nested_wait" (func $wait (param i64) (result i64)))
  (import "wasmpool" "nested_fetch" (func $fetch (param i32)))
  (import "wasmpool" "nested_forget" (func $forget (param i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "two")
  (data (i32.const 16) "\01\00\00\00\01\00\00\00\90")
  (data (i32.const 32) "\ff\ff\ff\ff\01\00\00\00\90")
  (data (i32.const 48) "\01\00\00\00\ff\ff\ff\7f\90")
  (data (i32.const 64) "\00\00\00\00")
  (func $submit_two (result i64) (call $submit (i32.const 0) (i32.const 3) (i32.const 16) (i32.const 9)))
  (func (export "two") (result i64) (i64.const 2))
  (func (export "well_behaved") (result i64)
    (drop (call $wait (call $submit_two))) (call $fetch (i32.const 128)) (i64.load8_u (i32.const 140)))
  (func (export "waits_for_nothing") (result i64) (call $wait (i64.const 12345)))
  (func (export "waits_for_less") (result i64) (call $wait (i64.const -7)))
  (func (export "waits_twice") (result i64) (local $number i64)
    (local.set $number (call $submit_two))
    (drop (call $wait (local.get $number)))
    (call $wait (local.get $number)))
  (func (export "waits_for_forgotten") (result i64) (local $number i64)
    (local.set $number (call $submit_two))
    (call $forget (local.get $number)) (call $forget (local.get $number)) (call $forget (i64.const -1))
    (call $wait (local.get $number)))
  (func (export "waits_backwards") (result i64) (local $first i64) (local $second i64)
    (local.set $first (call $submit_two)) (local.set $second (call $submit_two))
    (drop (call $wait (local.get $second)))
    (call $wait (local.get $first)))
  (func (export "forges_a_count") (result i64) (call $submit (i32.const 0) (i32.const 3) (i32.const 32) (i32.const 9)))
  (func (export "forges_a_length") (result i64) (call $submit (i32.const 0) (i32.const 3) (i32.const 48) (i32.const 9)))
  (func (export "submits_none") (result i64) (call $submit (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 4)))
  (func (export "names_long") (result i64) (call $submit (i32.const 0) (i32.const 129) (i32.const 16) (i32.const 9)))
  (func (export "reads_beyond") (result i64) (call $submit (i32.const 0) (i32.const 3) (i32.const -4) (i32.const 9)))
  (func (export "writes_beyond") (result i64)
    (drop (call $wait (call $submit_two))) (call $fetch (i32.const 65530)) (i64.const 0))
  (func (export "fetches_nothing") (result i64)
    (drop (call $submit_two)) (call $fetch (i32.const 128)) (i64.const 0))
  (func (export "submits_and_forgets") (result i64)
    (loop $again (call $forget (call $submit_two)) (br $again)) (i64.const 0))
  (func (export "bombs") (result i64)
    (drop (call $submit (i32.const 256) (i32.const 5) (i32.const 16) (i32.const 9)))
    (drop (call $wait (call $submit (i32.const 256) (i32.const 5) (i32.const 16) (i32.const 9))))
    (i64.const 0))
  (data (i32.const 256) "bombs"))"#;

#[test]
fn whatever_a_module_asks_is_an_answer_or_its_own_trap() {
    let fixture = text(2, "hostile", HOSTILE);
    let run = |name: &str| fixture.module.task::<(), i64>(name).expect("a task").apply(());
    let answers = [
        ("well_behaved", 2),
        ("waits_for_nothing", -4),
        ("waits_for_less", -4),
        ("waits_twice", -4),
        ("waits_for_forgotten", -4),
        ("waits_backwards", 13),
        ("forges_a_count", -5),
        ("forges_a_length", -5),
        ("submits_none", -5),
        ("names_long", -5),
    ];
    for (name, answer) in answers {
        assert_eq!(run(name).unwrap_or_else(|error| panic!("{name}: {error}")), answer, "{name}");
    }
    let pids = fixture.pool.worker_pids();
    for name in ["reads_beyond", "writes_beyond", "fetches_nothing"] {
        assert_eq!(failure(run(name)).kind(), FailureKind::Trapped, "{name}");
        assert_eq!(run("well_behaved").expect("two"), 2);
    }
    assert_eq!(fixture.pool.worker_pids(), pids, "a trap costs an instance and no worker");
}

#[test]
fn calls_without_end_end_with_their_time() {
    let fixture = text_in(builder(2).timeout(Duration::from_millis(500)), "hostile", HOSTILE);
    let run = |name: &str| fixture.module.task::<(), i64>(name).expect("a task").apply(());
    let failed = failure(run("submits_and_forgets"));
    assert_eq!(failed.kind(), FailureKind::TimedOut, "{failed}");
    assert_eq!(run("well_behaved").expect("two"), 2);
    // Two calls by each, as deep as may be: the one that is waited for reaches the limit, the other goes with its caller.
    if let Err(error) = run("bombs") {
        assert_eq!(failure::<()>(Err(error)).kind(), FailureKind::TimedOut);
    }
    assert_eq!(run("well_behaved").expect("two"), 2);
    wait_until(|| fixture.pool.worker_pids().len() == 2);
}

/// Calls a second, each a call by a call: `cargo test -p wasmpool-tests --release --test nesting -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "a measurement tells what it measured")]
fn nested_calls_per_second() {
    for workers in [1, 2] {
        let fixture = tasks(workers);
        let tree = fixture.module.task::<(u32, u32), u64>("fib").expect("a task");
        tree.apply((10, 2)).expect("a result");
        let started = Instant::now();
        tree.apply((18, 2)).expect("a result");
        // Each call but the leaves makes two.
        let calls = 2 * fib(19) - 1;
        let per_second = calls as f64 / started.elapsed().as_secs_f64();
        println!("{workers} workers, one by one: {per_second:.0} calls/s");
        let started = Instant::now();
        call_all(&fixture, "cube", (0..60_000).map(Value::from).collect()).expect("cubes");
        let per_second = 60_000.0 / started.elapsed().as_secs_f64();
        println!("{workers} workers, by map: {per_second:.0} calls/s");
    }
}
