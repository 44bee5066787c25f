// Package observeslog makes the records of log/slog log records of the host, tied to the span of
// their context:
//
//	slog.SetDefault(slog.New(observeslog.NewHandler()))
//	slog.InfoContext(ctx, "order accepted", "order.id", 42)
//
// It is a package of its own because log/slog adds 380 kB to a module that does not use it.
package observeslog

import (
	"context"
	"log/slog"
	"slices"
	"time"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
)

// Handler is a [slog.Handler]. Groups are prefixes of keys, with a dot between. Levels are severities:
// Debug is 5, Info 9, Warn 13, Error 17, and those between lie between. The time is the host's.
type Handler struct {
	attrs  []observe.Attr // given with the logger
	prefix string         // of the open groups, with a dot at the end
}

// NewHandler returns a handler for the host.
func NewHandler() *Handler {
	return &Handler{}
}

// In the data model of OpenTelemetry, INFO is 9 and the names are 4 apart, as slog's levels are.
func severityOf(level slog.Level) observe.Severity {
	return observe.Severity(min(max(level, slog.LevelInfo-8), slog.LevelInfo+15)) + observe.SeverityInfo
}

// Enabled reports whether the host wants records of the level.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return observe.LogEnabled(severityOf(level))
}

// Handle hands the record to the host.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	attrs := make([]observe.Attr, len(h.attrs), len(h.attrs)+record.NumAttrs())
	copy(attrs, h.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = appendSlog(attrs, h.prefix, attr)
		return true
	})
	observe.Log(ctx, severityOf(record.Level), record.Message, attrs...)
	return nil
}

// WithAttrs returns a handler that adds the attributes to each record.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &Handler{slices.Clip(h.attrs), h.prefix}
	for _, attr := range attrs {
		with.attrs = appendSlog(with.attrs, h.prefix, attr)
	}
	return with
}

// WithGroup returns a handler that puts what comes into a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &Handler{h.attrs, h.prefix + name + "."}
}

// appendSlog appends an attribute of slog's, or those of a group. One without key and value is ignored,
// as slog asks of handlers.
func appendSlog(attrs []observe.Attr, prefix string, attr slog.Attr) []observe.Attr {
	attr.Value = attr.Value.Resolve()
	if attr.Equal(slog.Attr{}) {
		return attrs
	}
	if attr.Value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			prefix += attr.Key + "."
		}
		for _, inner := range attr.Value.Group() {
			attrs = appendSlog(attrs, prefix, inner)
		}
		return attrs
	}
	return append(attrs, ofSlog(prefix+attr.Key, attr.Value))
}

func ofSlog(key string, value slog.Value) observe.Attr {
	switch value.Kind() {
	case slog.KindBool:
		return observe.Bool(key, value.Bool())
	case slog.KindInt64:
		return observe.Int64(key, value.Int64())
	case slog.KindFloat64:
		return observe.Float64(key, value.Float64())
	case slog.KindUint64:
		if number := value.Uint64(); number <= 1<<63-1 {
			return observe.Int64(key, int64(number))
		}
	case slog.KindTime:
		return observe.String(key, value.Time().Format(time.RFC3339Nano))
	case slog.KindAny:
		switch value := value.Any().(type) {
		case []byte:
			return observe.Bytes(key, value)
		case []string:
			return observe.Strings(key, value)
		case []bool:
			return observe.Bools(key, value)
		case []int64:
			return observe.Int64s(key, value)
		case []float64:
			return observe.Float64s(key, value)
		}
	}
	return observe.String(key, value.String())
}
