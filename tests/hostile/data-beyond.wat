;; Aims at the bounds of memory: an active segment that ends one byte too far, so that no instance can be made.
(module (memory 1) (data (i32.const 65535) "ab")
  (func (export "attack") (result i64) (i64.const 0)))
