;; Aims at the worker: exits in the initializer, with a code that is no exit status.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "_initialize") (call $exit (i32.const -1)))
  (func (export "attack") (result i64) (i64.const 0)))
