//! Hostile modules that aim at what they share with others: held for ever, filled, closed, given back twice, taken and
//! dropped, asked for what it cannot do, and shown where nobody may write.

use std::time::Duration;

use wasmpool::FailureKind::{BadResult, TimedOut, Trapped, WorkerLost};
use wasmpool::shared::{Queue, QueueOptions, RecordOptions};
use wasmpool::{Error, Exit, Failure, Module, Pool};
use wasmpool_tests::siege::{Aftermath, Attack, Expected, SHORT, Weapon, withstand};

wasmpool::test_support!();

/// Long for anything that an attack has left free.
const PATIENCE: Duration = Duration::from_secs(60);

/// A module with all functions of shared objects, with names of objects, and with this task `attack`.
///
/// `$open` opens by name. `$expect` counts the answers that are not as expected, in `$count`. There are 8 MiB of memory,
/// of which whatever lies behind the first 64 KiB is free.
fn sharing(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
          (import "wasmpool" "shared_open" (func $shared_open (param i32 i32 i32 i32) (result i64)))
          (import "wasmpool" "shared_close" (func $close (param i32) (result i32)))
          (import "wasmpool" "shared_refusal" (func $refusal (param i32 i32) (result i32)))
          (import "wasmpool" "shared_cell" (func $cell (param i32 i32 i64 i64 i64 i32) (result i32)))
          (import "wasmpool" "shared_slice" (func $slice (param i32 i32 i64 i32 i64) (result i32)))
          (import "wasmpool" "shared_op" (func $shared_op (param i32 i32 i64 i64 i32) (result i32)))
          (import "wasmpool" "shared_put" (func $put (param i32 i32 i32 i64) (result i32)))
          (import "wasmpool" "shared_get" (func $get (param i32 i64 i32 i32 i32) (result i32)))
          (import "wasmpool" "shared_record" (func $record
            (param i32 i32 i32 i32 i64 i32 i32 i32 i32 i32) (result i32)))
          (import "wasmpool" "shared_staged" (func $staged (param i32) (result i32)))
          (import "wasmpool" "shared_wait" (func $wait (param i32 i32 i64 i32) (result i32)))
          (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
          (import "wasmpool" "shared_unmap" (func $unmap (param i32) (result i32)))
          (memory (export "memory") 128)
          (data (i32.const 0) "lock") (data (i32.const 16) "queue") (data (i32.const 32) "seats")
          (data (i32.const 48) "array") (data (i32.const 64) "barrier") (data (i32.const 80) "event")
          (data (i32.const 96) "dict") (data (i32.const 112) "list") (data (i32.const 128) "pipe.0")
          (data (i32.const 144) "condition") (data (i32.const 160) "value") (data (i32.const 176) "nothing")
          (global $count (mut i64) (i64.const 0))
          (func $open (param $name i32) (result i32)
            (local $length i32)
            (loop $again
              (if (i32.load8_u (i32.add (local.get $name) (local.get $length)))
                (then (local.set $length (i32.add (local.get $length) (i32.const 1))) (br $again))))
            (i32.wrap_i64
              (call $shared_open (local.get $name) (local.get $length) (i32.const -1) (i32.const -1))))
          ;; An operation that waits for nothing.
          (func $op (param $handle i32) (param $op i32) (result i32)
            (call $shared_op (local.get $handle) (local.get $op) (i64.const 1) (i64.const 0) (i32.const 1024)))
          ;; One that waits for ever.
          (func $op_for_ever (param $handle i32) (param $op i32) (result i32)
            (call $shared_op (local.get $handle) (local.get $op) (i64.const 1) (i64.const -1) (i32.const 1024)))
          (func $expect (param $expected i32) (param $got i32)
            (if (i32.ne (local.get $expected) (local.get $got))
              (then (global.set $count (i64.add (global.get $count) (i64.const 1))))))
          (func (export "attack") (result i64) (local $h i32) (local $i i32) (local $j i32)
            {body}
            (global.get $count)))"#
    );
    text.into_bytes()
}

const fn attack(
    name: &'static str,
    arrange: fn(&Pool, Module) -> (Module, Aftermath),
    make: fn() -> Vec<u8>,
    outcome: Expected,
) -> Attack {
    Attack { name, module: Weapon::Made(make), arrange, outcome, ..Attack::PLAIN }
}

