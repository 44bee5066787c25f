//go:build !wasip1

package observeslog_test

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	observe "github.com/observe-wasm/observe/guest-sdk/go"
	"github.com/observe-wasm/observe/guest-sdk/go/internal/native"
	"github.com/observe-wasm/observe/guest-sdk/go/observeslog"
)

type record struct {
	severity observe.Severity
	body     string
	attrs    []observe.Attr
}

// listen makes a host that wants log records from a severity on.
func listen(t *testing.T, least observe.Severity) *[]record {
	wanted, tell := native.Wanted, native.Tell
	t.Cleanup(func() { native.Wanted, native.Tell = wanted, tell })
	records := new([]record)
	native.Wanted = 1<<31 | 2 | uint32(least)<<8
	native.Tell = func(call string, arguments ...any) int32 {
		*records = append(*records, record{
			arguments[1].(observe.Severity), arguments[2].(string), arguments[3].([]observe.Attr),
		})
		return 0
	}
	return records
}

func TestHandlerIsAsSlogAsks(t *testing.T) {
	var records *[]record
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		if strings.HasSuffix(t.Name(), "/zero-time") {
			t.Skip("the time is the host's")
		}
		records = listen(t, 0)
		return observeslog.NewHandler()
	}, func(*testing.T) map[string]any {
		last := (*records)[len(*records)-1]
		all := map[string]any{slog.MessageKey: last.body, slog.LevelKey: last.severity, slog.TimeKey: "the host's"}
		for _, attr := range last.attrs {
			group := all
			path := strings.Split(attr.Key(), ".")
			for _, name := range path[:len(path)-1] {
				if group[name] == nil {
					group[name] = map[string]any{}
				}
				group = group[name].(map[string]any)
			}
			group[path[len(path)-1]] = attr.Value()
		}
		return all
	})
}

func TestTypesStay(t *testing.T) {
	records := listen(t, 0)
	slog.New(observeslog.NewHandler()).Info("m",
		"bool", true, "int", 42, "uint", uint64(7), "float", 0.25, "string", "ada",
		"bytes", []byte{0, 255}, "strings", []string{"a"}, "bools", []bool{true},
		"ints", []int64{1}, "floats", []float64{0.5},
		"large", uint64(1<<63), "duration", time.Second, "error", fmt.Errorf("broken"),
		"time", time.Unix(0, 0).UTC(), "struct", struct{ A int }{1},
	)
	expected := []any{true, int64(42), int64(7), 0.25, "ada",
		[]byte{0, 255}, []string{"a"}, []bool{true}, []int64{1}, []float64{0.5},
		"9223372036854775808", "1s", "broken", "1970-01-01T00:00:00Z", "{1}"}
	for i, attr := range (*records)[0].attrs {
		if !reflect.DeepEqual(attr.Value(), expected[i]) {
			t.Errorf("%s is %#v, not %#v", attr.Key(), attr.Value(), expected[i])
		}
	}
}

func TestLevelsAreSeverities(t *testing.T) {
	records := listen(t, observe.SeverityInfo)
	logger := slog.New(observeslog.NewHandler())
	for _, level := range []slog.Level{-100, slog.LevelDebug, slog.LevelInfo, slog.LevelInfo + 2, slog.LevelWarn, slog.LevelError, 100} {
		logger.Log(context.Background(), level, "m")
	}
	var severities []observe.Severity
	for _, record := range *records {
		severities = append(severities, record.severity)
	}
	if expected := []observe.Severity{9, 11, 13, 17, 24}; !reflect.DeepEqual(severities, expected) {
		t.Errorf("severities %v, not %v", severities, expected)
	}
}
