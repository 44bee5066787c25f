;; The exit comes before the call.
(module
  (type $t (func (param i32) (result i32)))
  (table funcref (elem $direct))
  (func $direct (param i32) (result i32) (return_call $direct (local.get 0)))
  (func $indirect (param i32) (result i32)
    (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func $by_reference (param i32 (ref $t)) (result i32)
    (return_call_ref $t (local.get 0) (local.get 1))))
