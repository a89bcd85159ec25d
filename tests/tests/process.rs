//! Processes of their own, held against what Python documents of its `multiprocessing.Process`.
//!
//! `F` numbers are those of the list of Python's facts that the project keeps: F1 to F16 are `Process`, F17 and F18 the
//! functions beside it, F31 and F35 how processes begin and what they share.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use wasmpool::{Error, ErrorKind, Exit, FailureKind, Module, Process, active_children, cpu_count};
use wasmpool_tests::processes::{self, send};
use wasmpool_tests::watchdog::{Watchdog, wait_until};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Fixture, Lines, builder, failure, tasks, text, text_in};

wasmpool::test_support!();

/// Every call says `b`, goes on for ever, and is somebody else's to end.
const BUSY: Act = (b'b' as i32, FOR_EVER, 0, 0);

/// Says nothing and returns 7.
const SHORT: Act = (7, 0, 0, 0);

fn actor() -> Fixture {
    text(1, "actor", ACTOR)
}

fn act(fixture: &Fixture, arguments: Act) -> Process<i32> {
    fixture.module.task::<Act, i32>("act").expect("a task").process(arguments).expect("arguments")
}

/// A process that runs guest code.
fn busy(fixture: &Fixture, lines: &Lines, nth: usize) -> Process<i32> {
    let process = act(fixture, BUSY);
    process.start().expect("a process");
    lines.wait_for("b", nth);
    process
}

fn watched() -> (Fixture, Lines) {
    let lines = Lines::default();
    (text_in(builder(1).on_output(lines.taker()), "actor", ACTOR), lines)
}

fn pid(process: &Process<impl Sized>) -> u32 {
    process.pid().expect("not closed").expect("started")
}

/// A stage of a process's life, and how it is brought there.
const STAGES: [&str; 4] = ["new", "running", "ended", "closed"];

/// What a method says at each of the [`STAGES`]: a value in words, or the end of the message of a misuse.
type Expected = [Result<&'static str, &'static str>; 4];

const NOT_STARTED: Result<&str, &str> = Err("was not started");
const CLOSED: Result<&str, &str> = Err("is closed: nothing more can be asked of it");
const TWICE: Result<&str, &str> = Err("was started before: make another one");

type Method = fn(&Process<i32>) -> Result<String, Error>;

/// Python's facts of what each method may do when. `close` comes last: it moves an ended process on.
const METHODS: [(&str, &str, Method, Expected); 11] = [
    ("F5", "name", |process| Ok(process.name()), [Ok("subject"); 4]),
    ("F7", "daemon", |process| Ok(process.is_daemon().to_string()), [Ok("false"); 4]),
    (
        "F7",
        "set_daemon",
        |process| said(process.set_daemon(false)),
        [
            Ok("()"),
            Err("was started: whether it is a daemon is settled before"),
            Err("was started: whether it is a daemon is settled before"),
            Err("was started: whether it is a daemon is settled before"),
        ],
    ),
    (
        "F6",
        "is_alive",
        |process| process.is_alive().map(|is| is.to_string()),
        [Ok("false"), Ok("true"), Ok("false"), CLOSED],
    ),
    (
        "F8",
        "pid",
        |process| process.pid().map(|pid| if pid.is_some() { "some" } else { "none" }.to_owned()),
        [Ok("none"), Ok("some"), Ok("some"), CLOSED],
    ),
    (
        "F9",
        "exit_code",
        |process| process.exit_code().map(|code| format!("{code:?}")),
        [Ok("None"), Ok("None"), Ok("Some(0)"), CLOSED],
    ),
    (
        "F4",
        "join",
        |process| process.join(Some(Duration::ZERO)).map(|has_ended| has_ended.to_string()),
        [NOT_STARTED, Ok("false"), Ok("true"), CLOSED],
    ),
    (
        "F11",
        "sentinel",
        |process| process.sentinel().map(|sentinel| is_readable(&sentinel, 0).to_string()),
        [NOT_STARTED, Ok("false"), Ok("true"), CLOSED],
    ),
    (
        "F3",
        "start",
        |process| said(process.start()),
        // A new one is started by who brings it to the next stage.
        [Ok("()"), TWICE, TWICE, CLOSED],
    ),
    ("F13", "terminate", |process| said(process.terminate()), [NOT_STARTED, Ok("()"), Ok("()"), CLOSED]),
    ("F14", "kill", |process| said(process.kill()), [NOT_STARTED, Ok("()"), Ok("()"), CLOSED]),
];

