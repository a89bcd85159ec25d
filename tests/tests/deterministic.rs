//! Runs that are to be like any other, to the byte: whatever the number of workers, and however often.

use wasmpool::{DirRights, ErrorKind, FailureKind, Module};
use wasmpool_tests::cli::{Wasmpool, check_refuses};
use wasmpool_tests::{builder, failure, tasks_in, text_in};

wasmpool::test_support!();

const CHANCES: &str = include_str!("../modules/chances.wat");

/// Clocks, a random number, calls of the instance, bits of a NaN.
type Chances = (i64, i64, i64, i64, i64);

/// The first instant of 2000, in nanoseconds.
const START_NS: i64 = 946_684_800_000_000_000;

/// What a command prints, and how it exits.
fn run(arguments: &[&str], workers: &str) -> (Vec<u8>, i32) {
    let mut arguments = arguments.to_vec();
    arguments.extend(["-j", workers]);
    let ended = Wasmpool::new(arguments).run("");
    (ended.stdout.clone(), ended.code())
}

/// Checks that a command prints the same each time.
fn check_same(arguments: &[&str], code: i32) -> Vec<u8> {
    let first = run(arguments, "1");
    assert_eq!(first.1, code, "{arguments:?}");
    for workers in ["1", "2", "8", "2"] {
        let again = run(arguments, workers);
        let [first, again] = [&first, &again].map(|(out, code)| (String::from_utf8_lossy(out), code));
        assert!(first == again, "{arguments:?} with {workers} workers: {first:?} and {again:?}");
    }
    first.0
}

#[test]
fn every_format_is_the_same_to_the_byte_with_any_number_of_workers() {
    for format in ["lines", "array", "records"] {
        let arguments = ["map", "chances.wat", "chances", "0..300", "--deterministic", "--format", format];
        let printed = check_same(&arguments, 0);
        assert!(printed.len() > 300 * 50, "{format}");
    }
}

#[test]
fn calls_fail_for_want_of_fuel_at_the_same_inputs_each_time() {
    // Every third input is too much.
    let inputs: Vec<String> = (0..90).map(|n| (if n % 3 == 2 { 1_000_000 } else { n }).to_string()).collect();
    for (policy, format) in [("continue", "records"), ("continue", "lines"), ("stop", "lines")] {
        let mut arguments = vec!["map", "chances.wat", "works", "--deterministic=5", "--fuel", "10000"];
        arguments.extend(["--on-error", policy, "--format", format]);
        arguments.extend(inputs.iter().map(String::as_str));
        let printed = String::from_utf8(check_same(&arguments, 100)).expect("text");
        let lines: Vec<&str> = printed.lines().collect();
        match (policy, format) {
            ("stop", _) => assert_eq!(lines.len(), 2),
            (_, "lines") => assert_eq!(lines.iter().filter(|line| **line == "null").count(), 30),
            _ => {
                let expected = r#"{"index":89,"outcome":"out of fuel","error":{"kind":"out of fuel","message":"out of fuel: it had 10000 units"}}"#;
                assert_eq!(lines.last(), Some(&expected));
            }
        }
    }
}

#[test]
fn seeds_tell_runs_apart_and_nothing_else_does() {
    let of = |flag: &str| run(&["map", "chances.wat", "works", "0..20", flag], "2").0;
    let zero = of("--deterministic");
    assert_eq!(of("--deterministic=0"), zero);
    assert_ne!(of("--deterministic=1"), zero);
    assert_ne!(run(&["map", "chances.wat", "works", "0..20"], "2").0, zero);
}

#[test]
fn time_chance_and_nans_are_what_the_seed_and_the_index_say() {
    let of = |seed| {
        let fixture = text_in(builder(2).deterministic(seed), "chances", CHANCES);
        let chances = fixture.module.task::<i64, Chances>("chances").expect("a task");
        let seen = chances.map(0..500).expect("results");
        assert_eq!(chances.map(0..500).expect("results"), seen, "a job is like any other");
        assert_eq!(chances.apply(0).expect("a result"), seen[0], "so is one call");
        seen
    };
    let (seven, eight) = (of(7), of(8));
    let mut random: Vec<i64> = seven.iter().chain(&eight).map(|(_, _, random, ..)| *random).collect();
    random.sort_unstable();
    random.dedup();
    assert_eq!(random.len(), 1000, "each call has random numbers of its own");
    for (realtime, monotonic, _, calls, nan) in seven {
        assert_eq!((realtime, monotonic), (START_NS + 1000, 2000));
        assert_eq!(calls, 1, "each call has an instance of its own");
        assert_eq!(nan, 0x7ff8_0000_0000_0000);
    }
}

