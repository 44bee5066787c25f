package observe

// How measurements are added up.
type instrumentKind int32

const (
	kindCounter       instrumentKind = 1
	kindUpDownCounter instrumentKind = 2
	kindGauge         instrumentKind = 3
	kindHistogram     instrumentKind = 4
)

// What all kinds have in common. The host is asked for the instrument when it is first used.
type instrument struct {
	name, unit, description string
	kind                    instrumentKind
	asked                   bool
	number                  int32
}

// ready reports whether a measurement has an effect.
func (i *instrument) ready() bool {
	if !wantsMetrics() {
		return false
	}
	if !i.asked {
		i.asked = true
		i.number = newInstrument(i.kind, i.name, i.unit, i.description)
	}
	return i.number != 0
}

func (i *instrument) int64(value int64, attrs []Attr) {
	if mayWant(interestMetrics) {
		i.recordInt64(value, attrs)
	}
}

func (i *instrument) recordInt64(value int64, attrs []Attr) {
	if i.ready() {
		recordInt64(i.number, value, attrs)
	}
}

func (i *instrument) float64(value float64, attrs []Attr) {
	if mayWant(interestMetrics) {
		i.recordFloat64(value, attrs)
	}
}

func (i *instrument) recordFloat64(value float64, attrs []Attr) {
	if i.ready() {
		recordFloat64(i.number, value, attrs)
	}
}

// Counter is a sum that never falls, such as the number of requests.
type Counter struct{ instrument }

// NewCounter returns a counter. The unit is of UCUM, such as "By", "s" or "{request}"; it and
// the description may be empty. It is meant for a variable of the package.
func NewCounter(name, unit, description string) *Counter {
	return &Counter{instrument{kind: kindCounter, name: name, unit: unit, description: description}}
}

// Add adds to the counter.
func (c *Counter) Add(increment int64, attrs ...Attr) { c.int64(increment, attrs) }

// AddFloat64 adds to the counter.
func (c *Counter) AddFloat64(increment float64, attrs ...Attr) { c.float64(increment, attrs) }

// UpDownCounter is a sum that may fall, such as the number of open connections.
type UpDownCounter struct{ instrument }

// NewUpDownCounter returns an up-down counter, as [NewCounter] does.
func NewUpDownCounter(name, unit, description string) *UpDownCounter {
	return &UpDownCounter{instrument{kind: kindUpDownCounter, name: name, unit: unit, description: description}}
}

// Add adds to the counter.
func (c *UpDownCounter) Add(change int64, attrs ...Attr) { c.int64(change, attrs) }

// AddFloat64 adds to the counter.
func (c *UpDownCounter) AddFloat64(change float64, attrs ...Attr) { c.float64(change, attrs) }

// Gauge is the last value of something that cannot be added up, such as a temperature.
type Gauge struct{ instrument }

// NewGauge returns a gauge, as [NewCounter] does.
func NewGauge(name, unit, description string) *Gauge {
	return &Gauge{instrument{kind: kindGauge, name: name, unit: unit, description: description}}
}

// Record sets the gauge.
func (g *Gauge) Record(value int64, attrs ...Attr) { g.int64(value, attrs) }

// RecordFloat64 sets the gauge.
func (g *Gauge) RecordFloat64(value float64, attrs ...Attr) { g.float64(value, attrs) }

// Histogram is a distribution, such as of sizes.
type Histogram struct{ instrument }

// NewHistogram returns a histogram, as [NewCounter] does.
func NewHistogram(name, unit, description string) *Histogram {
	return &Histogram{instrument{kind: kindHistogram, name: name, unit: unit, description: description}}
}

// Record gives the histogram a value.
func (h *Histogram) Record(value int64, attrs ...Attr) { h.int64(value, attrs) }

// RecordFloat64 gives the histogram a value.
func (h *Histogram) RecordFloat64(value float64, attrs ...Attr) { h.float64(value, attrs) }
