package observe

import (
	"runtime"
	"unsafe"
)

// The imports of the contract. Addresses are 32 bits there and unsafe.Pointer here; what they point
// to does not escape by the call, since the host has read it when the call returns.

//go:wasmimport observe:guest@2 interest
func importInterest() uint32

//go:wasmimport observe:guest@2 span-open
//go:noescape
func importSpanOpen(parent, kind int32, name unsafe.Pointer, nameLen uint32, attrs unsafe.Pointer, count uint32) int32

//go:wasmimport observe:guest@2 span-enter
func spanEnter(handle int32)

//go:wasmimport observe:guest@2 span-exit
func spanExit(handle int32)

//go:wasmimport observe:guest@2 span-close
func spanClose(handle int32)

//go:wasmimport observe:guest@2 span-attributes
//go:noescape
func importSpanAttributes(span int32, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 span-event
//go:noescape
func importSpanEvent(span int32, name unsafe.Pointer, nameLen uint32, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 span-status
//go:noescape
func importSpanStatus(span, status int32, message unsafe.Pointer, messageLen uint32)

//go:wasmimport observe:guest@2 span-link
//go:noescape
func importSpanLink(span int32, traceparent unsafe.Pointer, traceparentLen uint32, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 log
//go:noescape
func importLog(span, severity int32, body unsafe.Pointer, bodyLen uint32, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 instrument
//go:noescape
func importInstrument(kind int32, name unsafe.Pointer, nameLen uint32, unit unsafe.Pointer, unitLen uint32, description unsafe.Pointer, descriptionLen uint32) int32

//go:wasmimport observe:guest@2 record-i64
//go:noescape
func importRecordInt64(instrument int32, value int64, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 record-f64
//go:noescape
func importRecordFloat64(instrument int32, value float64, attrs unsafe.Pointer, count uint32)

//go:wasmimport observe:guest@2 context
//go:noescape
func importContext(buffer unsafe.Pointer, size uint32) uint32

//go:wasmimport observe:guest@2 baggage
//go:noescape
func importBaggage(buffer unsafe.Pointer, size uint32) uint32

// The length of a traceparent of version 00 (W3C Trace Context, section 3.2).
const traceparentLen = 55

// The host's answer stays the same as long as the module lives. Until it is there, all may be wanted.
var answer uint32 = notAsked

const notAsked = 1<<32 - 1

func known() uint32 { return answer }

func interest() uint32 {
	if answer == notAsked {
		answer = importInterest()
	}
	return answer
}

func spanOpen(parent int32, kind SpanKind, name string, attrs []Attr) int32 {
	var room encoding
	records, count := room.encode(attrs)
	handle := importSpanOpen(parent, int32(kind), text(name), size(name), records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
	return handle
}

func spanAttributes(span int32, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importSpanAttributes(span, records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func spanEvent(span int32, name string, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importSpanEvent(span, text(name), size(name), records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func spanStatus(span int32, status Status, message string) {
	importSpanStatus(span, int32(status), text(message), size(message))
}

func spanLink(span int32, traceparent string, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importSpanLink(span, text(traceparent), size(traceparent), records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func log(span int32, severity Severity, body string, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importLog(span, int32(severity), text(body), size(body), records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func newInstrument(kind instrumentKind, name, unit, description string) int32 {
	return importInstrument(int32(kind), text(name), size(name), text(unit), size(unit),
		text(description), size(description))
}

func recordInt64(instrument int32, value int64, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importRecordInt64(instrument, value, records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func recordFloat64(instrument int32, value float64, attrs []Attr) {
	var room encoding
	records, count := room.encode(attrs)
	importRecordFloat64(instrument, value, records, count)
	runtime.KeepAlive(&room)
	runtime.KeepAlive(attrs)
}

func traceparent() string {
	var buffer [traceparentLen]byte
	length := importContext(unsafe.Pointer(&buffer), traceparentLen)
	return string(buffer[:min(length, traceparentLen)])
}

func baggage() string {
	var small [128]byte
	length := importBaggage(unsafe.Pointer(&small), uint32(len(small)))
	if length <= uint32(len(small)) {
		return string(small[:length])
	}
	// Nothing was written, and this is how long it is.
	large := make([]byte, length)
	length = min(length, importBaggage(unsafe.Pointer(&large[0]), length))
	return string(large[:length])
}
