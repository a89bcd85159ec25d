;; A WASI command: prints the file that its first argument names in the first granted directory, or, with a second
;; argument, writes that to the file. Exits with the error code of opening or writing it.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (func $length (param $text i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $text))
    (block $done (loop $again
      (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br $again)))
    (i32.sub (local.get $end) (local.get $text)))
  (func $expect (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  ;; Follows links; opens to write and makes the file where `$create` is 1.
  (func $open (param $create i32) (param $rights i64) (result i32)
    (local $path i32)
    (local.set $path (i32.load (i32.const 20)))
    (call $expect (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (call $length (local.get $path))
      (local.get $create) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 8)))
    (i32.load (i32.const 8)))
  (func (export "_start")
    (call $expect (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (call $expect (call $args_get (i32.const 16) (i32.const 1024)))
    (if (i32.eq (i32.load (i32.const 0)) (i32.const 3))
      (then
        (i32.store (i32.const 40) (i32.load (i32.const 24)))
        (i32.store (i32.const 44) (call $length (i32.load (i32.const 24))))
        (call $expect (call $fd_write (call $open (i32.const 1) (i64.const 64)) (i32.const 40) (i32.const 1) (i32.const 48))))
      (else
        (i32.store (i32.const 40) (i32.const 65536))
        (i32.store (i32.const 44) (i32.const 4096))
        (call $expect (call $fd_read (call $open (i32.const 0) (i64.const 2)) (i32.const 40) (i32.const 1) (i32.const 48)))
        (i32.store (i32.const 44) (i32.load (i32.const 48)))
        (call $expect (call $fd_write (i32.const 1) (i32.const 40) (i32.const 1) (i32.const 48)))))))
