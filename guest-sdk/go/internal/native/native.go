// Package native is the host where there is none: it wants nothing, and does nothing. Tests put
// something else in its place.
package native

// Wanted is what the host wants to be told: the answer of the import interest.
var Wanted uint32

// Tell is a call of the import of that name.
var Tell = func(call string, arguments ...any) int32 { return 0 }
