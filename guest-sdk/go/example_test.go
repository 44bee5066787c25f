package observe_test

import (
	"context"
	"errors"
	"net/http"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
)

func ExampleStart() {
	checkout := func(ctx context.Context, order int64) {
		ctx, span := observe.Start(ctx, "checkout", observe.Int64("order.id", order))
		defer span.End()

		_, pack := observe.Start(ctx, "pack", observe.Strings("items", []string{"tea", "mug"}))
		pack.End()
		span.SetAttributes(observe.Bool("express", true), observe.Float64("discount", 0.25))
	}
	checkout(context.Background(), 42)
}

func ExampleStartKind() {
	_, span := observe.StartKind(context.Background(), observe.KindClient, "GET /prices")
	defer span.End()
	span.AddEvent("connected", observe.Int("attempt", 1))
}

func ExampleSpanFromContext() {
	validate := func(ctx context.Context) {
		observe.SpanFromContext(ctx).AddEvent("validated", observe.Int("rules", 3))
	}
	validate(context.Background())
}

func ExampleSpan_RecordError() {
	_, span := observe.Start(context.Background(), "charge")
	defer span.End()
	if err := errors.New("card declined"); err != nil {
		span.RecordError(err, observe.Int("attempt", 1))
		span.SetStatus(observe.StatusError, "card declined")
	}
}

func ExampleSpan_Link() {
	_, span := observe.Start(context.Background(), "retry")
	defer span.End()
	span.Link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", observe.String("why", "retry"))
}

func ExampleLog() {
	ctx, span := observe.Start(context.Background(), "checkout")
	defer span.End()
	observe.Log(ctx, observe.SeverityInfo, "order accepted", observe.Int("order.id", 42))
	if observe.LogEnabled(observe.SeverityDebug) {
		observe.Log(ctx, observe.SeverityDebug, "cart", observe.Bytes("digest", []byte{0x00, 0xff}))
	}
}

func ExampleNewCounter() {
	orders := observe.NewCounter("orders", "{order}", "orders taken")
	orders.Add(1, observe.Bool("express", true))
}

func ExampleNewUpDownCounter() {
	carts := observe.NewUpDownCounter("carts.open", "{cart}", "")
	carts.Add(1)
	carts.Add(-1)
}

func ExampleNewGauge() {
	temperature := observe.NewGauge("temperature", "Cel", "")
	temperature.RecordFloat64(21.5)
}

func ExampleNewHistogram() {
	size := observe.NewHistogram("response.size", "By", "")
	size.Record(1024, observe.String("route", "/orders"))
}

func ExampleTraceparent() {
	ctx, span := observe.StartKind(context.Background(), observe.KindClient, "POST /charge")
	defer span.End()
	headers := http.Header{}
	headers.Set("traceparent", observe.Traceparent(ctx))
	headers.Set("baggage", observe.Baggage())
}
