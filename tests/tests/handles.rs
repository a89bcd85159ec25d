//! Calls that run on behind handles: every one comes to an outcome, whatever happens, and can be stopped.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmpool::{ErrorKind, Exit, FailureKind, Handle, as_completed, wait_all, wait_any};
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, failure, tasks, text, text_in};

wasmpool::test_support!();

/// A call that says that it has begun and never ends.
const ENDLESS: Act = (b'b' as i32, FOR_EVER, 0, 0);

/// A call that returns at once.
const BRIEF: Act = (0, 0, 0, 0);

#[test]
fn single_calls_come_to_their_own_results() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let greet = fixture.module.task::<String, String>("greet").expect("a task");
    let cubes: Vec<_> = (0..3000).map(|n| cube.apply_async(n).expect("submitted")).collect();
    let greetings: Vec<_> = (0..300).map(|n| greet.apply_async(n.to_string()).expect("submitted")).collect();
    for (n, handle) in (0..).zip(cubes) {
        assert_eq!(handle.get(None).expect("a result"), n * n * n);
        assert!(handle.ready() && handle.successful().expect("ready"));
        assert_eq!(handle.get(None).expect_err("taken").kind(), ErrorKind::Misuse);
    }
    for (n, handle) in greetings.into_iter().enumerate() {
        assert!(handle.get(None).expect("a greeting").contains(&n.to_string()));
    }
}

#[test]
fn results_do_not_depend_on_who_submits_or_drops() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cube = cube.clone();
            scope.spawn(move || {
                let handles = (0..2000).map(|n| (n, cube.apply_async(n + thread).expect("submitted")));
                let kept: Vec<_> = handles.filter(|(n, _)| n % 3 != 0).collect();
                // The task may go, too; what was submitted goes on.
                drop(cube);
                for (n, handle) in kept {
                    assert_eq!(handle.get(None).expect("a result"), (n + thread).pow(3));
                }
            });
        }
    });
}

#[test]
fn failures_tell_everything_and_hit_no_neighbour() {
    let fixture = tasks(2);
    let divides = fixture.module.task::<(i64, i64), i64>("divides").expect("a task");
    let fails = fixture.module.task::<(i64, i64), i64>("fails_on").expect("a task").retries(2);
    let handles: Vec<_> = (0..500).map(|n| divides.apply_async((n, n % 5)).expect("submitted")).collect();
    for (n, handle) in (0i64..).zip(handles) {
        if n % 5 != 0 {
            assert_eq!(handle.get(None).expect("a result"), n / (n % 5));
            continue;
        }
        assert!(handle.wait(None) && !handle.successful().expect("ready"));
        let failed = failure(handle.get(None));
        assert_eq!((failed.index(), failed.attempt()), (0, 1), "{failed}");
        assert!(!failed.message().is_empty() && !failed.backtrace().is_empty(), "call {n}: {failed:?}");
    }
    let failed = failure(fails.apply_async((7, 7)).expect("submitted").get(None));
    assert_eq!((failed.kind(), failed.attempt()), (FailureKind::Failed, 3), "{failed}");
}

#[test]
fn jobs_run_behind_handles() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let add = fixture.module.task::<(i64, i64), i64>("add").expect("a task");
    let fails = fixture.module.task::<(i64, i64), i64>("fails_on").expect("a task");
    let range = cube.map_async(0..100_000).expect("submitted");
    let borrowed = [3, 1, 2];
    let listed = cube.map_async(borrowed.iter().copied()).expect("submitted");
    let none = cube.map_async([]).expect("submitted");
    let sums = add.starmap_async((0..1000).map(|n| (n, 1))).expect("submitted");
    let failing = fails.map_async((0..1000).map(|n| (n, 500))).expect("submitted");
    assert_eq!(range.get(None).expect("results"), (0..100_000i64).map(|n| n.pow(3)).collect::<Vec<_>>());
    assert_eq!(listed.get(None).expect("results"), [27, 1, 8]);
    assert!(none.get(None).expect("results").is_empty());
    assert_eq!(sums.get(None).expect("results"), (1..=1000).collect::<Vec<_>>());
    assert_eq!(failure(failing.get(None)).index(), 500);
}