const fn hasty(
    name: &'static str,
    arrange: fn(&Pool, Module) -> (Module, Aftermath),
    make: fn() -> Vec<u8>,
) -> Attack {
    let outcome = Expected::Ends(TimedOut, "longer than its limit of 150ms");
    Attack { name, module: Weapon::Made(make), arrange, outcome, ..Attack::HASTY }
}

const NOTHING_AMISS: Expected = Expected::Returns("0");
const OUT_OF_BOUNDS: Expected = Expected::Ends(Trapped, "lies outside the guest's memory");

/// A lock, free in the end.
fn lock(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let lock = pool.lock("lock").expect("a lock");
    let module = module.grant(&lock);
    let is_free =
        move || assert!(lock.lock_for(PATIENCE).expect("a lock").is_some(), "the lock is still held");
    (module, Box::new(is_free))
}

/// A bounded semaphore of three permits, all there in the end.
fn seats(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let seats = pool.bounded_semaphore("seats", 3).expect("a semaphore");
    let module = module.grant(&seats);
    let are_free = move || {
        let permits = [(); 3].map(|()| seats.acquire_for(PATIENCE).expect("a semaphore"));
        assert!(permits.iter().all(Option::is_some), "a permit is gone");
    };
    (module, Box::new(are_free))
}

/// A queue of four items, with one item, which is there in the end, alone.
fn queue(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let queue: Queue<i64> = pool.queue("queue", 4).expect("a queue");
    queue.put(&7).expect("room");
    let module = module.grant(&queue);
    let is_there = move || {
        assert_eq!(queue.get_for(PATIENCE).expect("a queue"), Some(7), "the item is gone");
        assert_eq!(queue.len().expect("a queue"), 0);
        queue.put(&7).expect("room");
    };
    (module, Box::new(is_there))
}

/// An empty queue of four items of any kind; whatever is there in the end, the queue works.
fn any_queue(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let queue = pool.queue_with::<i64>("queue", QueueOptions::new(4).bytes(4096)).expect("a queue");
    let module = module.grant(&queue);
    let works = move || {
        queue.len().expect("a length");
    };
    (module, Box::new(works))
}

/// An array of a hundred thousand numbers, free in the end.
fn array(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let array = pool.array::<i64>("array", 100_000).expect("an array");
    let module = module.grant(&array);
    let is_free = move || array.fill(.., 0).expect("nobody leases it");
    (module, Box::new(is_free))
}

/// All there is.
fn everything(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let few = || RecordOptions::new().records(64).bytes(65_536);
    let (module, _) = lock(pool, module);
    let (module, _) = seats(pool, module);
    let (module, _) = any_queue(pool, module);
    let (module, _) = array(pool, module);
    let (barrier, event) =
        (pool.barrier("barrier", 2).expect("a barrier"), pool.event("event").expect("an event"));
    let dict = pool.dict_with::<String, i64>("dict", few()).expect("a dictionary");
    let list = pool.list_with::<i64>("list", few()).expect("a list");
    let (near, far) = pool.pipe::<i64, i64>("pipe").expect("a pipe");
    let (condition, value) =
        (pool.condition("condition").expect("one"), pool.value("value", 0i64).expect("one"));
    let module = module.grant(&barrier).grant(&event).grant(&dict).grant(&list).grant(&near);
    let module = module.grant(&condition).grant(&value);
    let are_usable = move || {
        let _held = condition.lock_for(PATIENCE).expect("a condition").expect("it is free");
        value.set(0).expect("a value");
        event.clear().expect("an event");
        barrier.reset().expect("a barrier");
        dict.clear().expect("a dictionary");
        list.clear().expect("a list");
        // The far end is the host's, whatever became of the near one.
        let _ = far.poll(Some(Duration::ZERO));
    };
    (module, Box::new(are_usable))
}

