;; plan: flat
(module
  (tag $e)
  (func $f (param i32) (result i32)
    try
      local.get 0
      if
        i32.const 7
        return
      end
      throw $e
    catch $e
    end
    i32.const 1
    return_call $f))
