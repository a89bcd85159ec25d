//! Every operation on every shared object, from guests in workers, as tables; and the same objects seen by the host.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use wasmpool::shared::{
    Element, Event, PipeEnd, PipeOptions, QueueOptions, RecordOptions, Shareable, SharedErrorKind, Value,
    wait_any,
};
use wasmpool_tests::processes::{self, Process};
use wasmpool_tests::script::{answer, check, err, run, script};
use wasmpool_tests::watchdog::wait_until;
use wasmpool_tests::{Fixture, rows, tasks};

wasmpool::test_support!();

#[test]
fn a_value_of_any_integer_type_counts_and_wraps() {
    fn behaves<T: Element + TryFrom<u64> + TryFrom<i128> + Serialize + Debug>(
        fixture: &Fixture,
        element: &str,
        least: i128,
        greatest: i128,
    ) {
        let number = |number: i128| T::try_from(number).unwrap_or_else(|_| panic!("{number}: {element}"));
        let value = fixture.pool.value(element, number(5)).expect("a value");
        let kind = format!("value:{element}");
        let steps = script(&fixture.module.clone().grant(&value));
        let (least_json, greatest_json) = (json!(number(least)), json!(number(greatest)));
        check(
            &steps,
            &rows! {
                [kind, element, "get"] => 5;
                [kind, element, "fetch_add", 7] => 5;
                [kind, element, "fetch_sub", 2] => 12;
                [kind, element, "fetch_max", 3] => 10;
                [kind, element, "fetch_min", 6] => 10;
                [kind, element, "fetch_and", 12] => 6;
                [kind, element, "fetch_or", 3] => 4;
                [kind, element, "fetch_xor", 2] => 7;
                [kind, element, "compare_exchange", 4, 9] => { "found": 5 };
                [kind, element, "compare_exchange", 5, 9] => { "before": 5 };
                [kind, element, "update", 12] => 9;
                [kind, element, "swap", 1] => 12;
                [kind, element, "set", greatest_json] => null;
                [kind, element, "fetch_add", 1] => greatest_json;
                [kind, element, "get"] => least_json;
                [kind, element, "fetch_sub", 1] => least_json;
                [kind, element, "fetch_max", 1] => greatest_json;
                [kind, element, "fetch_min", least_json] => greatest_json;
            },
        );
        assert_eq!(value.get().expect("a number"), number(least), "{element}");
        value.set(number(greatest)).expect("set");
        check(&steps, &rows! { [kind, element, "get"] => greatest_json; });
    }

    let fixture = tasks(1);
    behaves::<i8>(&fixture, "i8", i8::MIN.into(), i8::MAX.into());
    behaves::<u8>(&fixture, "u8", 0, u8::MAX.into());
    behaves::<i16>(&fixture, "i16", i16::MIN.into(), i16::MAX.into());
    behaves::<u16>(&fixture, "u16", 0, u16::MAX.into());
    behaves::<i32>(&fixture, "i32", i32::MIN.into(), i32::MAX.into());
    behaves::<u32>(&fixture, "u32", 0, u32::MAX.into());
    behaves::<i64>(&fixture, "i64", i64::MIN.into(), i64::MAX.into());
    behaves::<u64>(&fixture, "u64", 0, u64::MAX.into());
}

#[test]
fn values_that_are_no_integers_do_what_they_can() {
    let fixture = tasks(1);
    let flag = fixture.pool.value("flag", true).expect("a value");
    let small = fixture.pool.value("small", 1.5f32).expect("a value");
    let large = fixture.pool.value("large", 0.1f64).expect("a value");
    let steps = script(&fixture.module.clone().grant(&flag).grant(&small).grant(&large));
    check(
        &steps,
        &rows! {
            ["value:bool", "flag", "fetch_xor", true] => true;
            ["value:bool", "flag", "fetch_or", true] => false;
            ["value:bool", "flag", "fetch_and", false] => true;
            ["value:bool", "flag", "swap", true] => false;
            ["value:bool", "flag", "compare_exchange", true, false] => { "before": true };
            ["value:bool", "flag", "update", true] => false;
            ["value:bool", "flag", "fetch_add", true] ! Script;
            ["value:f32", "small", "fetch_add", 2.25] => 1.5;
            ["value:f32", "small", "fetch_max", 100.0] => 3.75;
            ["value:f32", "small", "fetch_min", -0.5] => 100.0;
            ["value:f32", "small", "get"] => (-0.5);
            ["value:f32", "small", "fetch_and", 1.0] ! Script;
            ["value:f64", "large", "fetch_add", 0.2] => 0.1;
            ["value:f64", "large", "get"] => (0.1f64 + 0.2);
            ["value:f64", "large", "fetch_sub", 0.2] => (0.1f64 + 0.2);
            ["value:f64", "large", "swap", 1e300] => (0.1f64 + 0.2 - 0.2);
            ["value:f64", "large", "compare_exchange", 1e300, -1.0] => { "before": 1e300 };
        },
    );
    assert!(flag.get().expect("a flag"));
    assert_eq!((small.get().expect("a number"), large.get().expect("a number")), (-0.5, -1.0));
}

#[test]
fn a_value_has_a_lock_that_its_holder_may_take_again() {
    let fixture = tasks(1);
    let value = fixture.pool.value("v", 0i32).expect("a value");
    let steps = script(&fixture.module.clone().grant(&value));
    let table = rows! {
        ["value:i32", "v", "lock"] => { "owner_died": false };
        ["value:i32", "v", "try_acquire"] => true;
        ["value:i32", "v", "acquire_for", 5] => true;
        ["value:i32", "v", "fetch_add", 1] => 0;
        ["value:i32", "v", "release"] => null;
        ["value:i32", "v", "release"] => null;
        ["value:i32", "v", "release"] => null;
        ["value:i32", "v", "release"] ! NotHeld;
    };
    check(&steps, &table);
    let _guard = value.lock().expect("the lock");
    check(
        &steps,
        &rows! {
            ["value:i32", "v", "try_lock"] => null;
            ["value:i32", "v", "lock_for", 10] => null;
            ["value:i32", "v", "try_acquire"] => false;
            ["value:i32", "v", "acquire_for", 10] => false;
            ["value:i32", "v", "release"] ! NotHeld;
            ["value:i32", "v", "get"] => 1;
        },
    );
}