const HELD: [Attack; 10] = [
    hasty("a lock held for ever", lock, || {
        sharing(
            "(call $expect (i32.const 0) (call $op (call $open (i32.const 0)) (i32.const 4))) (loop $again (br $again))",
        )
    }),
    attack(
        "a lock never given back",
        lock,
        || sharing("(drop (call $op_for_ever (call $open (i32.const 0)) (i32.const 4)))"),
        NOTHING_AMISS,
    ),
    attack(
        "a lock given back twice, and one that is not held",
        lock,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 0)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const 0) (call $op_for_ever (local.get $h) (i32.const 4)))
                 (call $expect (i32.const 0) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a lock taken twice",
        lock,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 0)))
                 (call $expect (i32.const 0) (call $op_for_ever (local.get $h) (i32.const 4)))
                 (call $expect (i32.const -20) (call $op_for_ever (call $open (i32.const 0)) (i32.const 4)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("all permits, asleep", seats, || {
        sharing(
            "(local.set $h (call $open (i32.const 32)))
             (drop (call $op (local.get $h) (i32.const 4))) (drop (call $op (local.get $h) (i32.const 4)))
             (drop (call $op (local.get $h) (i32.const 4)))
             (drop (call $op_for_ever (local.get $h) (i32.const 4)))",
        )
    }),
    attack(
        "permits that nobody took",
        seats,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 32)))
                 (call $expect (i32.const -8) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const -22)
                   (call $shared_op (local.get $h) (i32.const 5) (i64.const -1) (i64.const 0) (i32.const 0)))
                 (call $expect (i32.const -8)
                   (call $shared_op (local.get $h) (i32.const 5) (i64.const 0xffffffff) (i64.const 0) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("an event that nobody sets", everything, || {
        sharing("(drop (call $op_for_ever (call $open (i32.const 80)) (i32.const 7)))")
    }),
    Attack {
        call: |module| {
            // More than there are workers, so that others are started to help.
            let outcomes = module.task::<(), i64>("attack")?.map_outcomes([(); 6])?;
            Ok(outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(is_late)).count().to_string())
        },
        outcome: Expected::Returns("6"),
        ..hasty("an event that nobody sets, six times", everything, || {
            sharing("(drop (call $op_for_ever (call $open (i32.const 80)) (i32.const 7)))")
        })
    },
    hasty("a barrier that nobody comes to", everything, || {
        sharing(
            "(drop (call $op (call $open (i32.const 64)) (i32.const 12)))
             (drop (call $op_for_ever (call $open (i32.const 64)) (i32.const 7)))",
        )
    }),
    hasty("an array leased for ever", array, || {
        sharing(
            "(drop (call $map (call $open (i32.const 48)) (i32.const 2) (i64.const 0) (i64.const 100000)))
             (loop $again (br $again))",
        )
    }),
];

fn is_late(failure: &Failure) -> bool {
    failure.kind() == TimedOut
}

