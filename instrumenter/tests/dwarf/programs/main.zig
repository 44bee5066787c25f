const std = @import("std");

fn fib(n: u32) u32 {
    if (n < 2) return n;
    return fib(n - 1) + fib(n - 2);
}

pub fn main() void {
    var total: u32 = 0;
    var n: u32 = 0;
    while (n < 20) : (n += 1) {
        total +%= fib(n);
    }
    std.debug.print("{d}\n", .{total});
}
