;; No attack by itself: every hundredth call prints just as much as it may.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "tiny\n")
  (func (export "attack") (param $n i64) (result i64)
    (if (i64.eqz (i64.rem_u (local.get $n) (i64.const 100)))
      (then (return (i64.extend_i32_s (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))))
    (local.get $n)))
