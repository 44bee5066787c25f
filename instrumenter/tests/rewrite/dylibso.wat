;; plan: dylibso
;; The hooks of observe-sdk: each call is told, by its index in this module, and so are the
;; pages that a memory grew by.
(module
  (import "env" "clock" (func $clock (result i64)))
  (memory 1)
  (table 1 funcref)
  (tag $e)
  (func $early (export "early") (param i32) (result i32)
    (if (local.get 0) (then (return (i32.const 7))))
    (block $inner (br_if $inner (local.get 0)))
    (memory.grow (i32.const 1)))
  (func $tail (return_call $throws))
  (func $throws (drop (call $clock)) (drop (table.grow (ref.null func) (i32.const 1))) (throw $e)))
