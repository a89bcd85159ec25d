;; Aims at the truth of outcomes: every hundredth call is refused memory, and goes on without it; the one that follows
;; traps for another reason.
(module (memory 1) (func (export "attack") (param $n i64) (result i64)
  (local $turn i64)
  (local.set $turn (i64.rem_u (local.get $n) (i64.const 100)))
  (if (i64.eq (local.get $turn) (i64.const 98)) (then (drop (memory.grow (i32.const 65535)))))
  (if (i64.eq (local.get $turn) (i64.const 99)) (then (unreachable)))
  (local.get $turn)))
