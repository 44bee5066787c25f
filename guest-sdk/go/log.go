package observe

import "context"

// Severity is how grave a log record is: 1 to 24, as in OpenTelemetry's data model of logs. Each of the
// constants is the least of four.
type Severity int32

const (
	SeverityTrace Severity = 1
	SeverityDebug Severity = 5
	SeverityInfo  Severity = 9
	SeverityWarn  Severity = 13
	SeverityError Severity = 17
	SeverityFatal Severity = 21
)

// LogEnabled reports whether the host wants log records of the severity. Log asks by itself.
func LogEnabled(severity Severity) bool {
	answer := interest()
	return answer&interestLogs != 0 && severity >= Severity(answer>>severityShift&0xff)
}

// Log writes a log record that is tied to the span of ctx, or else to the innermost open one. The
// package observeslog does it for log/slog.
func Log(ctx context.Context, severity Severity, message string, attrs ...Attr) {
	if mayWant(interestLogs) {
		logIfWanted(ctx, severity, message, attrs)
	}
}

func logIfWanted(ctx context.Context, severity Severity, message string, attrs []Attr) {
	if LogEnabled(severity) {
		log(SpanFromContext(ctx).open(), severity, message, attrs)
	}
}
