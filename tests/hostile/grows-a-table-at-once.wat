;; Aims at the memory limit: asks for a table of four thousand million elements in one step, and traps.
(module (table 0 funcref) (func (export "attack") (result i64)
  (if (i32.eq (table.grow (ref.null func) (i32.const -1)) (i32.const -1)) (then (unreachable)))
  (i64.const 0)))
