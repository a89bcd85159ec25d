;; Wants more than tasks are given.
(module
  (import "env" "print" (func (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))
  (func (export "identity") (param i32) (result i32) local.get 0))
