package observe

// The bits of the host's interest, and the least severity of log records that it wants.
const (
	interestSpans   = 1 << 0
	interestLogs    = 1 << 1
	interestMetrics = 1 << 2
	severityShift   = 8
)

// mayWant is false if the host is known not to want something. It is small enough to be inlined into
// the program, where it saves the call of what asks the host.
func mayWant(bit uint32) bool { return known()&bit != 0 }

func wantsSpans() bool { return interest()&interestSpans != 0 }

func wantsMetrics() bool { return interest()&interestMetrics != 0 }
