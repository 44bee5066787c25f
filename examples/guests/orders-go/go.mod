module github.com/observe-wasm/observe/examples/guests/orders-go

go 1.24

require github.com/observe-wasm/observe/guest-sdk/go v0.0.0

replace github.com/observe-wasm/observe/guest-sdk/go => ../../../guest-sdk/go
