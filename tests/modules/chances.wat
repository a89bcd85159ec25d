;; Whatever may differ from run to run, and work that takes as much fuel as it is told.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $calls (mut i64) (i64.const 0))
  (func $time (param $clock i32) (result i64)
    (drop (call $clock (local.get $clock) (i64.const 1) (i32.const 0)))
    (i64.load (i32.const 0)))
  ;; Both clocks, a random number, how many calls this instance has seen, and bits of a NaN with a payload.
  (func (export "chances") (param $number i64) (result i64 i64 i64 i64 i64)
    (local $payload f64)
    (local.set $payload
      (f64.reinterpret_i64 (i64.or (i64.const 0xfff8_0000_0000_0000) (i64.add (local.get $number) (i64.const 1)))))
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (drop (call $random (i32.const 8) (i32.const 8)))
    (call $time (i32.const 0))
    (call $time (i32.const 1))
    (i64.load (i32.const 8))
    (global.get $calls)
    (i64.reinterpret_f64 (f64.add (local.get $payload) (f64.const 1))))
  ;; Sleeps so many nanoseconds; returns how much time went by.
  (func (export "sleeps") (param $ns i64) (result i64)
    (local $before i64)
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (local.get $ns))
    (local.set $before (call $time (i32.const 1)))
    (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 0)))
    (i64.sub (call $time (i32.const 1)) (local.get $before)))
  ;; Turns round so often, and returns a random number.
  (func (export "works") (param $turns i64) (result i64)
    (drop (call $random (i32.const 8) (i32.const 8)))
    (block $done (loop $again
      (br_if $done (i64.le_s (local.get $turns) (i64.const 0)))
      (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
      (br $again)))
    (i64.load (i32.const 8))))
