;; plan: memory
(module
  (memory 1)
  (func $g (export "g"))
  (func $f (export "f") (call $g)))
