package observe

import (
	"context"
	"reflect"
)

// SpanKind says what a span is to others.
type SpanKind int32

const (
	KindInternal SpanKind = 1 // a part of a program
	KindServer   SpanKind = 2 // the answer to a request
	KindClient   SpanKind = 3 // a request of another program
	KindProducer SpanKind = 4 // a message that is handed to a broker
	KindConsumer SpanKind = 5 // a message that came from a broker
)

// Status says whether what a span stands for went well.
type Status int32

const (
	StatusUnset Status = 0 // nothing is said
	StatusOK    Status = 1 // it went well
	StatusError Status = 2 // it failed
)

// In place of a span: the innermost open one.
const handleCurrent = 1<<31 - 1

// Span is a piece of work that takes time. All of its methods may be called on a span that is
// not recorded or has ended, and on nil, and then do nothing.
type Span struct {
	handle int32 // 0 if it is not recorded or has ended
	parent *Span
}

var (
	current     = Span{handle: handleCurrent}
	notRecorded Span
)

// A context with a span in it; both in one allocation.
type spanContext struct {
	context.Context
	span Span
}

type spanKey struct{}

func (ctx *spanContext) Value(key any) any {
	if key == (spanKey{}) {
		return &ctx.span
	}
	return ctx.Context.Value(key)
}

// Start begins a span under that of ctx, and returns a context with the new one. If there is none in ctx
// it begins under the innermost open span, be it that of a function, of the host or of the guest.
//
// End it with [Span.End], best by defer.
func Start(ctx context.Context, name string, attrs ...Attr) (context.Context, *Span) {
	return StartKind(ctx, KindInternal, name, attrs...)
}

// StartKind does what [Start] does, for a span of the given kind.
func StartKind(ctx context.Context, kind SpanKind, name string, attrs ...Attr) (context.Context, *Span) {
	if !wantsSpans() {
		return ctx, &notRecorded
	}
	parent := SpanFromContext(ctx)
	handle := spanOpen(parent.open(), kind, name, attrs)
	if handle != 0 {
		spanEnter(handle)
	}
	child := &spanContext{ctx, Span{handle, parent}}
	return child, &child.span
}

// SpanFromContext returns the span of ctx. If there is none it stands for the innermost open
// one, of which all can be said but that it ends.
func SpanFromContext(ctx context.Context) *Span {
	if !wantsSpans() {
		return &notRecorded
	}
	if span, ok := ctx.Value(spanKey{}).(*Span); ok {
		return span
	}
	return &current
}

// open returns the handle of the span, or of the nearest around it that is still open.
func (s *Span) open() int32 {
	for ; s != nil; s = s.parent {
		if s.handle != 0 {
			return s.handle
		}
	}
	return handleCurrent
}

// IsRecording reports whether the host keeps what is said of the span.
func (s *Span) IsRecording() bool {
	return s != nil && s.handle != 0
}

// End ends the span. If a panic runs through the function that deferred it, that is an event of the span,
// the span's status is an error, and the panic goes on.
//
// It has no effect on a span that has ended.
func (s *Span) End() {
	if s == nil || s.handle == handleCurrent {
		return
	}
	if recovered := recover(); recovered != nil {
		defer panic(recovered)
		s.exception(recovered, panicMessage(recovered))
		s.SetStatus(StatusError, "panic")
	}
	if s.handle != 0 {
		spanClose(s.handle)
		s.handle = 0
	}
}

// SetAttributes sets attributes of the span. Of those with the same key, the last stays.
func (s *Span) SetAttributes(attrs ...Attr) {
	if s.IsRecording() {
		spanAttributes(s.handle, attrs)
	}
}

// AddEvent tells that something happened just now.
func (s *Span) AddEvent(name string, attrs ...Attr) {
	if s.IsRecording() {
		spanEvent(s.handle, name, attrs)
	}
}

// SetStatus says whether it went well. The message counts for errors only.
func (s *Span) SetStatus(status Status, message string) {
	if s.IsRecording() {
		spanStatus(s.handle, status, message)
	}
}

// RecordError tells of an error as an event. The status of the span stays as it is: use [Span.SetStatus] if
// the span failed of it. It has no effect if err is nil.
func (s *Span) RecordError(err error, attrs ...Attr) {
	if err != nil && s.IsRecording() {
		s.exception(err, err.Error(), attrs...)
	}
}

// Link links the span to one elsewhere, given by its traceparent (W3C Trace Context).
func (s *Span) Link(traceparent string, attrs ...Attr) {
	if s.IsRecording() {
		spanLink(s.handle, traceparent, attrs)
	}
}

// An event as OpenTelemetry's semantic conventions have it for exceptions.
func (s *Span) exception(value any, message string, attrs ...Attr) {
	if s.IsRecording() {
		all := append([]Attr{
			String("exception.type", reflect.TypeOf(value).String()),
			String("exception.message", message),
		}, attrs...)
		spanEvent(s.handle, "exception", all)
	}
}

// The package fmt would add 200 kB to a module that does not use it.
func panicMessage(value any) string {
	switch value := value.(type) {
	case error:
		return value.Error()
	case interface{ String() string }:
		return value.String()
	case string:
		return value
	}
	return ""
}

// Traceparent returns the traceparent (W3C Trace Context) of the span of ctx, for calls that go out. It
// is empty outside of a trace.
func Traceparent(ctx context.Context) string {
	if !wantsSpans() {
		return ""
	}
	handle := SpanFromContext(ctx).open()
	if handle == handleCurrent {
		return traceparent()
	}
	// The host knows only the innermost open span, which may be that of another goroutine.
	spanEnter(handle)
	defer spanExit(handle)
	return traceparent()
}

// Baggage returns what came with the request, in the form of the W3C header baggage. It may be empty.
func Baggage() string {
	return baggage()
}
