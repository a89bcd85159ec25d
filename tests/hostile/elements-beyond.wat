;; Aims at the bounds of a table: an active segment that begins where the table ends.
(module (table 1 funcref) (func $f) (elem (i32.const 1) $f)
  (func (export "attack") (result i64) (i64.const 0)))
