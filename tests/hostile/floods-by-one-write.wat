;; Aims at the output limit: a thousand buffers in one write, each of them all of its memory.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 32)
  (func (export "attack") (result i64)
    (local $at i32)
    (loop $again
      (i32.store offset=4 (local.get $at) (i32.const 0x200000))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 8192))))
    (i64.extend_i32_s (call $write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 10000)))))
