(module
  (func $g (result i32)
    (i32.const 1))
  (func $f (export "f") (param $p i32) (result i32)
    (if (local.get $p) (then (return (i32.const 7))))
    (call $g)))
