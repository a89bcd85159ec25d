//! Calls and workers that end while others wait for what they hold: everybody goes on, and is told.

#![allow(clippy::print_stdout, reason = "figures, for those who ask for a test's output")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use wasmpool::shared::{Event, PipeEnd, Queue, QueueOptions, SharedErrorKind};
use wasmpool::{FailureKind, Module};
use wasmpool_tests::processes::{self, Process, send};
use wasmpool_tests::script::{Script, check, run, script, script_then, short};
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{Fixture, builder, failure, rows, tasks, text_in, ways_to_keep_instances};

wasmpool::test_support!();

/// Longest time from a death to what it sets free, on a busy machine; usually it is less than a millisecond.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(5);

/// Time limit of a call that is to run into it, longer than what comes before takes.
const CALL_TIME_MAX: Duration = Duration::from_millis(400);

/// Ways in which a call can end while it holds something.
const ENDINGS: [(&str, Option<FailureKind>); 7] = [
    ("return", None),
    ("kill", Some(FailureKind::WorkerLost(wasmpool::Exit::Signal(9)))),
    ("trap", Some(FailureKind::Trapped)),
    ("panic", Some(FailureKind::Panicked)),
    ("fail", Some(FailureKind::Failed)),
    ("exit", Some(FailureKind::Exited(3))),
    ("time out", Some(FailureKind::TimedOut)),
];

/// What calls tell the test, and what they wait for.
struct Stage {
    fixture: Fixture,
    stage: Queue<String>,
    go: Event,
}

impl Stage {
    fn new(workers: usize) -> Self {
        let fixture = tasks(workers);
        let stage = fixture.pool.queue("stage", 16).expect("a queue");
        let go = fixture.pool.event("go").expect("an event");
        Self { fixture, stage, go }
    }

    /// The module, which may use the stage.
    fn module(&self) -> Module {
        self.fixture.module.clone().grant(&self.stage).grant(&self.go)
    }

    fn hear(&self, word: &str) {
        assert_eq!(self.stage.get().expect("a word"), word);
    }

    /// The worker that turns round and round, while all others sleep.
    fn spinning(&self) -> u32 {
        let mut seen = None;
        let mut count = 0;
        wait_until(|| {
            let pids = self.fixture.pool.worker_pids().into_iter();
            let running: Vec<u32> =
                pids.filter(|pid| Process::find(*pid).is_some_and(|worker| worker.state == 'R')).collect();
            let only = if let [pid] = running[..] { Some(pid) } else { None };
            count = if only.is_some() && only == seen { count + 1 } else { 0 };
            seen = only;
            count >= 5
        });
        seen.expect("one was seen")
    }

    /// The only worker, once it sleeps inside its call.
    fn asleep(&self) -> u32 {
        let pid = processes::workers(&self.fixture.pool)[0];
        wait_until(|| Process::find(pid).is_some_and(|worker| worker.state == 'S'));
        pid
    }
}

fn say(word: &str) -> Json {
    json!(["queue", "stage", "put", word])
}

/// An object that a call holds and others want.
struct Held {
    what: &'static str,
    /// Grants it.
    grant: fn(&Stage, Module) -> Module,
    hold: Json,
    take: Json,
    /// What it answers to the next one.
    taken: Json,
}

