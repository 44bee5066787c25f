module github.com/observe-wasm/observe/guest-sdk/go

go 1.24
