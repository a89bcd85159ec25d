;; No attack by itself: each call prints a third of what the limit lets one print.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "tiny\n")
  (func (export "attack") (param i64) (result i64)
    (i64.extend_i32_s (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
