;; A module that does not validate: it returns another type than it says.
(module (func (export "seven") (result i32) i64.const 7))
