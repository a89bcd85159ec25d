//! How pools end: closed, joined, terminated, scoped; and that nothing is left waiting.

use std::sync::mpsc;
use std::time::Duration;

use wasmpool::{ErrorKind, Pool, ScopeEnd};
use wasmpool_tests::processes::{self, Process};
use wasmpool_tests::watchdog::Watchdog;
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Fixture, Lines, builder, tasks, text_in};

wasmpool::test_support!();

/// A call that says that it has begun and never ends.
const ENDLESS: Act = (b'b' as i32, FOR_EVER, 0, 0);

/// A call that takes some milliseconds.
const LONG: Act = (0, 3_000_000, 0, 0);

fn actor(workers: usize, lines: &Lines) -> Fixture {
    text_in(builder(workers).on_output(lines.taker()), "actor", ACTOR)
}

#[test]
fn a_closed_pool_finishes_what_is_under_way_and_takes_nothing_new() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task");
    let pids = processes::workers(&fixture.pool);
    let job = sleeps.map_async([20; 10]).expect("submitted");
    let single = sleeps.apply_async(20).expect("submitted");
    let lazily = sleeps.imap([20; 10]);
    fixture.pool.close();
    fixture.pool.close();
    let refused = [
        cube.apply(1).expect_err("closed"),
        cube.map(0..3).expect_err("closed"),
        cube.map_outcomes([]).expect_err("closed"),
        cube.apply_async(1).expect_err("closed"),
        sleeps.apply_async(1).expect_err("closed, though another call of it is under way"),
        cube.map_async(0..3).expect_err("closed"),
        cube.starmap_async([1, 2]).expect_err("closed"),
        cube.imap(0..3).next().expect("an error").expect_err("closed"),
        fixture.pool.load_bytes("late", b"(module)").expect_err("closed"),
    ];
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Closed), "{refused:?}");
    assert_eq!(lazily.filter_map(Result::ok).count(), 10);
    fixture.pool.join(None).expect("it ends");
    fixture.pool.join(Some(Duration::ZERO)).expect("it has ended");
    assert_eq!(job.get(Some(Duration::ZERO)).expect("results").len(), 10);
    single.get(Some(Duration::ZERO)).expect("a result");
    assert!(pids.into_iter().all(|pid| Process::find(pid).is_none()));
}

#[test]
fn an_idle_pool_ends_when_it_is_closed() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert_eq!(cube.apply_async(3).expect("submitted").get(None).expect("a result"), 27);
    fixture.pool.close();
    fixture.pool.join(None).expect("it ends");
    assert!(fixture.pool.worker_pids().is_empty());
}

#[test]
fn joining_an_open_pool_is_an_error_and_joins_have_an_end() {
    let lines = Lines::default();
    let fixture = actor(1, &lines);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let handle = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    assert_eq!(fixture.pool.join(None).expect_err("open").kind(), ErrorKind::Misuse);
    fixture.pool.close();
    let late = fixture.pool.join(Some(Duration::from_millis(10))).expect_err("the call goes on");
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    assert!(!handle.ready());
    fixture.pool.terminate();
    fixture.pool.join(None).expect("it ends");
    assert_eq!(handle.get(Some(Duration::ZERO)).expect_err("stopped").kind(), ErrorKind::Closed);
}

