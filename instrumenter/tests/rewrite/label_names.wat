;; Labels are numbered as they are opened, and the hooks open some, too.
(module
  (func $f (param $p i32)
    (block $outer
      (loop $again
        (br_if $outer (local.get $p))
        (if $tail (local.get $p) (then (return_call $f (i32.const 0))))
        (block $after (br_if $after (local.get $p)))
        (br $again)))))
