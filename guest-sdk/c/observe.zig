//! Spans, logs and metrics from a guest in Zig, for hosts with Observe: observe.h with slices and
//! types.
//!
//! ```zig
//! const observe = @import("observe");
//!
//! var orders = observe.Counter.init("orders", "{order}", "orders taken");
//!
//! export fn checkout(items: i32) i32 {
//!     const span = observe.Span.begin("checkout", .{
//!         .attributes = &.{observe.attr("items", items)},
//!     });
//!     defer span.end();
//!     if (items == 0) {
//!         span.fail("nothing in the cart");
//!         observe.log(.warn, "empty cart", &.{});
//!         return -1;
//!     }
//!     orders.add(1, &.{observe.attr("express", true)});
//!     return items + 5;
//! }
//! ```
//!
//! Zig 0.17 has no `@cImport`: `zig translate-c`, or `addTranslateC` in build.zig, makes a module
//! of observe.h, which is imported here by the name `observe.h`. Translation drops the names of
//! imports, so that they are given here, and all of observe.h can be called by way of `c`.
//!
//! All functions that call the host are inlined, in Debug builds, too. What is pointed to is read
//! before a call returns. On targets other than wasm32 nothing happens, and `-DOBSERVE_OFF` for the
//! translation compiles it to nothing anywhere.

const std = @import("std");

/// observe.h, translated.
pub const c = @import("observe.h");

const hosted = @typeInfo(@TypeOf(c.observe_import_interest)) == .optional;

comptime {
    @setEvalBranchQuota(10_000);
    if (hosted) for ([_][]const u8{
        "interest",        "span-begin", "span-end",   "span-open",   "span-enter",
        "span-exit",       "span-close", "span-event", "span-status", "span-link",
        "span-attributes", "log",        "instrument", "record-i64",  "record-f64",
        "context",         "baggage",    "submit",
    }) |name| {
        var symbol = ("observe_import_" ++ name)[0..].*;
        std.mem.replaceScalar(u8, &symbol, '-', '_');
        const Pointer = @TypeOf(@field(c, &symbol));
        const import: Pointer = @extern(@typeInfo(Pointer).optional.child, .{
            .name = name,
            .library_name = "observe:guest@2",
        });
        @export(&import, .{ .name = &symbol, .visibility = .hidden });
    };
}

/// Calls the host.
inline fn call(comptime name: []const u8, arguments: anytype) Result(name) {
    const import = @field(c, "observe_import_" ++ name);
    return @call(.auto, if (hosted) import.? else import, arguments);
}

fn Result(comptime name: []const u8) type {
    const Import = @TypeOf(@field(c, "observe_import_" ++ name));
    if (!hosted) return @typeInfo(Import).@"fn".return_type.?;
    return @typeInfo(@typeInfo(@typeInfo(Import).optional.child).pointer.child).@"fn".return_type.?;
}

/// Text in an array of texts.
pub const String = c.observe_string;

/// A key with a value.
pub const Attribute = c.observe_attribute;

/// An attribute of the value's own type: text, a bool, an integer, a float, or a slice of `i64`,
/// `f64`, `bool` or `String`.
pub inline fn attr(key: []const u8, value: anytype) Attribute {
    const Value = @TypeOf(value);
    switch (@typeInfo(Value)) {
        .bool => return record(key, c.OBSERVE_TYPE_BOOL_, 0, .{ .bits = @intFromBool(value) }),
        .int, .comptime_int => {
            return record(key, c.OBSERVE_TYPE_I64_, 0, .{ .i64 = std.math.lossyCast(i64, value) });
        },
        .float, .comptime_float => {
            return record(key, c.OBSERVE_TYPE_F64_, 0, .{ .f64 = @floatCast(value) });
        },
        .pointer => |pointer| {
            const Child = switch (@typeInfo(pointer.child)) {
                .array => |array| array.child,
                else => pointer.child,
            };
            const slice: []const Child = value;
            return record(key, switch (Child) {
                u8 => c.OBSERVE_TYPE_STRING_,
                String => c.OBSERVE_TYPE_STRINGS_,
                bool => c.OBSERVE_TYPE_BOOLS_,
                i64 => c.OBSERVE_TYPE_I64S_,
                f64 => c.OBSERVE_TYPE_F64S_,
                else => @compileError("no attribute has elements of type " ++ @typeName(Child)),
            }, slice.len, .{ .bits = @intFromPtr(slice.ptr) });
        },
        else => @compileError("no attribute has the type " ++ @typeName(Value)),
    }
}

