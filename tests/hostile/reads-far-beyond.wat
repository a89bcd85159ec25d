;; Aims at the guard pages: reads at the highest address and the largest offset there are, eight gigabytes away.
(module (memory 1) (func (export "attack") (result i64)
  (i64.load offset=4294967295 (i32.const -1))))