fn held() -> Vec<Held> {
    let told = json!({ "owner_died": true });
    vec![
        Held {
            what: "lock",
            grant: |stage, module| module.grant(&stage.fixture.pool.lock("x").expect("a lock")),
            hold: json!([["lock", "x", "acquire"]]),
            take: json!(["lock", "x", "lock"]),
            taken: told.clone(),
        },
        Held {
            what: "rlock",
            grant: |stage, module| module.grant(&stage.fixture.pool.rlock("x").expect("a lock")),
            hold: json!([["rlock", "x", "acquire"], ["rlock", "x", "acquire"]]),
            take: json!(["rlock", "x", "lock"]),
            taken: told.clone(),
        },
        Held {
            what: "value's lock",
            grant: |stage, module| module.grant(&stage.fixture.pool.value("x", 1i64).expect("a value")),
            hold: json!([["value:i64", "x", "acquire"], ["value:i64", "x", "set", 7]]),
            take: json!(["value:i64", "x", "lock"]),
            taken: told.clone(),
        },
        Held {
            what: "array's lock",
            grant: |stage, module| module.grant(&stage.fixture.pool.array::<u8>("x", 9).expect("an array")),
            hold: json!([["array:u8", "x", "acquire"]]),
            take: json!(["array:u8", "x", "lock"]),
            taken: told,
        },
        Held {
            what: "condition's lock",
            grant: |stage, module| module.grant(&stage.fixture.pool.condition("x").expect("a condition")),
            hold: json!([["condition", "x", "acquire"]]),
            take: json!(["condition", "x", "acquire"]),
            taken: json!(null),
        },
        Held {
            what: "semaphore",
            grant: |stage, module| module.grant(&stage.fixture.pool.semaphore("x", 2).expect("a semaphore")),
            hold: json!([["semaphore", "x", "acquire"], ["semaphore", "x", "acquire"]]),
            take: json!(["semaphore", "x", "acquire"]),
            taken: json!(null),
        },
        Held {
            what: "bounded semaphore",
            grant: |stage, module| {
                module.grant(&stage.fixture.pool.bounded_semaphore("x", 2).expect("a semaphore"))
            },
            hold: json!([["bounded_semaphore", "x", "acquire"], ["bounded_semaphore", "x", "acquire"]]),
            take: json!(["bounded_semaphore", "x", "acquire_for", 60_000]),
            taken: json!(true),
        },
        Held {
            what: "exclusive lease",
            grant: |stage, module| module.grant(&stage.fixture.pool.array::<i64>("x", 9).expect("an array")),
            hold: json!([["array:i64", "x", "lease", 0, 9]]),
            take: json!(["event", "go", "wait"]),
            taken: json!(null),
        },
    ]
}

/// Lets a call end like this while it holds something that another call waits for.
fn hands_on(ending: &str, kind: Option<FailureKind>, held: &Held) -> Duration {
    let stage = Stage::new(2);
    let module = (held.grant)(&stage, stage.module());
    let holding = match ending {
        "time out" => script_then(&module).timeout(CALL_TIME_MAX),
        _ => script_then(&module),
    };
    let taking = script(&module);
    let mut steps = held.hold.as_array().expect("steps").clone();
    steps.extend([say("held"), json!(["event", "go", "wait"])]);
    let how = if matches!(ending, "kill" | "time out") { "spin" } else { ending };
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| holding.apply((steps, how.to_owned())));
        stage.hear("held");
        let taker = scope.spawn(|| {
            let answers = run(&taking, &[say("waits"), held.take.clone()]);
            (answers[1].clone(), Instant::now())
        });
        stage.hear("waits");
        stage.go.set().expect("set");
        stage.hear(how);
        let mut begin = Instant::now();
        if ending == "kill" {
            let pid = stage.spinning();
            begin = Instant::now();
            assert!(send(pid, Signal::KILL));
        }
        if ending == "time out" {
            begin += CALL_TIME_MAX;
        }
        let ended = holder.join().expect("no panic");
        let (answer, at) = taker.join().expect("no panic");
        let what = held.what;
        assert_eq!(answer, held.taken, "{what} of a call that ends by {ending}");
        match kind {
            None => drop(ended.unwrap_or_else(|error| panic!("{what}, {ending}: {error}"))),
            Some(kind) => assert_eq!(failure(ended).kind(), kind, "{what}, {ending}"),
        }
        at.saturating_duration_since(begin)
    })
}

