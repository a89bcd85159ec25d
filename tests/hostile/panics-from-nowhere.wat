;; Aims at the host's memory: a panic message that lies outside of the guest's.
(module
  (import "wasmpool" "panicked" (func $panicked (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "attack") (result i64)
    (call $panicked (i32.const 65535) (i32.const 2))
    (unreachable)))
