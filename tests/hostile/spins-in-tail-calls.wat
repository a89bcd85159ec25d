;; Aims at the time limit: two functions call each other in their last act, for ever and without any stack.
(module
  (func $a (result i64) (return_call $b))
  (func $b (result i64) (return_call $a))
  (func (export "attack") (result i64) (call $a)))
