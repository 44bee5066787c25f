import { attr } from "./attributes";
import { Status, current } from "./span";

/**
 * In place of AssemblyScript's `abort`, which is an import of `env`: tells the message, the file and the line
 * as an event of the innermost open span, whose status is then an error, and traps.
 *
 * ```sh
 * asc … --use abort=observeAbort
 * ```
 */
// @ts-ignore: decorator
@global
export function observeAbort(
  message: string | null, file: string | null, line: u32, column: u32
): void {
  const text = message ? message : "abort";
  const details = attr("exception.type", "abort").set("exception.message", text);
  details.set("code.file.path", file).set("code.line.number", line).set("code.column.number", column);
  current.addEvent("exception", details);
  current.setStatus(Status.Error, text);
  unreachable();
}
