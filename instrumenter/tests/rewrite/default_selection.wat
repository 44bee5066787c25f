;; plan: default
(module
  (import "env" "host" (func $host))
  (func $small (result i32) (i32.add (i32.const 1) (i32.const 2)))
  (func $loops (loop))
  (func $calls_host (call $host))
  (func $exported (export "f") (result i32) (call $small)))
