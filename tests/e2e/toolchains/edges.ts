// What the scenario of the examples leaves out.

import { AnySpan, Attributes, Counter, DetachedSpan, Span, attr, baggage, current, log, root } from "observe-guest";

export function texts(): void {
  const span = Span.begin("ü€😀\uD800!");
  const long = "x".repeat(5000);
  span.setAttribute("long", long);
  span.setAttribute("several", ["ü", "", long]);
  span.setAttribute("baggage", baggage());
  span.end();
}

export function kinds(): void {
  current.setAttribute("u8", <u8>255);
  current.setAttribute("i8", <i8>-1);
  current.setAttribute("u32", u32.MAX_VALUE);
  current.setAttribute("f32", <f32>0.5);
  current.setAttribute("bytes", new ArrayBuffer(2));
  current.setAttribute("f32s", Float32Array.wrap(new ArrayBuffer(4)));
  current.setAttribute("i16s", StaticArray.fromArray<i16>([1, -2]));
  current.setAttribute<i32[]>("none", []);
  let nothing: string | null = null;
  current.setAttributes(attr("nothing", nothing).set("something", true));
}

const kept = new Attributes();

export function many(): void {
  for (let i = 0; i < 20; i++) kept.set("key " + i.toString(), "v".repeat(i));
  // What nobody needs any more is collected, and its memory used again.
  for (let i = 0; i < 20000; i++) "garbage ".concat(i.toString());
  current.setAttributes(kept);
  kept.clear();
  current.setAttributes(kept.set("one", 1));
}

export function detached(): void {
  const outer = DetachedSpan.open("outer", 1, null, root);
  const inner = DetachedSpan.open("inner", 1, null, outer);
  log(24, "of the outer", null, outer);
  inner.close();
  outer.close();
}

export function fails(index: i32): i32 {
  const span = Span.begin("fails");
  const numbers = [1, 2];
  const number = numbers[index];
  span.end();
  return number;
}

const counter = new Counter("counter");

export function everything(): void {
  const span = Span.begin("s");
  span.setAttribute("k", 1);
  span.addEvent("e");
  DetachedSpan.open("d").close();
  log(24, "l");
  counter.add(1);
  span.end();
}
