;; Aims at the memory limit: gets every page that it may have, by ever smaller steps, and counts them.
(module (memory 1) (func (export "attack") (result i64)
  (local $step i32)
  (local.set $step (i32.const 32768))
  (loop $again
    (if (i32.eq (memory.grow (local.get $step)) (i32.const -1))
      (then (local.set $step (i32.shr_u (local.get $step) (i32.const 1)))))
    (br_if $again (local.get $step)))
  ;; All of them can be used.
  (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
  (i64.extend_i32_u (memory.size))))