/// An attribute of any bytes.
pub inline fn bytes(key: []const u8, data: []const u8) Attribute {
    return record(key, c.OBSERVE_TYPE_BYTES_, data.len, .{ .bits = @intFromPtr(data.ptr) });
}

/// Text for an array of texts.
pub inline fn string(text: []const u8) String {
    return .{ .data = text.ptr, .len = @intCast(text.len) };
}

inline fn record(key: []const u8, kind: u32, len: usize, value: @FieldType(Attribute, "value")) Attribute {
    return .{
        .key = key.ptr,
        .key_len = @intCast(key.len),
        .type = kind,
        .len = @intCast(len),
        .value = value,
    };
}

/// What a span is to others.
pub const Kind = enum(i32) {
    internal = c.OBSERVE_INTERNAL,
    server = c.OBSERVE_SERVER,
    client = c.OBSERVE_CLIENT,
    producer = c.OBSERVE_PRODUCER,
    consumer = c.OBSERVE_CONSUMER,
};

/// The innermost open span, be it a function's, the host's or the guest's own.
pub const current = Span{ .id = c.OBSERVE_CURRENT };

/// A scoped span, which ends with the function at the latest; or `current`.
pub const Span = struct {
    /// For the functions of `c`; 0 if the span is not recorded.
    id: c.observe_span,

    pub const Options = struct {
        kind: Kind = .internal,
        attributes: []const Attribute = &.{},
    };

    pub inline fn begin(name: []const u8, options: Options) Span {
        if (!c.observe_wants_spans()) return .{ .id = 0 };
        const list = options.attributes;
        const kind = @backingInt(options.kind);
        return .{ .id = call("span_begin", .{ kind, name.ptr, name.len, list.ptr, list.len }) };
    }

    /// Ends the span and whatever is still open inside it.
    pub inline fn end(span: Span) void {
        c.observe_span_end(span.id);
    }

    /// Sets attributes. Of those with the same key the last stays.
    pub inline fn set(span: Span, attributes: []const Attribute) void {
        c.observe_set(span.id, attributes.ptr, attributes.len);
    }

    /// Something that happened just now.
    pub inline fn event(span: Span, name: []const u8, attributes: []const Attribute) void {
        if (span.id != 0 and c.observe_wants_spans())
            call("span_event", .{ span.id, name.ptr, name.len, attributes.ptr, attributes.len });
    }

    pub inline fn ok(span: Span) void {
        c.observe_status_ok(span.id);
    }

    /// Says that what the span stands for failed.
    pub inline fn fail(span: Span, message: []const u8) void {
        if (span.id != 0 and c.observe_wants_spans())
            call("span_status", .{ span.id, 2, message.ptr, message.len });
    }

    /// A link to a span elsewhere, by its W3C `traceparent`.
    pub inline fn link(span: Span, to: []const u8, attributes: []const Attribute) void {
        if (span.id != 0 and c.observe_wants_spans())
            call("span_link", .{ span.id, to.ptr, to.len, attributes.ptr, attributes.len });
    }
};

/// A span that belongs to no function, as asynchronous code needs it.
pub const DetachedSpan = struct {
    span: Span,

    pub const Options = struct {
        kind: Kind = .internal,
        attributes: []const Attribute = &.{},
        /// A span's `id`, or `c.OBSERVE_ROOT`.
        parent: c.observe_span = c.OBSERVE_CURRENT,
    };

    pub inline fn open(name: []const u8, options: Options) DetachedSpan {
        if (!c.observe_wants_spans()) return .{ .span = .{ .id = 0 } };
        const list = options.attributes;
        const kind = @backingInt(options.kind);
        const arguments = .{ options.parent, kind, name.ptr, name.len, list.ptr, list.len };
        return .{ .span = .{ .id = call("span_open", arguments) } };
    }

    /// What begins from now on stands under the span, until it is exited.
    pub inline fn enter(detached: DetachedSpan) void {
        c.observe_span_enter(detached.span.id);
    }

    pub inline fn exit(detached: DetachedSpan) void {
        c.observe_span_exit(detached.span.id);
    }

    /// Ends the span.
    pub inline fn close(detached: DetachedSpan) void {
        c.observe_span_close(detached.span.id);
    }
};

