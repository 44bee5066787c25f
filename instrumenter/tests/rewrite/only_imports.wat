;; A module that defines no function has no code before, and some after.
(module
  (import "env" "f" (func $f (param i32)))
  (memory 1)
  (export "g" (func $f))
  (data (i32.const 0) "data"))
