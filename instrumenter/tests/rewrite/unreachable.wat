;; Code that cannot be reached still has the types of its function.
(module
  (func $never (result i32 i64) (unreachable))
  (func $after_return (result i32) (return (i32.const 1)) (return (i32.const 2)))
  (func $branches (result i32) (br 0 (i32.const 3))))
