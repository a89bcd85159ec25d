;; Aims at indirect calls: a function of another type than the caller says.
(module (table 1 funcref) (elem (i32.const 0) $f) (func $f (param f64))
  (func (export "attack") (result i64) (call_indirect (result i64) (i32.const 0))))