const QUEUES: [Attack; 8] = [
    attack(
        "an item taken and dropped",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))
                 (unreachable)",
            )
        },
        Expected::Ends(Trapped, "unreachable"),
    ),
    attack(
        "an item taken to outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const -8) (i32.const 100) (i32.const 0)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item whose length is told outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const -7)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item staged and fetched to outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 1024)))
                 (drop (call $staged (i32.const -1)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item from outside",
        queue,
        || {
            sharing(
                "(drop (call $put (call $open (i32.const 16)) (i32.const 0x7fffff) (i32.const 2) (i64.const 0)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "a queue filled",
        any_queue,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 16)))
                 (loop $again
                   (br_if $again (i32.eqz (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const 0)))))
                 (call $expect (i32.const -3) (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const 0)))
                 (call $expect (i32.const -10)
                   (call $put (local.get $h) (i32.const 0) (i32.const 0x700000) (i64.const 0)))
                 (drop (call $op (local.get $h) (i32.const 2)))
                 (call $expect (i32.const 4) (i32.load (i32.const 1024)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a queue closed",
        any_queue,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 16)))
                 (drop (call $op (local.get $h) (i32.const 14)))
                 (drop (call $op (local.get $h) (i32.const 14)))
                 (call $expect (i32.const -4) (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const -1)))
                 (call $expect (i32.const -4)
                   (call $get (local.get $h) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("a queue that stays empty", any_queue, || {
        sharing(
            "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))",
        )
    }),
];

const ASKED_IN_VAIN: [Attack; 9] = [
    attack(
        "a thousand handles and more",
        everything,
        || {
            sharing(
                "(loop $again
                   (local.set $h (call $open (i32.const 0)))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $again (i32.ge_s (local.get $h) (i32.const 0))))
                 (call $expect (i32.const -17) (local.get $h))
                 (call $expect (i32.const 1025) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "objects of others",
        everything,
        || {
            sharing(
                "(call $expect (i32.const -14) (call $open (i32.const 176)))
                 (call $expect (i32.const -14) (call $open (i32.const 1000)))
                 (i64.store (i32.const 2000) (i64.const -1))
                 (call $expect (i32.const -14) (call $open (i32.const 2000)))
                 ;; The bystander's.
                 (i64.store (i32.const 2000) (i64.const 0x7265746e756f63))
                 (call $expect (i32.const -14) (call $open (i32.const 2000)))
                 (call $expect (i32.const -14)
                   (i32.wrap_i64 (call $shared_open (i32.const 0) (i32.const -1) (i32.const -1) (i32.const -1))))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a name outside",
        everything,
        || sharing("(drop (call $shared_open (i32.const -1) (i32.const 4) (i32.const -1) (i32.const -1)))"),
        OUT_OF_BOUNDS,
    ),
    attack(
        "handles that mean nothing",
        everything,
        || {
            sharing(
                "(drop (call $close (call $open (i32.const 0))))
                 (loop $handles
                   (local.set $h (i32.sub (i32.mul (local.get $i) (i32.const 0x1234567)) (i32.const 1)))
                   (call $expect (i32.const -22) (call $op (local.get $h) (local.get $i)))
                   (call $expect (i32.const -22) (call $close (local.get $h)))
                   (call $expect (i32.const -22) (call $put (local.get $h) (i32.const 0) (i32.const 8) (i64.const -1)))
                   (call $expect (i32.const -22)
                     (call $get (local.get $h) (i64.const -1) (i32.const 0) (i32.const 8) (i32.const 0)))
                   (call $expect (i32.const -22) (i32.wrap_i64
                     (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 1))))
                   (call $expect (i32.const -22) (call $unmap (local.get $h)))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $handles (i32.lt_u (local.get $i) (i32.const 100))))",
            )
        },
        NOTHING_AMISS,
    ),
    Attack {
        call: |module| module.task::<(), i64>("attack")?.apply(()).map(|_| "done".into()),
        ..attack(
            "everything of everything",
            everything,
            || {
                sharing(
                    "(loop $objects
                       (local.set $h (call $open (i32.mul (local.get $i) (i32.const 16))))
                       (local.set $j (i32.const -2))
                       (loop $ops
                         (drop (call $op (local.get $h) (local.get $j)))
                         (drop (call $cell (local.get $h) (local.get $j) (i64.const -1) (i64.const -1) (i64.const 1)
                           (i32.const 1024)))
                         (drop (call $slice (local.get $h) (local.get $j) (i64.const 99999) (i32.const 65536)
                           (i64.const 2)))
                         (drop (call $slice (local.get $h) (local.get $j) (i64.const -1) (i32.const 65536)
                           (i64.const 0x7fffffffffffffff)))
                         (drop (call $record (local.get $h) (local.get $j) (i32.const 0) (i32.const 4) (i64.const -1)
                           (i32.const 0) (i32.const 16) (i32.const 65536) (i32.const 16) (i32.const 1024)))
                         (drop (call $record (local.get $h) (local.get $j) (i32.const 0) (i32.const 0x10000)
                           (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0)
                           (i32.const 0)))
                         (drop (call $map (local.get $h) (local.get $j) (i64.const -1) (i64.const 100001)))
                         (drop (call $put (local.get $h) (i32.const 0) (i32.const 7) (i64.const 0)))
                         (drop (call $get (local.get $h) (i64.const 0) (i32.const 65536) (i32.const 3) (i32.const 0)))
                         (drop (call $staged (i32.const 65536)))
                         (drop (call $refusal (i32.const 65536) (i32.const 65536)))
                         (local.set $j (i32.add (local.get $j) (i32.const 1)))
                         (br_if $ops (i32.lt_s (local.get $j) (i32.const 25))))
                       (local.set $i (i32.add (local.get $i) (i32.const 1)))
                       (br_if $objects (i32.lt_u (local.get $i) (i32.const 12))))",
                )
            },
            Expected::Returns("done"),
        )
    },
    attack(
        "four thousand million objects at once",
        everything,
        || sharing("(drop (call $wait (i32.const 0) (i32.const -1) (i64.const -1) (i32.const 0)))"),
        Expected::Returns("0"),
    ),
    attack(
        "a notification without the lock",
        everything,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 144)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 8)))
                 (call $expect (i32.const -7) (call $op_for_ever (local.get $h) (i32.const 7)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a dictionary filled",
        everything,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 96)))
                 (loop $again
                   (i32.store (i32.const 2000) (local.get $i))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (local.set $j (call $record (local.get $h) (i32.const 1) (i32.const 2000) (i32.const 4) (i64.const 0)
                     (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 0) (i32.const 0)))
                   (br_if $again (i32.eqz (local.get $j))))
                 (call $expect (i32.const -11) (local.get $j))
                 (call $expect (i32.const 65) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a list lengthened by what is no sequence",
        everything,
        || {
            sharing(
                "(i64.store (i32.const 2000) (i64.const -1))
                 (call $expect (i32.const -22) (call $record (call $open (i32.const 112)) (i32.const 9)
                   (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 2000) (i32.const 8)
                   (i32.const 0) (i32.const 0) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
];

/// Where the view of all elements begins.
const VIEW: &str = "(local.set $h (i32.wrap_i64
    (call $map (call $open (i32.const 48)) (i32.const MODE) (i64.const 0) (i64.const 100000))))";

/// With a view for reading at `$h`.
fn reading(body: &str) -> Vec<u8> {
    sharing(&format!("{} {body}", VIEW.replace("MODE", "1")))
}

/// With a view that others write to, too, at `$h`.
fn writing(body: &str) -> Vec<u8> {
    sharing(&format!("{} {body}", VIEW.replace("MODE", "0")))
}

const VIEWS: [Attack; 8] = [
    attack(
        "a store to a view for reading",
        array,
        || reading("(i64.store (local.get $h) (i64.const 7))"),
        Expected::Ends(Trapped, "a store to a view for reading"),
    ),
    attack(
        "a fill of a view for reading",
        array,
        || reading("(memory.fill (local.get $h) (i32.const 7) (i32.const 8))"),
        Expected::Ends(WorkerLost(Exit::Signal(11)), ""),
    ),
    attack(
        "host functions that write to a view for reading",
        array,
        || {
            reading(
                "(drop (call $shared_op (call $open (i32.const 48)) (i32.const 2) (i64.const 0) (i64.const 0)
                   (local.get $h)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "a view taken away twice",
        array,
        || {
            writing(
                "(call $expect (i32.const 0) (call $unmap (local.get $h)))
                 (call $expect (i32.const -22) (call $unmap (local.get $h)))
                 (call $expect (i32.const -22) (call $unmap (i32.const 0)))
                 (call $expect (i32.const -22) (call $unmap (i32.const -1)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a store to where a view was",
        array,
        || writing("(drop (call $unmap (local.get $h))) (i64.store (local.get $h) (i64.const 7))"),
        Expected::Ends(Trapped, "where a view was"),
    ),
    attack(
        "views without end",
        array,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 48)))
                 (loop $again
                   (local.set $j (i32.wrap_i64
                     (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 100000))))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $again (i32.gt_s (local.get $j) (i32.const 0))))
                 (call $expect (i32.const -17) (local.get $j))
                 (call $expect (i32.const 257) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "views of what is not there",
        array,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 48)))
                 (call $expect (i32.const -9) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 100001))))
                 (call $expect (i32.const -9) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const -1) (i64.const 1))))
                 (call $expect (i32.const -22) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const 5) (i64.const 5))))
                 (call $expect (i32.const -22) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 3) (i64.const 0) (i64.const 5))))",
            )
        },
        NOTHING_AMISS,
    ),
    Attack {
        call: in_flux,
        ..attack(
            "a result that changes while it is read",
            array,
            results_in_flux,
            Expected::Returns("bounded"),
        )
    },
];

