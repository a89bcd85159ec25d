;; Tasks that remember.
(module
  (global $calls (mut i32) (i32.const 0))
  ;; How many calls the instance has seen, this one included; or a trap.
  (func (export "counts_or_traps") (param $trap i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (local.get $trap) (then unreachable))
    (global.get $calls)))