fn everything_is_handed_on_by(ending: &str) {
    let (_, kind) = ENDINGS.iter().find(|(name, _)| *name == ending).expect("one of them");
    for held in held() {
        let elapsed = hands_on(ending, *kind, &held);
        println!("{}: {elapsed:?} after the call's end by {ending}", held.what);
        assert!(elapsed < RELEASE_TIME_MAX, "{}: {elapsed:?}", held.what);
    }
}

#[test]
fn what_a_returning_call_holds_is_handed_on() {
    everything_is_handed_on_by("return");
}

#[test]
fn what_a_killed_worker_holds_is_handed_on() {
    everything_is_handed_on_by("kill");
}

#[test]
fn what_a_trapping_call_holds_is_handed_on() {
    everything_is_handed_on_by("trap");
}

#[test]
fn what_a_panicking_call_holds_is_handed_on() {
    everything_is_handed_on_by("panic");
}

#[test]
fn what_a_failing_call_holds_is_handed_on() {
    everything_is_handed_on_by("fail");
}

#[test]
fn what_an_exiting_call_holds_is_handed_on() {
    everything_is_handed_on_by("exit");
}

#[test]
fn what_a_call_holds_beyond_its_time_is_handed_on() {
    everything_is_handed_on_by("time out");
}

#[test]
fn only_the_next_holder_is_told_of_the_death() {
    let stage = Stage::new(1);
    let lock = stage.fixture.pool.lock("x").expect("a lock");
    let counter = stage.fixture.pool.value("v", 0i64).expect("a value");
    let module = stage.module().grant(&lock).grant(&counter);
    let hold = script_then(&module);
    std::thread::scope(|scope| {
        let steps = vec![json!(["lock", "x", "acquire"]), json!(["value:i64", "v", "acquire"])];
        let holder = scope.spawn(|| hold.apply((steps, "spin".to_owned())));
        stage.hear("spin");
        assert!(lock.try_lock().expect("a lock").is_none());
        let waiter = scope.spawn(|| {
            let guard = lock.lock().expect("the dead hold nothing");
            (guard.owner_died(), Instant::now())
        });
        let begin = Instant::now();
        assert!(send(stage.spinning(), Signal::KILL));
        let (was_told, at) = waiter.join().expect("no panic");
        println!("a thread of the host: {:?} after the kill", at.saturating_duration_since(begin));
        assert!(was_told);
        assert!(counter.lock().expect("free").owner_died());
        failure(holder.join().expect("no panic"));
    });
    assert!(!lock.lock().expect("free").owner_died(), "the one before has been told");
    assert!(!counter.lock().expect("free").owner_died());
    assert!(!lock.is_locked().expect("a state"));
}

#[test]
fn all_permits_of_the_dead_come_back() {
    let stage = Stage::new(1);
    let seats = stage.fixture.pool.semaphore("x", 5).expect("a semaphore");
    let hold = script_then(&stage.module().grant(&seats));
    std::thread::scope(|scope| {
        let acquire = json!(["semaphore", "x", "acquire"]);
        let steps = vec![acquire.clone(), acquire.clone(), acquire];
        let holder = scope.spawn(|| hold.apply((steps, "spin".to_owned())));
        stage.hear("spin");
        assert_eq!(seats.available().expect("permits"), 2);
        assert!(send(stage.spinning(), Signal::KILL));
        failure(holder.join().expect("no panic"));
    });
    assert_eq!(seats.available().expect("permits"), 5);
}

/// Kills a worker in the midst of a step in which it sleeps, while `meanwhile` looks on; that is told when.
fn killed_in<R: Send>(
    stage: &Stage,
    steps: &Script,
    before: &[Json],
    step: Json,
    meanwhile: impl FnOnce() -> R + Send,
) -> R {
    std::thread::scope(|scope| {
        let steps_of_call: Vec<Json> = before.iter().cloned().chain([say("waits"), step]).collect();
        let sleeper = scope.spawn(|| steps.apply(steps_of_call));
        stage.hear("waits");
        let pid = stage.asleep();
        let other = scope.spawn(meanwhile);
        assert!(send(pid, Signal::KILL));
        failure(sleeper.join().expect("no panic"));
        other.join().expect("no panic")
    })
}

