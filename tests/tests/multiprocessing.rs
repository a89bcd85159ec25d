//! What Python's `multiprocessing` documents of its `Pool`, or was seen to do wrong, and what a pool does here.
//!
//! One row a behaviour: what Python does, what we do, and a function that holds us to it. Rows stand here where no other
//! test says the same; these do:
//!
//! | Python | here |
//! |---|---|
//! | `map` raises the failure that came first in time, and waits for all others | `order.rs`: the lowest index, and calls behind it are stopped |
//! | an item's error loses the rest of its chunk | `outcomes.rs`: `failing_calls_disturb_no_others` |
//! | an input iterator that raises | `order.rs`: `a_panic_of_the_input_iterator_is_the_callers_...` |
//! | an argument that cannot be pickled fails its own call | `outcomes.rs`: `inputs_that_cannot_be_sent_are_refused_...` |
//! | one death breaks a whole executor, and no worker is started again | `deaths.rs` |
//! | no call can be stopped, or has a time limit | `timeouts.rs` |
//! | a killed holder's lock is held for ever; a killed waiter hangs `set`, `notify_all`, `wait` and other readers | `shared_deaths.rs` |
//! | `terminate` leaves results that never come; a pool that is not closed may hang at exit | `lifetime.rs` |
//! | Ctrl-C leaves a pool that cannot be joined | `cli_processes.rs` |
//! | `apply_async`, `AsyncResult`, `Future`: waiting, `successful` too early, cancelling, `as_completed` | `handles.rs` |
//! | a callback that raises ends the thread of results; later calls hang | `handles.rs`: `callbacks_run_once_...` |
//! | `imap` takes 37,000 inputs after one `next`; an item's error ends it | `imap.rs` |
//! | `close`, `join`, `terminate`, `with`; `get` after `terminate` never returns | `pool_life.rs` |
//! | an initializer that raises starts workers for ever | `initializers.rs` |
//! | `Process`: its states, exit codes, daemons, sentinels | `process.rs`, `process_alone.rs` |
//! | `+=` from two processes loses a third | `shared_suite.rs`, `readme.rs`: `count_process` |
//! | shared memory twice as large as what is free can be made | `cli_shared.rs`: `an_array_beyond_this_machines_memory_...` |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use wasmpool::shared::{Queue, QueueOptions};
use wasmpool::{ErrorKind, FailureKind, Pool};
use wasmpool_tests::processes::{self, Process, send};
use wasmpool_tests::script::{run, script};
use wasmpool_tests::watchdog::{Watchdog, wait_until};
use wasmpool_tests::{Lines, builder, tasks, tasks_in};

wasmpool::test_support!();

/// A behaviour.
struct Row {
    /// Of which function of Python.
    of: &'static str,
    python: &'static str,
    here: &'static str,
    holds: fn(),
}

