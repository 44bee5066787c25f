(module
  (tag $e)
  (func $throws (throw $e))
  (func $f (param i32) (result i32 i64)
    (if (local.get 0) (then (return (i32.const 1) (i64.const 2))))
    (call $throws)
    (return_call $f (i32.const 1))))