#[test]
fn an_array_is_reached_by_elements_parts_leases_and_views() {
    let fixture = tasks(1);
    let numbers = fixture.pool.array_of("a", &[1i16, 2, 3, 4]).expect("an array");
    let flags = fixture.pool.array_of("flags", &[true, false]).expect("an array");
    let steps = script(&fixture.module.clone().grant(&numbers).grant(&flags));
    check(
        &steps,
        &rows! {
            ["array:i16", "a", "len"] => 4;
            ["array:i16", "a", "get", 4] ! OutOfRange;
            ["array:i16", "a", "set", 0, -1] => null;
            ["array:i16", "a", "fetch_or", 1, 8] => 2;
            ["array:i16", "a", "read", 0, 2] => [-1, 10];
            ["array:i16", "a", "read", 3, 5] ! OutOfRange;
            ["array:i16", "a", "read", 3, 2] ! Invalid;
            ["array:i16", "a", "write", 2, [7, 8]] => null;
            ["array:i16", "a", "write", 3, [7, 8]] ! OutOfRange;
            ["array:i16", "a", "fill", 0, 2, 6] => null;
            ["array:i16", "a", "iter"] => [6, 6, 7, 8];
            ["array:i16", "a", "compare_exchange", 0, 5, 9] => { "found": 6 };
            ["array:i16", "a", "swap", 0, 5] => 6;
            ["array:i16", "a", "swap", 0, 6] => 5;
            ["array:i16", "a", "view_fetch_add", 3, 2] => 8;
            ["array:i16", "a", "view_fetch_min", 3, -2] => 10;
            ["array:i16", "a", "view_update", 3, 1] => (-2);
            ["array:i16", "a", "view_get", 3] => 1;
            ["array:i16", "a", "view_get", 4] ! OutOfRange;
            ["array:i16", "a", "lease_write", 1, [3, 4]] => null;
            ["array:i16", "a", "lease_read", 0, 4] => [6, 3, 4, 1];
            ["array:i16", "a", "lease_read", 2, 2] => [];
            ["array:i16", "a", "try_acquire"] => true;
            ["array:i16", "a", "release"] => null;
            ["array:bool", "flags", "to_vec"] => [true, false];
            ["array:bool", "flags", "view_swap", 1, true] => false;
            ["array:bool", "flags", "fetch_xor", 0, true] => true;
            ["array:i16", "a", "view", 0, 1] => true;
        },
    );
    assert_eq!(numbers.to_vec().expect("numbers"), [6, 3, 4, 1]);
    assert_eq!(flags.to_vec().expect("flags"), [false, true]);
}

#[test]
fn a_lease_keeps_others_out_until_its_call_ends() {
    let fixture = tasks(1);
    let numbers = fixture.pool.array_of("a", &[1i64, 2, 3, 4]).expect("an array");
    let steps = script(&fixture.module.clone().grant(&numbers));
    let table = rows! {
        ["array:i64", "a", "read_lease", 0, 2] => 2;
        ["array:i64", "a", "get", 0] => 1;
        ["array:i64", "a", "set", 0, 1] ! Leased;
        ["array:i64", "a", "lease", 0, 4] ! Leased;
        ["array:i64", "a", "lease", 2, 4] => 2;
        ["array:i64", "a", "get", 2] ! Leased;
        ["array:i64", "a", "read", 0, 4] ! Leased;
        ["array:i64", "a", "view", 3, 4] ! Leased;
    };
    // Twice: what a call leased is free when it has ended.
    check(&steps, &table);
    check(&steps, &table);
    assert_eq!(numbers.get(2).expect("not leased any more"), 3);
}

#[test]
fn arrays_of_all_types_are_mapped() {
    fn is_mapped<T: Element + From<bool> + Serialize + PartialEq>(fixture: &Fixture, element: &str) {
        let elements: Vec<T> = (0..3000).map(|index| T::from(index % 3 == 1)).collect();
        let array = fixture.pool.array_of(element, &elements).expect("an array");
        let kind = format!("array:{element}");
        let steps = script(&fixture.module.clone().grant(&array));
        check(
            &steps,
            &rows! {
                [kind, element, "view", 0, 1] => true;
                [kind, element, "view", 0, 3000] => true;
                [kind, element, "view", 2999, 3000] => true;
                [kind, element, "view_get", 2998] => (T::from(true));
                [kind, element, "view_set", 2999, T::from(true)] => null;
                [kind, element, "get", 2999] => (T::from(true));
                [kind, element, "view", 2, 3001] ! OutOfRange;
            },
        );
        assert!(array.get(2999).expect("an element") == T::from(true), "{element}");
        assert!(array.read(..2999).expect("elements") == elements[..2999], "{element}: nothing else changed");
    }

    let fixture = tasks(1);
    is_mapped::<bool>(&fixture, "bool");
    is_mapped::<i8>(&fixture, "i8");
    is_mapped::<u8>(&fixture, "u8");
    is_mapped::<i16>(&fixture, "i16");
    is_mapped::<u16>(&fixture, "u16");
    is_mapped::<i32>(&fixture, "i32");
    is_mapped::<u32>(&fixture, "u32");
    is_mapped::<i64>(&fixture, "i64");
    is_mapped::<u64>(&fixture, "u64");
    is_mapped::<f32>(&fixture, "f32");
    is_mapped::<f64>(&fixture, "f64");
}