/// Objects that may be looked at and not changed.
fn for_reading(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let array = pool.array::<i64>("array", 100).expect("an array");
    let event = pool.event("event").expect("an event");
    let list = pool.list_with::<i64>("list", RecordOptions::new().records(8)).expect("a list");
    let queue: Queue<i64> = pool.queue("queue", 4).expect("a queue");
    let module = module.grant_read(&array).grant_read(&event).grant_read(&list).grant_read(&queue);
    let are_unchanged = move || {
        assert_eq!(array.to_vec().expect("elements"), [0; 100]);
        assert!(!event.is_set().expect("a flag") && list.is_empty().expect("a list"));
        assert_eq!(queue.len().expect("a queue"), 0);
    };
    (module, Box::new(are_unchanged))
}

const FOR_READING: [Attack; 1] = [attack(
    "writing what may be read",
    for_reading,
    || {
        sharing(
            "(local.set $h (call $open (i32.const 48)))
             (call $expect (i32.const -13)
               (call $cell (local.get $h) (i32.const 1) (i64.const 0) (i64.const 7) (i64.const 0) (i32.const 0)))
             (call $expect (i32.const -13)
               (call $slice (local.get $h) (i32.const 1) (i64.const 0) (i32.const 0) (i64.const 8)))
             (call $expect (i32.const -13)
               (call $slice (local.get $h) (i32.const 2) (i64.const 0) (i32.const 0) (i64.const 8)))
             (call $expect (i32.const -13) (i32.wrap_i64
               (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 5))))
             (call $expect (i32.const -23) (i32.wrap_i64
               (call $map (local.get $h) (i32.const 1) (i64.const 0) (i64.const 5))))
             (call $expect (i32.const -13) (call $op (local.get $h) (i32.const 4)))
             (call $expect (i32.const -13) (call $op (call $open (i32.const 80)) (i32.const 9)))
             (call $expect (i32.const -13) (call $op (call $open (i32.const 112)) (i32.const 10)))
             (call $expect (i32.const -13)
               (call $put (call $open (i32.const 16)) (i32.const 0) (i32.const 1) (i64.const 0)))
             (call $expect (i32.const -13)
               (call $get (call $open (i32.const 16)) (i64.const 0) (i32.const 65536) (i32.const 9) (i32.const 0)))",
        )
    },
    NOTHING_AMISS,
)];