fn said(done: Result<(), Error>) -> Result<String, Error> {
    done.map(|()| "()".to_owned())
}

fn is_readable(sentinel: &impl AsFd, seconds: i64) -> bool {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let mut polled = [PollFd::new(sentinel, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&timeout)).expect("it can be polled") == 1
}

#[test]
fn each_method_may_be_used_when_python_allows_it() {
    let (fixture, lines) = watched();
    let mut begun = 0;
    for (fact, method, call, expected) in METHODS {
        for (stage, expected) in STAGES.into_iter().zip(expected) {
            let process = match stage {
                "running" => {
                    begun += 1;
                    busy(&fixture, &lines, begun)
                }
                _ => act(&fixture, SHORT),
            };
            if matches!(stage, "ended" | "closed") {
                process.start().expect("a process");
                assert!(process.join(None).expect("started"));
            }
            if stage == "closed" {
                process.close().expect("it has ended");
            }
            process.set_name("subject");
            let got = call(&process).map_err(|error| {
                assert_eq!(error.kind(), ErrorKind::Misuse, "{fact} {method}, {stage}: {error}");
                error.to_string()
            });
            let expected = expected.map(str::to_owned).map_err(|end| format!("process `subject` {end}"));
            assert_eq!(got, expected, "{fact}: {method} of a process that is {stage}");
            if stage == "running" {
                process.kill().expect("started");
            }
        }
    }
}

#[test]
fn f15_close_is_refused_while_it_runs_and_may_come_twice() {
    let (fixture, lines) = watched();
    let process = busy(&fixture, &lines, 1);
    let refused = process.close().expect_err("it runs").to_string();
    assert!(refused.ends_with("runs: join or terminate it before it is closed"), "{refused}");
    process.kill().expect("started");
    process.join(None).expect("started");
    process.close().expect("it has ended");
    process.close().expect("closed already");
    let new = act(&fixture, SHORT);
    new.close().expect("never started");
    assert_eq!(new.start().expect_err("closed").kind(), ErrorKind::Misuse);
}

#[test]
fn f15_what_was_returned_can_be_taken_once_also_after_close() {
    let fixture = actor();
    let mut process = act(&fixture, SHORT);
    assert_eq!(process.result().expect_err("not started").kind(), ErrorKind::Misuse);
    process.start().expect("a process");
    process.join(None).expect("started");
    process.close().expect("it has ended");
    assert_eq!(process.result().expect("a result"), 7);
    let error = process.result().expect_err("taken");
    assert!(error.to_string().ends_with("was taken before"), "{error}");
}

#[test]
fn f1_names_count_up_and_can_be_any() {
    let fixture = actor();
    let number = |process: &Process<i32>| {
        process.name().strip_prefix("Process-").and_then(|number| number.parse::<u64>().ok())
    };
    let (one, two) = (act(&fixture, SHORT), act(&fixture, SHORT));
    assert!(number(&one).expect("Process-N") < number(&two).expect("Process-N"));
    assert_eq!(act(&fixture, SHORT).named("Ada").name(), "Ada");
    one.set_name("Ada");
    assert_eq!(one.name(), "Ada");
}

#[test]
fn f4_join_takes_a_time_and_may_be_called_many_times() {
    let (fixture, lines) = watched();
    let process = busy(&fixture, &lines, 1);
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let started = Instant::now();
        assert!(!process.join(Some(limit)).expect("started"));
        assert!(started.elapsed() >= limit);
    }
    process.terminate().expect("started");
    for limit in [None, Some(Duration::ZERO), Some(Duration::MAX), None] {
        assert!(process.join(limit).expect("started"));
    }
}

/// F9 and P1: how a process ends, its exit code, and what Python only prints.
#[test]
fn f9_every_end_has_its_exit_code_and_its_failure() {
    let fixture = tasks(1);
    check_end::<_, i64>(&fixture.module, "square", 7i64, 0, None);
    check_end::<_, ()>(&fixture.module, "fails", "no".to_owned(), 1, Some(FailureKind::Failed));
    check_end::<_, ()>(&fixture.module, "panics", "boom".to_owned(), 1, Some(FailureKind::Panicked));
    check_end::<_, ()>(&fixture.module, "traps", (), 1, Some(FailureKind::Trapped));
    for code in [0, 3, 255] {
        check_end::<_, ()>(&fixture.module, "exits", code, code, Some(FailureKind::Exited(code)));
    }
    check_end::<_, ()>(&fixture.module, "exits", -1, 255, Some(FailureKind::Exited(-1)));
    // One of its values is a text, where the caller wants numbers.
    let wanted = FailureKind::BadResult;
    check_end::<_, std::collections::BTreeMap<String, i64>>(
        &fixture.module,
        "about_me",
        1i64,
        1,
        Some(wanted),
    );
}