const ROWS: [Row; 15] = [
    Row {
        of: "Pool(processes)",
        python: "less than one process is a ValueError",
        here: "an error of settings that says what can be",
        holds: no_pool_is_without_workers,
    },
    Row {
        of: "Pool(processes)",
        python: "all workers are started at once, before there is anything to do",
        here: "the same",
        holds: all_workers_are_started_at_once,
    },
    Row {
        of: "Pool(maxtasksperchild)",
        python: "counts chunks and replaces the process; an executor's backlog beyond the limit never ends",
        here: "`recycle` counts calls and replaces the instance; the process stays, the backlog ends",
        holds: recycling_counts_calls_and_keeps_the_process,
    },
    Row {
        of: "Pool.apply",
        python: "returns the value, or raises what the task raised",
        here: "the same, and the pool goes on",
        holds: apply_returns_the_value_or_the_tasks_error,
    },
    Row {
        of: "Pool.map",
        python: "an empty iterable is an empty list",
        here: "the same, for ranges and for inputs of which nobody knows how many there are",
        holds: nothing_is_mapped_to_nothing,
    },
    Row {
        of: "Pool.starmap",
        python: "each input is a tuple of arguments",
        here: "the same",
        holds: starmap_spreads_tuples,
    },
    Row {
        of: "Pool.map, when a worker is killed",
        python: "its task is forgotten, and map never returns",
        here: "the calls that ran are lost and told, or run again; all others are not touched",
        holds: killed_workers_do_not_hang_a_map,
    },
    Row {
        of: "Pool.map, when a task exits",
        python: "os._exit and sys.exit end the worker, and map never returns",
        here: "the call ends with its exit code, also with 0, and costs no worker",
        holds: a_task_that_exits_costs_its_own_call,
    },
    Row {
        of: "Pool.map, of a result that cannot be unpickled",
        python: "the thread for results dies, and the whole pool hangs",
        here: "a bad result of its own call, whether the caller's type refuses it or panics",
        holds: a_result_that_cannot_be_read_costs_its_own_call,
    },
    Row {
        of: "Queue.get_nowait, Queue.qsize",
        python: "often Empty right after put; sizes are approximate",
        here: "what was put is there, and counted, at once",
        holds: what_was_put_is_there_at_once,
    },
    Row {
        of: "Queue.put",
        python: "pickles later: a change made afterwards is sent; what cannot be pickled is dropped with a printed word",
        here: "encodes before it returns: later changes are nobody's, what cannot be encoded is an error",
        holds: put_encodes_before_it_returns,
    },
    Row {
        of: "Queue, and joining who has put",
        python: "a child that has put a megabyte cannot be joined before somebody gets it",
        here: "a call that has put it returns, and its worker may even die",
        holds: nobody_waits_for_what_was_put_to_be_taken,
    },
    Row {
        of: "Value +=",
        python: "two accesses: of 2 x 50,000 additions 57,270 to 65,715 counted",
        here: "`fetch_add` is one: all of them count",
        holds: counters_count,
    },
    Row {
        of: "Queue, Value as an argument of a task",
        python: "RuntimeError: only by inheritance",
        here: "a handle goes as an argument to tasks that were granted the object, and else is an error",
        holds: handles_are_arguments_of_tasks_that_were_granted_them,
    },
    Row {
        of: "ShareableList",
        python: "trailing NULs are lost, text that is not ASCII may be cut",
        here: "texts come back as they were",
        holds: lists_keep_texts_as_they_are,
    },
];

#[test]
fn every_row_holds() {
    let broken: Vec<String> = ROWS
        .iter()
        .filter(|row| catch_unwind(AssertUnwindSafe(row.holds)).is_err())
        .map(|Row { of, python, here, .. }| format!("{of}\n  Python: {python}\n  here: {here}"))
        .collect();
    assert!(broken.is_empty(), "what is above says why these do not hold:\n{}", broken.join("\n"));
}

fn no_pool_is_without_workers() {
    let error = builder(0).build().expect_err("no workers");
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert!(error.to_string().contains("between 1 and 1024"), "{error}");
}

fn all_workers_are_started_at_once() {
    let _watchdog = Watchdog::start();
    let pool: Pool = builder(3).build().expect("a pool");
    // Nothing was loaded yet, nothing called.
    wait_until(|| pool.worker_pids().len() == 3);
}

fn recycling_counts_calls_and_keeps_the_process() {
    let fixture = tasks_in(builder(1).recycle(2));
    let counts = fixture.module.task::<(), u64>("counts_calls").expect("a task");
    let pids = processes::workers(&fixture.pool);
    assert_eq!(counts.map([(); 6]).expect("counts"), [1, 2, 1, 2, 1, 2]);
    assert_eq!(fixture.pool.worker_pids(), pids);
}

fn apply_returns_the_value_or_the_tasks_error() {
    let fixture = tasks(1);
    let mean = fixture.module.task::<Vec<f64>, f64>("mean").expect("a task");
    assert_eq!(mean.apply(vec![1.0, 2.0]).expect("a mean"), 1.5);
    let error = mean.apply(Vec::new()).expect_err("none");
    assert_eq!(error.kind(), ErrorKind::Call);
    assert_eq!(error.failure().expect("a call").message(), "the mean of no values is undefined");
    assert_eq!(mean.apply(vec![4.0]).expect("a mean"), 4.0);
}

fn nothing_is_mapped_to_nothing() {
    let fixture = tasks(2);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert!(cube.map(0..0).expect("nothing").is_empty());
    assert!(cube.map((0..9).filter(|number| *number > 9)).expect("nothing").is_empty());
    assert!(cube.map_outcomes(Vec::new()).expect("nothing").is_empty());
}

