;; Aims at the bounds of memory: fills more than there is, by one byte and with an end that wraps around.
(module (memory 1) (func (export "attack") (result i64)
  (memory.fill (i32.const 65535) (i32.const 7) (i32.const -65534))
  (i64.const 0)))
