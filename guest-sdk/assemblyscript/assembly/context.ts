import { context, readBaggage, wantsSpans } from "./host";
import { read, reserve } from "./text";

// The length of a traceparent of version 00 (W3C Trace Context, section 3.2).
const TRACEPARENT: i32 = 55;

/**
 * The traceparent (W3C Trace Context) of the innermost open span, for calls that go out. It is empty
 * outside of a trace.
 */
// @ts-ignore: decorator
@inline
export function traceparent(): string {
  const length = wantsSpans() ? context(reserve(TRACEPARENT), TRACEPARENT) : 0;
  return read(min(length, TRACEPARENT));
}

/** What came with the request, in the form of the W3C header `baggage`. It may be empty. */
export function baggage(): string {
  let size = 256;
  let length = readBaggage(reserve(size), size);
  if (length > size) {
    // Nothing was written, and this is how long it is.
    size = length;
    length = min(readBaggage(reserve(size), size), size);
  }
  return read(length);
}
