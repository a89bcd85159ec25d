;; Aims at the worker: hears that there are no more calls, and stays all the same.
(module
  (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
  (import "wasmpool" "done" (func $done (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "wasmpool:task:attack") (param i32)
    (loop $again
      (if (i64.ge_s (call $next (i32.const 0) (i32.const 1024)) (i64.const 0))
        (then (call $done (i32.const 0) (i32.const 2048) (i32.const 1))))
      (br $again))))
