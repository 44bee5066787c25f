;; plan: compact
;; A function of ours counts the cells down, so that hooks are short.
(module
  (func $f (param i32) (result i32)
    (block $out (br_if $out (local.get 0)) (return (i32.const 1)))
    (call $g)
    (i32.const 2))
  (func $g (block $inner (return_call $g))))
