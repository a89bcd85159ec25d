//! How single calls end badly: each with an outcome of its own, and nobody else the worse for it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasmpool::{Failure, FailureKind, Module, Outcome, Stream};
use wasmpool_tests::{failure, processes, tasks, tasks_in, text, ways_to_keep_instances};

wasmpool::test_support!();

/// Lists of lists, as `wasm-tasks` has them.
#[derive(Debug, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

/// A call that must fail.
struct Misfortune {
    what: &'static str,
    call: fn(&Module) -> Failure,
    kind: FailureKind,
    /// Part of its message.
    says: &'static str,
    /// Part of its backtrace; nothing where there is none to be had.
    from: &'static str,
}

fn call<A: Serialize, R: DeserializeOwned + Send + 'static>(
    module: &Module,
    task: &str,
    arguments: A,
) -> Failure {
    failure(module.task::<A, R>(task).expect("a task").apply(arguments))
}

const MISFORTUNES: [Misfortune; 17] = [
    Misfortune {
        what: "a panic",
        call: |module| call::<_, ()>(module, "panics", "no luck today"),
        kind: FailureKind::Panicked,
        says: "no luck today",
        from: "panics",
    },
    Misfortune {
        what: "a panic tells its place",
        call: |module| call::<_, ()>(module, "panics", "x"),
        kind: FailureKind::Panicked,
        says: "faults.rs",
        from: "",
    },
    Misfortune {
        what: "a panic of a task of numbers",
        call: |module| call::<_, i64>(module, "panics_on", (7i64, 7i64)),
        kind: FailureKind::Panicked,
        says: "this number is unlucky",
        from: "panics_on",
    },
    Misfortune {
        what: "an error",
        call: |module| call::<_, ()>(module, "fails", "no luck"),
        kind: FailureKind::Failed,
        says: "no luck",
        from: "",
    },
    Misfortune {
        what: "a division by zero",
        call: |module| call::<_, i64>(module, "divides", (1i64, 0i64)),
        kind: FailureKind::Panicked,
        says: "divide by zero",
        from: "divides",
    },
    Misfortune {
        what: "a trap",
        call: |module| call::<_, ()>(module, "traps", ()),
        kind: FailureKind::Trapped,
        says: "unreachable",
        from: "traps",
    },
    Misfortune {
        what: "a trap of a task of numbers",
        call: |module| call::<_, i64>(module, "traps_on", (7i64, 7i64)),
        kind: FailureKind::Trapped,
        says: "unreachable",
        from: "traps_on",
    },
    Misfortune {
        what: "an exit",
        call: |module| call::<_, ()>(module, "exits", 3i32),
        kind: FailureKind::Exited(3),
        says: "3",
        from: "",
    },
    Misfortune {
        what: "an exit that means success",
        call: |module| call::<_, ()>(module, "exits", 0i32),
        kind: FailureKind::Exited(0),
        says: "0",
        from: "",
    },
    Misfortune {
        what: "an exit with a negative code",
        call: |module| call::<_, ()>(module, "exits", -1i32),
        kind: FailureKind::Exited(-1),
        says: "-1",
        from: "",
    },
    Misfortune {
        what: "a stack without end",
        call: |module| call::<_, i64>(module, "overflows_stack", 10_000_000i64),
        // Its language keeps a stack of its own in memory, which ends before the engine's does.
        kind: FailureKind::Trapped,
        says: "out of bounds",
        from: "overflows_stack",
    },
    Misfortune {
        what: "hunger for memory",
        call: |module| call::<_, u64>(module, "eats_memory", (1u32 << 20, 1u64 << 40)),
        kind: FailureKind::OutOfMemory,
        says: "memory",
        from: "",
    },
    Misfortune {
        what: "a result that is too large",
        call: |module| call::<_, String>(module, "big_result", (64u64 << 20) + 1),
        kind: FailureKind::ResultTooLarge,
        says: "67108864",
        from: "",
    },
    Misfortune {
        what: "a result that is too deep",
        call: |module| call::<_, Nested>(module, "deep_result", 1000u32),
        kind: FailureKind::ResultTooDeep,
        says: "128 levels",
        from: "",
    },
    Misfortune {
        what: "a result of another type",
        call: |module| call::<_, Vec<i64>>(module, "echo_text", "text"),
        kind: FailureKind::BadResult,
        says: "result",
        from: "",
    },
    Misfortune {
        what: "an argument of another type",
        call: |module| call::<_, String>(module, "echo_text", vec![1i64]),
        kind: FailureKind::Refused,
        says: "text",
        from: "",
    },
    Misfortune {
        what: "an argument that is too large",
        call: |module| call::<_, String>(module, "echo_text", "x".repeat((64 << 20) + 1)),
        kind: FailureKind::Refused,
        says: "67108864",
        from: "",
    },
];

