;; plan: flat
;; The older proposal, with a `delegate` to the function's own label.
(module
  (tag $e)
  (func $f (result i32)
    try (result i32)
      call $g
      i32.const 1
    catch $e
      i32.const 2
    end)
  (func $g
    try
      throw $e
    delegate 0))