#[test]
fn a_lock_is_nobodys_twice_and_anyones_to_release() {
    let fixture = tasks(1);
    let lock = fixture.pool.lock("l").expect("a lock");
    let steps = script(&fixture.module.clone().grant(&lock));
    check(
        &steps,
        &rows! {
            ["lock", "l", "is_writable"] => true;
            ["lock", "l", "is_locked"] => false;
            ["lock", "l", "release"] ! NotHeld;
            ["lock", "l", "lock"] => { "owner_died": false };
            ["lock", "l", "acquire"] ! WouldDeadlock;
            ["lock", "l", "try_acquire"] => false;
            ["lock", "l", "is_locked"] => true;
            ["lock", "l", "release"] => null;
            ["lock", "l", "try_lock"] => { "owner_died": false };
            ["lock", "l", "release"] => null;
            ["lock", "l", "acquire_for", 10] => true;
            ["lock", "l", "release"] => null;
        },
    );
    lock.acquire().expect("free");
    check(
        &steps,
        &rows! {
            ["lock", "l", "is_locked"] => true;
            ["lock", "l", "try_lock"] => null;
            ["lock", "l", "lock_for", 10] => null;
            ["lock", "l", "acquire_for", 10] => false;
            ["lock", "l", "release"] => null;
            ["lock", "l", "is_locked"] => false;
        },
    );
    assert_eq!(lock.release().expect_err("a guest has").kind(), SharedErrorKind::NotHeld);
}

#[test]
fn an_rlock_is_released_as_often_as_taken_and_by_its_holder() {
    let fixture = tasks(1);
    let lock = fixture.pool.rlock("r").expect("a lock");
    let steps = script(&fixture.module.clone().grant(&lock));
    check(
        &steps,
        &rows! {
            ["rlock", "r", "acquire"] => null;
            ["rlock", "r", "try_acquire"] => true;
            ["rlock", "r", "acquire_for", 10] => true;
            ["rlock", "r", "release"] => null;
            ["rlock", "r", "release"] => null;
            ["rlock", "r", "is_locked"] => true;
            ["rlock", "r", "release"] => null;
            ["rlock", "r", "is_locked"] => false;
            ["rlock", "r", "release"] ! NotHeld;
        },
    );
    lock.acquire().expect("free");
    check(
        &steps,
        &rows! {
            ["rlock", "r", "try_acquire"] => false;
            ["rlock", "r", "acquire_for", 10] => false;
            ["rlock", "r", "release"] ! NotHeld;
        },
    );
    lock.release().expect("held by this thread");
}

#[test]
fn semaphores_count_permits() {
    let fixture = tasks(1);
    let semaphore = fixture.pool.semaphore("s", 2).expect("a semaphore");
    let bounded = fixture.pool.bounded_semaphore("b", 2).expect("a semaphore");
    let steps = script(&fixture.module.clone().grant(&semaphore).grant(&bounded));
    check(
        &steps,
        &rows! {
            ["semaphore", "s", "available"] => 2;
            ["semaphore", "s", "acquire"] => null;
            ["semaphore", "s", "acquire_for", 10] => true;
            ["semaphore", "s", "try_acquire"] => false;
            ["semaphore", "s", "acquire_for", 10] => false;
            ["semaphore", "s", "release", 5] => null;
            ["semaphore", "s", "available"] => 5;
            ["bounded_semaphore", "b", "release", 1] ! TooMany;
            ["bounded_semaphore", "b", "acquire"] => null;
            ["bounded_semaphore", "b", "available"] => 1;
            ["bounded_semaphore", "b", "release", 2] ! TooMany;
            ["bounded_semaphore", "b", "release", 1] => null;
            ["bounded_semaphore", "b", "available"] => 2;
        },
    );
    assert_eq!((semaphore.available().expect("permits"), bounded.available().expect("permits")), (5, 2));
}

#[test]
fn a_condition_is_used_while_it_is_held() {
    let fixture = tasks(1);
    let condition = fixture.pool.condition("c").expect("a condition");
    let steps = script(&fixture.module.clone().grant(&condition));
    check(
        &steps,
        &rows! {
            ["condition", "c", "wait"] ! NotHeld;
            ["condition", "c", "wait_for", 1] ! NotHeld;
            ["condition", "c", "notify", 1] ! NotHeld;
            ["condition", "c", "notify_all"] ! NotHeld;
            ["condition", "c", "release"] ! NotHeld;
            ["condition", "c", "acquire"] => null;
            ["condition", "c", "wait_for", 10] => false;
            ["condition", "c", "notify", 2] => null;
            ["condition", "c", "notify_all"] => null;
            ["condition", "c", "release"] => null;
            ["condition", "c", "acquire_for", 10] => true;
            ["condition", "c", "release"] => null;
        },
    );
    condition.acquire().expect("free");
    check(
        &steps,
        &rows! {
            ["condition", "c", "try_acquire"] => false;
            ["condition", "c", "acquire_for", 10] => false;
        },
    );
    condition.release().expect("held");
}

#[test]
fn an_event_is_set_and_cleared() {
    let fixture = tasks(1);
    let event = fixture.pool.event("e").expect("an event");
    let steps = script(&fixture.module.clone().grant(&event));
    check(
        &steps,
        &rows! {
            ["event", "e", "is_set"] => false;
            ["event", "e", "wait_for", 10] => false;
            ["event", "e", "set"] => null;
            ["event", "e", "is_set"] => true;
            ["event", "e", "wait"] => null;
            ["event", "e", "wait_for", 0] => true;
            ["event", "e", "clear"] => null;
            ["event", "e", "is_set"] => false;
            ["event", "e", "set"] => null;
        },
    );
    assert!(event.is_set().expect("a flag"));
}