#[test]
fn every_misfortune_has_its_own_outcome_and_costs_no_worker() {
    for (way, builder) in ways_to_keep_instances() {
        let fixture = tasks_in(builder(wasmpool_tests::builder(1)));
        let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
        assert_eq!(cube.apply(2).expect("a result"), 8);
        let pids = fixture.pool.worker_pids();
        for Misfortune { what, call, kind, says, from } in &MISFORTUNES {
            let failure = call(&fixture.module);
            assert_eq!(failure.kind(), *kind, "{way}: {what}: {failure}");
            assert!(failure.message().contains(says), "{way}: {what}: {failure}");
            assert!(failure.backtrace().contains(from), "{way}: {what}: {:?}", failure.backtrace());
            assert_eq!((failure.index(), failure.attempt()), (0, 1), "{way}: {what}");
            assert_eq!(cube.apply(3).expect("a result"), 27, "{way}: after {what}");
            assert_eq!(fixture.pool.worker_pids(), pids, "{way}: {what}");
        }
    }
}

/// Compares all outcomes: at every `step`th input a failure of `kind`, everywhere else the input itself.
fn check_outcomes(way: &str, outcomes: &[Outcome<i64>], step: usize, kind: FailureKind, says: &str) {
    for (index, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(value) => {
                assert_ne!(index % step, 0, "{way}: call {index} returned");
                assert_eq!(*value, index as i64, "{way}");
            }
            Err(failure) => {
                assert_eq!(index % step, 0, "{way}: call {index}: {failure}");
                assert_eq!((failure.index(), failure.kind()), (index as u64, kind), "{way}");
                assert!(failure.message().contains(says), "{way}: {failure}");
                assert_eq!(failure.attempt(), 1, "{way}");
                assert!(failure.worker().is_some_and(|worker| worker < 2), "{way}");
            }
        }
    }
}

#[test]
fn failing_calls_disturb_no_others() {
    const CALLS: usize = 1000;
    for (way, builder) in ways_to_keep_instances() {
        let fixture = tasks_in(builder(wasmpool_tests::builder(2)));
        let kinds = [
            ("panics_on", FailureKind::Panicked, "unlucky"),
            ("fails_on", FailureKind::Failed, "is unlucky"),
            ("traps_on", FailureKind::Trapped, "unreachable"),
        ];
        for (name, kind, says) in kinds {
            for step in [1, 2, 7, CALLS] {
                let task = fixture.module.task::<(i64, i64), i64>(name).expect("a task");
                let inputs = (0..CALLS as i64)
                    .map(|number| (number, if number % step as i64 == 0 { number } else { -1 }));
                let outcomes = task.map_outcomes(inputs).expect("outcomes");
                assert_eq!(outcomes.len(), CALLS);
                check_outcomes(&format!("{way} {name} {step}"), &outcomes, step, kind, says);
            }
        }
    }
}

#[test]
fn inputs_that_cannot_be_sent_are_refused_at_their_own_place() {
    let fixture = text(2, "id", r#"(module (func (export "id") (param i32) (result i32) local.get 0))"#);
    let task = fixture.module.task::<Wide, i32>("id").expect("a task");
    let outcomes = task.map_outcomes((0..500).map(|number| Wide(number * (1 << 24)))).expect("outcomes");
    for (index, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(*value, index as i32 * (1 << 24)),
            Err(failure) => {
                assert!(index >= 128, "{failure}");
                assert_eq!((failure.index(), failure.kind()), (index as u64, FailureKind::Refused));
                assert!(failure.message().contains("expected i32"), "{failure}");
            }
        }
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 500 - 128);
    let lowest = failure(task.map([Wide(1), Wide(1 << 40), Wide(2), Wide(1 << 41)]));
    assert_eq!((lowest.index(), lowest.kind()), (1, FailureKind::Refused));
}

/// An integer of which nobody sees that it is one.
#[derive(Serialize)]
struct Wide(i64);

