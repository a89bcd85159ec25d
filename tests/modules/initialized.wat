;; Counts what was run in its instance: constructors, initializers and calls.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Where lines begin, and how long they are.
  (data (i32.const 64) "start\0ainit\0a")
  (global $starts (mut i64) (i64.const 0))
  (global $initialized (mut i64) (i64.const 0))
  (global $calls (mut i64) (i64.const 0))
  (global $value (mut f64) (f64.const 0))

  (func $say (param $from i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $from))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $init
    (global.set $initialized (i64.add (global.get $initialized) (i64.const 1)))
    (call $say (i32.const 70) (i32.const 5)))

  (func (export "_initialize")
    (global.set $starts (i64.add (global.get $starts) (i64.const 1)))
    (call $say (i32.const 64) (i32.const 6)))

  ;; Initializers.
  (func (export "set") (param $value f64)
    (global.set $value (local.get $value))
    (call $init))
  (func (export "trap") (call $init) (unreachable))
  (func (export "spin") (call $init) (loop $again (br $again)))
  (func (export "exit") (call $init) (call $proc_exit (i32.const 3)))
  (func (export "grow") (call $init)
    (if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then (unreachable))))
  (func $deep (export "deep") (call $deep) (call $deep))
  (func (export "shout") (loop $again (call $say (i32.const 64) (i32.const 6)) (br $again)))
  ;; Many pages with marks in them.
  (func (export "fill") (param $pages i32) (local $at i32)
    (drop (memory.grow (local.get $pages)))
    (local.set $at (i32.const 1024))
    (loop $again
      (i32.store8 (local.get $at) (i32.const 7))
      (local.set $at (i32.add (local.get $at) (i32.const 512)))
      (br_if $again (i32.lt_u (local.get $at)
        (i32.mul (i32.add (local.get $pages) (i32.const 1)) (i32.const 65536))))))

  ;; What has been run: constructors, initializers, calls, and the value that was set.
  (func (export "look") (param i64) (result i64 i64 i64 f64)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (global.get $starts) (global.get $initialized) (global.get $calls) (global.get $value))
  (func (export "times") (param $n f64) (result f64) (f64.mul (local.get $n) (global.get $value)))
  (func (export "byte") (param $at i32) (result i32) (i32.load8_u (local.get $at)))
  ;; Leaves a mark in memory, and returns the one that was there.
  (func (export "mark") (param $mark i64) (result i64)
    (i64.load (i32.const 256))
    (i64.store (i32.const 256) (local.get $mark)))
  (func (export "break") (unreachable)))