#[test]
fn waiting_has_an_end_and_changes_nothing() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let handle = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    let moment = Some(Duration::from_millis(1));
    assert!(!handle.wait(moment) && !handle.ready());
    assert_eq!(handle.get(moment).expect_err("too early").kind(), ErrorKind::TimedOut);
    assert_eq!(handle.successful().expect_err("too early").kind(), ErrorKind::Misuse);
    processes::kill(&processes::workers(&fixture.pool));
    assert_eq!(failure(handle.get(None)).kind(), FailureKind::WorkerLost(Exit::Signal(9)));
    assert!(!handle.successful().expect("ready"));
}

#[test]
fn a_killed_worker_costs_the_running_call_or_an_attempt() {
    for retries in [0, 1] {
        let lines = Lines::default();
        let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
        let act = fixture.module.task::<Act, i32>("act").expect("a task").retries(retries);
        let running = act.apply_async(ENDLESS).expect("submitted");
        let queued: Vec<_> = (1..50).map(|n| act.apply_async((n, 0, 0, 0)).expect("submitted")).collect();
        for attempt in 0..=retries {
            lines.wait_for("b", attempt as usize + 1);
            assert!(!running.ready());
            let pid = processes::workers(&fixture.pool)[0];
            assert!(send(pid, Signal::KILL));
        }
        let lost = failure(running.get(None));
        assert_eq!((lost.kind(), lost.attempt()), (FailureKind::WorkerLost(Exit::Signal(9)), retries + 1));
        assert!(lost.message().contains("process"), "{lost}");
        for (n, handle) in (1..).zip(queued) {
            assert_eq!(handle.get(None).expect("a result"), n);
        }
    }
}

#[test]
fn queued_calls_that_are_cancelled_never_begin() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let running = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    let says = i32::from(b'q');
    let queued: Vec<_> = (0..100).map(|_| act.apply_async((says, 0, 0, 0)).expect("submitted")).collect();
    // The worker may have been given the first ones already: those behind it have not been handed out.
    for (n, handle) in queued.iter().enumerate() {
        assert!(handle.cancel());
        assert!(!handle.cancel(), "{n} was cancelled before");
        assert_eq!(handle.get(None).expect_err("cancelled").kind(), ErrorKind::Cancelled);
    }
    assert!(running.cancel());
    assert_eq!(act.apply_async((5, 0, 0, 0)).expect("submitted").get(None).expect("a result"), 5);
    assert!(lines.all().iter().filter(|line| *line == "q").count() <= 4, "{:?}", lines.all());
}

#[test]
fn running_calls_are_stopped_at_once() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let before = processes::workers(&fixture.pool);
    let single = act.apply_async(ENDLESS).expect("submitted");
    let job = act.map_async([ENDLESS; 50]).expect("submitted");
    lines.wait_for("b", 2);
    assert!(single.cancel() && job.cancel());
    assert_eq!(single.get(None).expect_err("cancelled").kind(), ErrorKind::Cancelled);
    assert_eq!(job.get(None).expect_err("cancelled").kind(), ErrorKind::Cancelled);
    // Nothing else could end them: both workers have been replaced, and are free.
    wait_until(|| fixture.pool.worker_pids().iter().all(|pid| !before.contains(pid)));
    assert_eq!(act.map([BRIEF; 100]).expect("results"), [0; 100]);
}

#[test]
fn calls_that_sleep_on_shared_objects_are_stopped_too() {
    let fixture = tasks(1);
    let barrier = fixture.pool.barrier("barrier", 2).expect("a barrier");
    let waits = fixture.module.task::<(), usize>("wait_at_barrier").expect("a task").grant(&barrier);
    for round in 0..3 {
        let handle = waits.apply_async(()).expect("submitted");
        let pid = loop {
            wait_until(|| barrier.n_waiting().expect("a barrier") == 1);
            // A worker without the barrier may be about to make room for one with it.
            if let [pid] = fixture.pool.worker_pids()[..] {
                break pid;
            }
        };
        assert!(!handle.wait(Some(Duration::from_millis(100))), "round {round}");
        assert!(handle.cancel());
        wait_until(|| processes::Process::find(pid).is_none());
        barrier.reset().expect("a barrier");
    }
}

