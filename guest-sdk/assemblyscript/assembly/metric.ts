import { Attributes, count, records } from "./attributes";
import { instrument, recordF64, recordI64, wantsMetrics } from "./host";
import { encode, reserve, room } from "./text";

// How measurements are added up.
const COUNTER: i32 = 1;
const UP_DOWN_COUNTER: i32 = 2;
const GAUGE: i32 = 3;
const HISTOGRAM: i32 = 4;

// What all have in common. The host is asked for the instrument when it is first used: then,
// not when the module starts, there surely is a trace.
abstract class Instrument {
  private number: i32 = -1;

  constructor(
    private kind: i32, private name: string, private unit: string, private description: string
  ) {}

  protected measure<T>(value: T, attributes: Attributes | null): void {
    if (!wantsMetrics()) return;
    if (this.number < 0) this.ask();
    if (isFloat<T>()) {
      recordF64(this.number, <f64>value, records(attributes), count(attributes));
    } else if (isInteger<T>() && !isBoolean<T>()) {
      recordI64(this.number, <i64>value, records(attributes), count(attributes));
    } else {
      ERROR("a measurement is an integer or a float");
    }
  }

  private ask(): void {
    const name = reserve(room(this.name) + room(this.unit) + room(this.description));
    const nameLength = encode(this.name, name);
    const unit = name + nameLength;
    const unitLength = encode(this.unit, unit);
    const description = unit + unitLength;
    const descriptionLength = encode(this.description, description);
    this.number = instrument(
      this.kind, name, nameLength, unit, unitLength, description, descriptionLength
    );
  }
}

/**
 * A sum that never falls, such as the number of requests. The unit is of UCUM, such as `By`, `s` or
 * `{request}`.
 *
 * ```ts
 * const orders = new Counter("orders", "{order}", "orders taken");
 * orders.add(1);
 * ```
 */
@final
export class Counter extends Instrument {
  constructor(name: string, unit: string = "", description: string = "") {
    super(COUNTER, name, unit, description);
  }

  /** Adds to the counter. */
  add<T>(increment: T, attributes: Attributes | null = null): void {
    this.measure<T>(increment, attributes);
  }
}

/** A sum that may fall, such as the number of open connections. */
@final
export class UpDownCounter extends Instrument {
  constructor(name: string, unit: string = "", description: string = "") {
    super(UP_DOWN_COUNTER, name, unit, description);
  }

  /** Adds to the counter. */
  add<T>(change: T, attributes: Attributes | null = null): void {
    this.measure<T>(change, attributes);
  }
}

/** The last value of something that cannot be added up, such as a temperature. */
@final
export class Gauge extends Instrument {
  constructor(name: string, unit: string = "", description: string = "") {
    super(GAUGE, name, unit, description);
  }

  /** Sets the gauge. */
  record<T>(value: T, attributes: Attributes | null = null): void {
    this.measure<T>(value, attributes);
  }
}

/** A distribution, such as of sizes. */
@final
export class Histogram extends Instrument {
  constructor(name: string, unit: string = "", description: string = "") {
    super(HISTOGRAM, name, unit, description);
  }

  /** Gives the histogram a value. */
  record<T>(value: T, attributes: Attributes | null = null): void {
    this.measure<T>(value, attributes);
  }
}
