;; Aims at the time limit: copies memory over itself, one byte further, by single instructions.
(module (memory 256) (func (export "attack") (result i64)
  (loop $again
    (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xffffff))
    (br $again))
  (unreachable)))
