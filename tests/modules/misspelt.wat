;; A module whose text cannot be read.
(module
  (func (export "seven") (result i32) i32.cnst 7))
