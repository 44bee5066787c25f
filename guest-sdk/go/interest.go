package observe

// The bits of the host's interest, and the least severity of log records that it wants.
const (
	interestSpans   = 1 << 0
	interestLogs    = 1 << 1
	interestMetrics = 1 << 2
	severityShift   = 8
)

func wantsSpans() bool { return interest()&interestSpans != 0 }

func wantsMetrics() bool { return interest()&interestMetrics != 0 }
