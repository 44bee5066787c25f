;; plan: default
;; A function that grows something is hooked, however small; one that is excluded or left
;; out for its size is not touched.
(module
  (memory 1)
  (memory $wide i64 1)
  (table $t 1 funcref)
  (table $long i64 1 externref)
  (func $grows (param i32) (result i32)
    (memory.grow (local.get 0)))
  (func $grows_more (param i64) (result i32)
    (drop (memory.grow $wide (local.get 0)))
    (drop (table.grow $long (ref.null extern) (local.get 0)))
    (table.grow $t (ref.null func) (i32.const 1)))
  (func $small (result i32)
    (memory.size)))