#[test]
fn a_barrier_breaks_when_a_party_dies() {
    let stage = Stage::new(1);
    let barrier = stage.fixture.pool.barrier("x", 3).expect("a barrier");
    let steps = script(&stage.module().grant(&barrier));
    let waited = killed_in(&stage, &steps, &[], json!(["barrier", "x", "wait"]), || barrier.wait());
    assert_eq!(waited.expect_err("broken").kind(), SharedErrorKind::Broken);
    check(&steps, &rows! { ["barrier", "x", "wait"] ! Broken; ["barrier", "x", "reset"] => null; });
    assert!(!barrier.is_broken().expect("a state"));
}

#[test]
fn a_barrier_breaks_when_a_party_dies_before_it_waits() {
    let stage = Stage::new(1);
    let barrier = stage.fixture.pool.barrier("x", 2).expect("a barrier");
    let steps = script(&stage.module().grant(&barrier));
    let opened = [json!(["barrier", "x", "parties"])];
    let waited = killed_in(&stage, &steps, &opened, json!(["event", "go", "wait"]), || barrier.wait());
    assert_eq!(waited.expect_err("broken").kind(), SharedErrorKind::Broken);
}

#[test]
fn those_who_died_waiting_take_nothing_with_them() {
    let stage = Stage::new(1);
    let pool = &stage.fixture.pool;
    let (event, condition) = (pool.event("e").expect("an event"), pool.condition("c").expect("a condition"));
    let (queue, lock) = (pool.queue::<i64>("q", 2).expect("a queue"), pool.lock("l").expect("a lock"));
    let semaphore = pool.semaphore("s", 0).expect("a semaphore");
    let module = stage.module().grant(&event).grant(&condition).grant(&queue).grant(&lock).grant(&semaphore);
    let steps = script(&module);
    // An event.
    killed_in(&stage, &steps, &[], json!(["event", "e", "wait"]), || ());
    event.set().expect("nobody is in the way");
    event.wait().expect("set");
    // A condition: one notification is not lost to the dead.
    let acquired = [json!(["condition", "c", "acquire"])];
    killed_in(&stage, &steps, &acquired, json!(["condition", "c", "wait"]), || ());
    std::thread::scope(|scope| {
        let waiter = scope
            .spawn(|| run(&steps, &[acquired[0].clone(), say("waits"), json!(["condition", "c", "wait"])]));
        stage.hear("waits");
        // The lock is free when the guest sleeps at the condition.
        let guard = condition.lock().expect("the lock");
        guard.notify(1).expect("held");
        drop(guard);
        assert_eq!(waiter.join().expect("no panic")[2], json!(null));
    });
    // A queue.
    killed_in(&stage, &steps, &[], json!(["queue", "q", "get"]), || ());
    queue.put(&7).expect("room");
    check(&steps, &rows! { ["queue", "q", "len"] => 1; ["queue", "q", "get"] => 7; });
    // Room in a queue.
    queue.put(&1).expect("room");
    queue.put(&2).expect("room");
    killed_in(&stage, &steps, &[], json!(["queue", "q", "put", 3]), || ());
    check(
        &steps,
        &rows! { ["queue", "q", "get"] => 1; ["queue", "q", "get"] => 2; ["queue", "q", "try_get"] => null; },
    );
    // A lock that the host holds all the time.
    lock.acquire().expect("free");
    killed_in(&stage, &steps, &[], json!(["lock", "l", "acquire"]), || ());
    lock.release().expect("held");
    check(&steps, &rows! { ["lock", "l", "lock"] => { "owner_died": false }; });
    // A semaphore.
    killed_in(&stage, &steps, &[], json!(["semaphore", "s", "acquire"]), || ());
    semaphore.release(1).expect("room");
    assert_eq!(semaphore.available().expect("permits"), 1, "the dead took none");
    // Several at once.
    let any = json!(["wait_any", [["queue", "q"], ["event", "go"]], null]);
    killed_in(&stage, &steps, &[], any.clone(), || ());
    queue.put(&8).expect("room");
    assert_eq!(run(&steps, &[any]), [json!([0])]);
}