fn starmap_spreads_tuples() {
    let fixture = tasks(2);
    let add = fixture.module.task::<(i64, i64), i64>("add").expect("a task");
    assert_eq!(add.starmap([(1, 2), (3, 4)]).expect("sums"), [3, 7]);
    let power = fixture.module.task::<(f64, i32), f64>("power").expect("a task");
    assert_eq!(power.starmap([(2.0, 10), (2.0, -1)]).expect("powers"), [1024.0, 0.5]);
}

fn killed_workers_do_not_hang_a_map() {
    const RUNNING: &str = "Calculating square of 1";
    for retries in [0, 1] {
        let lines = Lines::default();
        let fixture = tasks_in(builder(2).retries(retries).on_output(lines.taker()));
        let square = fixture.module.task::<i64, i64>("calculate_square").expect("a task");
        let outcomes = std::thread::scope(|scope| {
            let job = scope.spawn(|| square.map_outcomes(1..4).expect("outcomes"));
            lines.wait_for(RUNNING, 1);
            fixture.pool.worker_pids().into_iter().for_each(|pid| assert!(send(pid, Signal::KILL)));
            job.join().expect("no panic")
        });
        let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        let was_killed = FailureKind::WorkerLost(wasmpool::Exit::Signal(9));
        assert!(lost.iter().all(|lost| lost.kind() == was_killed), "{lost:?}");
        if retries == 0 {
            assert!(outcomes[0].is_err() && lost.len() <= 2, "{outcomes:?}");
        } else {
            assert_eq!(outcomes, [Ok(1), Ok(4), Ok(9)]);
        }
        assert_eq!(square.apply(5).expect("a result"), 25);
    }
}

fn a_task_that_exits_costs_its_own_call() {
    let fixture = tasks(1);
    let exits = fixture.module.task::<i32, ()>("exits").expect("a task");
    let pids = processes::workers(&fixture.pool);
    let outcomes = exits.map_outcomes([0, 1, 3]).expect("outcomes");
    let kinds: Vec<_> = outcomes.into_iter().map(|outcome| outcome.expect_err("it exits").kind()).collect();
    assert_eq!(kinds, [0, 1, 3].map(FailureKind::Exited));
    assert_eq!(fixture.pool.worker_pids(), pids);
}

/// A text that a caller's type takes, refuses, or panics about.
#[derive(Debug, PartialEq)]
struct Picky(String);

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)? {
            text if text == "refuse" => Err(serde::de::Error::custom("not this one")),
            text if text == "panic" => panic!("this type cannot bear it"),
            text => Ok(Self(text)),
        }
    }
}

fn a_result_that_cannot_be_read_costs_its_own_call() {
    let fixture = tasks(1);
    let echo = fixture.module.task::<String, Picky>("echo_text").expect("a task");
    for bad in ["refuse", "panic"] {
        let error = echo.apply(bad.to_owned()).expect_err("it cannot be read");
        assert_eq!(error.failure().expect("a call").kind(), FailureKind::BadResult, "{bad}: {error}");
        assert_eq!(echo.apply("good".to_owned()).expect("a text"), Picky("good".to_owned()), "after {bad}");
    }
    let outcomes = echo.map_outcomes(["a", "refuse", "b"].map(str::to_owned)).expect("outcomes");
    assert_eq!(outcomes[1].as_ref().expect_err("refused").kind(), FailureKind::BadResult);
    assert_eq!(
        [&outcomes[0], &outcomes[2]].map(|outcome| outcome.as_ref().expect("a text").0.as_str()),
        ["a", "b"]
    );
}

fn what_was_put_is_there_at_once() {
    let fixture = tasks(1);
    for round in 0..200 {
        let queue: Queue<i64> = fixture.pool.queue(&format!("q{round}"), 2).expect("a queue");
        assert!(queue.is_empty().expect("a state"));
        queue.put(&round).expect("room");
        assert_eq!(queue.len().expect("a size"), 1);
        assert_eq!(queue.try_get().expect("a queue"), Some(round));
        assert_eq!((queue.len().expect("a size"), queue.try_get().expect("a queue")), (0, None));
    }
    // And between processes: what a call has put is there when it has returned.
    let jobs: Queue<Option<i64>> = fixture.pool.queue("jobs", 64).expect("a queue");
    let module = fixture.module.clone().grant(&jobs);
    let put = module.task::<(i64, i64), ()>("put_numbers").expect("a task");
    for round in 0..200 {
        put.apply((round, 1)).expect("room");
        assert_eq!((jobs.len().expect("a size"), jobs.try_get().expect("a queue")), (1, Some(Some(round))));
    }
}

