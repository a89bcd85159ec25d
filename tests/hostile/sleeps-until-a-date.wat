;; Aims at the time limit: sleeps until the end of the calendar, by a thousand alarms at once.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "attack") (result i64)
    (local $at i32)
    (loop $again
      (i64.store offset=24 (local.get $at) (i64.const -1))
      ;; At that moment, rather than after that time.
      (i32.store16 offset=40 (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 48)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 49152))))
    (drop (call $poll (i32.const 0) (i32.const 65536) (i32.const 1024) (i32.const 60000)))
    (unreachable)))
