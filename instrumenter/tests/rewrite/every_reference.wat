;; Everything that names a function follows it: calls, references, elements, globals,
;; tables, exports, the start function and names.
(module
  (import "env" "host" (func $host))
  (import "env" "memory" (memory 1))
  (global $g funcref (ref.func $f))
  (table $t 2 funcref (ref.func $start))
  (elem $declared declare func $f $host)
  (elem $active (table $t) (i32.const 0) func $host $f)
  (elem $expressions funcref (ref.func $f) (ref.null func) (ref.func $host))
  (func $f (export "f") (export "also f") (param $p i32) (local $l i64)
    (block $label (br $label))
    (drop (ref.func $host))
    (drop (ref.func $f)))
  (func $start (call $host) (call $f (i32.const 1)))
  (export "host again" (func $host))
  (start $start))