fn check_end<A: serde::Serialize, R: serde::de::DeserializeOwned + Send + 'static>(
    module: &Module,
    task: &str,
    arguments: A,
    code: i32,
    kind: Option<FailureKind>,
) {
    let task_name = task;
    let task = module.task::<A, R>(task).expect("a task");
    let mut process = Process::new(&task, arguments).expect("arguments");
    process.start().expect("a process");
    process.join(None).expect("started");
    assert_eq!(process.exit_code().expect("not closed"), Some(code), "{task_name}");
    match kind {
        None => drop(process.result().unwrap_or_else(|error| panic!("{task_name}: {error}"))),
        Some(kind) => assert_eq!(failure(process.result()).kind(), kind, "{task_name}"),
    }
}

#[test]
fn f9_f13_f14_whoever_kills_it_the_code_is_the_signals() {
    let (fixture, lines) = watched();
    type Deed = fn(&Process<i32>);
    let deeds: [(&str, Deed, i32); 6] = [
        ("terminate", |process| process.terminate().expect("started"), 15),
        ("kill", |process| process.kill().expect("started"), 9),
        ("SIGKILL from outside", |process| assert!(send(pid(process), Signal::KILL)), 9),
        ("SIGABRT from outside", |process| assert!(send(pid(process), Signal::ABORT)), 6),
        (
            "terminate while it is stopped",
            |process| {
                assert!(send(pid(process), Signal::STOP));
                process.terminate().expect("started");
            },
            15,
        ),
        (
            "kill while it is stopped",
            |process| {
                assert!(send(pid(process), Signal::STOP));
                process.kill().expect("started");
            },
            9,
        ),
    ];
    for (round, (name, deed, signal)) in (1..).zip(deeds) {
        let mut process = busy(&fixture, &lines, round);
        deed(&process);
        assert!(process.join(None).expect("started"), "{name}");
        assert_eq!(process.exit_code().expect("not closed"), Some(-signal), "{name}");
        assert!(!process.is_alive().expect("not closed"), "{name}");
        let lost = failure(process.result());
        assert_eq!(lost.kind(), FailureKind::WorkerLost(Exit::Signal(signal)), "{name}");
        // Nothing is left, not even a zombie.
        assert_eq!(processes::Process::find(pid(&process)), None, "{name}");
    }
    assert_eq!(lines.count(), deeds.len(), "nothing was run again");
}

#[test]
fn one_killed_before_it_can_begin_ends_like_any_other() {
    let fixture = actor();
    for _ in 0..20 {
        let mut process = act(&fixture, BUSY);
        process.start().expect("a process");
        process.kill().expect("started");
        process.join(None).expect("started");
        assert_eq!(process.exit_code().expect("not closed"), Some(-9));
        assert_eq!(failure(process.result()).kind(), FailureKind::WorkerLost(Exit::Signal(9)));
    }
}

#[test]
fn a_stopped_process_is_alive_and_goes_on() {
    let (fixture, lines) = watched();
    let process = busy(&fixture, &lines, 1);
    assert!(send(pid(&process), Signal::STOP));
    wait_until(|| processes::Process::find(pid(&process)).is_some_and(|process| process.state == 'T'));
    assert!(process.is_alive().expect("not closed"));
    assert!(!is_readable(&process.sentinel().expect("started"), 0));
    assert!(send(pid(&process), Signal::CONT));
    process.terminate().expect("started");
    process.join(None).expect("started");
}

#[test]
fn a_process_has_the_time_that_its_task_has() {
    let fixture = actor();
    let task = fixture.module.task::<Act, i32>("act").expect("a task");
    let limit = Duration::from_millis(50);
    for task in [task.clone().timeout(limit), task.deadline(limit)] {
        let mut process = task.process(BUSY).expect("arguments");
        process.start().expect("a process");
        process.join(None).expect("started");
        assert_eq!(process.exit_code().expect("not closed"), Some(-9));
        assert_eq!(failure(process.result()).kind(), FailureKind::TimedOut);
    }
}