#[test]
fn a_barrier_breaks_for_all_and_is_reset() {
    let fixture = tasks(1);
    let barrier = fixture.pool.barrier("m", 2).expect("a barrier");
    let alone = fixture.pool.barrier("alone", 1).expect("a barrier");
    let steps = script(&fixture.module.clone().grant(&barrier).grant(&alone));
    check(
        &steps,
        &rows! {
            ["barrier", "m", "parties"] => 2;
            ["barrier", "m", "n_waiting"] => 0;
            ["barrier", "m", "is_broken"] => false;
            ["barrier", "m", "wait_for", 10] ! Broken;
            ["barrier", "m", "is_broken"] => true;
            ["barrier", "m", "wait"] ! Broken;
            ["barrier", "m", "reset"] => null;
            ["barrier", "m", "is_broken"] => false;
            ["barrier", "m", "abort"] => null;
            ["barrier", "m", "wait"] ! Broken;
            ["barrier", "m", "reset"] => null;
            ["barrier", "alone", "wait"] => 0;
            ["barrier", "alone", "wait_for", 0] => 0;
        },
    );
    assert!(!barrier.is_broken().expect("a state"));
}

#[test]
fn a_queue_is_bounded_ordered_and_exact() {
    let fixture = tasks(1);
    let queue = fixture.pool.queue::<Json>("q", 2).expect("a queue");
    let steps = script(&fixture.module.clone().grant(&queue));
    let big = "x".repeat(5000);
    check(
        &steps,
        &rows! {
            ["queue", "q", "capacity"] => 2;
            ["queue", "q", "is_empty"] => true;
            ["queue", "q", "try_get"] => null;
            ["queue", "q", "get_for", 10] => null;
            ["queue", "q", "put", { "any": [1, null, -0.5, "größe"] }] => null;
            ["queue", "q", "len"] => 1;
            ["queue", "q", "try_put", big] => true;
            ["queue", "q", "is_full"] => true;
            ["queue", "q", "try_put", 3] => false;
            ["queue", "q", "put_for", 3, 10] => false;
            ["queue", "q", "get"] => { "any": [1, null, -0.5, "größe"] };
            ["queue", "q", "acknowledge"] => null;
            ["queue", "q", "get_for", 10] => big;
            ["queue", "q", "is_empty"] => true;
            ["queue", "q", "put", "text"] => null;
            ["queue", "q", "get_number"] ! Undecodable;
            ["queue", "q", "put", 4] => null;
            ["queue", "q", "close"] => null;
            ["queue", "q", "close"] => null;
            ["queue", "q", "put", 5] ! Closed;
            ["queue", "q", "try_put", 5] ! Closed;
            ["queue", "q", "drain"] => [4];
            ["queue", "q", "get"] ! Closed;
            ["queue", "q", "try_get"] ! Closed;
        },
    );
    assert!(queue.is_closed());
    assert_eq!(queue.get().expect_err("closed").kind(), SharedErrorKind::Closed);
}

#[test]
fn a_joinable_queue_counts_unfinished_items() {
    let fixture = tasks(1);
    let queue = fixture.pool.joinable_queue::<i64>("j", 9).expect("a queue");
    let steps = script(&fixture.module.clone().grant(&queue));
    check(
        &steps,
        &rows! {
            ["joinable_queue", "j", "join"] => null;
            ["joinable_queue", "j", "task_done"] ! TooMany;
            ["joinable_queue", "j", "put", 1] => null;
            ["joinable_queue", "j", "put", 2] => null;
            ["joinable_queue", "j", "join_for", 10] => false;
            ["joinable_queue", "j", "get"] => 1;
            ["joinable_queue", "j", "task_done"] => null;
            ["joinable_queue", "j", "join_for", 0] => false;
            ["joinable_queue", "j", "get"] => 2;
            ["joinable_queue", "j", "len"] => 0;
            ["joinable_queue", "j", "join_for", 10] => false;
            ["joinable_queue", "j", "task_done"] => null;
            ["joinable_queue", "j", "task_done"] ! TooMany;
            ["joinable_queue", "j", "join"] => null;
        },
    );
    assert_eq!(queue.unfinished().expect("a number"), 0);
}

#[test]
fn a_pipe_carries_messages_both_ways_until_an_end_is_closed() {
    let fixture = tasks(1);
    let ends: (PipeEnd<Json>, PipeEnd<Json>) = fixture.pool.pipe("p").expect("a pipe");
    let steps = script(&fixture.module.clone().grant(&ends.0).grant(&ends.1));
    check(
        &steps,
        &rows! {
            ["pipe", "p.0", "send", [1, 2]] => null;
            ["pipe", "p.0", "poll", 0] => false;
            ["pipe", "p.1", "poll", null] => true;
            ["pipe", "p.1", "recv"] => [1, 2];
            ["pipe", "p.1", "recv_for", 10] => null;
            ["pipe", "p.1", "send_for", "back", 10] => true;
            ["pipe", "p.0", "recv_for", 10] => "back";
            ["pipe", "p.0", "send_bytes", [1, 255]] => null;
            ["pipe", "p.1", "recv_bytes"] => [1, 255];
        },
    );
}

#[test]
fn a_one_way_pipe_sends_from_its_second_end_only() {
    let fixture = tasks(1);
    let ends: (PipeEnd<Infallible, i64>, PipeEnd<i64, Infallible>) =
        fixture.pool.one_way_pipe("p").expect("a pipe");
    let steps = script(&fixture.module.clone().grant(&ends.0).grant(&ends.1));
    check(
        &steps,
        &rows! {
            ["pipe", "p.1", "send", 7] => null;
            ["pipe", "p.0", "recv"] => 7;
            ["pipe", "p.0", "send", 7] ! ReadOnly;
            ["pipe", "p.1", "recv"] ! ReadOnly;
        },
    );
}

#[test]
fn the_last_messages_are_received_before_the_end_of_the_file() {
    let fixture = tasks(1);
    let (left, right): (PipeEnd<i64>, PipeEnd<i64>) = fixture.pool.pipe("p").expect("a pipe");
    left.send(&1).expect("room");
    left.send(&2).expect("room");
    left.close().expect("open");
    let steps = script(&fixture.module.clone().grant(&right));
    check(
        &steps,
        &rows! {
            ["pipe", "p.1", "recv"] => 1;
            ["pipe", "p.1", "poll", 0] => true;
            ["pipe", "p.1", "recv"] => 2;
            ["pipe", "p.1", "poll", 0] => true;
            ["pipe", "p.1", "recv"] ! EndOfFile;
        },
    );
}

