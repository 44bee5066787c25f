;; A shared function can call only shared ones, so it gets no hooks.
(module
  (type $t (shared (func)))
  (type $u (func))
  (func $shared (type $t))
  (func $plain (export "f") (type $u) (call $shared)))
