//! Everything that observe.zig has: tests/e2e/c_headers.rs compiles it, and looks at the imports.

const std = @import("std");
const observe = @import("observe");
const attr = observe.attr;

var counter = observe.Counter.init("counter", "{call}", "calls");
var up_down_counter = observe.UpDownCounter.init("up.down.counter", "", "");
var gauge = observe.Gauge.init("gauge", "", "");
var histogram = observe.Histogram.init("histogram", "s", "");

noinline fn say(span: observe.Span, text: []const u8, flag: bool) void {
    span.set(&.{
        attr("literal", "text"),
        attr("slice", text),
        attr("bool", flag),
        attr("i64", 42),
        attr("u8", @as(u8, 7)),
        attr("f64", 0.25),
        attr("f32", @as(f32, 0.5)),
        observe.bytes("bytes", "\x00\xff"),
        attr("strings", &[_]observe.String{ observe.string("tea"), observe.string("") }),
        attr("bools", &[_]bool{ true, false }),
        attr("i64s", @as([]const i64, &.{ 1, 2 })),
        attr("f64s", &[_]f64{0.5}),
    });
    span.event("event", &.{});
    span.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &.{attr("why", "retry")});
    span.ok();
    span.fail("failed");
    observe.log(.info, "log", &.{attr("a", 1)});
    observe.logf(.warn, "{d} of {s}", .{ text.len, text });
}

noinline fn measure() void {
    counter.add(1, &.{});
    counter.add(0.5, &.{attr("express", true)});
    up_down_counter.add(@as(i8, -1), &.{});
    gauge.set(7, &.{});
    histogram.record(3.5, &.{});
    const records = [_]observe.c.observe_record{
        observe.c.observe_batch_i64(&counter.instrument, 1, null, 0),
    };
    observe.c.observe_submit(&records, records.len);
}

export fn all(argument: i32) i32 {
    const span = observe.Span.begin("scoped", .{ .kind = .server });
    defer span.end();
    say(span, "text", argument > 0);
    say(observe.current, "text", false);

    const detached = observe.DetachedSpan.open("detached", .{ .parent = observe.c.OBSERVE_ROOT });
    detached.enter();
    detached.exit();
    detached.close();
    measure();

    var context: [observe.c.OBSERVE_TRACEPARENT_LEN + 1]u8 = undefined;
    var buffer: [16]u8 = undefined;
    return @intCast(observe.traceparent(&context).len + observe.baggage(&buffer).len);
}

test "natively nothing happens" {
    try std.testing.expectEqual(0, all(1));
}
