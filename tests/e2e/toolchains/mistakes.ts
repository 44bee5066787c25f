import { Counter, attr } from "observe-guest";

export function mistakes(): void {
  attr("map", new Map<string, i32>());
  new Counter("counter").add(true);
}
