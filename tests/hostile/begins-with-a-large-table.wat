;; Aims at the pool of instances: a table of more elements than it has room for.
(module (table 1000001 funcref) (func (export "attack") (result i64) (i64.const 0)))
