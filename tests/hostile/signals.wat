;; Aims at other processes: sends itself, and whoever else may hear it, every signal; counts what worked.
(module
  (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
  (func (export "attack") (result i64)
    (local $signal i32) (local $count i64)
    (loop $again
      (local.set $signal (i32.add (local.get $signal) (i32.const 1)))
      (if (i32.eqz (call $raise (local.get $signal)))
        (then (local.set $count (i64.add (local.get $count) (i64.const 1)))))
      (br_if $again (i32.lt_u (local.get $signal) (i32.const 64))))
    (local.get $count)))
