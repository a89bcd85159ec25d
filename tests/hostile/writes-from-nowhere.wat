;; Aims at the host's memory: prints what lies outside of its own, by every pointer that a write has; counts what
;; was not refused. 21 says that an address is bad, 28 that an argument is, 8 that a descriptor is.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i64) (i64.const 0))
  (func $expect (param $errno i32) (param $got i32)
    (if (i32.ne (local.get $errno) (local.get $got))
      (then (global.set $count (i64.add (global.get $count) (i64.const 1))))))
  (func $buffer (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length)))
  (func (export "attack") (result i64)
    (call $buffer (i32.const 65535) (i32.const 2))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $buffer (i32.const -1) (i32.const 2))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $buffer (i32.const 16) (i32.const -1))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    ;; A list of buffers that does not lie in memory, or not all of it, or whose end wraps around.
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const 65529) (i32.const 1) (i32.const 8)))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 8)))
    (call $expect (i32.const 28) (call $write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 8)))
    ;; Where the count goes.
    (call $buffer (i32.const 16) (i32.const 0))
    (call $expect (i32.const 21) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 65533)))
    (call $expect (i32.const 8) (call $write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 8)))
    (global.get $count)))
