;; plan: default allocations
;; Functions that allocate and free are called through others that tell of it; what bears
;; the name of one and has another type is left alone. What they call of one another is not
;; told.
(module
  (memory 1)
  (func $malloc (param i32) (result i32) (local.get 0))
  (func $calloc (param i32 i32) (result i32) (call $malloc (local.get 0)))
  (func $realloc (param i32 i32) (result i32) (local.get 0))
  (func $free (param i32))
  (func $__rust_dealloc (param i32 i32 i32) (call $free (local.get 0)))
  (func $runtime.alloc (param i32) (result i32) (local.get 0))
  (func $memalign (param i64 i32) (result i32) (local.get 1))
  (func (export "go") (call $free (call $malloc (i32.const 8)))))
