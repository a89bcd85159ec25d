;; Aims at the environment: counts the variables and arguments that it finds, and the clocks that tell of others.
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "attack") (result i64)
    (i64.store (i32.const 0) (i64.const -1))
    (drop (call $environ_sizes (i32.const 0) (i32.const 4)))
    (i64.store (i32.const 8) (i64.const -1))
    (drop (call $args_sizes (i32.const 8) (i32.const 12)))
    ;; What there is, is written behind what is zero.
    (drop (call $environ (i32.const 1024) (i32.const 2048)))
    (drop (call $args (i32.const 1024) (i32.const 2048)))
    (i64.add
      (i64.or (i64.or (i64.load (i32.const 0)) (i64.load (i32.const 8)))
              (i64.or (i64.load (i32.const 1024)) (i64.load (i32.const 2048))))
      (i64.extend_i32_u (i32.add
        (i32.eqz (call $now (i32.const 2) (i64.const 0) (i32.const 16)))
        (i32.eqz (call $now (i32.const 3) (i64.const 0) (i32.const 16))))))))