#[test]
fn the_first_hundred_failures_have_backtraces_and_all_have_their_messages() {
    let fixture = tasks(2);
    let task = fixture.module.task::<(i64, i64), i64>("panics_on").expect("a task");
    let outcomes = task.map_outcomes((0..3000).map(|number| (number, number))).expect("outcomes");
    let failures: Vec<Failure> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(failures.len(), 3000);
    assert!(failures.iter().all(|failure| failure.message().contains("unlucky")));
    assert_eq!(failures.iter().filter(|failure| !failure.backtrace().is_empty()).count(), 100);
}

#[test]
fn a_failed_call_is_tried_again_as_often_as_asked_for() {
    let fixture = tasks_in(wasmpool_tests::builder(2).retries(2));
    for (name, kind) in [("fails_on", FailureKind::Failed), ("traps_on", FailureKind::Trapped)] {
        let task = fixture.module.task::<(i64, i64), i64>(name).expect("a task");
        let failed = failure(task.apply((1, 1)));
        assert_eq!((failed.kind(), failed.attempt()), (kind, 3), "{failed}");
        assert!(failed.to_string().ends_with("(attempt 3)"), "{failed}");
        let failed = failure(task.clone().retries(0).apply((1, 1)));
        assert_eq!(failed.attempt(), 1, "{failed}");
        let outcomes = task.map_outcomes((0..100).map(|number| (number, 50))).expect("outcomes");
        let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(
            failed.iter().map(|failed| (failed.index(), failed.attempt())).collect::<Vec<_>>(),
            [(50, 3)]
        );
    }
    let refused = call::<_, String>(&fixture.module, "echo_text", 1i64);
    assert_eq!(
        (refused.kind(), refused.attempt()),
        (FailureKind::Refused, 1),
        "input that does not fit never will"
    );
}

#[test]
fn an_instance_goes_with_the_call_that_failed_in_it() {
    let fixture = tasks(1);
    let counts = fixture.module.task::<(), u64>("counts_calls").expect("a task");
    let misfortunes: [fn(&Module) -> Failure; 4] = [
        |module| call::<_, ()>(module, "panics", "x"),
        |module| call::<_, ()>(module, "traps", ()),
        |module| call::<_, i64>(module, "traps_on", (1i64, 1i64)),
        |module| call::<_, ()>(module, "exits", 0i32),
    ];
    for misfortune in misfortunes {
        assert_eq!(counts.apply(()).expect("a count"), 1);
        assert_eq!(counts.apply(()).expect("a count"), 2);
        misfortune(&fixture.module);
    }
    assert_eq!(counts.apply(()).expect("a count"), 1);
    call::<_, ()>(&fixture.module, "fails", "an error is no reason to forget");
    assert_eq!(counts.apply(()).expect("a count"), 2);
}

#[test]
fn a_call_may_print_only_so_much() {
    let printed = wasmpool_tests::Lines::default();
    let builder = wasmpool_tests::builder(1).max_output(1000).on_output(printed.taker());
    let fixture = tasks_in(builder);
    let prints = fixture.module.task::<u64, ()>("prints").expect("a task");
    let failed = failure(prints.apply(1_000_000));
    assert_eq!(failed.kind(), FailureKind::OutputTooLarge, "{failed}");
    assert!(failed.message().contains("1000"), "{failed}");
    let bytes: usize = printed.all().iter().map(|line| line.len() + 1).sum();
    assert!((1..=1000).contains(&bytes), "{bytes} bytes came out");
    // The limit is a call's, not an instance's.
    for _ in 0..10 {
        prints.apply(100).expect("900 bytes or less");
    }
    prints.map(vec![100; 20]).expect("900 bytes or less each");
}

#[test]
fn a_flood_of_output_arrives_whole_and_in_order() {
    let printed = wasmpool_tests::Lines::default();
    let fixture = tasks_in(wasmpool_tests::builder(1).on_output(printed.taker()));
    fixture.module.task::<u64, ()>("prints").expect("a task").apply(200_000).expect("printed");
    let lines = printed.all();
    assert_eq!(lines.len(), 200_000);
    for (number, line) in (1..).zip(&lines) {
        assert_eq!(line, &format!("line {number}"));
    }
}

