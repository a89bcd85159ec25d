;; Aims at the host's own stack, which lies below the guest's: at each depth it calls functions of the host that keep
;; a kilobyte there, down to the very last frame that fits.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $attack (export "attack") (result i64)
    (drop (call $random (i32.const 1024) (i32.const 1)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i64.add (call $attack) (i64.const 1))))
