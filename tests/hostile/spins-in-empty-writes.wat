;; Aims at the time limit: writes a thousand empty buffers at a time, which count for nothing in the output limit.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "attack") (result i64)
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 65000)))
      (br $again))
    (unreachable)))
