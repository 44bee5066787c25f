//go:build !wasip1

package observe_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
	"github.com/observe-wasm/observe/guest-sdk/go/internal/native"
)

const (
	nothing = 1 << 31
	spans   = nothing | 1
	logs    = nothing | 2
	metrics = nothing | 4
)

// told runs f with a host that wants to be told something, and returns the calls.
func told(t *testing.T, wanted uint32, f func()) []string {
	t.Helper()
	var calls []string
	var opened int32
	was, told := native.Wanted, native.Tell
	defer func() { native.Wanted, native.Tell = was, told }()
	native.Wanted = wanted
	native.Tell = func(call string, arguments ...any) int32 {
		line := call
		for _, argument := range arguments {
			if attrs, ok := argument.([]observe.Attr); ok {
				for _, attr := range attrs {
					line += fmt.Sprintf(" %s=%v", attr.Key(), attr.Value())
				}
			} else {
				line += fmt.Sprintf(" %v", argument)
			}
		}
		calls = append(calls, line)
		if call == "span-open" || call == "instrument" {
			opened++
		}
		return opened
	}
	f()
	return calls
}

func expect(t *testing.T, calls []string, expected ...string) {
	t.Helper()
	if !slices.Equal(calls, expected) {
		t.Errorf("told\n\t%s\ninstead of\n\t%s", strings.Join(calls, "\n\t"), strings.Join(expected, "\n\t"))
	}
}

func TestSpansNestByContext(t *testing.T) {
	expect(t, told(t, spans, func() {
		ctx, outer := observe.StartKind(context.Background(), observe.KindServer, "outer")
		inner, first := observe.Start(ctx, "first", observe.Int("n", 1))
		_, second := observe.Start(ctx, "second")
		first.End()
		_, late := observe.Start(inner, "late")
		late.End()
		second.End()
		outer.End()
	}),
		"span-open 2147483647 2 outer", "span-enter 1",
		"span-open 1 1 first n=1", "span-enter 2",
		"span-open 1 1 second", "span-enter 3",
		"span-close 2",
		// Its parent is over: it stands under the nearest that is not.
		"span-open 1 1 late", "span-enter 4",
		"span-close 4", "span-close 3", "span-close 1",
	)
}

func TestSpanEndsOnce(t *testing.T) {
	expect(t, told(t, spans, func() {
		_, span := observe.Start(context.Background(), "once")
		span.End()
		span.End()
		span.SetAttributes(observe.Bool("late", true))
		var none *observe.Span
		none.AddEvent("nowhere")
		none.End()
	}), "span-open 2147483647 1 once", "span-enter 1", "span-close 1")
}

func TestWhatIsSaidOfSpans(t *testing.T) {
	expect(t, told(t, spans, func() {
		ctx, span := observe.Start(context.Background(), "s")
		defer span.End()
		observe.SpanFromContext(ctx).SetAttributes(observe.Float64s("f", []float64{0.5}))
		span.AddEvent("e", observe.Strings("s", []string{"a", "b"}))
		span.SetStatus(observe.StatusOK, "")
		span.RecordError(fmt.Errorf("outer: %w", errors.New("inner")), observe.Bytes("b", []byte{1}))
		span.RecordError(nil)
		span.Link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}),
		"span-open 2147483647 1 s", "span-enter 1",
		"span-attributes 1 f=[0.5]",
		"span-event 1 e s=[a b]",
		"span-status 1 1 ",
		"span-event 1 exception exception.type=*fmt.wrapError exception.message=outer: inner b=[1]",
		"span-link 1 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"span-close 1",
	)
}

func TestWithoutSpanItIsTheInnermost(t *testing.T) {
	expect(t, told(t, spans|logs, func() {
		span := observe.SpanFromContext(context.Background())
		span.SetAttributes(observe.Int("n", 1))
		span.End()
		observe.Log(context.Background(), observe.SeverityWarn, "hm")
	}), "span-attributes 2147483647 n=1", "log 2147483647 13 hm")
}

func TestPanicIsToldAndGoesOn(t *testing.T) {
	var recovered any
	calls := told(t, spans, func() {
		defer func() { recovered = recover() }()
		_, span := observe.Start(context.Background(), "s")
		defer span.End()
		panic(errors.New("broken"))
	})
	if fmt.Sprint(recovered) != "broken" {
		t.Errorf("the panic became %v", recovered)
	}
	expect(t, calls, "span-open 2147483647 1 s", "span-enter 1",
		"span-event 1 exception exception.type=*errors.errorString exception.message=broken",
		"span-status 1 2 panic", "span-close 1")
}

func TestSeverityThatTheHostWants(t *testing.T) {
	expect(t, told(t, logs|13<<8, func() {
		ctx, span := observe.Start(context.Background(), "not wanted")
		span.AddEvent("nor this")
		observe.Log(ctx, observe.SeverityInfo, "too little")
		observe.Log(ctx, observe.SeverityError, "enough")
	}), "log 2147483647 17 enough")
}

func TestMetrics(t *testing.T) {
	orders := observe.NewCounter("orders", "{order}", "orders taken")
	carts := observe.NewUpDownCounter("carts", "", "")
	stock := observe.NewGauge("stock", "", "")
	price := observe.NewHistogram("price", "EUR", "")
	use := func() {
		orders.Add(2, observe.Bool("express", true))
		orders.AddFloat64(0.5)
		carts.Add(-1)
		stock.Record(7)
		price.RecordFloat64(9.5)
	}
	expect(t, told(t, spans|logs, use))
	expect(t, told(t, metrics, use),
		"instrument 1 orders {order} orders taken", "record-i64 1 2 express=true", "record-f64 1 0.5",
		"instrument 2 carts  ", "record-i64 2 -1",
		"instrument 3 stock  ", "record-i64 3 7",
		"instrument 4 price EUR ", "record-f64 4 9.5",
	)
}

func TestNothingIsToldOrAllocatedIfNotWanted(t *testing.T) {
	ctx := context.Background()
	use := func() {
		ctx, span := observe.Start(ctx, "s", observe.Int("n", 1))
		span.SetAttributes(observe.String("k", "v"))
		observe.Log(ctx, observe.SeverityFatal, "m", observe.Bool("b", true))
		span.End()
	}
	expect(t, told(t, nothing, func() {
		if allocations := testing.AllocsPerRun(100, use); allocations != 0 {
			t.Errorf("%v allocations", allocations)
		}
	}))
}
