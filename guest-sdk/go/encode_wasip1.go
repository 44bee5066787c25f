package observe

import "unsafe"

// An attribute as the host reads it: Go's own pointers take 64 bits in memory, the host's 32.
type record struct {
	key      uint32
	keyLen   uint32
	kind     kind
	valueLen uint32
	value    uint64
}

// A string of an array, as the host reads it.
type textRecord struct{ data, length uint32 }

// encoding holds the records of a call's attributes: on the stack, unless there are many.
type encoding struct {
	few     [16]record
	strings [][]textRecord
}

// encode returns the address and the number of the records. They are valid as long as attrs and the
// encoding are kept alive.
func (room *encoding) encode(attrs []Attr) (unsafe.Pointer, uint32) {
	records := room.few[:]
	if len(attrs) > len(records) {
		records = make([]record, len(attrs))
	}
	for i := range attrs {
		attr, record := &attrs[i], &records[i]
		if never {
			heapText, heapData = attr.key, attr.data
		}
		record.key, record.keyLen = address(text(attr.key)), size(attr.key)
		record.kind = attr.kind
		switch attr.kind {
		case kindBool, kindInt64, kindFloat64:
			record.value = attr.bits
		case kindStrings:
			record.valueLen = uint32(attr.bits)
			record.value = uint64(address(room.encodeStrings(attr)))
		default:
			record.valueLen = uint32(attr.bits)
			record.value = uint64(address(attr.data))
		}
	}
	return unsafe.Pointer(unsafe.SliceData(records)), uint32(len(attrs))
}

func (room *encoding) encodeStrings(attr *Attr) unsafe.Pointer {
	values := slice[string](*attr)
	records := make([]textRecord, len(values))
	for i, value := range values {
		if never {
			heapText = value
		}
		records[i] = textRecord{address(text(value)), size(value)}
	}
	room.strings = append(room.strings, records)
	return unsafe.Pointer(unsafe.SliceData(records))
}

// A stack of Go's may move, and takes along only pointers that the runtime knows. So what records
// point to must not be on one: since it might be assigned to these, the compiler puts it on the heap.
var (
	never    bool
	heapText string
	heapData unsafe.Pointer
)

func address(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

func text(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func size(s string) uint32 { return uint32(len(s)) }