/// Lets a call take an item of a queue of 1, 2, 3 and end like this.
fn takes_an_item_and_ends(stage: &Stage, queue: &Queue<i64>, ending: &str) {
    takes_an_item_of(stage, queue, stage.module().grant(queue), "queue", ending);
}

/// The same of the queue `q` of this kind, which is granted to the module.
fn takes_an_item_of(stage: &Stage, queue: &Queue<i64>, module: Module, kind: &str, ending: &str) {
    (1..=3).for_each(|number| queue.put(&number).expect("room"));
    let take = script_then(&module);
    let how = if ending == "kill" { "spin" } else { ending };
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| take.apply((vec![json!([kind, "q", "get"])], how.to_owned())));
        stage.hear(how);
        if ending == "kill" {
            assert_eq!(queue.len().expect("a length"), 2, "one is in hand");
            assert!(send(stage.spinning(), Signal::KILL));
        }
        let taken = taker.join().expect("no panic");
        assert_eq!(taken.is_ok(), ending == "return", "{ending}");
    });
}

#[test]
fn an_item_in_the_hand_of_a_call_that_ends_badly_is_given_back_first() {
    for ending in ["kill", "trap", "panic", "fail", "exit"] {
        let stage = Stage::new(1);
        let queue = stage.fixture.pool.queue::<i64>("q", 3).expect("a queue");
        takes_an_item_and_ends(&stage, &queue, ending);
        let steps = script(&stage.module().grant(&queue));
        let get = json!(["queue", "q", "get"]);
        let answers = run(&steps, &[get.clone(), get.clone(), get]);
        assert_eq!(answers, [1, 2, 3], "{ending}: another call gets it, in its place");
        assert!(queue.take_reported().expect("a list").is_empty());
    }
}

#[test]
fn an_item_in_the_hand_of_a_call_that_ends_badly_is_reported_where_that_was_asked_for() {
    for ending in ["kill", "trap", "panic", "fail", "exit"] {
        let stage = Stage::new(1);
        let options = QueueOptions::new(3).report_orphans();
        let queue = stage.fixture.pool.queue_with::<i64>("q", options).expect("a queue");
        takes_an_item_and_ends(&stage, &queue, ending);
        let reported: Vec<i64> =
            queue.take_reported().expect("a list").into_iter().map(|item| item.expect("a number")).collect();
        assert_eq!(reported, [1], "{ending}");
        assert_eq!((queue.get().expect("an item"), queue.get().expect("an item")), (2, 3), "{ending}");
        assert!(queue.take_reported().expect("a list").is_empty(), "{ending}: told once");
    }
}

#[test]
fn an_item_that_was_reported_keeps_nobody_from_joining() {
    for ending in ["kill", "trap"] {
        let stage = Stage::new(1);
        let options = QueueOptions::new(3).report_orphans();
        let queue = stage.fixture.pool.joinable_queue_with::<i64>("q", options).expect("a queue");
        takes_an_item_of(&stage, &queue, stage.module().grant(&queue), "joinable_queue", ending);
        assert_eq!(queue.unfinished().expect("a count"), 2, "{ending}");
        assert_eq!((queue.get().expect("an item"), queue.get().expect("an item")), (2, 3), "{ending}");
        queue.task_done().expect("one of two");
        assert!(!queue.join_for(Duration::from_millis(20)).expect("time"), "{ending}");
        queue.task_done().expect("two of two");
        queue.join().expect("all are done");
        assert_eq!(queue.task_done().expect_err("all are done").kind(), SharedErrorKind::TooMany, "{ending}");
        assert_eq!(queue.take_reported().expect("a list").len(), 1, "{ending}");
    }
}

