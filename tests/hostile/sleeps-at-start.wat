;; Aims at the time limit: sleeps for ever in the start function, before there is a call.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\01")
  (data (i32.const 24) "\ff\ff\ff\ff\ff\ff\ff\7f")
  (func (export "_initialize")
    (drop (call $poll (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 2048))))
  (func (export "attack") (result i64) (i64.const 0)))
