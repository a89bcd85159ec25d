;; Aims at the bounds of memory: reads eight bytes of which the last is the first that it does not have.
(module (memory 1) (func (export "attack") (result i64)
  (i64.load (i32.const 65529))))
