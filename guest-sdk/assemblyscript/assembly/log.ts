import { Attributes, count, records } from "./attributes";
import { logRecord, wantsLog } from "./host";
import { AnySpan, current } from "./span";
import { buffer, write } from "./text";

/** How grave a log record is: 1 to 24, of which these are the least of four each. */
export const enum Severity {
  Trace = 1,
  Debug = 5,
  Info = 9,
  Warn = 13,
  Error = 17,
  Fatal = 21,
}

/** Writes a log record, tied to a span: the innermost open one, if none is given. */
// @ts-ignore: decorator
@inline
export function log(
  severity: i32, body: string, attributes: Attributes | null = null, span: AnySpan = current
): void {
  if (wantsLog(severity)) {
    const length = write(body);
    logRecord(span.number(), severity, buffer(), length, records(attributes), count(attributes));
  }
}

/** Writes a log record of severity DEBUG. */
// @ts-ignore: decorator
@inline
export function debug(body: string, attributes: Attributes | null = null): void {
  log(Severity.Debug, body, attributes);
}

/** Writes a log record of severity INFO. */
// @ts-ignore: decorator
@inline
export function info(body: string, attributes: Attributes | null = null): void {
  log(Severity.Info, body, attributes);
}

/** Writes a log record of severity WARN. */
// @ts-ignore: decorator
@inline
export function warn(body: string, attributes: Attributes | null = null): void {
  log(Severity.Warn, body, attributes);
}

/** Writes a log record of severity ERROR. */
// @ts-ignore: decorator
@inline
export function error(body: string, attributes: Attributes | null = null): void {
  log(Severity.Error, body, attributes);
}