#[test]
fn callbacks_run_once_on_a_thread_of_their_own_before_the_result_is_given_out() {
    let fixture = tasks(2);
    let divides = fixture.module.task::<(i64, i64), i64>("divides").expect("a task");
    let (say, said) = mpsc::channel();
    let handles: Vec<_> = (0..100i64)
        .map(|n| {
            let (right, wrong) = (say.clone(), say.clone());
            let handle = divides.apply_async((n, n % 4)).expect("submitted");
            handle
                .on_result(move |quotient| {
                    right
                        .send((n, Ok(*quotient), std::thread::current().name().map(str::to_owned)))
                        .expect("heard");
                    assert!(n % 3 != 0, "a callback that panics, expected by this test");
                })
                .on_error(move |error| {
                    wrong.send((n, Err(error.kind()), None)).expect("heard");
                })
        })
        .collect();
    for (n, handle) in (0..).zip(handles) {
        match n % 4 {
            0 => assert_eq!(failure(handle.get(None)).index(), 0),
            by => assert_eq!(handle.get(None).expect("a result"), n / by),
        }
    }
    let mut heard: Vec<_> = said.try_iter().collect();
    heard.sort_by_key(|(n, ..)| *n);
    assert_eq!(heard.len(), 100, "all of them have run before the results were given out");
    for (n, outcome, thread) in heard {
        match n % 4 {
            0 => assert_eq!(outcome, Err(ErrorKind::Call)),
            by => assert_eq!((outcome, thread.as_deref()), (Ok(n / by), Some("wasmpool-callbacks"))),
        }
    }
}

#[test]
fn callbacks_run_though_the_handle_is_gone_and_may_submit() {
    let fixture = tasks(1);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let (say, said) = mpsc::channel();
    let again = cube.clone();
    let first = cube.apply_async(2).expect("submitted").on_result(move |eight| {
        drop(
            again
                .apply_async(*eight)
                .expect("submitted")
                .on_result(move |cubed| say.send(*cubed).expect("heard")),
        );
    });
    drop(first);
    assert_eq!(said.recv().expect("a result"), 512);
}

#[test]
fn several_handles_are_waited_for_in_the_order_in_which_they_end() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let slow = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    let quick = act.apply_async(BRIEF).expect("submitted");
    let job = act.map_async([BRIEF; 10]).expect("submitted");
    let moment = Some(Duration::from_millis(1));
    assert!(wait_all(&[&quick, &job], None));
    assert_eq!(wait_any(&[&slow, &quick, &job], None), [1, 2]);
    assert!(!wait_all(&[&quick, &slow], moment));
    assert!(wait_any(&[&slow], moment).is_empty());
    assert!(wait_any(&[], None).is_empty());
    assert!(wait_all(&[], None));

    let brief = act.apply_async(BRIEF).expect("submitted");
    assert!(brief.wait(None));
    let mut completed = as_completed([slow, brief]);
    assert_eq!(completed.size_hint(), (2, Some(2)));
    assert_eq!(
        completed.next().map(|(position, outcome)| (position, outcome.expect("a result"))),
        Some((1, 0))
    );
    let late = completed.next_timeout(Duration::from_millis(1)).expect_err("the other one goes on");
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    processes::kill(&processes::workers(&fixture.pool));
    let (position, outcome) = completed.next().expect("the slow one");
    assert_eq!((position, failure(outcome).index()), (0, 0));
    assert!(completed.next().is_none());
    assert!(matches!(completed.next_timeout(Duration::ZERO), Ok(None)));
}

#[test]
fn completion_order_is_not_submission_order() {
    let fixture = tasks(2);
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task");
    let handles = [2000, 0].map(|ms| sleeps.apply_async(ms).expect("submitted"));
    let order: Vec<usize> = as_completed(handles)
        .map(|(position, outcome)| {
            outcome.expect("it returns");
            position
        })
        .collect();
    assert_eq!(order, [1, 0]);
}

/// Polls on whichever of several threads is free, as a pool of threads does.
struct Executor {
    woken: Mutex<bool>,
    changed: Condvar,
    polls: AtomicUsize,
}

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().expect("no panic") = true;
        self.changed.notify_all();
    }
}