/// Severities of log records.
pub const Severity = enum(i32) {
    trace = c.OBSERVE_TRACE,
    debug = c.OBSERVE_DEBUG,
    info = c.OBSERVE_INFO,
    warn = c.OBSERVE_WARN,
    err = c.OBSERVE_ERROR,
    fatal = c.OBSERVE_FATAL,
};

/// A log record, tied to the current span.
pub inline fn log(severity: Severity, body: []const u8, attributes: []const Attribute) void {
    const list = attributes;
    const number = @backingInt(severity);
    c.observe_logn(c.OBSERVE_CURRENT, number, body.ptr, body.len, list.ptr, list.len);
}

/// A formatted log record, tied to the current span. Text of more than 1,024 bytes is cut between
/// characters, and by how much is the record's attribute `log.cut_bytes`.
pub inline fn logf(severity: Severity, comptime format: []const u8, arguments: anytype) void {
    if (c.observe_wants_logs(@backingInt(severity))) {
        var buffer: [1024]u8 = undefined;
        var writer = std.Io.Writer.fixed(&buffer);
        if (writer.print(format, arguments)) {
            log(severity, writer.buffered(), &.{});
        } else |_| {
            const text = writer.buffered();
            const whole = text[0..c.observe_whole_(text.ptr, text.len)];
            const cut = std.fmt.count(format, arguments) - whole.len;
            log(severity, whole, &.{attr("log.cut_bytes", cut)});
        }
    }
}

/// A sum that never falls.
pub const Counter = Instrument(1);
/// A sum that may fall.
pub const UpDownCounter = Instrument(2);
/// The last value.
pub const Gauge = Instrument(3);
/// A distribution.
pub const Histogram = Instrument(4);

fn Instrument(comptime kind: i32) type {
    return struct {
        instrument: c.observe_instrument,

        const Self = @This();

        /// Names it; the host is told when it is first used. The unit is of UCUM; it and the
        /// description may be empty.
        pub inline fn init(name: [:0]const u8, unit: [:0]const u8, description: [:0]const u8) Self {
            return .{ .instrument = .{
                .id = 0,
                .kind = kind,
                .name = name.ptr,
                .unit = unit.ptr,
                .description = description.ptr,
            } };
        }

        /// Adds to a counter.
        pub const add = if (kind <= 2) measure else {};
        /// Sets a gauge.
        pub const set = if (kind == 3) measure else {};
        /// Gives a histogram a value.
        pub const record = if (kind == 4) measure else {};

        inline fn measure(self: *Self, value: anytype, attributes: []const Attribute) void {
            const list = attributes;
            const instrument = &self.instrument;
            switch (@typeInfo(@TypeOf(value))) {
                .int, .comptime_int => {
                    c.observe_record_i64_(instrument, std.math.lossyCast(i64, value), list.ptr, list.len);
                },
                else => c.observe_record_f64_(instrument, @floatCast(value), list.ptr, list.len),
            }
        }
    };
}

/// Writes the current span's W3C `traceparent`, for calls that go out; it is empty outside of a
/// trace.
pub inline fn traceparent(buffer: *[c.OBSERVE_TRACEPARENT_LEN + 1]u8) []const u8 {
    return buffer[0..c.observe_traceparent(buffer)];
}

/// Writes what came with the request, in the form of the W3C header `baggage`. It is empty if it is
/// not shorter than the buffer.
pub inline fn baggage(buffer: []u8) []const u8 {
    const len = c.observe_baggage(buffer.ptr, buffer.len);
    return buffer[0..if (len < buffer.len) len else 0];
}
