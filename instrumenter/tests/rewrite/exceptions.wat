;; An exception that leaves the function passes an exit; one that is caught inside
;; does not.
(module
  (tag $e (param i32))
  (func $throws (throw $e (i32.const 1)))
  (func $catches (result i32)
    (block $caught (result i32)
      (try_table (catch $e $caught) (call $throws))
      (return (i32.const 0)))))
