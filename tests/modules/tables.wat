;; Changes a table when it is initialized, which no snapshot holds.
(module
  (table 2 funcref)
  (global $value (mut i64) (i64.const 0))
  (func $f)
  (elem declare func $f)
  (func (export "set") (param i64)
    (table.set (i32.const 1) (ref.func $f))
    (global.set $value (local.get 0)))
  (func (export "get") (param i64) (result i64)
    (call_indirect (i32.const 1))
    (global.get $value)))
