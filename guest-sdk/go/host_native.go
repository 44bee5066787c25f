//go:build !wasip1

package observe

import (
	"slices"

	"github.com/observe-wasm/observe/guest-sdk/go/internal/native"
)

func known() uint32 { return native.Wanted }

func interest() uint32 { return native.Wanted }

// Attributes are copied, here and below, so that those of calls that tell nothing stay on the stack.
func spanOpen(parent int32, kind SpanKind, name string, attrs []Attr) int32 {
	return native.Tell("span-open", parent, kind, name, slices.Clone(attrs))
}

func spanEnter(handle int32) { native.Tell("span-enter", handle) }

func spanExit(handle int32) { native.Tell("span-exit", handle) }

func spanClose(handle int32) { native.Tell("span-close", handle) }

func spanAttributes(span int32, attrs []Attr) {
	native.Tell("span-attributes", span, slices.Clone(attrs))
}

func spanEvent(span int32, name string, attrs []Attr) {
	native.Tell("span-event", span, name, slices.Clone(attrs))
}

func spanStatus(span int32, status Status, message string) {
	native.Tell("span-status", span, status, message)
}

func spanLink(span int32, traceparent string, attrs []Attr) {
	native.Tell("span-link", span, traceparent, slices.Clone(attrs))
}

func log(span int32, severity Severity, body string, attrs []Attr) {
	native.Tell("log", span, severity, body, slices.Clone(attrs))
}

func newInstrument(kind instrumentKind, name, unit, description string) int32 {
	return native.Tell("instrument", kind, name, unit, description)
}

func recordInt64(instrument int32, value int64, attrs []Attr) {
	native.Tell("record-i64", instrument, value, slices.Clone(attrs))
}

func recordFloat64(instrument int32, value float64, attrs []Attr) {
	native.Tell("record-f64", instrument, value, slices.Clone(attrs))
}

func traceparent() string { return "" }

func baggage() string { return "" }
