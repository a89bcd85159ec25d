;; Aims at the memory limit: takes memory in the start function until there is none, and traps there.
(module (memory 1)
  (func $start
    (loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))
    (unreachable))
  (start $start)
  (func (export "attack") (result i64) (i64.const 0)))
