// What the scenario of the examples leaves out.
package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
	"github.com/observe-wasm/observe/guest-sdk/go/observeslog"
)

func main() {
	slog.SetDefault(slog.New(observeslog.NewHandler()))
	ctx, span := observe.Start(context.Background(), "main", observe.String("baggage", observe.Baggage()))
	many(span)
	takeTurns(ctx)
	slog.With("shop", 1).WithGroup("order").WarnContext(ctx, "hm", "id", 42)
	span.RecordError(errors.New("broken"))
	defer span.End()
	var none []int
	none[runtime.NumGoroutine()+6] = 0
}

// More than there is room for on the stack, with keys and values that were made just now.
func many(span *observe.Span) {
	var attrs []observe.Attr
	for i := range 20 {
		attrs = append(attrs, observe.String("key "+strconv.Itoa(i), strconv.Itoa(i*i)))
	}
	garbage()
	span.SetAttributes(attrs...)
}

// Two goroutines, each with a span of its own.
func takeTurns(ctx context.Context) {
	turn, other, done := make(chan bool, 1), make(chan bool, 1), make(chan bool)
	work := func(name string, mine, theirs chan bool) {
		ctx, span := observe.Start(ctx, name)
		for range 2 {
			<-mine
			observe.Log(ctx, observe.SeverityInfo, "turn of "+name)
			garbage()
			theirs <- true
		}
		span.End()
		done <- true
	}
	go work("ping", turn, other)
	go work("pong", other, turn)
	turn <- true
	<-done
	<-done
}

var kept [][]byte

func garbage() {
	for range 100 {
		kept = append(kept[len(kept)/2:], make([]byte, 1000))
	}
	runtime.GC()
}
