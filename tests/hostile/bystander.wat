;; No attack: the ordinary module whose calls are served beside every attack.
(module
  (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
  (import "wasmpool" "shared_cell" (func $cell (param i32 i32 i64 i64 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "counter")
  (func (export "cube") (param $n i64) (result i64)
    (i64.mul (local.get $n) (i64.mul (local.get $n) (local.get $n))))
  ;; Adds one to the shared value "counter" and returns what it was.
  (func (export "count") (result i64)
    (if (call $cell
          (i32.wrap_i64 (call $open (i32.const 0) (i32.const 7) (i32.const 0) (i32.const 7)))
          (i32.const 2) (i64.const 0) (i64.const 1) (i64.const 0) (i32.const 16))
      (then (unreachable)))
    (i64.load (i32.const 16))))
