;; With nothing to hook, not a byte changes.
(module (memory (export "memory") 1) (data (i32.const 0) "x"))
