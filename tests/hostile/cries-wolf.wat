;; Aims at the truth of outcomes: every hundredth call says that it panics, and returns; the one that follows traps
;; without a word.
(module
  (import "wasmpool" "panicked" (func $panicked (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "wolf")
  (func (export "attack") (param $n i64) (result i64)
    (local $turn i64)
    (local.set $turn (i64.rem_u (local.get $n) (i64.const 100)))
    (if (i64.eq (local.get $turn) (i64.const 98)) (then (call $panicked (i32.const 0) (i32.const 4))))
    (if (i64.eq (local.get $turn) (i64.const 99)) (then (unreachable)))
    (local.get $turn)))
