;; A block of several results needs a type: one that is there, or one appended after
;; all recursion groups.
(module
  (rec (type $a (struct (field (ref null $b)))) (type $b (struct (field (ref null $a)))))
  (type $two (func (result i32 i64)))
  (func $reuses (param f32) (result i32 i64) (i32.const 1) (i64.const 2))
  (func $appends (result (ref null $a) i32) (ref.null $a) (return (i32.const 1))))
