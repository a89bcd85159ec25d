;; Aims at the memory limit: asks for four gigabytes in one step, and traps when it does not get them.
(module (memory 1) (func (export "attack") (result i64)
  (if (i32.eq (memory.grow (i32.const 65535)) (i32.const -1)) (then (unreachable)))
  (i64.const 0)))
