;; Aims at the stack: calls itself for ever.
(module (func $attack (export "attack") (result i64)
  (i64.add (call $attack) (i64.const 1))))
