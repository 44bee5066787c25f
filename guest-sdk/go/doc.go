// Package observe lets a WebAssembly guest say what it does: spans, attributes, events, logs and
// metrics, told to a host with the imports of observe:guest@2. The guest needs no clock, no network
// and no OpenTelemetry SDK.
//
// Build for GOOS=wasip1 GOARCH=wasm. Everywhere else the same calls do nothing, so that a program
// that uses the package can be tested natively; the same holds for what the host does not want to
// be told.
//
//	func checkout(ctx context.Context, order int64) error {
//		ctx, span := observe.Start(ctx, "checkout", observe.Int64("order.id", order))
//		defer span.End()
//
//		observe.Log(ctx, observe.SeverityInfo, "order accepted")
//		if err := charge(ctx); err != nil {
//			span.RecordError(err)
//			span.SetStatus(observe.StatusError, "not charged")
//			return err
//		}
//		orders.Add(1, observe.Bool("express", true))
//		return nil
//	}
//
//	var orders = observe.NewCounter("orders", "{order}", "orders taken")
//
// # Spans and goroutines
//
// In WebAssembly a Go function returns in its midst when its goroutine has to wait, and is called
// again when it goes on. So spans here belong to no function of the module: they begin with [Start],
// end with [Span.End], and their parent is the span of the context that they were given, whichever
// goroutine runs. Without one it is the innermost open span, which may be that of a function that
// the host timed, or the host's own.
//
// While a span is open, the spans of functions stand under it. Where goroutines take turns, that is
// the one that began last.
//
// A span that is open when the host's call of the module is over stays open, to be ended in a later call;
// it ends with the trace at the latest. Functions that the host times end when they return, also in
// their midst; hosts show them once for each time they went on.
//
// # Cost
//
// Start allocates the context that it returns, and nothing else; the other calls allocate nothing
// while there are at most 16 attributes and none is an array or bytes. What the host does not
// want to be told costs a comparison.
package observe