#[test]
fn a_list_is_changed_anywhere() {
    let fixture = tasks(1);
    let list = fixture.pool.list::<Json>("l").expect("a list");
    let steps = script(&fixture.module.clone().grant(&list));
    check(
        &steps,
        &rows! {
            ["list", "l", "pop"] => null;
            ["list", "l", "pop_at", 0] ! OutOfRange;
            ["list", "l", "push", "a"] => 0;
            ["list", "l", "extend", [1, 2, 3]] => null;
            ["list", "l", "insert", 1, "b"] => null;
            ["list", "l", "to_vec"] => ["a", "b", 1, 2, 3];
            ["list", "l", "slice", 1, 3] => ["b", 1];
            ["list", "l", "slice", 3, null] => [2, 3];
            ["list", "l", "slice", 2, 2] => [];
            ["list", "l", "update", -1, 10] => 13;
            ["list", "l", "get", -1] => 13;
            ["list", "l", "get", -5] => "a";
            ["list", "l", "get", 5] ! OutOfRange;
            ["list", "l", "get", -6] ! OutOfRange;
            ["list", "l", "set", 0, { "k": 1 }] => null;
            ["list", "l", "pop_at", 0] => { "k": 1 };
            ["list", "l", "remove_at", 0] => null;
            ["list", "l", "pop"] => 13;
            ["list", "l", "len"] => 2;
        },
    );
    assert_eq!(list.to_vec().expect("values"), [1, 2]);
    check(&steps, &rows! { ["list", "l", "clear"] => null; ["list", "l", "to_vec"] => []; });
}

#[test]
fn a_dictionary_keeps_the_order_of_its_keys() {
    let fixture = tasks(1);
    let dict = fixture.pool.dict::<Json, Json>("d").expect("a dictionary");
    let steps = script(&fixture.module.clone().grant(&dict));
    check(
        &steps,
        &rows! {
            ["dict", "d", "get", "k"] => null;
            ["dict", "d", "set_default", "k", 5] => 5;
            ["dict", "d", "set_default", "k", 6] => 5;
            ["dict", "d", "update_entry", "k", 2] => 7;
            ["dict", "d", "update_entry", "new", 2] => 2;
            ["dict", "d", "extend", [["k", 1], [7, "seven"]]] => null;
            ["dict", "d", "keys"] => ["k", "new", 7];
            ["dict", "d", "values"] => [1, 2, "seven"];
            ["dict", "d", "items"] => [["k", 1], ["new", 2], [7, "seven"]];
            ["dict", "d", "contains_key", 7] => true;
            ["dict", "d", "contains_key", "7"] => false;
            ["dict", "d", "remove", 8] => false;
            ["dict", "d", "remove", "new"] => true;
            ["dict", "d", "pop", 7] => "seven";
            ["dict", "d", "pop", 7] => null;
            ["dict", "d", "insert", "k", [2]] => null;
            ["dict", "d", "len"] => 1;
        },
    );
    assert_eq!(dict.items().expect("entries"), [(json!("k"), json!([2]))]);
    check(&steps, &rows! { ["dict", "d", "clear"] => null; ["dict", "d", "items"] => []; });
}

#[test]
fn a_namespace_has_attributes() {
    let fixture = tasks(1);
    let namespace = fixture.pool.namespace("n").expect("a namespace");
    let steps = script(&fixture.module.clone().grant(&namespace));
    check(
        &steps,
        &rows! {
            ["namespace", "n", "get", "x"] ! Missing;
            ["namespace", "n", "delete", "x"] ! Missing;
            ["namespace", "n", "set", "x", [1]] => null;
            ["namespace", "n", "set", "y", "why"] => null;
            ["namespace", "n", "get", "x"] => [1];
            ["namespace", "n", "contains", "x"] => true;
            ["namespace", "n", "delete", "x"] => null;
            ["namespace", "n", "contains", "x"] => false;
            ["namespace", "n", "len"] => 1;
        },
    );
    assert_eq!(namespace.get::<String>("y").expect("an attribute"), "why");
    namespace.set("z", &BTreeMap::from([("a", 1)])).expect("room");
    check(&steps, &rows! { ["namespace", "n", "get", "z"] => { "a": 1 }; });
}

#[test]
fn whoever_waits_for_several_is_told_which_are_ready() {
    let fixture = tasks(1);
    let (event, lock) = (fixture.pool.event("e").expect("an event"), fixture.pool.lock("l").expect("a lock"));
    let queue = fixture.pool.queue::<i64>("q", 3).expect("a queue");
    let semaphore = fixture.pool.semaphore("s", 0).expect("a semaphore");
    let (left, right): (PipeEnd<i64>, PipeEnd<i64>) = fixture.pool.pipe("p").expect("a pipe");
    let list = fixture.pool.list::<i64>("list").expect("a list");
    let module = fixture.module.clone().grant(&event).grant(&lock).grant(&queue).grant(&semaphore);
    let steps = script(&module.grant(&right).grant(&list));
    let all = json!([["event", "e"], ["queue", "q"], ["semaphore", "s"], ["pipe", "p.1"], ["lock", "l"]]);
    lock.acquire().expect("free");
    check(
        &steps,
        &rows! {
            ["wait_any", all, 0] => [];
            ["wait_any", all, 10] => [];
            ["event", "e", "set"] => null;
            ["wait_any", all, null] => [0];
            ["queue", "q", "put", 1] => null;
            ["wait_any", all, 10] => [0, 1];
            ["wait_any", [], 10] ! Invalid;
            ["wait_any", [["event", "e"], ["list", "list"]], 10] ! WrongKind;
        },
    );
    semaphore.release(1).expect("room");
    left.send(&5).expect("room");
    lock.release().expect("held");
    check(&steps, &rows! { ["wait_any", all, null] => [0, 1, 2, 3, 4]; ["queue", "q", "get"] => 1; });
    assert_eq!(wait_any(&[&queue, &event], None).expect("ready"), [1]);
}

