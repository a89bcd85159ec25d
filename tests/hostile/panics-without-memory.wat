;; Aims at the host: a panic message in a memory that it does not export.
(module
  (import "wasmpool" "panicked" (func $panicked (param i32 i32)))
  (memory 1)
  (func (export "attack") (result i64)
    (call $panicked (i32.const 0) (i32.const 2))
    (unreachable)))
