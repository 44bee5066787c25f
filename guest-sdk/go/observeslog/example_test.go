package observeslog_test

import (
	"context"
	"log/slog"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
	"github.com/observe-wasm/observe/guest-sdk/go/observeslog"
)

func ExampleNewHandler() {
	logger := slog.New(observeslog.NewHandler())

	ctx, span := observe.Start(context.Background(), "checkout")
	defer span.End()
	logger.InfoContext(ctx, "order accepted", "order.id", 42)
}
