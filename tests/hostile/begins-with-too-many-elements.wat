;; Aims at the memory limit: no memory, but eight tables of a million elements, which count together.
(module
  (table 1000000 funcref) (table 1000000 funcref) (table 1000000 funcref) (table 1000000 funcref)
  (table 1000000 funcref) (table 1000000 funcref) (table 1000000 funcref) (table 1000000 funcref)
  (func (export "attack") (result i64) (i64.const 0)))
