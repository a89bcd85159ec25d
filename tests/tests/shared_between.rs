//! Several workers and threads of the host at once on one shared object: nothing is lost, and nobody waits for ever.

#![allow(clippy::print_stdout, reason = "figures, for those who ask for a test's output")]

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use wasmpool::shared::{Array, Condition, PipeEnd, Queue, SharedError, SharedErrorKind, Value};
use wasmpool::{FailureKind, Pool, Task};
use wasmpool_tests::script::{check, run, script};
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{failure, rows, tasks};

wasmpool::test_support!();

/// Steps that do the same so many times.
fn repeated(count: usize, steps: Json) -> Vec<Json> {
    let steps = steps.as_array().expect("steps").clone();
    steps.iter().cycle().take(count * steps.len()).cloned().collect()
}

/// Waits until a pool has no more workers than it was built with: those that were started for sleepers are gone.
fn shrinks_back(pool: &Pool) {
    wait_until(|| pool.worker_pids().len() == pool.workers());
}

#[test]
fn no_count_is_lost() {
    const EACH: u64 = 5000;
    let fixture = tasks(3);
    let counter = fixture.pool.value("counter", 0i64).expect("a value");
    let module = fixture.module.clone().grant(&counter);
    let add = module.task::<u64, u64>("bench_fetch_add").expect("a task");
    let count = |before: Result<i64, SharedError>| assert!(before.is_ok(), "{before:?}");
    std::thread::scope(|scope| {
        scope.spawn(|| (0..EACH).for_each(|_| count(counter.fetch_add(1))));
        scope.spawn(|| (0..EACH).for_each(|_| count(counter.update(|number| number + 1))));
        assert_eq!(add.map([EACH; 6]).expect("results"), [EACH; 6]);
    });
    assert_eq!(counter.get().expect("a number"), 8 * EACH as i64);
}

#[test]
fn no_count_is_lost_under_the_values_lock() {
    const EACH: u64 = 2000;
    let fixture = tasks(3);
    let counter = fixture.pool.value("counter", 0i64).expect("a value");
    let module = fixture.module.clone().grant(&counter);
    let add = module.task::<u64, u64>("bench_locked_update").expect("a task");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let _guard = counter.lock().expect("the lock");
                    counter.set(counter.get().expect("a number") + 1).expect("set");
                }
            });
        }
        add.map([EACH; 6]).expect("results");
    });
    assert_eq!(counter.get().expect("a number"), 8 * EACH as i64);
}

/// A queue of numbers named `jobs`, and tasks that put and take.
type Jobs = (Queue<Option<i64>>, Task<(i64, i64), ()>, Task<(), i64>);

fn jobs(fixture: &wasmpool_tests::Fixture, items: usize) -> Jobs {
    let queue = fixture.pool.queue("jobs", items).expect("a queue");
    let module = fixture.module.clone().grant(&queue);
    let put = module.task("put_numbers").expect("a task");
    let sum = module.task("sum_squares").expect("a task");
    (queue, put, sum)
}

fn sum_of_squares(count: i64) -> i64 {
    (0..count).map(|number| number * number).sum()
}

#[test]
fn what_the_host_puts_guests_take() {
    let fixture = tasks(3);
    let (queue, _, sum) = jobs(&fixture, 7);
    let sums = std::thread::scope(|scope| {
        let consumers = scope.spawn(|| sum.map([(); 3]).expect("sums"));
        (0..3000).for_each(|number| queue.put(&Some(number)).expect("open"));
        queue.close().expect("open");
        consumers.join().expect("no panic")
    });
    assert_eq!(sums.iter().sum::<i64>(), sum_of_squares(3000), "{sums:?}");
    assert!(queue.is_empty().expect("a length"));
}

#[test]
fn what_guests_put_other_guests_take() {
    let fixture = tasks(4);
    let (queue, put, sum) = jobs(&fixture, 7);
    let sums = std::thread::scope(|scope| {
        let consumers = scope.spawn(|| sum.map([(); 2]).expect("sums"));
        put.map([(0, 1000), (1000, 1000), (2000, 1000)]).expect("all are put");
        queue.close().expect("open");
        consumers.join().expect("no panic")
    });
    assert_eq!(sums.iter().sum::<i64>(), sum_of_squares(3000), "{sums:?}");
}

