;; Aims at the network: accepts, receives, sends and shuts down on every descriptor; counts what worked.
(module
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\10\00\00\00")
  (func (export "attack") (result i64)
    (local $fd i32) (local $count i32)
    (loop $again
      (local.set $count (i32.add (local.get $count) (i32.add (i32.add
        (i32.eqz (call $accept (local.get $fd) (i32.const 0) (i32.const 64)))
        (i32.eqz (call $recv (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 72))))
        (i32.add
        (i32.eqz (call $send (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 64)))
        (i32.eqz (call $shutdown (local.get $fd) (i32.const 3)))))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $fd) (i32.const 100))))
    (i64.extend_i32_u (local.get $count))))
