;; plan: dylibso default
;; Hosts of observe-sdk look the version up as if no global were imported, so it is there
;; twice; and they know functions by the name section alone, so that there is one.
(module
  (import "env" "base" (global $base i32))
  (global (mut i64) (i64.const 5))
  (func (export "run") (drop (global.get $base)))
  (func (loop))
  (func))