#[test]
fn sdk_tasks_see_the_same_time_and_chance_too() {
    let of = |workers| {
        let fixture = tasks_in(builder(workers).deterministic(7));
        let random = fixture.module.task::<(), u64>("random").expect("a task");
        random.map(vec![(); 200]).expect("results")
    };
    let one = of(1);
    assert_eq!(of(3), one);
    let distinct: std::collections::HashSet<&u64> = one.iter().collect();
    assert_eq!(distinct.len(), one.len());
}

#[test]
fn nans_keep_their_payload_where_nobody_asks_for_determinism() {
    let fixture = text_in(builder(1), "chances", CHANCES);
    let (.., nan) =
        fixture.module.task::<i64, Chances>("chances").expect("a task").apply(0).expect("a result");
    assert_ne!(nan, 0x7ff8_0000_0000_0000);
}

#[test]
fn sleeping_takes_no_time_but_the_clocks() {
    let fixture = text_in(builder(1).deterministic(0), "chances", CHANCES);
    let sleeps = fixture.module.task::<i64, i64>("sleeps").expect("a task");
    // A year and more: the test ends, so nobody has slept.
    let year_ns = 31_556_952_000_000_000;
    assert_eq!(sleeps.apply(year_ns).expect("a result"), year_ns + 1000);
}

#[test]
fn fuel_stands_in_for_time() {
    let fixture = text_in(builder(1).deterministic(0).fuel(1000), "chances", CHANCES);
    let works = fixture.module.task::<i64, i64>("works").expect("a task");
    assert_eq!(failure(works.apply(i64::MAX)).kind(), FailureKind::OutOfFuel);
    assert!(works.fresh(false).apply(1).is_ok());
}

#[test]
fn a_limit_in_time_stays_and_says_that_it_depends_on_the_machine() {
    let limit = std::time::Duration::from_millis(50);
    let fuel = 1_000_000_000_000_000_000;
    let fixture = text_in(builder(1).deterministic(0).fuel(fuel).timeout(limit), "chances", CHANCES);
    let works = fixture.module.task::<i64, i64>("works").expect("a task");
    let failure = failure(works.apply(i64::MAX));
    assert_eq!(failure.kind(), FailureKind::TimedOut);
    assert!(failure.message().contains("depends on the machine"), "{failure}");
}

#[test]
fn what_calls_share_is_for_one_worker() {
    for workers in [1, 2] {
        let fixture = text_in(builder(workers).deterministic(0), "chances", CHANCES);
        let lock = fixture.pool.lock("l").expect("a lock");
        let directory = tempfile::tempdir().expect("a directory");
        let granted =
            |rights| fixture.module.clone().grant_dir(directory.path(), "/d", rights).expect("granted");
        let works = |module: Module| module.task::<i64, i64>("works").expect("a task").apply(1);
        assert!(works(granted(DirRights::ReadOnly)).is_ok());
        let shared = [fixture.module.clone().grant(&lock), granted(DirRights::ReadWrite)];
        for result in shared.map(works) {
            match (workers, result) {
                (1, result) => assert!(result.is_ok()),
                (_, result) => {
                    let error = result.expect_err("refused");
                    assert_eq!(error.kind(), ErrorKind::Setting);
                    assert!(
                        error.to_string().ends_with("grant no more than directories for reading"),
                        "{error}"
                    );
                }
            }
        }
    }
    for flags in [["--lock", "l"], ["--dir", "."]] {
        check_refuses(
            &[&["map", "chances.wat", "works", "1", "--deterministic", "-j", "2"], &flags[..]].concat(),
            "",
            "2 workers reach shared objects, and directories in which they may write, in whatever order they happen \
             to run, and a deterministic pool has each run be like any other: use one worker, or grant no more than \
             directories for reading",
            2,
        );
    }
    let plain = ["map", "chances.wat", "works", "1", "--deterministic"];
    let reading = run(&[&plain[..], &["--dir", ".::/d::ro"]].concat(), "2");
    assert_eq!(reading, run(&plain, "2"));
    assert_eq!(reading.1, 0);
}
