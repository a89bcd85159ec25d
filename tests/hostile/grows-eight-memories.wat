;; Aims at the memory limit: grows eight memories in turn, each of them far below the limit, and counts all pages.
(module
  (memory $a 1) (memory $b 1) (memory $c 1) (memory $d 1) (memory $e 1) (memory $f 1) (memory $g 1) (memory $h 1)
  (func (export "attack") (result i64)
    (local $refused i32)
    (loop $again
      (local.set $refused (i32.const 0))
      (if (i32.eq (memory.grow $a (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $b (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $c (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $d (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $e (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $f (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $g (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (if (i32.eq (memory.grow $h (i32.const 1)) (i32.const -1)) (then (local.set $refused (i32.const 1))))
      (br_if $again (i32.eqz (local.get $refused))))
    (i64.extend_i32_u
      (i32.add (i32.add (i32.add (memory.size $a) (memory.size $b)) (i32.add (memory.size $c) (memory.size $d)))
               (i32.add (i32.add (memory.size $e) (memory.size $f)) (i32.add (memory.size $g) (memory.size $h)))))))
