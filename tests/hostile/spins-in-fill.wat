;; Aims at the time limit: one instruction that takes milliseconds, which neither an epoch nor fuel interrupts.
(module (memory 256) (func (export "attack") (result i64)
  (loop $again
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x1000000))
    (br $again))
  (unreachable)))
