;; Aims at the memory limit: grows a table, which counts as memory, in small steps until it is refused, and traps.
(module (table 0 funcref) (memory 250) (func (export "attack") (result i64)
  (loop $again
    (br_if $again (i32.ge_s (table.grow (ref.null func) (i32.const 1000)) (i32.const 0))))
  (unreachable)))
