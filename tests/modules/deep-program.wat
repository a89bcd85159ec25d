;; A WASI command that calls itself until its stack is used up.
(module
  (memory (export "memory") 1)
  (table 20 funcref)
  (func $deeper (export "_start") (call $deeper) (call $deeper)))
