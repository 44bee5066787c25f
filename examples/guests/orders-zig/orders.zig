//! Takes an order, and says all that a guest can say of it: what observe.zig does, in Zig.

const observe = @import("observe");
const attr = observe.attr;

var orders = observe.Counter.init("orders", "{order}", "orders taken");
var open_carts = observe.UpDownCounter.init("carts.open", "", "");
var stock = observe.Gauge.init("stock", "", "");
var prices = observe.Histogram.init("price", "EUR", "");

/// Some hundred steps that the compiler keeps, so that it takes its time.
noinline fn price(item: u32) u32 {
    var sum: u32 = item;
    for (0..400) |step| {
        sum = (sum *% 31) ^ @as(u32, @intCast(step));
        asm volatile (""
            :
            : [sum] "r" (sum),
        );
    }
    return sum;
}

noinline fn charge() error{Declined}!void {
    const span = observe.Span.begin("charge", .{ .kind = .client });
    defer span.end();
    const declined = true;
    if (declined) {
        span.fail("card declined");
        observe.log(.err, "card declined", &.{attr("attempt", 1)});
        return error.Declined;
    }
    span.ok();
}

/// Has no `defer`, and returns without an end: the span ends with the function all the same.
noinline fn forgetful(items: i32) void {
    const span = observe.Span.begin("left open", .{});
    if (items > 0) return;
    span.end();
}

export fn checkout(items: i32) i32 {
    const request = observe.Span.begin("POST /orders", .{ .kind = .server, .attributes = &.{
        attr("order.id", 42),
        attr("customer", "ada"),
        attr("express", true),
        attr("discount", 0.25),
        observe.bytes("receipt", "\x00\xff\x10"),
        attr("items", &[_]observe.String{ observe.string("tea"), observe.string("mug") }),
        attr("gifts", &[_]bool{ true, false }),
        attr("quantities", &[_]i64{ 1, 2 }),
        attr("weights", &[_]f64{ 0.5, 1.5 }),
    } });
    defer request.end();
    observe.log(.info, "order accepted", &.{attr("order.id", 42)});
    request.event("validated", &.{attr("rules", 3)});
    const earlier = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.link(earlier, &.{attr("why", "retry")});

    var context: [observe.c.OBSERVE_TRACEPARENT_LEN + 1]u8 = undefined;
    var baggage: [256]u8 = undefined;
    request.set(&.{
        attr("traceparent", observe.traceparent(&context)),
        attr("baggage", observe.baggage(&baggage)),
    });

    {
        const adding = observe.Span.begin("add up", .{});
        defer adding.end();
        var item: i32 = 0;
        while (item < items) : (item += 1) _ = price(@intCast(item));
    }
    const paid = if (charge()) true else |_| false;
    forgetful(items);
    {
        const after = observe.Span.begin("after", .{});
        defer after.end();
    }
    {
        const delivery = observe.DetachedSpan.open("delivery", .{
            .kind = .producer,
            .attributes = &.{attr("parcel", 7)},
        });
        defer delivery.close();
        delivery.enter();
        defer delivery.exit();
        const pack = observe.Span.begin("pack", .{});
        defer pack.end();
    }
    request.set(&.{attr("paid", paid)});

    orders.add(1, &.{attr("express", true)});
    orders.add(2, &.{attr("express", true)});
    open_carts.add(-1, &.{});
    stock.set(7, &.{});
    prices.record(9.5, &.{attr("currency", "EUR")});
    prices.record(20.0, &.{attr("currency", "EUR")});
    return items + 5;
}
