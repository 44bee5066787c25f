module github.com/observe-wasm/observe/tests/e2e/toolchains/go

go 1.24

require github.com/observe-wasm/observe/guest-sdk/go v0.0.0

replace github.com/observe-wasm/observe/guest-sdk/go => ../../../../guest-sdk/go
