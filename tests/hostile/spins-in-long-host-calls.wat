;; Aims at the time limit: has the host make sixteen megabytes of random bytes, again and again.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 256)
  (func (export "attack") (result i64)
    (loop $again
      (drop (call $random (i32.const 0) (i32.const 0x1000000)))
      (br $again))
    (unreachable)))
