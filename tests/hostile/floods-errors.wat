;; Aims at the output limit: prints lines for ever, to both channels in turn, which have one limit together.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "flood\n")
  (func (export "attack") (result i64)
    (local $channel i32)
    (local.set $channel (i32.const 1))
    (loop $again
      (drop (call $write (local.get $channel) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $channel (i32.sub (i32.const 3) (local.get $channel)))
      (br $again))
    (unreachable)))
