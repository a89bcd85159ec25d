;; Aims at indirect calls: an element far beyond its table.
(module (table 1 funcref) (func (export "attack") (result i64)
  (call_indirect (result i64) (i32.const -1))))