#[test]
fn an_item_in_the_hand_of_a_call_that_returns_is_dealt_with() {
    let stage = Stage::new(1);
    let queue = stage.fixture.pool.queue::<i64>("q", 3).expect("a queue");
    takes_an_item_and_ends(&stage, &queue, "return");
    assert_eq!((queue.get().expect("an item"), queue.get().expect("an item")), (2, 3));
    assert!(queue.is_empty().expect("a length"));
}

#[test]
fn a_call_that_is_run_again_gets_its_item_again() {
    let stage = Stage::new(1);
    let queue = stage.fixture.pool.queue::<i64>("q", 3).expect("a queue");
    queue.put(&1).expect("room");
    queue.put(&2).expect("room");
    let steps = script(&stage.module().grant(&queue)).retries(1);
    std::thread::scope(|scope| {
        let get = json!(["queue", "q", "get"]);
        let taker = scope.spawn(|| run(&steps, &[get, say("took"), json!(["event", "go", "wait"])]));
        stage.hear("took");
        assert!(send(stage.asleep(), Signal::KILL));
        stage.hear("took");
        stage.go.set().expect("set");
        assert_eq!(taker.join().expect("no panic")[0], 1);
    });
    assert_eq!(queue.get().expect("an item"), 2);
}

#[test]
fn the_other_end_of_a_pipe_hears_of_a_death() {
    let stage = Stage::new(1);
    let (left, right): (PipeEnd<i64>, PipeEnd<i64>) = stage.fixture.pool.pipe("p").expect("a pipe");
    let steps = script_then(&stage.module().grant(&right));
    std::thread::scope(|scope| {
        let sender =
            scope.spawn(|| steps.apply((vec![json!(["pipe", "p.1", "send", 7])], "spin".to_owned())));
        stage.hear("spin");
        drop(right);
        let receiver = scope.spawn(|| (left.recv(), left.recv(), Instant::now()));
        let pid = stage.spinning();
        let begin = Instant::now();
        assert!(send(pid, Signal::KILL));
        let (first, second, at) = receiver.join().expect("no panic");
        println!("the end of the file: {:?} after the kill", at.saturating_duration_since(begin));
        assert_eq!(first.expect("what was sent before"), 7);
        assert_eq!(second.expect_err("nobody sends").kind(), SharedErrorKind::EndOfFile);
        failure(sender.join().expect("no panic"));
    });
}

#[test]
fn a_holder_that_is_stopped_is_waited_for_and_not_robbed() {
    let stage = Stage::new(1);
    let lock = stage.fixture.pool.lock("x").expect("a lock");
    let hold = script(&stage.module().grant(&lock));
    std::thread::scope(|scope| {
        let steps = [
            json!(["lock", "x", "lock"]),
            say("held"),
            json!(["event", "go", "wait"]),
            json!(["lock", "x", "release"]),
        ];
        let holder = scope.spawn(move || run(&hold, &steps));
        stage.hear("held");
        let pid = stage.asleep();
        assert!(send(pid, Signal::STOP));
        wait_until(|| Process::find(pid).is_some_and(|worker| worker.state == 'T'));
        stage.go.set().expect("set");
        let waited = lock.lock_for(Duration::from_millis(300)).expect("a lock").is_some();
        let is_locked = lock.is_locked().expect("a state");
        assert!(send(pid, Signal::CONT));
        assert!(!waited && is_locked, "it was robbed");
        let guard = lock.lock().expect("released");
        assert!(!guard.owner_died());
        drop(guard);
        let answers = holder.join().expect("no panic");
        assert_eq!(answers, [json!({ "owner_died": false }), json!(null), json!(null), json!(null)]);
    });
}

