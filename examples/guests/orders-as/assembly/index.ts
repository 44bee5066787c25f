// A shop that says what it does: every part of observe:guest@2, from AssemblyScript.

import {
  Counter, DetachedSpan, Gauge, Histogram, Kind, Severity, Span, Status, UpDownCounter,
  attr, baggage, error, info, traceparent
} from "observe-guest";

const EARLIER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const orders = new Counter("orders", "{order}", "orders taken");
const carts = new UpDownCounter("carts.open");
const stock = new Gauge("stock");
const prices = new Histogram("price", "EUR");

export function checkout(items: i32): i32 {
  const span = Span.begin(
    "POST /orders",
    Kind.Server,
    attr("order.id", 42)
      .set("customer", "ada")
      .set("express", true)
      .set("discount", 0.25)
      .set("receipt", receipt())
      .set("items", ["tea", "mug"])
      .set("gifts", [true, false])
      .set("quantities", [1, 2])
      .set("weights", [0.5, 1.5])
  );
  info("order accepted", attr("order.id", 42));
  span.addEvent("validated", attr("rules", 3));
  span.addLink(EARLIER, attr("why", "retry"));
  span.setAttributes(attr("traceparent", traceparent()).set("baggage", baggage()));

  const total = addUp(items);
  charge();
  forgetful();
  Span.begin("after").end();
  deliver();
  span.setAttribute("paid", false);

  const express = attr("express", true);
  orders.add(1, express);
  orders.add(2, express);
  carts.add(-1);
  stock.record(7);
  const euros = attr("currency", "EUR");
  prices.record(9.5, euros);
  prices.record(20.0, euros);
  span.end();
  return total;
}

function receipt(): Uint8Array {
  const bytes = new Uint8Array(3);
  bytes[1] = 0xff;
  bytes[2] = 0x10;
  return bytes;
}

// Kept, so that the compiler cannot leave the prices out.
let cents: i32 = 0;

function addUp(items: i32): i32 {
  const span = Span.begin("add up");
  for (let i = 0; i < items; i++) cents += price(i);
  span.end();
  return items + 5;
}

// Like the two below it is exported so that the compiler does not inline it.
export function price(item: i32): i32 {
  let sum = item;
  for (let step = 0; step < 500; step++) sum = sum * 31 + step;
  return sum % 1000;
}

export function charge(): bool {
  const span = Span.begin("charge", Kind.Client);
  if (cents < i32.MAX_VALUE) {
    span.setStatus(Status.Error, "card declined");
    error("card declined", attr("attempt", 1));
    span.end();
    return false;
  }
  span.end();
  return true;
}

// Leaves its span open: it ends with the function.
export function forgetful(): void {
  Span.begin("left open");
}

function deliver(): void {
  const delivery = DetachedSpan.open("delivery", Kind.Producer, attr("parcel", 7));
  delivery.enter();
  Span.begin("pack").end();
  delivery.exit();
  delivery.close();
}