#[test]
fn what_a_call_printed_is_out_before_its_result() {
    let printed = wasmpool_tests::Lines::default();
    let fixture = tasks_in(wasmpool_tests::builder(2).on_output(printed.taker()));
    let prints = fixture.module.task::<u64, ()>("prints").expect("a task");
    let mut lines = 0;
    for round in 0..1000 {
        match round % 4 {
            0 => prints.map([50; 2]).expect("printed").len(),
            _ => prints.apply(100).map(|()| 0).expect("printed"),
        };
        lines += 100;
        assert_eq!(printed.count(), lines, "round {round}");
    }
}

#[test]
fn both_outputs_of_a_guest_are_told_apart() {
    let printed = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let taker = std::sync::Arc::clone(&printed);
    let take = move |stream: Stream, line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        taker.lock().expect("no panic").push((stream, line));
    };
    let fixture = tasks_in(wasmpool_tests::builder(1).on_output(take));
    fixture.module.task::<&str, ()>("prints_to_both").expect("a task").apply("x").expect("printed");
    let lines = printed.lock().expect("no panic").clone();
    assert_eq!(lines, [(Stream::Stdout, "out: x".to_owned()), (Stream::Stderr, "err: x".to_owned())]);
}

#[test]
fn output_that_ends_in_no_line_end_is_out_when_its_call_is() {
    let printed = wasmpool_tests::Lines::default();
    let fixture = tasks_in(wasmpool_tests::builder(1).on_output(printed.taker()));
    let text = fixture.module.task::<&str, ()>("prints_unfinished_line").expect("a task");
    text.map(["one", "two", "three"]).expect("printed");
    assert_eq!(printed.all(), ["one", "two", "three"]);
    let number = fixture.module.task::<i64, ()>("prints_unfinished_number").expect("a task").fresh(true);
    number.map([1, 2]).expect("printed");
    assert_eq!(printed.all()[3..], ["1 ", "2 "]);
}

#[test]
fn memory_has_the_limit_that_was_asked_for() {
    let fixture = tasks_in(wasmpool_tests::builder(1).max_memory(8 << 20));
    let eats = fixture.module.task::<(u32, u64), u64>("eats_memory").expect("a task");
    assert_eq!(eats.apply((1 << 16, 4 << 20)).expect("half of it"), 4 << 20);
    for _ in 0..3 {
        let failed = failure(eats.apply((1 << 16, 16 << 20)));
        assert_eq!(failed.kind(), FailureKind::OutOfMemory, "{failed}");
    }
    let outcomes =
        eats.map_outcomes((0..8).map(|call| (1 << 16, call << 20 << (call & 4)))).expect("outcomes");
    let failed: Vec<usize> = (0..8).filter(|call| outcomes[*call].is_err()).collect();
    assert_eq!(failed, [4, 5, 6, 7]);
}

#[test]
fn a_module_whose_start_traps_fails_call_by_call() {
    let fixture = text(
        1,
        "stillborn",
        r#"(module (start 0) (func unreachable) (func (export "one") (result i32) i32.const 1))"#,
    );
    let one = fixture.module.task::<(), i32>("one").expect("a task");
    let outcomes = one.map_outcomes([(); 100]).expect("outcomes");
    let kinds: Vec<_> = outcomes.into_iter().filter_map(Result::err).map(|failed| failed.kind()).collect();
    assert_eq!(kinds, [FailureKind::Trapped; 100]);
}

#[test]
fn guests_see_the_environment_that_they_are_given_and_no_other() {
    let fixture = tasks_in(wasmpool_tests::builder(1).env("GREETING", "good day").env("EMPTY", ""));
    let environment = fixture.module.task::<&str, Option<String>>("environment").expect("a task");
    assert!(std::env::var_os("PATH").is_some(), "the host has one");
    let seen = environment.map(["GREETING", "EMPTY", "PATH", "HOME"]).expect("answers");
    assert_eq!(seen, [Some("good day".to_owned()), Some(String::new()), None, None]);
}

#[test]
fn workers_have_nothing_of_the_hosts() {
    let fixture = tasks(1);
    let pid = processes::workers(&fixture.pool)[0];
    fixture.module.task::<i64, i64>("cube").expect("a task").apply(1).expect("a result");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("the worker's environment");
    assert_eq!(environment, b"", "{}", String::from_utf8_lossy(&environment));
    let group = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the worker's state");
    let group = group.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)).expect("a group");
    assert_eq!(group, pid.to_string(), "Ctrl-C at a terminal goes to the supervisor only");
}
