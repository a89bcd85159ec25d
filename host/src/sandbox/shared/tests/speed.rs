//! What a call costs, from a guest's loop. Not a test: run it by name, with optimisation.

use std::time::Instant;

use super::*;

const CALLS: i64 = 2_000_000;

/// One loop for each operation: so many times, with a handle, and with another one for the second half of a pair.
const LOOPS: &str = r#"
    (memory (export "memory") 1)
    (func (export "cells") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_cell (local.get $handle) (i32.const 2) (i64.const 3) (i64.const 1) (i64.const 0) (i32.const 1024)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "silent_cells") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_cell (local.get $handle) (i32.const 2) (i64.const 3) (i64.const 1) (i64.const 0) (i32.const 0)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "locks") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_op (local.get $handle) (i32.const 4) (i64.const 0) (i64.const -1) (i32.const 0)))
            (drop (call $shared_op (local.get $handle) (i32.const 5) (i64.const 0) (i64.const -1) (i32.const 0)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "items") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_put (local.get $handle) (i32.const 4096) (i32.const 16) (i64.const -1)))
            (drop (call $shared_get (local.get $handle) (i64.const -1) (i32.const 8192) (i32.const 64) (i32.const 1024)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "empty") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_get (local.get $handle) (i64.const 0) (i32.const 8192) (i32.const 64) (i32.const 1024)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "views") (param $calls i64) (param $handle i32)
        (loop $again
            (drop (call $shared_unmap (i32.wrap_i64
                (call $shared_map (local.get $handle) (i32.const 0) (i64.const 0) (i64.const 8388608)))))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))
    (func (export "atomics") (param $calls i64) (param $address i32)
        (loop $again
            (drop (i64.atomic.rmw.add (local.get $address) (i64.const 1)))
            (br_if $again (i64.ne (local.tee $calls (i64.sub (local.get $calls) (i64.const 1))) (i64.const 0)))))"#;

#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr, reason = "its only purpose")]
fn costs_of_calls() {
    let grants = [
        ("a", array(Element::I64, 8 << 20), Rights::ReadWrite),
        ("lock", Spec::Lock, Rights::ReadWrite),
        ("jobs", QUEUE, Rights::ReadWrite),
    ];
    let worker = Worker::new(&relay(LOOPS), &grants);
    let mut guest = worker.guest();
    let [a, lock, jobs] = ["a", "lock", "jobs"].map(|name| guest.open(name));
    let address = guest.call(IMPORT_MAP, &[a, 0, 0, 100]);
    for (name, calls, argument) in [
        ("silent_cells", CALLS, a),
        ("cells", CALLS, a),
        ("atomics", CALLS, address),
        ("locks", CALLS, lock),
        ("items", CALLS, jobs),
        ("empty", CALLS, jobs),
        ("views", CALLS / 100, a),
    ] {
        let best = (0..5).map(|_| {
            let started = Instant::now();
            guest.call(name, &[calls, argument]);
            started.elapsed().as_nanos() as f64 / calls as f64
        });
        eprintln!("{name}: {:.1} ns", best.fold(f64::MAX, f64::min));
    }
}
