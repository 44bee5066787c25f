;; What speaks of places in the code is left out, and said.
(module
  (func $f (export "f"))
  (@custom ".debug_line" "stale")
  (@custom "sourceMappingURL" "stale")
  (@custom "target_features" "\00")
  (@producers (language "C11" "") (processed-by "clang" "14")))
