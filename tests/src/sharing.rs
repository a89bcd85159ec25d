//! What hostile modules are given to share, and the module that every attack on it is written into.
//!
//! Each function that grants objects answers what looks at them afterwards: whether what an attack held is free, and
//! what it had taken is there.

use std::time::Duration;

use wasmpool::shared::{Queue, QueueOptions, RecordOptions};
use wasmpool::{Module, Pool};

use crate::siege::{Aftermath, Arrange, Attack, Expected, Weapon};

/// Long for anything that an attack has left free.
const PATIENCE: Duration = Duration::from_secs(60);

/// A module with all functions of shared objects, with names of objects, and with this task `attack`.
///
/// `$open` opens by name. `$expect` counts the answers that are not as expected, in `$count`. There are 8 MiB of memory,
/// of which whatever lies behind the first 64 KiB is free.
pub fn sharing(body: &str) -> Vec<u8> {
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

/// An attack on what it is given.
pub const fn attack(
    name: &'static str,
    arrange: Arrange,
    make: fn() -> Vec<u8>,
    outcome: Expected,
) -> Attack {
    Attack { name, module: Weapon::Made(make), arrange, outcome, ..Attack::PLAIN }
}

/// A lock, free in the end.
pub fn lock(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let lock = pool.lock("lock").expect("a lock");
    let module = module.grant(&lock);
    let is_free =
        move || assert!(lock.lock_for(PATIENCE).expect("a lock").is_some(), "the lock is still held");
    (module, Box::new(is_free))
}

/// A bounded semaphore of three permits, all there in the end.
pub fn seats(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let seats = pool.bounded_semaphore("seats", 3).expect("a semaphore");
    let module = module.grant(&seats);
    let are_free = move || {
        let permits = [(); 3].map(|()| seats.acquire_for(PATIENCE).expect("a semaphore"));
        assert!(permits.iter().all(Option::is_some), "a permit is gone");
    };
    (module, Box::new(are_free))
}

/// A queue of four items, with one item, which is there in the end, alone.
pub fn queue(pool: &Pool, module: Module) -> (Module, Aftermath) {
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
pub fn any_queue(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let queue = pool.queue_with::<i64>("queue", QueueOptions::new(4).bytes(4096)).expect("a queue");
    let module = module.grant(&queue);
    let works = move || {
        queue.len().expect("a length");
    };
    (module, Box::new(works))
}

/// An array of a hundred thousand numbers, free in the end.
pub fn array(pool: &Pool, module: Module) -> (Module, Aftermath) {
    let array = pool.array::<i64>("array", 100_000).expect("an array");
    let module = module.grant(&array);
    let is_free = move || array.fill(.., 0).expect("nobody leases it");
    (module, Box::new(is_free))
}

/// All there is.
pub fn everything(pool: &Pool, module: Module) -> (Module, Aftermath) {
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

/// Objects that may be looked at and not changed.
pub fn for_reading(pool: &Pool, module: Module) -> (Module, Aftermath) {
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
