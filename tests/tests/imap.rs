//! Results as iterators: in order or as they come, no farther ahead than their consumer allows.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use wasmpool::{ErrorKind, FailureKind};
use wasmpool_tests::processes;
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, failure, tasks, text_in};

wasmpool::test_support!();

/// Calls of a job's look-ahead, at most.
const LOOK_AHEAD_MAX: u64 = 1 << 16;

/// Inputs that count how many were taken.
fn counted(taken: &Arc<AtomicU64>) -> impl Iterator<Item = i64> + Send + 'static {
    let taken = Arc::clone(taken);
    (0..).inspect(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
    })
}

#[test]
fn results_come_in_order_or_as_they_are_done() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let cubes: Vec<i64> = (0..20_000i64).map(|n| n.pow(3)).collect();
    let ordered: Result<Vec<i64>, _> = cube.imap(0..20_000).collect();
    assert_eq!(ordered.expect("results"), cubes);
    let listed: Result<Vec<i64>, _> = cube.imap((0..20_000).collect::<Vec<_>>()).collect();
    assert_eq!(listed.expect("results"), cubes);
    let mut unordered = cube.imap_unordered(0..20_000).collect::<Result<Vec<_>, _>>().expect("results");
    unordered.sort_unstable();
    assert_eq!(unordered, cubes);
    assert!(cube.imap([]).next().is_none());
    let greet = fixture.module.task::<String, String>("greet").expect("a task");
    assert_eq!(greet.imap((0..3000).map(|n| n.to_string())).filter_map(Result::ok).count(), 3000);
}

#[test]
fn a_slow_call_holds_up_the_ordered_only() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task").retries(0);
    let inputs = || (0..10).map(|n| if n == 0 { (i32::from(b'b'), FOR_EVER, 0, 0) } else { (n, 0, 0, 0) });
    let mut unordered = act.imap_unordered(inputs());
    let mut first: Vec<_> = unordered.by_ref().take(9).map(|result| result.expect("a result")).collect();
    first.sort_unstable();
    assert_eq!(first, (1..10).collect::<Vec<_>>());
    let moment = Duration::from_millis(1);
    assert_eq!(unordered.next_timeout(moment).expect("one").expect_err("late").kind(), ErrorKind::TimedOut);
    drop(unordered);

    let mut ordered = act.imap(inputs());
    lines.wait_for("b", 2);
    assert_eq!(ordered.next_timeout(moment).expect("one").expect_err("late").kind(), ErrorKind::TimedOut);
    processes::kill(&processes::workers(&fixture.pool));
    assert!(matches!(failure(ordered.next().expect("the slow one")).kind(), FailureKind::WorkerLost(_)));
    let rest: Vec<_> = ordered.map(|result| result.is_ok()).collect();
    // The other worker may have been killed over one of them.
    assert!(rest.len() == 9 && rest.iter().filter(|is_ok| **is_ok).count() >= 8, "{rest:?}");
}

#[test]
fn failures_stay_in_their_places_and_iteration_goes_on() {
    let fixture = tasks(2);
    let divides = fixture.module.task::<(i64, i64), i64>("divides").expect("a task");
    for (n, result) in (0i64..).zip(divides.imap((0..2000).map(|n| (n, n % 7)))) {
        match n % 7 {
            0 => {
                let failed = failure(result);
                assert_eq!((failed.index(), failed.kind()), (n as u64, failed.kind()));
                assert!(
                    !failed.backtrace().is_empty(),
                    "call {n}: the last failure tells as much as the first"
                );
            }
            by => assert_eq!(result.expect("a result"), n / by),
        }
    }
    let unordered: Vec<_> = divides.imap_unordered((0..2000).map(|n| (n, n % 7))).collect();
    assert_eq!((unordered.len(), unordered.iter().filter(|result| result.is_err()).count()), (2000, 286));
}

#[test]
fn inputs_that_do_not_fit_fail_in_their_places() {
    let text =
        r#"(module (func (export "twice") (param i32) (result i32) (i32.add (local.get 0) (local.get 0))))"#;
    let fixture = text_in(builder(1), "numbers", text);
    let twice = fixture.module.task::<serde_json::Value, i32>("twice").expect("a task");
    let inputs =
        (0..100).map(|n| if n % 10 == 3 { serde_json::json!("three") } else { serde_json::json!(n) });
    for (n, result) in (0..).zip(twice.imap(inputs)) {
        match n % 10 {
            3 => assert_eq!(failure(result).kind(), FailureKind::Refused),
            _ => assert_eq!(result.expect("a result"), 2 * n),
        }
    }
}

#[test]
fn an_endless_iterator_is_taken_no_farther_than_its_consumer_allows() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let taken = Arc::<AtomicU64>::default();
    let mut cubes = cube.imap(counted(&taken));
    assert_eq!(cubes.next().expect("one").expect("a result"), 0);
    // It stops of itself: twice the same after all that were begun are there.
    let mut before = 0;
    wait_until(|| {
        std::thread::sleep(Duration::from_millis(50));
        let now = taken.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now
    });
    assert!(before <= LOOK_AHEAD_MAX + 1, "{before} inputs taken for one result");
    for n in 1..200_000 {
        assert_eq!(cubes.next().expect("one").expect("a result"), n * n * n);
        let ahead = taken.load(Ordering::Relaxed) - n as u64;
        assert!(ahead <= LOOK_AHEAD_MAX + 2, "{ahead} ahead of {n}");
    }
    drop(cubes);
    let mut stopped = taken.load(Ordering::Relaxed);
    wait_until(|| {
        std::thread::sleep(Duration::from_millis(20));
        let now = taken.load(Ordering::Relaxed);
        std::mem::replace(&mut stopped, now) == now
    });
    assert_eq!(cube.apply(3).expect("the pool is free"), 27);
}