#[test]
fn what_guests_put_the_host_takes_in_each_ones_order() {
    let fixture = tasks(2);
    let (queue, put, _) = jobs(&fixture, 5);
    std::thread::scope(|scope| {
        let producers = scope.spawn(|| {
            put.map([(0, 1000), (1000, 1000)]).expect("all are put");
            queue.close().expect("open");
        });
        let numbers: Vec<i64> = queue.iter().map(|item| item.expect("an item").expect("a number")).collect();
        producers.join().expect("no panic");
        for first in [0, 1000] {
            let of_one = numbers.iter().copied().filter(|number| number / 1000 * 1000 == first);
            assert!(of_one.eq(first..first + 1000), "first in, first out");
        }
        assert_eq!(numbers.len(), 2000);
    });
}

#[test]
fn consumers_may_be_submitted_before_their_producers() {
    let fixture = tasks(1);
    let (queue, put, sum) = jobs(&fixture, 4);
    let sums = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| sum.apply(()).expect("a sum"))).collect();
        // All of them sleep at the empty queue before there is anybody to fill it.
        wait_until(|| fixture.pool.worker_pids().len() == 3);
        put.apply((0, 500)).expect("somebody puts");
        queue.close().expect("open");
        consumers.into_iter().map(|consumer| consumer.join().expect("no panic")).sum::<i64>()
    });
    assert_eq!(sums, sum_of_squares(500));
    shrinks_back(&fixture.pool);
}

#[test]
fn a_joinable_queue_is_joined_when_guests_have_done_all_items() {
    let fixture = tasks(2);
    let queue = fixture.pool.joinable_queue::<i64>("j", 10).expect("a queue");
    let done = fixture.pool.value("done", 0i64).expect("a value");
    let steps = script(&fixture.module.clone().grant(&queue).grant(&done));
    let each = json!([
        ["joinable_queue", "j", "get"],
        ["value:i64", "done", "fetch_add", 1],
        ["joinable_queue", "j", "task_done"]
    ]);
    std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| steps.apply(repeated(50, each.clone())).expect("answers")))
            .collect();
        (0..200).for_each(|number| queue.put(&number).expect("open"));
        queue.join().expect("open");
        assert_eq!(done.get().expect("a number"), 200, "joined when all are done, and not before");
        consumers.into_iter().for_each(|consumer| drop(consumer.join().expect("no panic")));
    });
    assert_eq!(queue.unfinished().expect("a number"), 0);
    // Guests join, too.
    queue.put(&1).expect("open");
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| run(&steps, &[json!(["joinable_queue", "j", "join"])]));
        assert_eq!(queue.get().expect("an item"), 1);
        queue.task_done().expect("one is unfinished");
        assert_eq!(joiner.join().expect("no panic"), [json!(null)]);
    });
}

/// A number and the condition of its change.
fn changed_number(fixture: &wasmpool_tests::Fixture) -> (Condition, Value<i64>, wasmpool::Module) {
    let changed = fixture.pool.condition("changed").expect("a condition");
    let number = fixture.pool.value("number", 0i64).expect("a value");
    let module = fixture.module.clone().grant(&changed).grant(&number);
    (changed, number, module)
}

#[test]
fn host_and_guests_notify_each_other() {
    let fixture = tasks(2);
    let (changed, number, module) = changed_number(&fixture);
    let wait = module.task::<(), i64>("wait_for_number").expect("a task");
    let set = module.task::<i64, ()>("set_number").expect("a task");
    for round in 1..=20 {
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..2).map(|_| scope.spawn(|| wait.apply(()).expect("a number"))).collect();
            let guard = changed.lock().expect("the lock");
            number.set(round).expect("set");
            guard.notify_all().expect("held");
            drop(guard);
            waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().expect("no panic"), round));
        });
        number.set(0).expect("set");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = changed.lock().expect("the lock");
                guard.wait_while(|| Ok(number.get()? == 0)).expect("notified");
                number.get().expect("a number")
            });
            set.apply(-round).expect("a guest sets it");
            assert_eq!(waiter.join().expect("no panic"), -round);
        });
        number.set(0).expect("set");
    }
}

#[test]
fn guests_notify_each_other_on_any_number_of_workers() {
    for workers in [1, 2, 4] {
        let fixture = tasks(workers);
        let (_, _, module) = changed_number(&fixture);
        let wait = module.task::<(), i64>("wait_for_number").expect("a task");
        let set = module.task::<i64, ()>("set_number").expect("a task");
        std::thread::scope(|scope| {
            let waiters = scope.spawn(|| wait.map([(); 3]).expect("numbers"));
            set.apply(7).expect("it is set");
            assert_eq!(waiters.join().expect("no panic"), [7; 3], "{workers} workers");
        });
    }
}

