// The imports of the contract. Texts are an address and a length in bytes of UTF-8, attributes an
// address of records and their number.

@external("observe:guest@2", "interest")
declare function askInterest(): u32;

@external("observe:guest@2", "span-begin")
export declare function spanBegin(
  kind: i32, name: usize, nameLength: i32, attributes: usize, count: i32
): i32;

@external("observe:guest@2", "span-end")
export declare function spanEnd(token: i32): void;

@external("observe:guest@2", "span-open")
export declare function spanOpen(
  parent: i32, kind: i32, name: usize, nameLength: i32, attributes: usize, count: i32
): i32;

@external("observe:guest@2", "span-enter")
export declare function spanEnter(handle: i32): void;

@external("observe:guest@2", "span-exit")
export declare function spanExit(handle: i32): void;

@external("observe:guest@2", "span-close")
export declare function spanClose(handle: i32): void;

@external("observe:guest@2", "span-attributes")
export declare function spanAttributes(span: i32, attributes: usize, count: i32): void;

@external("observe:guest@2", "span-event")
export declare function spanEvent(
  span: i32, name: usize, nameLength: i32, attributes: usize, count: i32
): void;

@external("observe:guest@2", "span-status")
export declare function spanStatus(
  span: i32, status: i32, message: usize, messageLength: i32
): void;

@external("observe:guest@2", "span-link")
export declare function spanLink(
  span: i32, traceparent: usize, traceparentLength: i32, attributes: usize, count: i32
): void;

@external("observe:guest@2", "log")
export declare function logRecord(
  span: i32, severity: i32, body: usize, bodyLength: i32, attributes: usize, count: i32
): void;

@external("observe:guest@2", "instrument")
export declare function instrument(
  kind: i32, name: usize, nameLength: i32, unit: usize, unitLength: i32,
  description: usize, descriptionLength: i32
): i32;

@external("observe:guest@2", "record-i64")
export declare function recordI64(
  instrument: i32, value: i64, attributes: usize, count: i32
): void;

@external("observe:guest@2", "record-f64")
export declare function recordF64(
  instrument: i32, value: f64, attributes: usize, count: i32
): void;

@external("observe:guest@2", "context")
export declare function context(buffer: usize, size: i32): i32;

@external("observe:guest@2", "baggage")
export declare function readBaggage(buffer: usize, size: i32): i32;

/** In place of a span: the innermost open one. */
export const CURRENT: i32 = i32.MAX_VALUE;

/** In place of a parent: none but the root of the trace. */
export const ROOT: i32 = i32.MAX_VALUE - 1;

const SPANS: u32 = 1;
const LOGS: u32 = 1 << 1;
const METRICS: u32 = 1 << 2;
const SEVERITY_SHIFT: u32 = 8;

// The host's answer stays the same as long as the instance lives, and is not 0.
let answer: u32 = 0;

// @ts-ignore: decorator
@inline
function interest(): u32 {
  if (!answer) answer = askInterest();
  return answer;
}

/** Whether the host wants spans. */
// @ts-ignore: decorator
@inline
export function wantsSpans(): bool {
  return (interest() & SPANS) != 0;
}

/** Whether the host wants measurements. */
// @ts-ignore: decorator
@inline
export function wantsMetrics(): bool {
  return (interest() & METRICS) != 0;
}

/** Whether the host wants log records of that severity. */
// @ts-ignore: decorator
@inline
export function wantsLog(severity: i32): bool {
  return (interest() & LOGS) != 0 && severity >= <i32>(interest() >> SEVERITY_SHIFT & 0xff);
}
