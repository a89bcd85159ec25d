;; Leaves a mark in a view of the array "a" of i64, and looks for it in all memory that there is.
(module
  (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
  (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a")
  (func $plant (param $mode i32) (param $count i64)
    (local $address i32)
    (local.set $address (i32.wrap_i64 (call $map
      (i32.wrap_i64 (call $open (i32.const 0) (i32.const 1) (i32.const 1) (i32.const -1)))
      (local.get $mode) (i64.const 0) (local.get $count))))
    (if (i32.lt_s (local.get $address) (i32.const 1)) (then (unreachable)))
    (loop $again
      (i64.store (local.get $address) (i64.const 0x5ca1ab1e0ddba115))
      (local.set $address (i32.add (local.get $address) (i32.const 8)))
      (local.set $count (i64.sub (local.get $count) (i64.const 1)))
      (br_if $again (i64.ne (local.get $count) (i64.const 0)))))
  (func $hunt (param $pages i32) (result i64)
    (local $address i32) (local $end i32) (local $found i64)
    (if (i32.lt_u (memory.size) (local.get $pages))
      (then (drop (memory.grow (i32.sub (local.get $pages) (memory.size))))))
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (loop $again
      (if (i64.eq (i64.load (local.get $address)) (i64.const 0x5ca1ab1e0ddba115))
        (then (local.set $found (i64.add (local.get $found) (i64.const 1)))))
      (local.set $address (i32.add (local.get $address) (i32.const 8)))
      (br_if $again (i32.ne (local.get $address) (local.get $end))))
    (local.get $found))
  ;; Marks so many elements in a view of this mode.
  (func (export "plant") (param $mode i32) (param $count i64) (result i64)
    (call $plant (local.get $mode) (local.get $count))
    (local.get $count))
  ;; The same, and then turns round for ever.
  (func (export "plant_and_spin") (param $mode i32) (param $count i64) (result i64)
    (call $plant (local.get $mode) (local.get $count))
    (loop $again (br $again))
    (unreachable))
  ;; The same, and then traps.
  (func (export "plant_and_trap") (param $mode i32) (param $count i64) (result i64)
    (call $plant (local.get $mode) (local.get $count))
    (unreachable))
  ;; How many marks there are in so many pages of memory, or in what there is, if that is more.
  (func (export "hunt") (param $pages i32) (result i64)
    (call $hunt (local.get $pages)))
  ;; How many there are while the view is there.
  (func (export "plant_and_hunt") (param $mode i32) (param $count i64) (result i64)
    (call $plant (local.get $mode) (local.get $count))
    (call $hunt (i32.const 0))))