#[test]
fn an_event_releases_everyone_who_waits() {
    let fixture = tasks(2);
    let start = fixture.pool.event("start").expect("an event");
    let module = fixture.module.clone().grant(&start);
    let wait = module.task::<(), ()>("wait_for_start").expect("a task");
    let set = module.task::<(), ()>("start").expect("a task");
    std::thread::scope(|scope| {
        let guests: Vec<_> = (0..5).map(|_| scope.spawn(|| wait.apply(()))).collect();
        let hosts: Vec<_> = (0..2).map(|_| scope.spawn(|| start.wait())).collect();
        wait_until(|| fixture.pool.worker_pids().len() >= 5);
        set.apply(()).expect("one more worker sets it");
        guests.into_iter().for_each(|guest| guest.join().expect("no panic").expect("released"));
        hosts.into_iter().for_each(|host| host.join().expect("no panic").expect("released"));
    });
    shrinks_back(&fixture.pool);
}

#[test]
fn idle_workers_of_another_module_come_when_a_call_sleeps() {
    let fixture = tasks(2);
    // From now on both workers serve the module without grants.
    fixture.module.task::<i64, i64>("cube").expect("a task").map(0..10_000).expect("results");
    for round in 0..5 {
        let start = fixture.pool.event(&format!("start-{round}")).expect("an event");
        let steps = script(&fixture.module.clone().grant(&start));
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| run(&steps, &[json!(["event", start.name(), "wait"])]));
            assert_eq!(run(&steps, &[json!(["event", start.name(), "set"])]), [json!(null)]);
            assert_eq!(sleeper.join().expect("no panic"), [json!(null)]);
        });
    }
}

#[test]
fn a_barrier_of_more_calls_than_workers_is_passed_round_after_round() {
    const PARTIES: usize = 6;
    let fixture = tasks(2);
    let barrier = fixture.pool.barrier("barrier", PARTIES as u32).expect("a barrier");
    let wait = fixture.module.clone().grant(&barrier).task::<(), usize>("wait_at_barrier").expect("a task");
    let all: Vec<usize> = (0..PARTIES).collect();
    for round in 0..10 {
        let mut indices = wait.map([(); PARTIES]).expect("all meet");
        indices.sort_unstable();
        assert_eq!(indices, all, "round {round} by map");
        // The host is one of them.
        let mut indices = std::thread::scope(|scope| {
            let guests: Vec<_> =
                (1..PARTIES).map(|_| scope.spawn(|| wait.apply(()).expect("all meet"))).collect();
            let own = barrier.wait().expect("all meet");
            guests.into_iter().map(|guest| guest.join().expect("no panic")).chain([own]).collect::<Vec<_>>()
        });
        indices.sort_unstable();
        assert_eq!(indices, all, "round {round} with the host");
    }
    shrinks_back(&fixture.pool);
    let mut indices = wait.map([(); 2 * PARTIES]).expect("two rounds at once");
    indices.sort_unstable();
    assert!(indices.iter().copied().eq((0..PARTIES).flat_map(|index| [index; 2])), "{indices:?}");
}

#[test]
fn the_same_calls_meet_again_and_again() {
    let fixture = tasks(3);
    let barrier = fixture.pool.barrier("barrier", 3).expect("a barrier");
    let steps = script(&fixture.module.clone().grant(&barrier));
    let rounds = repeated(200, json!([["barrier", "barrier", "wait"]]));
    let indices = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&steps, &rounds))).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect::<Vec<_>>()
    });
    for round in 0..200 {
        let mut met: Vec<u64> = indices.iter().map(|call| call[round].as_u64().expect("an index")).collect();
        met.sort_unstable();
        assert_eq!(met, [0, 1, 2], "round {round}");
    }
}

#[test]
fn messages_go_to_and_fro_until_an_end_is_gone() {
    const MESSAGES: usize = 300;
    let fixture = tasks(2);
    for (name, by_guest) in [("guests", true), ("host", false)] {
        let (left, right): (PipeEnd<i64>, PipeEnd<i64>) = fixture.pool.pipe(name).expect("a pipe");
        let (near, far) = (format!("{name}.0"), format!("{name}.1"));
        let pinging = script(&fixture.module.clone().grant(&left));
        let ponging = script(&fixture.module.clone().grant(&right));
        let ping = repeated(MESSAGES, json!([["pipe", near, "send", 7], ["pipe", near, "recv"]]));
        let pong = repeated(MESSAGES + 1, json!([["pipe", far, "recv"], ["pipe", far, "send", 8]]));
        std::thread::scope(|scope| {
            let ponger = scope.spawn(|| run(&ponging, &pong));
            left.send(&7).expect("room");
            assert_eq!(left.recv().expect("a message"), 8);
            // From now on the other end is the call's alone.
            drop(right);
            if by_guest {
                assert!(run(&pinging, &ping).into_iter().eq(repeated(MESSAGES, json!([null, 8]))));
            } else {
                for _ in 0..MESSAGES {
                    left.send(&7).expect("room");
                    assert_eq!(left.recv().expect("a message"), 8);
                }
            }
            assert!(
                ponger.join().expect("no panic").into_iter().eq(repeated(MESSAGES + 1, json!([7, null])))
            );
        });
        // That call is over.
        assert_eq!(left.recv().expect_err("nobody sends").kind(), SharedErrorKind::EndOfFile, "{name}");
        assert_eq!(left.send(&7).expect_err("nobody receives").kind(), SharedErrorKind::EndOfFile, "{name}");
    }
}