/// Numbers, of which none at all cannot be encoded.
#[derive(Debug, PartialEq, Deserialize)]
struct Spoken(Vec<i64>);

impl Serialize for Spoken {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return Err(serde::ser::Error::custom("it has no words"));
        }
        self.0.serialize(to)
    }
}

fn put_encodes_before_it_returns() {
    let fixture = tasks(1);
    let queue: Queue<Spoken> = fixture.pool.queue("q", 4).expect("a queue");
    let mut list = Spoken(vec![1]);
    queue.put(&list).expect("room");
    let error = queue.put(&Spoken(Vec::new())).expect_err("it cannot be encoded");
    assert!(format!("{error:?} {error}").contains("it has no words"), "{error:?}");
    list.0.push(2);
    queue.put(&list).expect("room");
    assert_eq!(queue.len().expect("a size"), 2, "nothing came of what has no words");
    assert_eq!([(); 2].map(|()| queue.get().expect("an item").0), [vec![1], vec![1, 2]]);
}

fn nobody_waits_for_what_was_put_to_be_taken() {
    const MEGABYTE: usize = 1_000_000;
    let fixture = tasks(1);
    let options = QueueOptions::new(2).bytes(4 << 20);
    let queue: Queue<String> = fixture.pool.queue_with("q", options).expect("a queue");
    let steps = script(&fixture.module.clone().grant(&queue));
    let text = "x".repeat(MEGABYTE);
    assert_eq!(run(&steps, &[json!(["queue", "q", "put", text])]), [json!(null)]);
    // Who has put it is gone, and what was put is not.
    let pids = processes::workers(&fixture.pool);
    pids.iter().for_each(|pid| assert!(send(*pid, Signal::KILL)));
    wait_until(|| pids.iter().all(|pid| Process::find(*pid).is_none_or(|process| process.state == 'Z')));
    assert_eq!(queue.get_for(Duration::from_secs(60)).expect("a queue"), Some(text));
}

fn counters_count() {
    let fixture = tasks(2);
    let counter = fixture.pool.value("counter", 0i64).expect("a value");
    let add = fixture.module.clone().grant(&counter).task::<u64, u64>("bench_fetch_add").expect("a task");
    add.map([1000; 100]).expect("results");
    assert_eq!(counter.get().expect("a number"), 100_000);
}

fn handles_are_arguments_of_tasks_that_were_granted_them() {
    let fixture = tasks(1);
    let counter = fixture.pool.value("counter", 1i32).expect("a value");
    let handle = json!({ "wasmpool:shared": "counter" });
    let granted = fixture.module.clone().grant(&counter);
    let add = granted.task::<(serde_json::Value, i32), i32>("add_to").expect("a task");
    assert_eq!(add.apply((handle.clone(), 2)).expect("what it was"), 1);
    assert_eq!(counter.get().expect("a number"), 3);
    let add = fixture.module.task::<(serde_json::Value, i32), i32>("add_to").expect("a task");
    let error = add.apply((handle, 2)).expect_err("it was not granted");
    assert_eq!(error.failure().expect("a call").kind(), FailureKind::Refused, "{error}");
    assert_eq!(counter.get().expect("a number"), 3);
}

fn lists_keep_texts_as_they_are() {
    let fixture = tasks(1);
    let log = fixture.pool.list::<String>("log").expect("a list");
    let append = fixture.module.clone().grant(&log).task::<String, usize>("append_to_log").expect("a task");
    let texts = ["a\0\0", "\0", "", "grüße, 世界", "é\0"];
    for text in texts {
        append.apply(text.to_owned()).expect("room");
    }
    let kept: Vec<String> = (0..texts.len() as i64).map(|index| log.get(index).expect("a text")).collect();
    assert_eq!(kept, texts);
}
