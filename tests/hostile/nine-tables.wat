;; Aims at the pool of instances: one table more than a module may have.
(module
  (table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref)
  (table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref)
  (func (export "attack") (result i64) (i64.const 0)))