impl Executor {
    fn run<F: Future + Send>(future: F) -> (F::Output, usize)
    where
        F::Output: Send,
    {
        let executor =
            Arc::new(Self { woken: Mutex::new(true), changed: Condvar::new(), polls: AtomicUsize::new(0) });
        let mut future = pin!(future);
        loop {
            let woken = executor.woken.lock().expect("no panic");
            *executor.changed.wait_while(woken, |woken| !*woken).expect("no panic") = false;
            executor.polls.fetch_add(1, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&executor));
            // Each poll on another thread.
            let polled = std::thread::scope(|scope| {
                let poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
                scope.spawn(poll).join().expect("no panic")
            });
            if let Poll::Ready(output) = polled {
                return (output, executor.polls.load(Ordering::Relaxed));
            }
        }
    }
}

#[test]
fn handles_are_futures_for_any_executor() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let sleeps = fixture.module.task::<u64, ()>("sleeps_ms").expect("a task");
    let job = async {
        let mut sum = 0;
        for n in 0..20 {
            sum += cube.apply_async(n)?.await?;
        }
        sleeps.apply_async(50)?.await?;
        Ok::<_, wasmpool::Error>((sum, cube.map_async(0..100)?.await?.len()))
    };
    let (outcome, polls) = Executor::run(job);
    assert_eq!(outcome.expect("results"), ((0..20i64).map(|n| n.pow(3)).sum(), 100));
    assert!(polls <= 24, "{polls} polls: somebody wakes without need");
}

#[test]
fn a_handle_may_be_dropped_between_two_polls() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let executor =
        Arc::new(Executor { woken: Mutex::new(false), changed: Condvar::new(), polls: AtomicUsize::new(0) });
    let waker = Waker::from(Arc::clone(&executor));
    let mut handle: Handle<i32> = act.apply_async(ENDLESS).expect("submitted");
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    lines.wait_for("b", 1);
    drop(handle);
    // The call goes on without it, until its worker goes.
    processes::kill(&processes::workers(&fixture.pool));
    assert_eq!(act.apply_async((3, 0, 0, 0)).expect("submitted").get(None).expect("a result"), 3);
}

#[test]
fn handles_come_to_an_outcome_when_the_module_is_not_run_any_more() {
    let fixture = text(1, "deadly", r#"(module (func (export "spin") (loop br 0)))"#);
    let spin = fixture.module.task::<(), ()>("spin").expect("a task");
    let handles: Vec<_> = (0..20).map(|_| spin.apply_async(()).expect("submitted")).collect();
    let lazily = spin.imap(vec![(); 20]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                processes::kill(&fixture.pool.worker_pids());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let _end = wasmpool_tests::watchdog::SetWhenDropped(&done);
        let kinds: Vec<_> =
            handles.iter().map(|handle| handle.get(None).expect_err("it dies").kind()).collect();
        assert!(kinds.contains(&ErrorKind::Quarantined), "{kinds:?}");
        let kinds: Vec<_> = lazily.map(|outcome| outcome.expect_err("it dies").kind()).collect();
        assert_eq!(kinds.last(), Some(&ErrorKind::Quarantined), "{kinds:?}");
    });
    assert_eq!(spin.apply_async(()).expect_err("not run").kind(), ErrorKind::Quarantined);
}

#[test]
fn a_type_that_panics_while_it_is_decoded_costs_its_own_result() {
    #[derive(Debug)]
    struct Panics;
    impl<'de> serde::Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let number = <i64 as serde::Deserialize>::deserialize(from)?;
            assert_ne!(number, 27, "expected by this test");
            Ok(Self)
        }
    }
    let fixture = tasks(1);
    let cube = fixture.module.task::<i64, Panics>("cube").expect("a task");
    assert_eq!(failure(cube.apply_async(3).expect("submitted").get(None)).kind(), FailureKind::BadResult);
    cube.apply_async(2).expect("submitted").get(None).expect("a result");
    assert_eq!(failure(cube.map_async(0..10).expect("submitted").get(None)).kind(), FailureKind::BadResult);
    let outcomes: Vec<_> = cube.imap(2..4).collect();
    assert!(outcomes.len() == 2 && outcomes[1].is_err());
}

