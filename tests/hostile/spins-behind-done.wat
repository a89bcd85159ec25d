;; Aims at the worker: hands its result back, so that nothing of it can time out, and never gives the worker back.
(module
  (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
  (import "wasmpool" "done" (func $done (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "wasmpool:task:attack") (param i32)
    (drop (call $next (i32.const 0) (i32.const 1024)))
    ;; Zero: in MessagePack a number.
    (call $done (i32.const 0) (i32.const 2048) (i32.const 1))
    (loop $again (br $again))))
