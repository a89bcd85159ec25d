;; Aims at the address space: one memory more than a module may have, each of which takes four gigabytes of it.
(module (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0)
  (func (export "attack") (result i64) (i64.const 0)))
