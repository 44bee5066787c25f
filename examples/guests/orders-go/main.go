// A shop that says what it does: every part of observe:guest@2, from Go.
package main

import (
	"context"
	"fmt"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
)

const earlier = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var (
	orders = observe.NewCounter("orders", "{order}", "orders taken")
	carts  = observe.NewUpDownCounter("carts.open", "", "")
	stock  = observe.NewGauge("stock", "", "")
	prices = observe.NewHistogram("price", "EUR", "")
)

func main() {
	fmt.Println(checkout(3))
}

//go:noinline
func checkout(items int) int {
	ctx, span := observe.StartKind(context.Background(), observe.KindServer, "POST /orders",
		observe.Int("order.id", 42),
		observe.String("customer", "ada"),
		observe.Bool("express", true),
		observe.Float64("discount", 0.25),
		observe.Bytes("receipt", []byte{0x00, 0xff, 0x10}),
		observe.Strings("items", []string{"tea", "mug"}),
		observe.Bools("gifts", []bool{true, false}),
		observe.Int64s("quantities", []int64{1, 2}),
		observe.Float64s("weights", []float64{0.5, 1.5}),
	)
	defer span.End()

	observe.Log(ctx, observe.SeverityInfo, "order accepted", observe.Int("order.id", 42))
	span.AddEvent("validated", observe.Int("rules", 3))
	span.Link(earlier, observe.String("why", "retry"))
	span.SetAttributes(
		observe.String("traceparent", observe.Traceparent(ctx)),
		observe.String("baggage", observe.Baggage()),
	)

	total := addUp(ctx, items)
	charge(ctx)
	_, after := observe.Start(ctx, "after")
	after.End()
	deliver(ctx)
	span.SetAttributes(observe.Bool("paid", false))

	orders.Add(1, observe.Bool("express", true))
	orders.Add(2, observe.Bool("express", true))
	carts.Add(-1)
	stock.Record(7)
	prices.RecordFloat64(9.5, observe.String("currency", "EUR"))
	prices.RecordFloat64(20, observe.String("currency", "EUR"))
	return total
}

func addUp(ctx context.Context, items int) int {
	_, span := observe.Start(ctx, "add up")
	defer span.End()
	for i := range items {
		cents += price(i)
	}
	return items + 5
}

// Kept, so that the compiler cannot leave the prices out.
var cents int

//go:noinline
func price(item int) int {
	sum := item
	for step := range 500 {
		sum = sum*31 + step
	}
	return sum % 1000
}

//go:noinline
func charge(ctx context.Context) bool {
	ctx, span := observe.StartKind(ctx, observe.KindClient, "charge")
	defer span.End()
	if funds := 0; funds < cents*cents+1 {
		span.SetStatus(observe.StatusError, "card declined")
		observe.Log(ctx, observe.SeverityError, "card declined", observe.Int("attempt", 1))
		return false
	}
	return true
}

func deliver(ctx context.Context) {
	ctx, span := observe.StartKind(ctx, observe.KindProducer, "delivery", observe.Int("parcel", 7))
	defer span.End()
	_, pack := observe.Start(ctx, "pack")
	pack.End()
}