#[test]
fn memory_stays_flat_over_an_endless_iterator() {
    const RESULT_BYTES: usize = 1 << 14;
    let fixture = tasks(2);
    let echo = fixture.module.task::<String, String>("echo_text").expect("a task");
    let mut texts = echo.imap(std::iter::repeat_with(|| "x".repeat(RESULT_BYTES)));
    let mut take = |count: usize| {
        for _ in 0..count {
            assert_eq!(texts.next().expect("one").expect("a text").len(), RESULT_BYTES);
        }
        resident_bytes()
    };
    let warm = take(5000);
    let later = take(15_000);
    // What goes through is 240 MiB; what is held is bounded by 64 MiB of it, twice over as the look-ahead is a guess.
    assert!(later < warm + (128 << 20), "{warm} bytes, and {later} after 240 MiB more");
}

fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("this process's memory");
    let pages: usize = pages.split(' ').nth(1).expect("a number").parse().expect("a number");
    pages * rustix::param::page_size()
}

#[test]
fn inputs_that_fail_end_behind_everything_before() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let broken = || std::io::Error::other("the disk is on fire");
    let inputs = move || (0..1000).map(move |n| if n == 700 { Err(broken()) } else { Ok(n) });
    let mut results: Vec<_> = cube.try_imap(inputs()).collect();
    let last = results.pop().expect("one").expect_err("the failure");
    assert_eq!(last.kind(), ErrorKind::Input);
    assert!(last.to_string().contains("on fire"), "{last}");
    let results: Vec<_> = results.into_iter().map(|result| result.expect("a result")).collect();
    assert_eq!(results, (0..700i64).map(|n| n.pow(3)).collect::<Vec<_>>());
    let kinds: Vec<_> =
        cube.try_imap_unordered(inputs()).map(|result| result.map_err(|error| error.kind())).collect();
    assert_eq!((kinds.len(), kinds.last()), (701, Some(&Err(ErrorKind::Input))));
}

#[test]
fn inputs_that_panic_end_behind_everything_before() {
    let fixture = tasks(1);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let inputs = (0..1000).inspect(|n| assert!(*n < 300, "expected by this test"));
    let mut results: Vec<_> = cube.imap(inputs).collect();
    let last = results.pop().expect("one").expect_err("the failure");
    assert_eq!(last.kind(), ErrorKind::Input);
    assert!(last.to_string().contains("after 300 of them: expected by this test"), "{last}");
    assert_eq!(results.into_iter().filter_map(Result::ok).count(), 300);
}

#[test]
fn an_input_that_is_long_in_coming_holds_back_no_result() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let (send, receive) = std::sync::mpsc::channel();
    let mut cubes = cube.imap(receive);
    for n in 0..50 {
        assert_eq!(
            cubes.next_timeout(Duration::from_micros(10)).expect("one").expect_err("too early").kind(),
            ErrorKind::TimedOut
        );
        send.send(n).expect("it listens");
        assert_eq!(cubes.next().expect("one").expect("a result"), n * n * n);
    }
    drop(send);
    assert!(cubes.next().is_none());
}

#[test]
fn dropping_the_iterator_ends_its_calls() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let before = processes::workers(&fixture.pool);
    let results = act.imap(std::iter::repeat((i32::from(b'b'), FOR_EVER, 0, 0)));
    lines.wait_for("b", 2);
    drop(results);
    wait_until(|| fixture.pool.worker_pids().iter().all(|pid| !before.contains(pid)));
    assert_eq!(act.apply((4, 0, 0, 0)).expect("a result"), 4);
    assert_eq!(lines.all().iter().filter(|line| *line == "b").count(), 2, "no other call has begun");
}

#[test]
fn killed_workers_lose_no_result_of_calls_that_leave_no_traces() {
    let text = r#"(module (func (export "work") (param $n i64) (result i64) (local $turns i64)
        (local.set $turns (i64.const 20000))
        (loop $again
          (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
          (br_if $again (i64.ne (local.get $turns) (i64.const 0))))
        (i64.mul (local.get $n) (i64.const 3))))"#;
    let fixture = text_in(builder(2), "work", text);
    let work = fixture.module.task::<i64, i64>("work").expect("a task").retries(1000);
    let deaths = AtomicUsize::new(0);
    let mut seen = 0;
    for result in work.imap(0..30_000) {
        assert_eq!(result.expect("a result"), 3 * seen);
        seen += 1;
        if seen % 3000 == 0 {
            processes::kill(&fixture.pool.worker_pids());
            deaths.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert_eq!((seen, deaths.load(Ordering::Relaxed)), (30_000, 10));
}