#[test]
fn nothing_is_run_again_whatever_the_task_says() {
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()).retries(5), "actor", ACTOR);
    let mut process = act(&fixture, (i32::from(b'b'), 0, 0, 1));
    process.start().expect("a process");
    let trapped = failure(process.result());
    assert_eq!((trapped.kind(), trapped.attempt()), (FailureKind::Trapped, 1));
    assert_eq!(lines.all(), ["b"]);
}

#[test]
fn f11_the_sentinel_is_readable_when_it_has_ended_and_not_before() {
    let (fixture, lines) = watched();
    let ended = act(&fixture, SHORT);
    ended.start().expect("a process");
    let running = busy(&fixture, &lines, 1);
    let sentinels = [&ended, &running].map(|process| process.sentinel().expect("started"));
    let mut polled: Vec<_> = sentinels.iter().map(|sentinel| PollFd::new(sentinel, PollFlags::IN)).collect();
    rustix::event::poll(&mut polled[..1], None).expect("it can be polled");
    // Whoever has seen that finds everything settled.
    assert!(!ended.is_alive().expect("not closed"));
    assert_eq!(ended.exit_code().expect("not closed"), Some(0));
    ended.close().expect("it has ended");
    let ready = rustix::event::poll(&mut polled, None).expect("they can be polled");
    // Some kernels add that it has hung up.
    assert!(ready == 1 && polled[0].revents().contains(PollFlags::IN) && polled[1].revents().is_empty());
    running.kill().expect("started");
    assert!(is_readable(&sentinels[1], 60));
}