#[test]
fn as_many_as_the_kernel_takes_can_be_waited_for() {
    const OBJECTS_MAX: usize = 128;
    let fixture = tasks(1);
    let name = |number: usize| format!("e{number}");
    let make = |number| fixture.pool.event(&name(number)).expect("an event");
    let events: Vec<Event> = (0..=OBJECTS_MAX).map(make).collect();
    let module = events.iter().fold(fixture.module.clone(), |module, event| module.grant(event));
    let steps = script(&module);
    let all: Vec<Json> = (0..=OBJECTS_MAX).map(|number| json!(["event", name(number)])).collect();
    let most = &all[..OBJECTS_MAX];
    check(&steps, &rows! { ["wait_any", most, 0] => []; ["wait_any", all, 0] ! Invalid; });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&steps, &[json!(["wait_any", most, null])]));
        let worker = processes::workers(&fixture.pool)[0];
        wait_until(|| Process::find(worker).is_some_and(|worker| worker.state == 'S'));
        events[OBJECTS_MAX - 1].set().expect("set");
        assert_eq!(waiting.join().expect("no panic"), [json!([OBJECTS_MAX - 1])]);
    });
    let objects: Vec<&dyn Shareable> = events.iter().map(|event| event as &dyn Shareable).collect();
    assert_eq!(wait_any(&objects[..OBJECTS_MAX], None).expect("one is set"), [OBJECTS_MAX - 1]);
    assert_eq!(wait_any(&objects, None).expect_err("too many").kind(), SharedErrorKind::Invalid);
}

