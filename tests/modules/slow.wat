;; Tasks that tell when they have begun, by a line of output, and then take their time.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\08\00\00\00")
  (data (i32.const 16) "started\n")

  (func $tell
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  ;; Returns the number, or never ends if it is the unlucky one.
  (func (export "spins_on") (param $number i64) (param $unlucky i64) (result i64)
    (if (i64.eq (local.get $number) (local.get $unlucky))
      (then (call $tell) (loop $forever (br $forever))))
    local.get $number)

  ;; Never ends.
  (func (export "spins")
    (call $tell)
    (loop $forever (br $forever)))

  ;; Sleeps so many seconds, and returns them.
  (func (export "sleeps") (param $seconds i64) (result i64)
    (call $tell)
    ;; A subscription: user data, then the tag of a clock, the monotonic one, and nanoseconds from now.
    (i64.store (i32.const 64) (i64.const 0))
    (i32.store8 (i32.const 72) (i32.const 0))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.mul (local.get $seconds) (i64.const 1000000000)))
    (i64.store (i32.const 96) (i64.const 0))
    (i32.store16 (i32.const 104) (i32.const 0))
    (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))
    local.get $seconds))