#[test]
fn f16_lines_come_out_whole_from_many_processes_at_once() {
    let lines = Lines::default();
    let fixture = wasmpool_tests::tasks_in(builder(1).on_output(lines.taker()));
    let prints = fixture.module.task::<u64, ()>("prints").expect("a task");
    let processes: Vec<_> = (0..10).map(|_| prints.process(500).expect("arguments")).collect();
    processes.iter().for_each(|process| process.start().expect("a process"));
    for process in &processes {
        process.join(None).expect("started");
        assert_eq!(process.exit_code().expect("not closed"), Some(0));
    }
    // Once a process is joined, all that it printed is there.
    let mut seen = lines.all();
    seen.sort();
    let mut expected: Vec<String> =
        (0..10).flat_map(|_| (1..=500).map(|line| format!("line {line}"))).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn f17_cores_are_counted_as_this_process_may_use_them() {
    let allowed = rustix::thread::sched_getaffinity(None).expect("this thread's cores").count() as usize;
    assert!((1..=allowed).contains(&cpu_count()), "{} of {allowed}", cpu_count());
}

#[test]
fn f18_active_children_are_those_that_run_whether_somebody_holds_them_or_not() {
    let (fixture, lines) = watched();
    let of_this_test = || -> Vec<String> {
        let names = active_children().into_iter().map(|child| child.name());
        names.filter(|name| name.starts_with("f18")).collect()
    };
    let process = act(&fixture, BUSY).named("f18 held");
    assert!(of_this_test().is_empty(), "one that is new is not alive");
    process.start().expect("a process");
    let left = act(&fixture, BUSY).named("f18 left");
    left.start().expect("a process");
    drop(left);
    lines.wait_for("b", 2);
    assert_eq!(of_this_test(), ["f18 held", "f18 left"]);
    let children = active_children();
    let left = children.iter().find(|child| child.name() == "f18 left").expect("it is alive");
    left.kill().expect("started");
    left.join(None).expect("started");
    assert_eq!(left.exit_code().expect("not closed"), Some(-9));
    assert_eq!(of_this_test(), ["f18 held"]);
    process.terminate().expect("started");
    process.join(None).expect("started");
    assert!(of_this_test().is_empty());
}

#[test]
fn f7_a_pool_that_goes_terminates_daemons_and_waits_for_the_others() {
    let (fixture, lines) = watched();
    let daemon = busy_daemon(&fixture, &lines);
    // Long enough to be seen running, and it ends by itself.
    let other = act(&fixture, (i32::from(b'o'), 300_000_000, i32::from(b'e'), 0));
    other.start().expect("a process");
    lines.wait_for("o", 1);
    drop(fixture);
    assert_eq!(daemon.exit_code().expect("not closed"), Some(-15));
    assert_eq!(other.exit_code().expect("not closed"), Some(0));
    assert_eq!(lines.all().last().map(String::as_str), Some("e"));
}

fn busy_daemon(fixture: &Fixture, lines: &Lines) -> Process<i32> {
    let daemon = act(fixture, BUSY).daemon(true);
    assert!(daemon.is_daemon());
    daemon.start().expect("a process");
    lines.wait_for("b", 1);
    daemon
}

#[test]
fn no_process_is_started_in_a_pool_that_is_gone() {
    let _watchdog = Watchdog::start();
    let pool = builder(1).build().expect("a pool");
    let module = pool.load_bytes("actor", ACTOR.as_bytes()).expect("a module");
    let task = module.task::<Act, i32>("act").expect("a task");
    pool.close();
    let process = task.process(SHORT).expect("arguments");
    assert_eq!(process.start().expect_err("no pool").kind(), ErrorKind::Closed);
    assert!(!process.is_alive().expect("not closed"));
}

#[test]
fn f35_what_is_granted_to_a_task_is_granted_to_its_processes() {
    let fixture = tasks(1);
    let counter = fixture.pool.value::<i32>("counter", 0).expect("a value");
    let task = fixture.module.task::<i64, ()>("count_process").expect("a task").grant(&counter);
    let processes: Vec<_> = (0..10).map(|number| task.process(number).expect("arguments")).collect();
    processes.iter().for_each(|process| process.start().expect("a process"));
    for process in &processes {
        process.join(None).expect("started");
        assert_eq!(process.exit_code().expect("not closed"), Some(0));
    }
    assert_eq!(counter.get().expect("a number"), 10);
}

/// P4: Python's lock stays locked for ever.
#[test]
fn f13_what_a_terminated_process_held_is_free_when_it_is_joined() {
    let fixture = tasks(1);
    let lock = fixture.pool.lock("lock").expect("a lock");
    let holder = fixture.module.task::<(), ()>("hold_lock_and_spin").expect("a task").grant(&lock);
    let holder = holder.process(()).expect("arguments");
    holder.start().expect("a process");
    wait_until(|| lock.try_lock().expect("no failure").is_none());
    holder.terminate().expect("started");
    holder.join(None).expect("started");
    let guard = lock.try_lock().expect("no failure").expect("free");
    assert!(guard.owner_died());
}

#[test]
fn fifty_processes_run_at_once_and_all_are_joined() {
    let (fixture, lines) = watched();
    let mut processes: Vec<_> = (0..50).map(|_| act(&fixture, BUSY)).collect();
    processes.iter().for_each(|process| process.start().expect("a process"));
    lines.wait_for("b", 50);
    let pids: std::collections::BTreeSet<u32> = processes.iter().map(pid).collect();
    assert_eq!(pids.len(), 50);
    processes.iter().for_each(|process| process.terminate().expect("started"));
    for process in &mut processes {
        process.join(None).expect("started");
        assert_eq!(failure(process.result()).kind(), FailureKind::WorkerLost(Exit::Signal(15)));
    }
    assert!(pids.iter().all(|pid| processes::Process::find(*pid).is_none()));
}

#[test]
fn calls_are_told_their_processes_name_and_id() {
    let fixture = tasks(1);
    let whoami = fixture.module.task::<(), String>("whoami").expect("a task");
    let mut process = whoami.process(()).expect("arguments").named("Ada");
    process.start().expect("a process");
    process.join(None).expect("started");
    let expected = format!("I am Ada with process id {}", pid(&process));
    assert_eq!(process.result().expect("a result"), expected);
    let worker = processes::workers(&fixture.pool)[0];
    let expected = format!("I am PoolWorker-1 with process id {worker}");
    assert_eq!(whoami.apply(()).expect("a result"), expected);
}

/// Tells what `current` says: job, index, seed, process id, worker, attempt, and of the process's name eight bytes.
const TELLER: &str = r#"(module
  (import "wasmpool" "current" (func $current (param i32)))
  (memory (export "memory") 1)
  (func (export "tell") (param i64) (result i64 i64 i64 i32 i32 i32 i64)
    (call $current (i32.const 8))
    (i64.load (i32.const 8))
    (i64.load (i32.const 16))
    (i64.load (i32.const 24))
    (i32.load (i32.const 32))
    (i32.load (i32.const 36))
    (i32.load (i32.const 40))
    (i64.load (i32.const 48)))
  ;; Asks for it where there is no room.
  (func (export "ask") (param $address i32)
    (call $current (local.get $address))))"#;

/// What [`TELLER`] tells.
type Told = (i64, i64, i64, i32, i32, i32, i64);

/// As `PoolWorker-1` and its siblings begin.
const POOL_WORK: i64 = i64::from_le_bytes(*b"PoolWork");