#[test]
fn an_object_of_another_kind_or_element_is_refused_by_name() {
    let fixture = tasks(1);
    let value = fixture.pool.value("counter", 5i32).expect("a value");
    let lock = fixture.pool.lock("latch").expect("a lock");
    let steps = script(&fixture.module.clone().grant(&value).grant(&lock));
    let cases = [
        (json!(["value:i64", "counter", "get"]), "WrongElement"),
        (json!(["array:i32", "counter", "len"]), "WrongKind"),
        (json!(["lock", "counter", "acquire"]), "WrongKind"),
        (json!(["rlock", "latch", "acquire"]), "WrongKind"),
        (json!(["lock", "latsh", "acquire"]), "NotGranted"),
        (json!(["queue", "nowhere", "get"]), "NotGranted"),
        (json!(["queue", "no such name!", "get"]), "NotGranted"),
    ];
    for (step, kind) in cases {
        let name = step[1].as_str().expect("a name").to_owned();
        let answer = answer(&steps, step);
        let text = answer["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(answer["err"], kind, "{answer}");
        assert!(text.contains(&name), "it names the object: {text}");
    }
    let nothing = answer(&script(&fixture.module), json!(["lock", "latch", "acquire"]));
    assert_eq!(nothing["err"], "NotGranted", "{nothing}");
}

#[test]
fn who_may_only_read_writes_nothing() {
    let fixture = tasks(1);
    let pool = &fixture.pool;
    let mut module = fixture.module.clone();
    macro_rules! granted {
        ($($made:expr),+ $(,)?) => {
            ($({
                let object = $made.expect("an object");
                module = module.grant_read(&object);
                object
            }),+)
        };
    }
    let (value, _array, _lock, _rlock, _semaphore, _bounded) = granted!(
        pool.value("v", 5i32),
        pool.array_of("a", &[1i64, 2]),
        pool.lock("l"),
        pool.rlock("r"),
        pool.semaphore("s", 1),
        pool.bounded_semaphore("b", 1),
    );
    let (_condition, _event, _barrier, queue, joinable) = granted!(
        pool.condition("c"),
        pool.event("e"),
        pool.barrier("m", 1),
        pool.queue::<i64>("q", 3),
        pool.joinable_queue::<i64>("j", 3),
    );
    let (list, dict, namespace) =
        granted!(pool.list::<i64>("li"), pool.dict::<i64, i64>("d"), pool.namespace("n"));
    queue.put(&1).expect("room");
    joinable.put(&1).expect("room");
    list.push(&1).expect("room");
    dict.insert(&1, &1).expect("room");
    namespace.set("x", &1).expect("room");
    let steps = script(&module);
    let writes = json!([
        ["value:i32", "v", "set", 1],
        ["value:i32", "v", "swap", 1],
        ["value:i32", "v", "fetch_add", 1],
        ["value:i32", "v", "compare_exchange", 5, 1],
        ["value:i32", "v", "update", 1],
        ["value:i32", "v", "acquire"],
        ["value:i32", "v", "release"],
        ["array:i64", "a", "set", 0, 1],
        ["array:i64", "a", "write", 0, [1]],
        ["array:i64", "a", "fill", 0, 2, 1],
        ["array:i64", "a", "fetch_sub", 0, 1],
        ["array:i64", "a", "lease", 0, 1],
        ["array:i64", "a", "view_set", 0, 1],
        ["array:i64", "a", "view_fetch_add", 0, 1],
        ["array:i64", "a", "acquire"],
        ["lock", "l", "acquire"],
        ["lock", "l", "try_acquire"],
        ["lock", "l", "release"],
        ["rlock", "r", "acquire"],
        ["semaphore", "s", "acquire"],
        ["semaphore", "s", "release", 1],
        ["bounded_semaphore", "b", "try_acquire"],
        ["condition", "c", "acquire"],
        ["event", "e", "set"],
        ["event", "e", "clear"],
        ["barrier", "m", "wait"],
        ["barrier", "m", "abort"],
        ["barrier", "m", "reset"],
        ["queue", "q", "put", 1],
        ["queue", "q", "try_put", 1],
        ["queue", "q", "get"],
        ["queue", "q", "try_get"],
        ["queue", "q", "close"],
        ["joinable_queue", "j", "get"],
        ["joinable_queue", "j", "task_done"],
        ["list", "li", "push", 1],
        ["list", "li", "extend", [1]],
        ["list", "li", "set", 0, 2],
        ["list", "li", "insert", 0, 2],
        ["list", "li", "pop"],
        ["list", "li", "remove_at", 0],
        ["list", "li", "update", 0, 1],
        ["list", "li", "clear"],
        ["dict", "d", "insert", 1, 2],
        ["dict", "d", "extend", [[1, 2]]],
        ["dict", "d", "set_default", 2, 2],
        ["dict", "d", "update_entry", 1, 1],
        ["dict", "d", "remove", 1],
        ["dict", "d", "pop", 1],
        ["dict", "d", "clear"],
        ["namespace", "n", "set", "x", 2],
        ["namespace", "n", "delete", "x"],
        ["namespace", "n", "clear"],
    ]);
    let writes: Vec<(Json, Json)> =
        writes.as_array().expect("steps").iter().map(|step| (step.clone(), err("ReadOnly"))).collect();
    check(&steps, &writes);
    check(
        &steps,
        &rows! {
            ["value:i32", "v", "is_writable"] => false;
            ["value:i32", "v", "get"] => 5;
            ["array:i64", "a", "to_vec"] => [1, 2];
            ["array:i64", "a", "read", 1, 2] => [2];
            ["array:i64", "a", "view", 0, 2] => true;
            ["array:i64", "a", "view_get", 1] => 2;
            ["array:i64", "a", "read_lease", 0, 2] ! NoView;
            ["lock", "l", "is_locked"] => false;
            ["semaphore", "s", "available"] => 1;
            ["event", "e", "is_set"] => false;
            ["barrier", "m", "is_broken"] => false;
            ["queue", "q", "len"] => 1;
            ["joinable_queue", "j", "len"] => 1;
            ["list", "li", "to_vec"] => [1];
            ["dict", "d", "items"] => [[1, 1]];
            ["dict", "d", "get", 1] => 1;
            ["namespace", "n", "get", "x"] => 1;
        },
    );
    assert_eq!(value.get().expect("a number"), 5);
}

#[test]
fn who_may_only_read_cannot_be_a_party_of_a_pipe() {
    let fixture = tasks(1);
    let (left, right): (PipeEnd<i64>, PipeEnd<i64>) = fixture.pool.pipe("p").expect("a pipe");
    left.send(&1).expect("room");
    let steps = script(&fixture.module.clone().grant_read(&right));
    for operation in ["recv", "close"] {
        assert_eq!(run(&steps, &[json!(["pipe", "p.1", operation])]), [err("ReadOnly")], "{operation}");
    }
    assert_eq!(right.recv().expect("still there"), 1);
}

#[test]
fn what_has_no_room_is_refused_and_changes_nothing() {
    let fixture = tasks(1);
    let pool = &fixture.pool;
    let queue = pool.queue_with::<Json>("q", QueueOptions::new(4).bytes(4096)).expect("a queue");
    let pipe: (PipeEnd<Json>, PipeEnd<Json>) =
        pool.pipe_with("p", PipeOptions::new().bytes(4096)).expect("a pipe");
    let small = RecordOptions::new().records(2).bytes(4096);
    let list = pool.list_with::<Json>("l", small).expect("a list");
    let dict = pool.dict_with::<Json, Json>("d", small).expect("a dictionary");
    let module = fixture.module.clone().grant(&queue).grant(&pipe.0).grant(&pipe.1).grant(&list).grant(&dict);
    let large = "x".repeat(10_000);
    check(
        &script(&module),
        &rows! {
            ["queue", "q", "put", large] ! TooLarge;
            ["queue", "q", "try_put", large] ! TooLarge;
            ["queue", "q", "put", 1] => null;
            ["pipe", "p.0", "send", large] ! TooLarge;
            ["pipe", "p.0", "send", 1] => null;
            ["list", "l", "capacity"] => 2;
            ["list", "l", "push", large] ! TooLarge;
            ["list", "l", "extend", [1, 2]] => null;
            ["list", "l", "push", 3] ! NoRoom;
            ["list", "l", "insert", 0, 3] ! NoRoom;
            ["list", "l", "extend", [3, 4]] ! NoRoom;
            ["list", "l", "to_vec"] => [1, 2];
            ["list", "l", "pop"] => 2;
            ["list", "l", "push", 3] => 1;
            ["dict", "d", "capacity"] => 2;
            ["dict", "d", "insert", "k", large] ! TooLarge;
            ["dict", "d", "extend", [["a", 1], ["b", 2]]] => null;
            ["dict", "d", "insert", "c", 3] ! NoRoom;
            ["dict", "d", "insert", "a", 3] => null;
            ["dict", "d", "items"] => [["a", 3], ["b", 2]];
        },
    );
    assert_eq!(queue.get().expect("an item"), 1);
    assert_eq!(pipe.1.recv().expect("a message"), 1);
}

#[test]
fn an_item_that_is_no_such_value_is_told_and_gone() {
    let fixture = tasks(1);
    let queue = fixture.pool.queue::<Json>("q", 4).expect("a queue");
    let numbers = script(&fixture.module.clone().grant(&queue));
    for item in [json!("text"), json!(1.5), json!({ "a": 1 }), json!(null)] {
        queue.put(&item).expect("room");
        queue.put(&json!(7)).expect("room");
        check(
            &numbers,
            &rows! {
                ["queue", "q", "get_number"] ! Undecodable;
                ["queue", "q", "get_number"] => 7;
            },
        );
    }
}

/// Values whose encoding has something of its own.
fn values() -> Vec<Json> {
    vec![
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.1),
        json!(-1e300),
        json!(""),
        json!("größe 世界 🦀\0\n"),
        json!("long ".repeat(5000)),
        json!(true),
        json!([]),
        json!({}),
        json!([[], [1, [2, "three"]], null]),
        json!({ "a": { "b": [1.5, false] }, "c": null }),
    ]
}

