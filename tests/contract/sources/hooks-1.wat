;; What hooks are written for, each at least once: calls, a loop, a host call, an exception that is
;; caught further out, memory and table growth, and an allocator with the names of C's.
(module
  (import "host" "tell" (func $tell (param i64)))
  (tag $failed)
  (memory (export "memory") 1)
  (table 1 funcref)
  (global $top (mut i32) (i32.const 1024))
  (func $malloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func $free (param $at i32))
  (func $leaf (param $n i32) (result i32)
    (loop $again
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $n))
  (func $fails (throw $failed))
  (func $catches
    (block $handler (try_table (catch $failed $handler) (call $fails))))
  (func $grows
    (drop (memory.grow (i32.const 1)))
    (drop (table.grow (ref.null func) (i32.const 2))))
  (func (export "go")
    (drop (call $leaf (i32.const 3)))
    (drop (call $leaf (i32.const 4)))
    (call $catches)
    (call $grows)
    (call $free (call $malloc (i32.const 64)))
    (drop (call $malloc (i32.const 32)))
    (call $tell (i64.const 7))))
