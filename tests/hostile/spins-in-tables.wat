;; Aims at the time limit: fills and copies tables of half a million elements by single instructions.
(module
  (table $from 500000 funcref) (table $to 500000 funcref)
  (elem declare func $f) (func $f)
  (func (export "attack") (result i64)
    (loop $again
      (table.fill $from (i32.const 0) (ref.func $f) (i32.const 500000))
      (table.copy $to $from (i32.const 0) (i32.const 0) (i32.const 500000))
      (br $again))
    (unreachable)))
