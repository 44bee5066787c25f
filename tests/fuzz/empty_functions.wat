;; What hooks cost at the most: fuel for calls of a function that does nothing.
(module
  (func $nothing)
  (func (export "run") (local i32)
    (loop
      (call $nothing) (call $nothing) (call $nothing) (call $nothing)
      (call $nothing) (call $nothing) (call $nothing) (call $nothing)
      (br_if 0 (i32.lt_u
        (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
        (i32.const 100))))))
