;; A loop of tail calls in three forms.
(module
  (type $f (func (param i32) (result i32)))
  (table 3 funcref)
  (elem (i32.const 0) $a $b $c)
  (func $a (type $f)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 42))))
    (return_call $b (i32.sub (local.get 0) (i32.const 1))))
  (func $b (type $f)
    (return_call_indirect (type $f) (local.get 0) (i32.const 2)))
  (func $c (type $f)
    (return_call_ref $f (local.get 0) (ref.func $a)))
  (func (export "run") (result i32) (call $a (i32.const 700))))
