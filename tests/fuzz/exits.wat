;; Each way out of a function: the end, `return`, and branches to the function's label, also
;; from within blocks.
(module
  (func $out (export "out") (param i32) (result i32 i64)
    (block $two
      (block $one
        (block $zero (br_table $zero $one $two (local.get 0)))
        (return (i32.const 1) (i64.const 2)))
      (loop
        (if (local.get 0)
          (then (br 3 (i32.const 3) (i64.const 4))))))
    (br_if 0 (i32.const 5) (i64.const 6) (i32.eq (local.get 0) (i32.const 2)))
    (br_table 0 0 (local.get 0)))
  (func (export "each") (result i32 i64)
    (drop (drop (call $out (i32.const 0))))
    (drop (drop (call $out (i32.const 1))))
    (drop (drop (call $out (i32.const 2))))
    (call $out (i32.const 3))))
