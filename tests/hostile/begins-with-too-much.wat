;; Aims at the memory limit: declares a memory that is larger than it may have.
(module (memory 257) (func (export "attack") (result i64) (i64.const 0)))
