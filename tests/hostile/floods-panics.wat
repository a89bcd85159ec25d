;; Aims at the memory of whoever keeps failures: fails with a message of sixteen megabytes that is not text.
(module
  (import "wasmpool" "panicked" (func $panicked (param i32 i32)))
  (memory (export "memory") 256)
  (func (export "attack") (result i64)
    (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 0x1000000))
    (call $panicked (i32.const 0) (i32.const 0x1000000))
    (unreachable)))