#[test]
fn terminating_brings_every_handle_to_its_outcome() {
    for ends_by_drop in [false, true] {
        let lines = Lines::default();
        let fixture = actor(2, &lines);
        let act = fixture.module.task::<Act, i32>("act").expect("a task");
        let job = act.map_async(vec![ENDLESS; 10_000]).expect("submitted");
        let singles: Vec<_> = (0..1000).map(|_| act.apply_async(ENDLESS).expect("submitted")).collect();
        let mut lazily = act.imap(std::iter::repeat(ENDLESS));
        let (say, said) = mpsc::channel();
        let told = act.apply_async(ENDLESS).expect("submitted").on_error(move |error| {
            say.send(error.kind()).expect("heard");
        });
        lines.wait_for("b", 2);
        let Fixture { pool, .. } = fixture;
        if ends_by_drop {
            drop(pool);
        } else {
            pool.terminate();
            pool.terminate();
            pool.join(None).expect("it ends");
            assert!(pool.worker_pids().is_empty());
        }
        assert_eq!(job.get(None).expect_err("stopped").kind(), ErrorKind::Closed);
        for handle in singles {
            let error = handle.get(None).expect_err("stopped");
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
        assert_eq!(lazily.next().expect("an error").expect_err("stopped").kind(), ErrorKind::Closed);
        assert!(lazily.next().is_none());
        assert_eq!(said.recv(), Ok(ErrorKind::Closed));
        assert_eq!(told.get(None).expect_err("stopped").kind(), ErrorKind::Closed);
        assert_eq!(act.apply_async(ENDLESS).expect_err("closed").kind(), ErrorKind::Closed);
    }
}

#[test]
fn those_who_wait_for_room_are_told_when_the_pool_ends() {
    let lines = Lines::default();
    let fixture = actor(1, &lines);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let first = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    std::thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            loop {
                if let Err(error) = act.apply_async((0, 0, 0, 0)) {
                    return error.kind();
                }
            }
        });
        assert!(!first.wait(Some(Duration::from_millis(50))));
        fixture.pool.terminate();
        assert_eq!(submitter.join().expect("no panic"), ErrorKind::Closed);
    });
}

#[test]
fn a_scope_ends_its_calls_as_it_is_told() {
    let _watchdog = Watchdog::start();
    let begin = |calls: Act| {
        move |pool: &Pool| {
            let module = pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
            let act = module.task::<Act, i32>("act").expect("a task");
            act.map_async([calls; 20]).expect("submitted")
        }
    };
    let handle = builder(2).scope(ScopeEnd::Finish, begin(LONG)).expect("it ends");
    assert_eq!(handle.get(Some(Duration::ZERO)).expect("results"), [0; 20]);
    let long = Duration::from_secs(100);
    let handle = builder(2).scope(ScopeEnd::FinishWithin(long), begin(LONG)).expect("it ends");
    assert_eq!(handle.get(Some(Duration::ZERO)).expect("results"), [0; 20]);
    let handle = builder(2).scope(ScopeEnd::Terminate, begin(ENDLESS)).expect("it ends");
    assert_eq!(handle.get(Some(Duration::ZERO)).expect_err("stopped").kind(), ErrorKind::Closed);
    let late = builder(1).scope(ScopeEnd::FinishWithin(Duration::from_millis(50)), begin(ENDLESS));
    assert_eq!(late.expect_err("stopped").kind(), ErrorKind::TimedOut);
    let panicked = std::panic::catch_unwind(|| {
        builder(1).scope(ScopeEnd::Finish, |pool| {
            drop(begin(ENDLESS)(pool));
            panic!("expected by this test");
        })
    });
    assert!(panicked.is_err());
    let none = builder(0).scope(ScopeEnd::Finish, |_| ());
    assert_eq!(none.expect_err("no workers").kind(), ErrorKind::Setting);
}

#[test]
fn a_call_under_way_elsewhere_keeps_a_closed_pool() {
    let lines = Lines::default();
    let fixture = actor(2, &lines);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| act.apply((i32::from(b'b'), 200_000_000, 0, 0)));
        lines.wait_for("b", 1);
        fixture.pool.close();
        fixture.pool.join(None).expect("it ends");
        assert_eq!(call.join().expect("no panic").expect("a result"), i32::from(b'b'));
    });
}

#[test]
fn callbacks_have_run_when_join_returns() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let (say, said) = mpsc::channel();
    for n in 0..100 {
        let say = say.clone();
        drop(
            cube.apply_async(n).expect("submitted").on_result(move |cubed| say.send(*cubed).expect("heard")),
        );
    }
    fixture.pool.close();
    fixture.pool.join(None).expect("it ends");
    assert_eq!(said.try_iter().count(), 100);
}