#[test]
fn everyones_values_are_in_the_list() {
    const EACH: u64 = 500;
    let fixture = tasks(3);
    let log = fixture.pool.list::<u64>("log").expect("a list");
    let append = fixture.module.clone().grant(&log).task::<u64, u64>("bench_append").expect("a task");
    std::thread::scope(|scope| {
        scope.spawn(|| (0..EACH).for_each(|number| assert!(log.push(&number).is_ok())));
        append.map([EACH; 5]).expect("results");
    });
    let mut values = log.to_vec().expect("values");
    values.sort_unstable();
    assert!(values.into_iter().eq((0..EACH).flat_map(|number| [number; 6])));
}

#[test]
fn nobodys_update_of_a_record_is_lost() {
    const EACH: usize = 200;
    let fixture = tasks(3);
    let dict = fixture.pool.dict::<String, i64>("d").expect("a dictionary");
    let list = fixture.pool.list::<i64>("l").expect("a list");
    list.push(&0).expect("room");
    let steps = script(&fixture.module.clone().grant(&dict).grant(&list));
    let each = json!([
        ["dict", "d", "update_entry", "a", 1],
        ["dict", "d", "update_entry", "b", 2],
        ["list", "l", "update", 0, 1]
    ]);
    std::thread::scope(|scope| {
        let guests: Vec<_> =
            (0..3).map(|_| scope.spawn(|| run(&steps, &repeated(EACH, each.clone())))).collect();
        for _ in 0..EACH {
            dict.update_entry("a", |number| number.unwrap_or(0) + 1).expect("room");
            dict.update_entry("b", |number| number.unwrap_or(0) + 2).expect("room");
            list.update(0, |number| number + 1).expect("room");
        }
        for guest in guests {
            let answers = guest.join().expect("no panic");
            assert!(answers.iter().all(Json::is_i64), "{answers:?}");
        }
    });
    let each = EACH as i64;
    assert_eq!(dict.get("a").expect("a number"), Some(4 * each));
    assert_eq!(dict.get("b").expect("a number"), Some(8 * each));
    assert_eq!(list.to_vec().expect("numbers"), [4 * each]);
}

#[test]
fn a_histogram_is_counted_in_parallel_in_mapped_views() {
    const BINS: usize = 1000;
    const NUMBERS: i64 = 400_000;
    let fixture = tasks(3);
    let bins: Array<i64> = fixture.pool.array("bins", BINS).expect("an array");
    let count = fixture.module.clone().grant(&bins).task::<(i64, i64), ()>("histogram").expect("a task");
    std::thread::scope(|scope| {
        // The host counts along, without a view.
        scope.spawn(|| (0..BINS).for_each(|bin| assert!(bins.fetch_add(bin, 1).is_ok())));
        count.map((0..8).map(|part| (part * NUMBERS / 8, NUMBERS / 8))).expect("all are counted");
    });
    assert_eq!(bins.to_vec().expect("counts"), [NUMBERS / BINS as i64 + 1; BINS]);
}

#[test]
fn parts_of_an_array_are_written_and_summed_in_place_at_once() {
    const PART: usize = 10_000;
    let fixture = tasks(3);
    let numbers: Array<i64> = fixture.pool.array("numbers", 8 * PART).expect("an array");
    let module = fixture.module.clone().grant(&numbers);
    let parts = || (0..8).map(|part| (part * PART, PART));
    module.task::<(usize, usize), ()>("number_array").expect("a task").map(parts()).expect("leases");
    assert!(numbers.to_vec().expect("numbers").into_iter().eq(0..8 * PART as i64));
    let sums = module.task::<(usize, usize), i64>("sum_array").expect("a task").map(parts()).expect("leases");
    assert_eq!(sums.iter().sum::<i64>(), (0..8 * PART as i64).sum::<i64>());
}

