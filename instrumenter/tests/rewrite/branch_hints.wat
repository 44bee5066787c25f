;; plan: flat
;; A hint stays with its instruction.
(module
  (func $unlikely (export "f") (param i32) (result i32)
    local.get 0
    i32.eqz
    if
      i32.const 1
      return
    end
    local.get 0
    (@metadata.code.branch_hint "\00")
    if
      i32.const 0
      call $unlikely
      drop
    end
    block
      local.get 0
      (@metadata.code.branch_hint "\01")
      br_if 0
    end
    i32.const 2))