/// Two tasks: `flip` turns the bytes of the array into numbers, texts, lists and nonsense for ever; `attack` hands back
/// as its result what lies there, and prints it, too.
fn results_in_flux() -> Vec<u8> {
    br#"(module
      (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
      (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
      (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
      (import "wasmpool" "done" (func $done (param i32 i32 i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "array")
      (func $view (result i32)
        (i32.wrap_i64 (call $map
          (i32.wrap_i64 (call $open (i32.const 0) (i32.const 5) (i32.const -1) (i32.const -1)))
          (i32.const 0) (i64.const 0) (i64.const 100000))))
      (func (export "flip") (result i64)
        (local $view i32) (local $n i64)
        (local.set $view (call $view))
        (loop $again
          (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
          (i64.store (local.get $view) (local.get $n))
          (br $again))
        (unreachable))
      (func (export "wasmpool:task:attack") (param i32)
        (local $view i32)
        (drop (call $next (i32.const 1024) (i32.const 1024)))
        (local.set $view (call $view))
        (i32.store (i32.const 64) (local.get $view))
        (i32.store (i32.const 68) (i32.const 8))
        (drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 72)))
        (call $done (i32.const 0) (local.get $view) (i32.const 8))))"#
        .to_vec()
}

/// Every result is a number or none at all.
fn in_flux(module: &Module) -> Result<String, Error> {
    let flip = module.task::<(), i64>("flip")?.timeout(SHORT);
    let attack = module.task::<(), Vec<i64>>("attack")?;
    std::thread::scope(|scope| {
        let flipping = scope.spawn(|| flip.apply(()));
        while !flipping.is_finished() {
            for failure in attack.map_outcomes([(); 20])?.into_iter().filter_map(Result::err) {
                assert_eq!(failure.kind(), BadResult, "{failure}");
            }
        }
        let flipped = wasmpool_tests::failure(flipping.join().expect("no panic"));
        assert_eq!(flipped.kind(), TimedOut, "{flipped}");
        Ok("bounded".into())
    })
}

#[test]
fn what_is_held_for_ever_comes_back() {
    withstand(&HELD);
}

#[test]
fn queues_keep_their_items() {
    withstand(&QUEUES);
}

#[test]
fn what_cannot_be_is_refused() {
    withstand(&ASKED_IN_VAIN);
}

#[test]
fn views_end_where_they_end() {
    withstand(&VIEWS);
}

#[test]
fn what_may_be_read_is_not_written() {
    withstand(&FOR_READING);
}
