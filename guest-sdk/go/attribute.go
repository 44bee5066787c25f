package observe

import (
	"math"
	"unsafe"
)

// Attr is an attribute: a key and a typed value. Make one with [String], [Bool], [Int], [Int64],
// [Float64], [Bytes], [Strings], [Bools], [Int64s] or [Float64s].
type Attr struct {
	key  string
	data unsafe.Pointer // what the value points to, if anything
	bits uint64         // the value itself, otherwise the number of bytes or elements at data
	kind kind
}

// The types of values, with the numbers of the contract.
type kind uint32

const (
	kindString kind = iota
	kindBool
	kindInt64
	kindFloat64
	kindBytes
	kindStrings
	kindBools
	kindInt64s
	kindFloat64s
)

// String returns an attribute with a string, which ought to be UTF-8.
func String(key, value string) Attr {
	return pointing(key, kindString, unsafe.StringData(value), len(value))
}

// Bool returns an attribute with a truth value.
func Bool(key string, value bool) Attr {
	attr := Attr{key: key, kind: kindBool}
	if value {
		attr.bits = 1
	}
	return attr
}

// Int returns an attribute with an integer.
func Int(key string, value int) Attr {
	return Int64(key, int64(value))
}

// Int64 returns an attribute with an integer.
func Int64(key string, value int64) Attr {
	return Attr{key: key, kind: kindInt64, bits: uint64(value)}
}

// Float64 returns an attribute with a floating-point number.
func Float64(key string, value float64) Attr {
	return Attr{key: key, kind: kindFloat64, bits: math.Float64bits(value)}
}

// Bytes returns an attribute with arbitrary bytes. They are read when the attribute is told, not
// copied before; so it is with all slices.
func Bytes(key string, value []byte) Attr {
	return pointing(key, kindBytes, unsafe.SliceData(value), len(value))
}

// Strings returns an attribute with an array of strings.
func Strings(key string, value []string) Attr {
	return pointing(key, kindStrings, unsafe.SliceData(value), len(value))
}

// Bools returns an attribute with an array of truth values.
func Bools(key string, value []bool) Attr {
	return pointing(key, kindBools, unsafe.SliceData(value), len(value))
}

// Int64s returns an attribute with an array of integers.
func Int64s(key string, value []int64) Attr {
	return pointing(key, kindInt64s, unsafe.SliceData(value), len(value))
}

// Float64s returns an attribute with an array of floating-point numbers.
func Float64s(key string, value []float64) Attr {
	return pointing(key, kindFloat64s, unsafe.SliceData(value), len(value))
}

func pointing[T any](key string, kind kind, data *T, length int) Attr {
	return Attr{key: key, kind: kind, data: unsafe.Pointer(data), bits: uint64(length)}
}

// Key returns the attribute's key.
func (a Attr) Key() string { return a.key }

// Value returns the attribute's value: a string, bool, int64 or float64, or a slice of one of them
// or of bytes.
func (a Attr) Value() any {
	switch a.kind {
	case kindString:
		return unsafe.String((*byte)(a.data), a.bits)
	case kindBool:
		return a.bits != 0
	case kindInt64:
		return int64(a.bits)
	case kindFloat64:
		return math.Float64frombits(a.bits)
	case kindBytes:
		return slice[byte](a)
	case kindStrings:
		return slice[string](a)
	case kindBools:
		return slice[bool](a)
	case kindInt64s:
		return slice[int64](a)
	default:
		return slice[float64](a)
	}
}

func slice[T any](a Attr) []T {
	return unsafe.Slice((*T)(a.data), a.bits)
}