#[test]
fn arguments_that_do_not_fit_are_the_handles_to_tell() {
    let fixture = tasks(1);
    let text =
        r#"(module (func (export "twice") (param i32) (result i32) (i32.add (local.get 0) (local.get 0))))"#;
    let module = fixture.pool.load_bytes("numbers", text.as_bytes()).expect("a module");
    let twice = module.task::<serde_json::Value, i32>("twice").expect("a task");
    let handles = [serde_json::json!(2), serde_json::json!("two"), serde_json::json!(3)];
    let handles = handles.map(|value| twice.apply_async(value).expect("submitted"));
    assert_eq!(handles[0].get(None).expect("a result"), 4);
    assert_eq!(failure(handles[1].get(None)).kind(), FailureKind::Refused);
    assert!(!handles[1].cancel());
    assert_eq!(handles[2].get(None).expect("a result"), 6);
}

#[test]
fn a_deadline_ends_calls_that_nobody_waits_for() {
    let lines = Lines::default();
    let fixture = text_in(builder(2).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task").deadline(Duration::from_millis(50));
    let (say, said) = mpsc::channel();
    for handle in [
        act.apply_async(ENDLESS).expect("submitted").map_outcome(),
        act.map_async([ENDLESS; 3]).expect("submitted").map_outcome(),
    ] {
        let say = say.clone();
        handle(Box::new(move |kind| say.send(kind).expect("heard")));
    }
    assert_eq!([said.recv(), said.recv()], [Ok(ErrorKind::Deadline); 2]);
    let mut lazily = act.imap(std::iter::repeat(ENDLESS));
    assert_eq!(lazily.next().expect("an error").expect_err("late").kind(), ErrorKind::Deadline);
    assert!(lazily.next().is_none());
}

/// A handle of any type as one that tells the kind of its error.
trait MapOutcome {
    fn map_outcome(self) -> Tell;
}

type Tell = Box<dyn FnOnce(Box<dyn FnOnce(ErrorKind) + Send>)>;

impl<R: Send + 'static> MapOutcome for Handle<R> {
    fn map_outcome(self) -> Tell {
        Box::new(move |tell| drop(self.on_error(move |error| tell(error.kind()))))
    }
}

#[test]
fn submitting_waits_when_too_much_is_under_way() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let act = fixture.module.task::<Act, i32>("act").expect("a task");
    let endless = act.apply_async(ENDLESS).expect("submitted");
    lines.wait_for("b", 1);
    let submitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            for _ in 0..100_000 {
                drop(act.apply_async(BRIEF).expect("submitted"));
                submitted.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_until(|| submitted.load(Ordering::Relaxed) == (1 << 16) - 1);
        assert!(!submitter.is_finished());
        endless.cancel();
        submitter.join().expect("all are submitted");
    });
    assert_eq!(act.apply_async((9, 0, 0, 0)).expect("submitted").get(None).expect("a result"), 9);
}

#[test]
#[ignore = "a measurement: run it alone, on a quiet machine, in the release profile"]
fn calls_per_second() {
    const CALLS: usize = 1_000_000;
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    let greet = fixture.module.task::<i64, i64>("square").expect("a task");
    let text = r#"(module (func (export "cube") (param i64) (result i64)
        (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0)))))"#;
    let numbers = fixture.pool.load_bytes("numbers", text.as_bytes()).expect("a module");
    let plain = numbers.task::<i64, i64>("cube").expect("a task");
    for (name, task) in [("pulled", &cube), ("pulled again", &greet), ("numeric", &plain)] {
        for threads in [1, 2, 4] {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for calls in (0..CALLS / threads).collect::<Vec<_>>().chunks(10_000) {
                            let handles: Vec<_> = calls
                                .iter()
                                .map(|n| task.apply_async(*n as i64).expect("submitted"))
                                .collect();
                            assert!(handles.iter().all(|handle| handle.get(None).is_ok()));
                        }
                    });
                }
            });
            let rate = CALLS as f64 / begun.elapsed().as_secs_f64();
            let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            let text = format!("{name}: {threads} threads submit {rate:.0} calls/s (load {})\n", load.trim());
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).expect("stderr");
        }
    }
}
