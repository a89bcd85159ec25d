;; Aims at the time limit: waits at an address of a memory that nobody shares, where nobody could ever wake it.
(module (memory 1) (func (export "attack") (result i64)
  (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
  (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
  (unreachable)))
