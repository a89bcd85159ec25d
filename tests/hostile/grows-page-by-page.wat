;; Aims at the memory limit: grows by single pages until it is refused, uses each page, and traps.
(module (memory 1) (func (export "attack") (result i64)
  (local $before i32)
  (loop $again
    (local.set $before (memory.grow (i32.const 1)))
    (if (i32.ge_s (local.get $before) (i32.const 0))
      (then
        (i64.store (i32.mul (local.get $before) (i32.const 65536)) (i64.const 1))
        (br $again))))
  (unreachable)))
