import { Attributes, count, records, writeOne } from "./attributes";
import {
  CURRENT, ROOT, spanAttributes, spanBegin, spanClose, spanEnd, spanEnter, spanEvent, spanExit,
  spanLink, spanOpen, spanStatus, wantsSpans
} from "./host";
import { buffer, write } from "./text";

/** What a span is to others. */
export const enum Kind {
  /** A part of a program. */
  Internal = 1,
  /** The answer to a request. */
  Server = 2,
  /** A request of another program. */
  Client = 3,
  /** A message that is handed to a broker. */
  Producer = 4,
  /** A message that came from a broker. */
  Consumer = 5,
}

/** Whether what a span stands for went well. */
export const enum Status {
  /** Nothing is said. */
  Unset = 0,
  /** It went well. */
  Ok = 1,
  /** It failed. */
  Error = 2,
}

/**
 * What can be said of any span. It is a number, not an object: nothing is allocated. A span that the
 * host does not record is 0, and all that is said of it has no effect.
 */
@unmanaged
export class AnySpan {
  /** Sets an attribute; of those with the same key, the last stays. See `Attributes` for the types. */
  // @ts-ignore: decorator
  @inline
  setAttribute<T>(key: string, value: T): void {
    if (this.isRecording()) {
      const count = writeOne<T>(key, value);
      spanAttributes(this.number(), buffer(), count);
    }
  }

  /** Sets several attributes. */
  // @ts-ignore: decorator
  @inline
  setAttributes(attributes: Attributes): void {
    if (this.isRecording()) spanAttributes(this.number(), attributes.address, attributes.length);
  }

  /** Tells that something happened just now. */
  // @ts-ignore: decorator
  @inline
  addEvent(name: string, attributes: Attributes | null = null): void {
    if (this.isRecording()) {
      const length = write(name);
      spanEvent(this.number(), buffer(), length, records(attributes), count(attributes));
    }
  }

  /** Says whether it went well. The message counts for errors only. */
  // @ts-ignore: decorator
  @inline
  setStatus(status: Status, message: string = ""): void {
    if (this.isRecording()) {
      const length = write(message);
      spanStatus(this.number(), status, buffer(), length);
    }
  }

  /** Links the span to one elsewhere, given by its traceparent (W3C Trace Context). */
  // @ts-ignore: decorator
  @inline
  addLink(traceparent: string, attributes: Attributes | null = null): void {
    if (this.isRecording()) {
      const length = write(traceparent);
      spanLink(this.number(), buffer(), length, records(attributes), count(attributes));
    }
  }

  /** Whether what is said of it has an effect. */
  // @ts-ignore: decorator
  @inline
  isRecording(): bool {
    return this.number() != 0 && wantsSpans();
  }

  /** What stands for the span in calls of the host. */
  // @ts-ignore: decorator
  @inline
  number(): i32 {
    return <i32>changetype<usize>(this);
  }
}

/**
 * A span of the function in which it begins: it ends there at the latest, also by an early return or
 * a trap. What begins within it stands under it.
 *
 * ```ts
 * const span = Span.begin("checkout");
 * span.setAttribute("order.id", 42);
 * span.end();
 * ```
 */
@unmanaged
export class Span extends AnySpan {
  /** Begins a span under the innermost open one. */
  // @ts-ignore: decorator
  @inline
  static begin(name: string, kind: Kind = Kind.Internal, attributes: Attributes | null = null): Span {
    let token = 0;
    if (wantsSpans()) {
      const length = write(name);
      token = spanBegin(kind, buffer(), length, records(attributes), count(attributes));
    }
    return changetype<Span>(<usize>token);
  }

  /** Ends the span, and whatever is still open within it. */
  // @ts-ignore: decorator
  @inline
  end(): void {
    if (this.number()) spanEnd(this.number());
  }
}

/**
 * A span that belongs to no function: it may begin in one call of the guest and end in another.
 *
 * ```ts
 * const delivery = DetachedSpan.open("delivery", Kind.Producer);
 * delivery.enter();
 * pack();
 * delivery.exit();
 * delivery.close();
 * ```
 */
@unmanaged
export class DetachedSpan extends AnySpan {
  /** Begins a span under another: the innermost open one, if none is given. */
  // @ts-ignore: decorator
  @inline
  static open(
    name: string, kind: Kind = Kind.Internal, attributes: Attributes | null = null,
    parent: AnySpan = current
  ): DetachedSpan {
    let handle = 0;
    if (wantsSpans()) {
      const length = write(name);
      handle = spanOpen(
        parent.number(), kind, buffer(), length, records(attributes), count(attributes)
      );
    }
    return changetype<DetachedSpan>(<usize>handle);
  }

  /** Until it is exited, what begins stands under the span. */
  // @ts-ignore: decorator
  @inline
  enter(): void {
    if (this.number()) spanEnter(this.number());
  }

  /** The last `enter` is over. */
  // @ts-ignore: decorator
  @inline
  exit(): void {
    if (this.number()) spanExit(this.number());
  }

  /** Ends the span. Others under it stay open. */
  // @ts-ignore: decorator
  @inline
  close(): void {
    if (this.number()) spanClose(this.number());
  }
}

/** The innermost open span, be it that of a function, of the host, or the guest's own. */
export const current: AnySpan = changetype<AnySpan>(<usize>CURRENT);

/** As the parent of a detached span: none but the root of the trace. */
export const root: AnySpan = changetype<AnySpan>(<usize>ROOT);