#[test]
fn what_a_guest_writes_the_host_reads_and_the_other_way_round() {
    let fixture = tasks(1);
    let pool = &fixture.pool;
    let queue = pool.queue::<Json>("q", 4).expect("a queue");
    let (left, right): (PipeEnd<Json>, PipeEnd<Json>) = pool.pipe("p").expect("a pipe");
    let list = pool.list::<Json>("l").expect("a list");
    let dict = pool.dict::<String, Json>("d").expect("a dictionary");
    let namespace = pool.namespace("n").expect("a namespace");
    let module =
        fixture.module.clone().grant(&queue).grant(&right).grant(&list).grant(&dict).grant(&namespace);
    let steps = script(&module);
    for value in values() {
        check(
            &steps,
            &rows! {
                ["queue", "q", "put", value] => null;
                ["pipe", "p.1", "send", value] => null;
                ["list", "l", "clear"] => null;
                ["list", "l", "push", value] => 0;
                ["dict", "d", "insert", "key", value] => null;
                ["namespace", "n", "set", "x", value] => null;
            },
        );
        assert_eq!(queue.get().expect("an item"), value);
        assert_eq!(list.get(0).expect("a value"), value);
        assert_eq!(dict.get("key").expect("a value"), Some(value.clone()));
        assert_eq!(namespace.get::<Json>("x").expect("a value"), value);
        queue.put(&value).expect("room");
        list.push(&value).expect("room");
        dict.insert("other", &value).expect("room");
        namespace.set("y", &value).expect("room");
        check(
            &steps,
            &rows! {
                ["queue", "q", "get"] => value;
                ["list", "l", "to_vec"] => [value, value];
                ["dict", "d", "get", "other"] => value;
                ["dict", "d", "len"] => 2;
                ["namespace", "n", "get", "y"] => value;
            },
        );
    }
    for value in values() {
        assert_eq!(left.recv().expect("a message of a call that is over"), value);
    }
}

#[test]
fn keys_are_the_same_for_host_and_guest() {
    fn is_found<K: Serialize + DeserializeOwned + PartialEq + Debug>(fixture: &Fixture, name: &str, key: &K) {
        let dict = fixture.pool.dict::<K, i64>(name).expect("a dictionary");
        let steps = script(&fixture.module.clone().grant(&dict));
        dict.insert(key, &1).expect("room");
        check(
            &steps,
            &rows! {
                ["dict", name, "get", key] => 1;
                ["dict", name, "update_entry", key, 1] => 2;
                ["dict", name, "len"] => 1;
            },
        );
        assert_eq!(dict.items().expect("entries").len(), 1, "{key:?}");
        assert_eq!(dict.get(key).expect("found"), Some(2), "{key:?}");
    }

    let fixture = tasks(1);
    is_found(&fixture, "text", &"key".to_owned());
    is_found(&fixture, "byte", &7u8);
    is_found(&fixture, "integer", &7i64);
    is_found(&fixture, "negative", &-7i32);
    is_found(&fixture, "large", &u64::MAX);
    is_found(&fixture, "float", &0.5f64);
    is_found(&fixture, "flag", &true);
    is_found(&fixture, "pair", &(1u32, "two".to_owned()));
}

#[test]
fn handles_travel_as_arguments_and_as_items() {
    let fixture = tasks(1);
    let counter = fixture.pool.value("counter", 1i32).expect("a value");
    let handles = fixture.pool.queue::<Value<i32>>("handles", 2).expect("a queue");
    let module = fixture.module.clone().grant(&counter).grant(&handles);
    let add = module.task::<(Value<i32>, i32), i32>("add_to").expect("a task");
    assert_eq!(add.apply((counter.clone(), 4)).expect("a result"), 1);
    assert_eq!(counter.get().expect("a number"), 5);
    // As an item it is what the guest's handles are made of, too.
    let opens = module.task::<i32, i32>("add_to_each").expect("a task");
    handles.put(&counter).expect("room");
    handles.put(&counter).expect("room");
    handles.close().expect("open");
    assert_eq!(opens.apply(10).expect("a result"), 2);
    assert_eq!(counter.get().expect("a number"), 25);
}

#[test]
fn a_handle_of_what_was_not_granted_opens_nothing() {
    let fixture = tasks(1);
    let counter = fixture.pool.value("counter", 1i32).expect("a value");
    let add = fixture.module.task::<(Value<i32>, i32), i32>("add_to").expect("a task");
    let failure = wasmpool_tests::failure(add.apply((counter.clone(), 4)));
    assert!(failure.message().contains("counter"), "{failure}");
    assert_eq!(counter.get().expect("a number"), 1);
}

#[test]
fn time_limits_of_operations_are_kept() {
    let fixture = tasks(1);
    let event = fixture.pool.event("e").expect("an event");
    let steps = script(&fixture.module.clone().grant(&event));
    let begin = std::time::Instant::now();
    assert_eq!(run(&steps, &[json!(["event", "e", "wait_for", 200])]), [json!(false)]);
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
}

#[test]
fn a_name_is_free_again_when_nobody_can_reach_its_object() {
    let fixture = tasks(1);
    for number in 0..3 {
        // The worker that had the last one lets go of it by ending.
        let mut value = None;
        wait_until(|| {
            value = fixture.pool.value("v", number).ok();
            value.is_some()
        });
        let value = value.expect("the name is free");
        let steps = script(&fixture.module.clone().grant(&value));
        check(&steps, &rows! { ["value:i32", "v", "get"] => number; });
    }
}

#[test]
fn tasks_that_are_used_once_share_the_worker_of_their_module() {
    let fixture = tasks(1);
    let counter = fixture.pool.value("counter", 0i32).expect("a value");
    let granted = fixture.module.clone().grant(&counter);
    let mut workers = (0..5).map(|_| {
        let count = granted.task::<i64, ()>("count_process").expect("a task");
        count.apply(0).expect("a result");
        fixture.pool.worker_pids()
    });
    let first = workers.next().expect("workers");
    assert!(workers.all(|later| later == first));
    drop(workers);
    assert_eq!(counter.get().expect("a number"), 5);
}