#[test]
fn exclusive_leases_that_overlap_are_refused_and_others_are_not() {
    let fixture = tasks(2);
    let numbers: Array<i64> = fixture.pool.array("a", 30).expect("an array");
    let stage = fixture.pool.queue::<String>("stage", 3).expect("a queue");
    let go = fixture.pool.event("go").expect("an event");
    let steps = script(&fixture.module.clone().grant(&numbers).grant(&stage).grant(&go));
    let overlapping = rows! {
        ["array:i64", "a", "lease", 9, 11] ! Leased;
        ["array:i64", "a", "read_lease", 0, 30] ! Leased;
        ["array:i64", "a", "view", 0, 1] ! Leased;
        ["array:i64", "a", "set", 9, 1] ! Leased;
        ["array:i64", "a", "get", 0] ! Leased;
        ["array:i64", "a", "set", 10, 1] => null;
        ["array:i64", "a", "lease", 10, 20] => 10;
        ["array:i64", "a", "read_lease", 20, 28] => 8;
        ["array:i64", "a", "view", 28, 30] => true;
    };
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            check(
                &steps,
                &rows! {
                    ["array:i64", "a", "lease", 0, 10] => 10;
                    ["queue", "stage", "put", "leased"] => null;
                    ["event", "go", "wait"] => null;
                },
            );
        });
        assert_eq!(stage.get().expect("a word"), "leased");
        let by_host = [numbers.set(3, 1), numbers.write(8, &[1, 2, 3]), numbers.write(10, &[1, 2, 3])];
        let kinds = by_host.map(|written| written.err().map(|error| error.kind()));
        let answers = run(&steps, &overlapping.clone().map(|(step, _)| step));
        go.set().expect("set");
        holder.join().expect("no panic");
        assert_eq!(kinds, [Some(SharedErrorKind::Leased), Some(SharedErrorKind::Leased), None]);
        assert_eq!(answers, overlapping.map(|(_, expected)| expected));
    });
    numbers.write(8, &[1, 2, 3]).expect("not leased any more");
}

#[test]
fn calls_that_wait_for_more_of_each_other_than_there_can_be_are_told() {
    const PARTIES: u32 = 70;
    let fixture = tasks(2);
    let barrier = fixture.pool.barrier("barrier", PARTIES).expect("a barrier");
    let wait = fixture.module.clone().grant(&barrier).task::<(), usize>("wait_at_barrier").expect("a task");
    let begin = Instant::now();
    let outcomes = wait.map_outcomes([(); PARTIES as usize]).expect("outcomes");
    let elapsed = begin.elapsed();
    let starved = |failure: &wasmpool::Failure| failure.kind() == FailureKind::Starved;
    let told: Vec<_> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).filter(|f| starved(f)).collect();
    assert!(!told.is_empty(), "{outcomes:?}");
    for failure in &told {
        assert!(failure.message().contains("barrier"), "it names the object: {failure}");
    }
    println!("{} of {PARTIES} calls starved, {elapsed:?}", told.len());
    // Whoever is not told so finds the barrier broken by those who were, which fails the call, too.
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
    shrinks_back(&fixture.pool);
    let cube = fixture.module.task::<i64, i64>("cube").expect("a task");
    assert_eq!(cube.map(0..4).expect("results"), [0, 1, 8, 27]);
}

#[test]
fn some_of_too_many_consumers_are_told_so_that_a_producer_comes_to_run() {
    const CONSUMERS: usize = 66;
    let fixture = tasks(2);
    let (queue, put, sum) = jobs(&fixture, 4);
    let (sums, starved) = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS).map(|_| scope.spawn(|| sum.apply(()))).collect();
        wait_until(|| consumers.iter().any(std::thread::ScopedJoinHandle::is_finished));
        put.apply((0, 500)).expect("somebody makes room for it");
        queue.close().expect("open");
        let outcomes = consumers.into_iter().map(|consumer| consumer.join().expect("no panic"));
        let (returned, failed): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
        let sums: i64 = returned.into_iter().flatten().sum();
        (sums, failed.into_iter().map(failure).collect::<Vec<_>>())
    });
    for failure in &starved {
        assert_eq!(failure.kind(), FailureKind::Starved, "{failure}");
        assert!(failure.message().contains("jobs"), "it names the object: {failure}");
    }
    println!("{} of {CONSUMERS} consumers starved", starved.len());
    assert_eq!(sums, sum_of_squares(500));
}
