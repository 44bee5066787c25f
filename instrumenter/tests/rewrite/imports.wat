;; Calls of imports go through functions with hooks, wherever they are named, but for what is
;; imported for observing, and for builtins of the engine.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "pair" (func $pair (param i32 f64) (result i32 f64)))
  (import "wasm:js-string" "length" (func $length (param externref) (result i32)))
  (import "observe:guest@2" "span-exit" (func $exit (param i32)))
  (table 2 funcref)
  (elem (i32.const 0) $log $length)
  (export "log" (func $log))
  (start $main)
  (func $main
    (call $log (i32.const 1))
    (call $pair (i32.const 2) (f64.const 3)) drop drop
    (drop (call $length (ref.null extern)))
    (drop (ref.func $log))
    (call $exit (i32.const 4))
    (return_call $log (i32.const 5))))