fn told(pool: wasmpool::Builder, jobs: usize) -> Vec<Vec<Told>> {
    let fixture = text_in(pool, "teller", TELLER);
    let tell = fixture.module.task::<i64, Told>("tell").expect("a task");
    (0..jobs).map(|_| tell.map(0..40).expect("results")).collect()
}

#[test]
fn calls_are_told_job_and_index_and_a_seed_that_no_number_of_workers_changes() {
    let seeds = |workers: i32, is_fresh: bool| -> Vec<u64> {
        let jobs = told(builder(workers as usize).fresh(is_fresh), 2);
        for (number, calls) in (1..).zip(&jobs) {
            for (at, call) in (0..).zip(calls) {
                let (job, index, _, pid, worker, attempt, name) = *call;
                assert_eq!((job, index, attempt, name), (number, at, 1, POOL_WORK));
                assert!((0..workers).contains(&worker) && pid > 0, "{call:?}");
            }
        }
        jobs.iter().flatten().map(|(_, _, seed, ..)| *seed as u64).collect()
    };
    let one = seeds(1, false);
    for (workers, is_fresh) in [(3, false), (1, true), (3, true)] {
        assert_eq!(one, seeds(workers, is_fresh));
    }
    let expected =
        (1..3).flat_map(|job| (0..40).map(move |index| wasmpool_abi::current::seed(0, job, index)));
    assert!(one.iter().copied().eq(expected));
    let different: std::collections::BTreeSet<&u64> = one.iter().collect();
    assert_eq!(different.len(), one.len());
}

#[test]
fn in_a_deterministic_pool_calls_are_told_the_same_each_time() {
    let run = |workers: usize, seed: u64| told(builder(workers).deterministic(seed), 1);
    let one = run(1, 7);
    assert_eq!(one, run(3, 7));
    assert_eq!(one[0][5], (1, 5, wasmpool_abi::current::seed(7, 1, 5) as i64, 0, 0, 1, POOL_WORK));
    assert_ne!(one, run(1, 8));
}

#[test]
fn who_asks_to_be_told_beyond_its_memory_traps() {
    let fixture = text(1, "teller", TELLER);
    let ask = fixture.module.task::<i32, ()>("ask").expect("a task");
    let room = wasmpool_abi::current::RECORD_BYTES as i32;
    ask.apply(65_536 - room).expect("just enough room");
    for address in [65_536 - room + 1, 65_536, -1, i32::MIN] {
        assert_eq!(failure(ask.apply(address)).kind(), FailureKind::Trapped, "{address}");
    }
}

#[test]
fn calls_of_processes_are_told_of_jobs_and_processes_of_their_own() {
    let fixture = text(1, "teller", TELLER);
    let tell = fixture.module.task::<i64, Told>("tell").expect("a task");
    for number in 1..4 {
        let mut process = tell.process(0).expect("arguments");
        process.start().expect("a process");
        let (job, index, seed, told_pid, _, attempt, name) = process.result().expect("a result");
        assert_eq!((job, index, attempt, name), (number, 0, 1, i64::from_le_bytes(*b"Process-")));
        assert_eq!(seed as u64, wasmpool_abi::current::seed(0, number as u64, 0));
        assert_eq!(told_pid as u32, pid(&process));
    }
}

#[test]
fn tasks_of_numbers_are_told_their_index_too() {
    let fixture = tasks(2);
    let my_index = fixture.module.task::<i64, i64>("my_index").expect("a task");
    let indices = my_index.map(100..20_100).expect("results");
    assert!(indices.into_iter().eq(0..20_000));
}

#[test]
fn calls_are_told_which_attempt_they_are() {
    let fixture = tasks(2);
    let task = fixture.module.task::<u32, u32>("succeeds_at").expect("a task").retries(3);
    assert_eq!(task.map([1, 4, 2, 3, 1]).expect("results"), [1, 4, 2, 3, 1]);
    assert_eq!(failure(task.apply(5)).attempt(), 4);
}

#[test]
#[ignore = "a measurement: run it alone, optimised, on an idle machine"]
#[allow(clippy::print_stdout, reason = "it is there for what it prints")]
fn time_from_start_to_joined() {
    const ROUNDS: usize = 200;
    let fixture = actor();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let process = act(&fixture, SHORT);
            let started = Instant::now();
            process.start().expect("a process");
            process.join(None).expect("started");
            started.elapsed()
        })
        .collect();
    times.sort();
    let (best, median, p90) = (times[0], times[ROUNDS / 2], times[ROUNDS * 9 / 10]);
    println!("start to joined: best {best:?}, median {median:?}, nine in ten below {p90:?}");
}
