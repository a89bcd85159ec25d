//! Which calls go first when several wait.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use wasmpool::{FailureKind, Module, Priority, Task};
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::watchdog::{SetWhenDropped, wait_until};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Fixture, Lines, builder, failure, text_in};

wasmpool::test_support!();

const BY_PRIORITY: [(Priority, char); 3] =
    [(Priority::Low, 'l'), (Priority::Normal, 'n'), (Priority::High, 'h')];

fn actor(lines: &Lines) -> Fixture {
    text_in(builder(1).on_output(lines.taker()), "actor", ACTOR)
}

fn act(module: &Module, priority: Priority) -> Task<Act, i32> {
    module.task("act").expect("a task").priority(priority)
}

/// Occupies the one worker until it is killed, while `submit` has six calls wait; returns what ran then, in its order.
fn order_of(submit: impl Fn(&Task<Act, i32>, Act) + Sync) -> String {
    let lines = Lines::default();
    let fixture = actor(&lines);
    std::thread::scope(|scope| {
        // The second one waits where the worker finds it first, and goes with the first.
        let holds = act(&fixture.module, Priority::Low);
        let holder = scope.spawn(move || failure(holds.map([(i32::from(b'x'), FOR_EVER, 0, 0); 2])).kind());
        lines.wait_for("x", 1);
        for (number, (priority, letter)) in (1..).zip(BY_PRIORITY) {
            let (task, call) = (act(&fixture.module, priority), (letter as i32, 0, 0, 0));
            for _ in 0..2 {
                let (task, submit) = (task.clone(), &submit);
                scope.spawn(move || submit(&task, call));
            }
            wait_until(|| fixture.pool.stats().calls_waiting == 2 * number);
        }
        assert!(send(processes::workers(&fixture.pool)[0], Signal::KILL));
        assert!(matches!(holder.join().expect("no panic"), FailureKind::WorkerLost(_)));
    });
    lines.all().concat().replace('x', "")
}

#[test]
fn calls_of_a_higher_priority_are_run_before_those_of_a_lower_one() {
    let single = order_of(|task, call| assert_eq!(task.apply(call).expect("a result"), call.0));
    assert_eq!(single, "hhnnll", "single calls");
    let jobs = order_of(|task, call| assert_eq!(task.map([call]).expect("a result"), [call.0]));
    assert_eq!(jobs, "hhnnll", "jobs");
}

#[test]
fn an_urgent_call_does_not_wait_for_a_long_job() {
    const CALLS: usize = 60;
    let lines = Lines::default();
    let fixture = actor(&lines);
    let (low, high) = (act(&fixture.module, Priority::Low), act(&fixture.module, Priority::High));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| low.map(vec![(i32::from(b'l'), 30_000_000, 0, 0); CALLS]));
        lines.wait_for("l", 1);
        high.apply((i32::from(b'h'), 0, 0, 0)).expect("a result");
        assert_eq!(job.join().expect("no panic").expect("results").len(), CALLS);
    });
    // What the worker had been given goes first: one running call, and one behind it.
    let before = lines.all().iter().position(|line| line == "h").expect("it ran");
    assert!(before < CALLS / 2, "{before} of {CALLS} went before it");
}

#[test]
fn no_priority_starves() {
    let lines = Lines::default();
    let fixture = actor(&lines);
    let is_over = AtomicBool::new(false);
    let calls = |letter: char| (letter as i32, 0, 0, 0);
    std::thread::scope(|scope| {
        let _end = SetWhenDropped(&is_over);
        let high = act(&fixture.module, Priority::High);
        let endless =
            std::iter::repeat_n(calls('h'), 100_000_000).take_while(|_| !is_over.load(Ordering::Relaxed));
        let urgent = scope.spawn(move || high.map(endless));
        lines.wait_for("h", 1);
        let lower: Vec<_> = [(Priority::Low, 'l'), (Priority::Normal, 'n')]
            .map(|(priority, letter)| (act(&fixture.module, priority), calls(letter)))
            .into_iter()
            .map(|(task, call)| scope.spawn(move || task.map(vec![call; 5])))
            .collect();
        for job in lower {
            assert_eq!(job.join().expect("no panic").expect("results").len(), 5);
        }
        is_over.store(true, Ordering::Relaxed);
        urgent.join().expect("no panic").expect("results");
    });
}
