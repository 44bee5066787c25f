/**
 * Spans, attributes, events, logs and metrics of a guest, told to a host with the imports of
 * `observe:guest@2`. What the host does not want to be told costs a comparison.
 */
export { observeAbort } from "./abort";
export { Attributes, attr } from "./attributes";
export { baggage, traceparent } from "./context";
export { Severity, debug, error, info, log, warn } from "./log";
export { Counter, Gauge, Histogram, UpDownCounter } from "./metric";
export { AnySpan, DetachedSpan, Kind, Span, Status, current, root } from "./span";