#[test]
fn the_pool_works_after_every_way_to_die() {
    let stage = Stage::new(2);
    let lock = stage.fixture.pool.lock("x").expect("a lock");
    let module = stage.module().grant(&lock);
    let hold = script_then(&module);
    for (ending, kind) in ENDINGS.iter().filter(|(ending, _)| !matches!(*ending, "kill" | "time out")) {
        let ended = hold.apply((vec![json!(["lock", "x", "acquire"])], (*ending).to_owned()));
        stage.hear(ending);
        match kind {
            Some(kind) => assert_eq!(failure(ended).kind(), *kind),
            None => assert_eq!(short(&ended.expect("answers")[0]), json!(null)),
        }
        check(
            &script(&module),
            &rows! { ["lock", "x", "lock"] => { "owner_died": true }; ["lock", "x", "release"] => null; },
        );
    }
}

/// The mark that `canaries.wat` leaves.
const CANARY: i64 = 0x5ca1_ab1e_0ddb_a115;

/// Elements of the array in which it does: more than a megabyte.
const MARKED: usize = 150_000;

/// Pages of memory in which marks are looked for: all that views could have been in.
const HUNTED_PAGES: i32 = 200;

const CANARIES: &str = include_str!("../modules/canaries.wat");

#[test]
fn nothing_of_a_view_is_left_for_other_calls_and_modules() {
    const SHARED: i32 = 0;
    const EXCLUSIVE: i32 = 2;
    for (way, of) in ways_to_keep_instances() {
        let fixture = text_in(of(builder(1)), "planter", CANARIES);
        let array = fixture.pool.array::<i64>("a", MARKED).expect("an array");
        let module = fixture.module.clone().grant(&array);
        let other = fixture.pool.load_bytes("hunter", CANARIES.as_bytes()).expect("a module");
        let hunt_nothing = |when: &str| {
            let same = module.task::<i32, i64>("hunt").expect("a task");
            let foreign = other.task::<i32, i64>("hunt").expect("a task");
            let found = [&same, &foreign, &same].map(|hunt| hunt.apply(HUNTED_PAGES).expect("a number"));
            assert_eq!(found, [0; 3], "{way}, after {when}");
            let elements = array.to_vec().expect("nobody leases them");
            assert!(
                elements.iter().all(|element| *element == CANARY),
                "{way}, after {when}: the array changed"
            );
        };
        for mode in [SHARED, EXCLUSIVE] {
            let marks = (mode, MARKED as i64);
            let task = |name| module.task::<(i32, i64), i64>(name).expect("a task");
            // The hunter can see them where they are: otherwise it would prove nothing.
            assert_eq!(task("plant_and_hunt").apply(marks).expect("a number"), MARKED as i64);
            hunt_nothing("a hunt");
            task("plant").map([marks; 20]).expect("numbers");
            hunt_nothing("calls that returned");
            assert_eq!(failure(task("plant_and_trap").apply(marks)).kind(), FailureKind::Trapped);
            hunt_nothing("a trap");
            let late = task("plant_and_spin").timeout(Duration::from_millis(200));
            assert_eq!(failure(late.apply(marks)).kind(), FailureKind::TimedOut);
            hunt_nothing("a call beyond its time");
            if mode == SHARED {
                array.fill(.., 0).expect("nobody leases them");
            }
            std::thread::scope(|scope| {
                let spin = task("plant_and_spin");
                let spinning = scope.spawn(move || spin.apply(marks));
                // Others see an exclusive view by this alone, and its marks are there already.
                wait_until(|| {
                    array.get(MARKED - 1).map_or(mode == EXCLUSIVE, |last| last == CANARY && mode == SHARED)
                });
                let pid = processes::workers(&fixture.pool)[0];
                assert!(send(pid, Signal::KILL));
                let lost = failure(spinning.join().expect("no panic"));
                assert_eq!(lost.kind(), FailureKind::WorkerLost(wasmpool::Exit::Signal(9)));
            });
            hunt_nothing("a kill");
        }
    }
}
