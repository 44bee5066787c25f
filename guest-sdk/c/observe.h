// Spans, logs and metrics from a guest in C, for hosts with Observe. One header, nothing to link.
//
//     #include "observe.h"
//
//     static observe_counter orders = OBSERVE_COUNTER("orders", "{order}", "orders taken");
//
//     int checkout(int items) {
//         OBSERVE_SPAN("checkout", observe_i64("items", items));  // ends with the block
//         if (items == 0) {
//             observe_status_error(OBSERVE_CURRENT, "nothing in the cart");
//             OBSERVE_LOG(OBSERVE_WARN, "empty cart");
//             return -1;
//         }
//         OBSERVE_COUNTER_ADD(&orders, 1, observe_bool("express", true));
//         return items + 5;
//     }
//
//     clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -Wl,--export=checkout -o shop.wasm shop.c
//     observe run shop.wasm --invoke checkout 3
//
// C11, and C++17 where observe.hpp is the pleasant form, with clang or `zig cc`. No C library is
// needed, no memory is allocated, and the only imports are those of `observe:guest@2` that are used
// (docs/ABI.md). All functions are inlined, even without optimization: the host ties scoped
// spans, and all that is said of the current span, to the function that makes the call.
//
// On targets other than wasm32 nothing happens, so that the same code can be tested natively; with
// OBSERVE_STDERR defined it is printed there (by observe_stderr.h, which stands beside this). With
// OBSERVE_OFF defined it compiles to nothing anywhere.
//
// Text is UTF-8 and ends with a NUL, unless a length in bytes is asked for. What is pointed to is
// read before a call returns. Each function that takes attributes by address and count has a macro
// in capitals which takes them one by one, at most 31, and evaluates them only if the host
// wants to be told. What the host cannot read or has no quota for it counts; no call traps.

#ifndef OBSERVE_H
#define OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined OBSERVE_NO_PRINTF && !defined __Aro__ && defined __has_include
#if __has_include(<stdio.h>)
#define OBSERVE_PRINTF_
#include <stdarg.h>
#include <stdio.h>
#endif
#endif
#if defined OBSERVE_STDERR && !defined OBSERVE_OFF && !defined __wasm32__
#define OBSERVE_PRINTS_
#include <inttypes.h>
#include <stdio.h>
#endif

#ifdef __cplusplus
#define OBSERVE_ASSERT_(condition, message) static_assert(condition, message)
extern "C" {
#else
#define OBSERVE_ASSERT_(condition, message) _Static_assert(condition, message)
#endif

#define OBSERVE_FN_ __attribute__((always_inline)) static inline

// ---- Values -----------------------------------------------------------------------------------

// A scoped span (negative), a detached one (positive), OBSERVE_CURRENT, or 0: not recorded, with
// which all calls have no effect.
typedef int32_t observe_span;

// In place of a span: the innermost open one, be it a function's, the host's or the guest's own.
#define OBSERVE_CURRENT 0x7fffffff
// In place of a parent: none but the root of the trace.
#define OBSERVE_ROOT 0x7ffffffe

// What a span is to others.
enum {
    OBSERVE_INTERNAL = 1, // a part of a program
    OBSERVE_SERVER = 2,   // the answer to a request
    OBSERVE_CLIENT = 3,   // a request of another program
    OBSERVE_PRODUCER = 4, // a message that is handed to a broker
    OBSERVE_CONSUMER = 5, // a message that came from a broker
};

// Severities of log records. The three numbers after each are finer steps of it (OpenTelemetry logs
// data model, "Field: SeverityNumber"), which the host takes for the same: 9 to 12 are INFO.
enum {
    OBSERVE_TRACE = 1,
    OBSERVE_DEBUG = 5,
    OBSERVE_INFO = 9,
    OBSERVE_WARN = 13,
    OBSERVE_ERROR = 17,
    OBSERVE_FATAL = 21,
};

// Text with a length in bytes.
typedef struct observe_string {
    const char *data;
    uint32_t len;
} observe_string;

// A key with a value. Made with the functions below.
typedef struct observe_attribute {
    const char *key;
    uint32_t key_len;
    uint32_t type;
    uint32_t len; // bytes of a string or of bytes, elements of an array, otherwise 0
    union {
        uint64_t bits; // a bool, or an address
        int64_t i64;
        double f64;
    } value;
} observe_attribute;

enum {
    OBSERVE_TYPE_STRING_ = 0,
    OBSERVE_TYPE_BOOL_ = 1,
    OBSERVE_TYPE_I64_ = 2,
    OBSERVE_TYPE_F64_ = 3,
    OBSERVE_TYPE_BYTES_ = 4,
    OBSERVE_TYPE_STRINGS_ = 5,
    OBSERVE_TYPE_BOOLS_ = 6,
    OBSERVE_TYPE_I64S_ = 7,
    OBSERVE_TYPE_F64S_ = 8,
};

// One thing to do, of a batch. Made with the functions at "Batches".
typedef struct observe_record {
    uint32_t what;
    int32_t subject;
    const char *text;
    uint32_t text_len;
    const observe_attribute *attributes;
    uint32_t attributes_count;
    union {
        int64_t i64;
        double f64;
    } value;
} observe_record;

#ifdef __wasm32__
OBSERVE_ASSERT_(sizeof(observe_string) == 8, "a string has 8 bytes");
OBSERVE_ASSERT_(sizeof(observe_attribute) == 24, "an attribute has 24 bytes");
OBSERVE_ASSERT_(offsetof(observe_attribute, key_len) == 4, "the key's length stands at 4");
OBSERVE_ASSERT_(offsetof(observe_attribute, type) == 8, "the type stands at 8");
OBSERVE_ASSERT_(offsetof(observe_attribute, len) == 12, "the length stands at 12");
OBSERVE_ASSERT_(offsetof(observe_attribute, value) == 16, "the value stands at 16");
OBSERVE_ASSERT_(sizeof(observe_record) == 32, "a record has 32 bytes");
OBSERVE_ASSERT_(offsetof(observe_record, text) == 8, "the text stands at 8");
OBSERVE_ASSERT_(offsetof(observe_record, attributes) == 16, "the attributes stand at 16");
OBSERVE_ASSERT_(offsetof(observe_record, value) == 24, "the value stands at 24");
#endif
OBSERVE_ASSERT_(sizeof(bool) == 1, "an element of an array of bools has one byte");

// ---- Imports ----------------------------------------------------------------------------------

// Bits of what the host wants to be told.
enum {
    OBSERVE_WANTS_SPANS_ = 1 << 0,
    OBSERVE_WANTS_LOGS_ = 1 << 1,
    OBSERVE_WANTS_METRICS_ = 1 << 2,
    OBSERVE_SEVERITY_SHIFT_ = 8,
};

#if defined __wasm32__ && !defined OBSERVE_OFF
#ifdef __Aro__
// Zig's translation of C drops the names of imports: observe.zig has them, and provides these.
#define OBSERVE_IMPORT_(result, symbol, name, parameters, otherwise)                               \
    extern result(*const symbol) parameters;
#else
#define OBSERVE_IMPORT_(result, symbol, name, parameters, otherwise)                               \
    __attribute__((import_module("observe:guest@2"), import_name(name))) result symbol parameters;
#endif
#elif defined OBSERVE_PRINTS_
#define OBSERVE_IMPORT_(result, symbol, name, parameters, otherwise)                               \
    static inline result symbol parameters;
#else
// Without a host: there for what stands below, and never called.
#define OBSERVE_SILENT_
#define OBSERVE_IMPORT_(result, symbol, name, parameters, otherwise)                               \
    OBSERVE_FN_ result symbol parameters { otherwise; }
#endif

#if defined OBSERVE_SILENT_ && defined __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#elif defined OBSERVE_SILENT_ && defined __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
// The calls of the contract as they are, for wrappers of one's own.
OBSERVE_IMPORT_(int32_t, observe_import_interest, "interest", (void), return 0)
OBSERVE_IMPORT_(int32_t, observe_import_span_begin, "span-begin",
                (int32_t kind, const char *name, size_t len, const observe_attribute *attributes,
                 size_t count), return 0)
OBSERVE_IMPORT_(void, observe_import_span_end, "span-end", (int32_t token), (void)0)
OBSERVE_IMPORT_(int32_t, observe_import_span_open, "span-open",
                (int32_t parent, int32_t kind, const char *name, size_t len, const observe_attribute
                 *attributes, size_t count), return 0)
OBSERVE_IMPORT_(void, observe_import_span_enter, "span-enter", (int32_t handle), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_exit, "span-exit", (int32_t handle), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_close, "span-close", (int32_t handle), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_attributes, "span-attributes",
                (int32_t span, const observe_attribute *attributes, size_t count), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_event, "span-event",
                (int32_t span, const char *name, size_t len, const observe_attribute *attributes,
                 size_t count), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_status, "span-status",
                (int32_t span, int32_t status, const char *message, size_t len), (void)0)
OBSERVE_IMPORT_(void, observe_import_span_link, "span-link",
                (int32_t span, const char *traceparent, size_t len, const observe_attribute
                 *attributes, size_t count), (void)0)
OBSERVE_IMPORT_(void, observe_import_log, "log",
                (int32_t span, int32_t severity, const char *body, size_t len, const
                 observe_attribute *attributes, size_t count), (void)0)
OBSERVE_IMPORT_(int32_t, observe_import_instrument, "instrument",
                (int32_t kind, const char *name, size_t len, const char *unit, size_t unit_len,
                 const char *description, size_t description_len), return 0)
OBSERVE_IMPORT_(void, observe_import_record_i64, "record-i64",
                (int32_t instrument, int64_t value, const observe_attribute *attributes, size_t
                 count), (void)0)
OBSERVE_IMPORT_(void, observe_import_record_f64, "record-f64",
                (int32_t instrument, double value, const observe_attribute *attributes, size_t
                 count), (void)0)
OBSERVE_IMPORT_(size_t, observe_import_context, "context", (char *buffer, size_t size), return 0)
OBSERVE_IMPORT_(size_t, observe_import_baggage, "baggage", (char *buffer, size_t size), return 0)
OBSERVE_IMPORT_(void, observe_import_submit, "submit",
                (const observe_record *records, size_t count), (void)0)
#if defined OBSERVE_SILENT_ && defined __clang__
#pragma clang diagnostic pop
#elif defined OBSERVE_SILENT_ && defined __GNUC__
#pragma GCC diagnostic pop
#endif

#ifdef OBSERVE_PRINTS_
#include "observe_stderr.h"
#endif

// What the host wants to be told: asked once in each translation unit, as it stays the same.
#ifndef OBSERVE_SILENT_
static uint32_t observe_interest_;
#endif
OBSERVE_FN_ uint32_t observe_interest(void) {
#ifdef OBSERVE_SILENT_
    return 0;
#else
    if (observe_interest_ == 0) {
        observe_interest_ = (uint32_t)observe_import_interest();
    }
    return observe_interest_;
#endif
}

// Whether the host wants spans, log records of a severity, measurements.
OBSERVE_FN_ bool observe_wants_spans(void) {
    return (observe_interest() & OBSERVE_WANTS_SPANS_) != 0;
}
OBSERVE_FN_ bool observe_wants_logs(int32_t severity) {
    uint32_t interest = observe_interest();
    return (interest & OBSERVE_WANTS_LOGS_) != 0 &&
           severity >= (int32_t)((interest >> OBSERVE_SEVERITY_SHIFT_) & 0xff);
}
OBSERVE_FN_ bool observe_wants_metrics(void) {
    return (observe_interest() & OBSERVE_WANTS_METRICS_) != 0;
}

// Bytes before the NUL; 0 of NULL. Not strlen, which is a library's where it is not known
// beforehand.
OBSERVE_FN_ size_t observe_length_(const char *text) {
#ifdef __Aro__
    return text ? __builtin_strlen(text) : 0;
#else
    if (!text) {
        return 0;
    }
    if (__builtin_constant_p(__builtin_strlen(text))) {
        return __builtin_strlen(text);
    }
    const char *end = text;
    while (*end) {
        end++;
        __asm__("" : "+r"(end)); // or the loop becomes a call of strlen
    }
    return (size_t)(end - text);
#endif
}

// ---- Attributes -------------------------------------------------------------------------------

OBSERVE_FN_ observe_attribute observe_attribute_(const char *key, uint32_t type, const void *data,
                                                 size_t len) {
    observe_attribute attribute;
    attribute.key = key;
    attribute.key_len = (uint32_t)observe_length_(key);
    attribute.type = type;
    attribute.len = (uint32_t)len;
    attribute.value.bits = (uint64_t)(uintptr_t)data;
    return attribute;
}

OBSERVE_FN_ observe_attribute observe_str(const char *key, const char *value) {
    return observe_attribute_(key, OBSERVE_TYPE_STRING_, value, observe_length_(value));
}
// A string of `len` bytes.
OBSERVE_FN_ observe_attribute observe_strn(const char *key, const char *value, size_t len) {
    return observe_attribute_(key, OBSERVE_TYPE_STRING_, value, len);
}
OBSERVE_FN_ observe_attribute observe_bool(const char *key, bool value) {
    observe_attribute attribute = observe_attribute_(key, OBSERVE_TYPE_BOOL_, NULL, 0);
    attribute.value.bits = value;
    return attribute;
}
OBSERVE_FN_ observe_attribute observe_i64(const char *key, int64_t value) {
    observe_attribute attribute = observe_attribute_(key, OBSERVE_TYPE_I64_, NULL, 0);
    attribute.value.i64 = value;
    return attribute;
}
OBSERVE_FN_ observe_attribute observe_f64(const char *key, double value) {
    observe_attribute attribute = observe_attribute_(key, OBSERVE_TYPE_F64_, NULL, 0);
    attribute.value.f64 = value;
    return attribute;
}
// `len` bytes of any kind.
OBSERVE_FN_ observe_attribute observe_bytes(const char *key, const void *data, size_t len) {
    return observe_attribute_(key, OBSERVE_TYPE_BYTES_, data, len);
}
// Arrays of `count` elements.
OBSERVE_FN_ observe_attribute observe_strs(const char *key, const observe_string *values,
                                           size_t count) {
    return observe_attribute_(key, OBSERVE_TYPE_STRINGS_, values, count);
}
OBSERVE_FN_ observe_attribute observe_bools(const char *key, const bool *values, size_t count) {
    return observe_attribute_(key, OBSERVE_TYPE_BOOLS_, values, count);
}
OBSERVE_FN_ observe_attribute observe_i64s(const char *key, const int64_t *values, size_t count) {
    return observe_attribute_(key, OBSERVE_TYPE_I64S_, values, count);
}
OBSERVE_FN_ observe_attribute observe_f64s(const char *key, const double *values, size_t count) {
    return observe_attribute_(key, OBSERVE_TYPE_F64S_, values, count);
}

// ---- Scoped spans -----------------------------------------------------------------------------

// Begins a span of this function, which ends with the function at the latest.
OBSERVE_FN_ observe_span observe_span_begin_with(int32_t kind, const char *name,
                                                 const observe_attribute *attributes,
                                                 size_t count) {
    if (!observe_wants_spans()) {
        return 0;
    }
    return observe_import_span_begin(kind, name, observe_length_(name), attributes, count);
}
OBSERVE_FN_ observe_span observe_span_begin(const char *name) {
    return observe_span_begin_with(OBSERVE_INTERNAL, name, NULL, 0);
}
// Ends the span and whatever is still open inside it.
OBSERVE_FN_ void observe_span_end(observe_span span) {
    if (span != 0) {
        observe_import_span_end(span);
    }
}
OBSERVE_FN_ void observe_span_cleanup_(observe_span *span) { observe_span_end(*span); }

// ---- Detached spans ---------------------------------------------------------------------------

// Begins a span that belongs to no function, as asynchronous code needs it. It ends when it is
// closed, and with the trace at the latest. The parent is a span, OBSERVE_CURRENT or OBSERVE_ROOT.
OBSERVE_FN_ observe_span observe_span_open(observe_span parent, int32_t kind, const char *name,
                                           const observe_attribute *attributes, size_t count) {
    if (!observe_wants_spans()) {
        return 0;
    }
    return observe_import_span_open(parent, kind, name, observe_length_(name), attributes, count);
}
// What begins from now on stands under the detached span, until it is exited.
OBSERVE_FN_ void observe_span_enter(observe_span handle) {
    if (handle != 0) {
        observe_import_span_enter(handle);
    }
}
OBSERVE_FN_ void observe_span_exit(observe_span handle) {
    if (handle != 0) {
        observe_import_span_exit(handle);
    }
}
// Ends the detached span.
OBSERVE_FN_ void observe_span_close(observe_span handle) {
    if (handle != 0) {
        observe_import_span_close(handle);
    }
}
OBSERVE_FN_ void observe_span_exit_cleanup_(observe_span *handle) { observe_span_exit(*handle); }

// ---- What is said of a span -------------------------------------------------------------------

// Sets attributes. Of those with the same key the last stays.
OBSERVE_FN_ void observe_set(observe_span span, const observe_attribute *attributes,
                             size_t count) {
    if (span != 0 && observe_wants_spans()) {
        observe_import_span_attributes(span, attributes, count);
    }
}
// Something that happened just now.
OBSERVE_FN_ void observe_event(observe_span span, const char *name,
                               const observe_attribute *attributes, size_t count) {
    if (span != 0 && observe_wants_spans()) {
        observe_import_span_event(span, name, observe_length_(name), attributes, count);
    }
}
OBSERVE_FN_ void observe_status_ok(observe_span span) {
    if (span != 0 && observe_wants_spans()) {
        observe_import_span_status(span, 1, NULL, 0);
    }
}
OBSERVE_FN_ void observe_status_error(observe_span span, const char *message) {
    if (span != 0 && observe_wants_spans()) {
        observe_import_span_status(span, 2, message, observe_length_(message));
    }
}
// A link to a span elsewhere, by its W3C `traceparent`.
OBSERVE_FN_ void observe_link(observe_span span, const char *traceparent,
                              const observe_attribute *attributes, size_t count) {
    if (span != 0 && observe_wants_spans()) {
        observe_import_span_link(span, traceparent, observe_length_(traceparent), attributes,
                                 count);
    }
}

// ---- Logs -------------------------------------------------------------------------------------

// A log record with a body of `len` bytes, tied to a span, or to the current one if that is not
// recorded.
OBSERVE_FN_ void observe_logn(observe_span span, int32_t severity, const char *body, size_t len,
                              const observe_attribute *attributes, size_t count) {
    if (observe_wants_logs(severity)) {
        observe_import_log(span != 0 ? span : OBSERVE_CURRENT, severity, body, len, attributes,
                           count);
    }
}
// A log record, tied to the current span.
OBSERVE_FN_ void observe_log(int32_t severity, const char *body,
                             const observe_attribute *attributes, size_t count) {
    observe_logn(OBSERVE_CURRENT, severity, body, observe_length_(body), attributes, count);
}

// How many of the first `len` bytes of a longer text are whole characters.
OBSERVE_FN_ size_t observe_whole_(const char *text, size_t len) {
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0) {
        return len; // the last is ASCII, or this is no UTF-8
    }
    unsigned char first = (unsigned char)text[start - 1];
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    return len - (start - 1) < size ? start - 1 : len;
}

// observe_logf(severity, format, ...) formats a log record as printf does, and
// observe_vlogf(severity, format, list) as vprintf does. They need the C library's snprintf, and
// are there if <stdio.h> is, unless OBSERVE_NO_PRINTF is defined. Text of more than
// OBSERVE_LOGF_LEN bytes is cut between characters, and by how much is the record's attribute
// `log.cut_bytes`; the buffer is on the stack of the caller. They are macros because a function
// with `...` cannot be inlined, and the log record would be tied to its span.
#ifndef OBSERVE_LOGF_LEN
#define OBSERVE_LOGF_LEN 1024
#endif
#ifdef OBSERVE_PRINTF_
OBSERVE_FN_ void observe_formatted_(int32_t severity, const char *text, int len) {
    size_t all = len < 0 ? 0 : (size_t)len;
    size_t kept = all > OBSERVE_LOGF_LEN ? observe_whole_(text, OBSERVE_LOGF_LEN) : all;
    observe_attribute cut = observe_i64("log.cut_bytes", (int64_t)(all - kept));
    observe_logn(OBSERVE_CURRENT, severity, text, kept, &cut, all > kept);
}
#ifdef OBSERVE_SILENT_
#define observe_logf(severity, ...) ((void)(severity), (void)sizeof(snprintf(NULL, 0, __VA_ARGS__)))
#define observe_vlogf(severity, format, list)                                                      \
    ((void)(severity), (void)sizeof(vsnprintf(NULL, 0, format, list)))
#else
#define observe_logf(severity, ...)                                                                \
    do {                                                                                           \
        if (observe_wants_logs(severity)) {                                                        \
            char observe_text_[OBSERVE_LOGF_LEN + 1];                                              \
            int observe_len_ = snprintf(observe_text_, sizeof observe_text_, __VA_ARGS__);         \
            observe_formatted_(severity, observe_text_, observe_len_);                             \
        }                                                                                          \
    } while (0)
#define observe_vlogf(severity, format, list)                                                      \
    do {                                                                                           \
        if (observe_wants_logs(severity)) {                                                        \
            char observe_text_[OBSERVE_LOGF_LEN + 1];                                              \
            int observe_len_ = vsnprintf(observe_text_, sizeof observe_text_, format, list);       \
            observe_formatted_(severity, observe_text_, observe_len_);                             \
        }                                                                                          \
    } while (0)
#endif
#endif

// ---- Metrics ----------------------------------------------------------------------------------

// Names a metric, registered with the host when it is first used. Units are of UCUM; unit and
// description may be empty. Made with the macros of the four kinds, and static.
typedef struct observe_instrument {
    int32_t id; // 0 until it is registered, then the host's number, or -1 if it gave none
    int32_t kind;
    const char *name;
    const char *unit;
    const char *description;
} observe_instrument;

// A sum that never falls.
typedef struct observe_counter {
    observe_instrument instrument;
} observe_counter;
#define OBSERVE_COUNTER(name, unit, description) {{0, 1, name, unit, description}}

// A sum that may fall.
typedef struct observe_up_down_counter {
    observe_instrument instrument;
} observe_up_down_counter;
#define OBSERVE_UP_DOWN_COUNTER(name, unit, description) {{0, 2, name, unit, description}}

// The last value.
typedef struct observe_gauge {
    observe_instrument instrument;
} observe_gauge;
#define OBSERVE_GAUGE(name, unit, description) {{0, 3, name, unit, description}}

// A distribution.
typedef struct observe_histogram {
    observe_instrument instrument;
} observe_histogram;
#define OBSERVE_HISTOGRAM(name, unit, description) {{0, 4, name, unit, description}}

// The host's number, or 0.
OBSERVE_FN_ int32_t observe_instrument_id_(observe_instrument *instrument) {
    if (instrument->id == 0) {
        int32_t id = observe_import_instrument(
            instrument->kind, instrument->name, observe_length_(instrument->name),
            instrument->unit, observe_length_(instrument->unit), instrument->description,
            observe_length_(instrument->description));
        instrument->id = id > 0 ? id : -1;
    }
    return instrument->id > 0 ? instrument->id : 0;
}
OBSERVE_FN_ void observe_record_i64_(observe_instrument *instrument, int64_t value,
                                     const observe_attribute *attributes, size_t count) {
    if (observe_wants_metrics()) {
        int32_t id = observe_instrument_id_(instrument);
        if (id != 0) {
            observe_import_record_i64(id, value, attributes, count);
        }
    }
}
OBSERVE_FN_ void observe_record_f64_(observe_instrument *instrument, double value,
                                     const observe_attribute *attributes, size_t count) {
    if (observe_wants_metrics()) {
        int32_t id = observe_instrument_id_(instrument);
        if (id != 0) {
            observe_import_record_f64(id, value, attributes, count);
        }
    }
}

OBSERVE_FN_ void observe_counter_add(observe_counter *counter, int64_t value,
                                     const observe_attribute *attributes, size_t count) {
    observe_record_i64_(&counter->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_counter_add_f64(observe_counter *counter, double value,
                                         const observe_attribute *attributes, size_t count) {
    observe_record_f64_(&counter->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_up_down_counter_add(observe_up_down_counter *counter, int64_t value,
                                             const observe_attribute *attributes, size_t count) {
    observe_record_i64_(&counter->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_up_down_counter_add_f64(observe_up_down_counter *counter, double value,
                                                 const observe_attribute *attributes,
                                                 size_t count) {
    observe_record_f64_(&counter->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_gauge_set(observe_gauge *gauge, int64_t value,
                                   const observe_attribute *attributes, size_t count) {
    observe_record_i64_(&gauge->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_gauge_set_f64(observe_gauge *gauge, double value,
                                       const observe_attribute *attributes, size_t count) {
    observe_record_f64_(&gauge->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_histogram_record(observe_histogram *histogram, int64_t value,
                                          const observe_attribute *attributes, size_t count) {
    observe_record_i64_(&histogram->instrument, value, attributes, count);
}
OBSERVE_FN_ void observe_histogram_record_f64(observe_histogram *histogram, double value,
                                              const observe_attribute *attributes, size_t count) {
    observe_record_f64_(&histogram->instrument, value, attributes, count);
}

// ---- Context ----------------------------------------------------------------------------------

// The bytes of a `traceparent` (W3C Trace Context, section 3.2), without the NUL.
#define OBSERVE_TRACEPARENT_LEN 55

// Writes the current span's `traceparent` and a NUL, for calls that go out. Returns its length, or
// 0 outside of a trace. The buffer has OBSERVE_TRACEPARENT_LEN + 1 bytes.
OBSERVE_FN_ size_t observe_traceparent(char *buffer) {
    size_t len = 0;
    if (observe_wants_spans()) {
        len = observe_import_context(buffer, OBSERVE_TRACEPARENT_LEN);
    }
    len = len <= OBSERVE_TRACEPARENT_LEN ? len : 0;
    buffer[len] = 0;
    return len;
}
// Writes what came with the request, in the form of the W3C header `baggage`, and a NUL. Returns
// its length; if that is not less than `size`, nothing was written but the NUL.
OBSERVE_FN_ size_t observe_baggage(char *buffer, size_t size) {
    size_t len = 0;
#ifndef OBSERVE_SILENT_
    len = observe_import_baggage(buffer, size > 0 ? size - 1 : 0);
#endif
    if (size > 0) {
        buffer[len < size ? len : 0] = 0;
    }
    return len;
}

// ---- Batches ----------------------------------------------------------------------------------

OBSERVE_FN_ observe_record observe_record_(uint32_t what, int32_t subject, const char *text,
                                           const observe_attribute *attributes, size_t count) {
    observe_record record;
    record.what = what;
    record.subject = subject;
    record.text = text;
    record.text_len = (uint32_t)observe_length_(text);
    record.attributes = attributes;
    record.attributes_count = (uint32_t)count;
    record.value.i64 = 0;
    return record;
}
// What observe_set, observe_event, observe_log and measurements do, to be done by observe_submit.
// What is pointed to has to be there until then.
OBSERVE_FN_ observe_record observe_batch_set(observe_span span,
                                             const observe_attribute *attributes, size_t count) {
    return observe_record_(1, span, NULL, attributes, count);
}
OBSERVE_FN_ observe_record observe_batch_event(observe_span span, const char *name,
                                               const observe_attribute *attributes, size_t count) {
    return observe_record_(2, span, name, attributes, count);
}
OBSERVE_FN_ observe_record observe_batch_log(observe_span span, int32_t severity, const char *body,
                                             const observe_attribute *attributes, size_t count) {
    observe_record record = observe_record_(3, span, body, attributes, count);
    record.value.i64 = severity;
    return record;
}
OBSERVE_FN_ observe_record observe_batch_i64(observe_instrument *instrument, int64_t value,
                                             const observe_attribute *attributes, size_t count) {
    int32_t id = observe_wants_metrics() ? observe_instrument_id_(instrument) : 0;
    observe_record record = observe_record_(4, id, NULL, attributes, count);
    record.value.i64 = value;
    return record;
}
OBSERVE_FN_ observe_record observe_batch_f64(observe_instrument *instrument, double value,
                                             const observe_attribute *attributes, size_t count) {
    int32_t id = observe_wants_metrics() ? observe_instrument_id_(instrument) : 0;
    observe_record record = observe_record_(5, id, NULL, attributes, count);
    record.value.f64 = value;
    return record;
}
// Does what the records say, one after the other, in one call of the host. What has a time
// gets that of this call.
OBSERVE_FN_ void observe_submit(const observe_record *records, size_t count) {
    if ((observe_interest() & (OBSERVE_WANTS_SPANS_ | OBSERVE_WANTS_LOGS_ |
                               OBSERVE_WANTS_METRICS_)) != 0) {
        observe_import_submit(records, count);
    }
}

#ifdef __cplusplus
}
#endif

// ---- Macros for C, as C++ has observe.hpp -----------------------------------------------------

#ifndef __cplusplus

// Arguments after the first, as the address and count of attributes.
#define OBSERVE_33RD_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y,   \
                      z, A, B, C, D, E, F, chosen, ...)                                            \
    chosen
#define OBSERVE_WHICH_(...)                                                                        \
    OBSERVE_33RD_(__VA_ARGS__, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY,   \
                  MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY,    \
                  MANY, MANY, MANY, MANY, MANY, MANY, MANY, NONE, 0)
#define OBSERVE_FIRST_(...) OBSERVE_FIRST_OF_(__VA_ARGS__, 0)
#define OBSERVE_FIRST_OF_(first, ...) first
#define OBSERVE_REST_(...) OBSERVE_REST_BY_(OBSERVE_WHICH_(__VA_ARGS__), __VA_ARGS__)
#define OBSERVE_REST_BY_(which, ...) OBSERVE_REST_AS_(which, __VA_ARGS__)
#define OBSERVE_REST_AS_(which, ...) OBSERVE_REST_##which##_(__VA_ARGS__)
#define OBSERVE_REST_NONE_(first) NULL, 0
#define OBSERVE_REST_MANY_(first, ...) OBSERVE_ARRAY_(observe_attribute, __VA_ARGS__)
#define OBSERVE_ARRAY_(type, ...)                                                                  \
    (const type[]){__VA_ARGS__}, sizeof((const type[]){__VA_ARGS__}) / sizeof(type)
#define OBSERVE_JOINED_(a, b) OBSERVE_JOINED_NOW_(a, b)
#define OBSERVE_JOINED_NOW_(a, b) a##b

// An attribute of the value's own type. Before C23 `true` is an int: use observe_bool for that.
#define OBSERVE_ATTR(key, value)                                                                   \
    _Generic((value), bool: observe_bool, char *: observe_str, const char *: observe_str,          \
             float: observe_f64, double: observe_f64, default: observe_i64)((key), (value))

// Arrays from their elements: OBSERVE_STRS("items", "tea", "mug").
#define OBSERVE_BYTES(key, ...) observe_bytes(key, OBSERVE_ARRAY_(uint8_t, __VA_ARGS__))
#define OBSERVE_BOOLS(key, ...) observe_bools(key, OBSERVE_ARRAY_(bool, __VA_ARGS__))
#define OBSERVE_I64S(key, ...) observe_i64s(key, OBSERVE_ARRAY_(int64_t, __VA_ARGS__))
#define OBSERVE_F64S(key, ...) observe_f64s(key, OBSERVE_ARRAY_(double, __VA_ARGS__))
#define OBSERVE_STRS(key, ...)                                                                     \
    observe_strs_of_(key,                                                                          \
                     (observe_string[sizeof((const char *const[]){__VA_ARGS__}) /                  \
                                     sizeof(const char *)]){{NULL, 0}},                            \
                     OBSERVE_ARRAY_(char *const, __VA_ARGS__))
OBSERVE_FN_ observe_attribute observe_strs_of_(const char *key, observe_string *strings,
                                               const char *const *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        strings[i].data = values[i];
        strings[i].len = (uint32_t)observe_length_(values[i]);
    }
    return observe_strs(key, strings, count);
}

// OBSERVE_BEGIN(kind, name, attribute...) begins a scoped span.
#define OBSERVE_BEGIN(kind, ...)                                                                   \
    (observe_wants_spans() ? observe_span_begin_with(kind, OBSERVE_FIRST_(__VA_ARGS__),            \
                                                     OBSERVE_REST_(__VA_ARGS__))                   \
                           : 0)
// OBSERVE_SCOPED observe_span span = OBSERVE_BEGIN(...); ends it with the block.
#define OBSERVE_SCOPED __attribute__((cleanup(observe_span_cleanup_), unused))
// OBSERVE_SPAN(name, attribute...) is a span from here to the end of the block.
#define OBSERVE_SPAN(...)                                                                          \
    OBSERVE_SCOPED observe_span OBSERVE_JOINED_(observe_span_, __LINE__) =                         \
        OBSERVE_BEGIN(OBSERVE_INTERNAL, __VA_ARGS__)

// OBSERVE_OPEN(parent, kind, name, attribute...) begins a detached span.
#define OBSERVE_OPEN(parent, kind, ...)                                                            \
    (observe_wants_spans() ? observe_span_open(parent, kind, OBSERVE_FIRST_(__VA_ARGS__),          \
                                               OBSERVE_REST_(__VA_ARGS__))                         \
                           : 0)
// OBSERVE_ENTER(handle) enters a detached span, until the end of the block.
#define OBSERVE_ENTER(handle)                                                                      \
    __attribute__((cleanup(observe_span_exit_cleanup_), unused))                                   \
    observe_span OBSERVE_JOINED_(observe_entered_, __LINE__) = observe_entered_(handle)
OBSERVE_FN_ observe_span observe_entered_(observe_span handle) {
    observe_span_enter(handle);
    return handle;
}

// OBSERVE_SET(span, attribute...)
#define OBSERVE_SET(span, ...)                                                                     \
    (observe_wants_spans() ? observe_set(span, OBSERVE_ARRAY_(observe_attribute, __VA_ARGS__))     \
                           : (void)0)
// OBSERVE_EVENT(span, name, attribute...)
#define OBSERVE_EVENT(span, ...)                                                                   \
    (observe_wants_spans()                                                                         \
         ? observe_event(span, OBSERVE_FIRST_(__VA_ARGS__), OBSERVE_REST_(__VA_ARGS__))            \
         : (void)0)
// OBSERVE_LINK(span, traceparent, attribute...)
#define OBSERVE_LINK(span, ...)                                                                    \
    (observe_wants_spans()                                                                         \
         ? observe_link(span, OBSERVE_FIRST_(__VA_ARGS__), OBSERVE_REST_(__VA_ARGS__))             \
         : (void)0)
// OBSERVE_LOG(severity, body, attribute...) evaluates the severity twice.
#define OBSERVE_LOG(severity, ...)                                                                 \
    (observe_wants_logs(severity)                                                                  \
         ? observe_log(severity, OBSERVE_FIRST_(__VA_ARGS__), OBSERVE_REST_(__VA_ARGS__))          \
         : (void)0)

// OBSERVE_COUNTER_ADD(&counter, value, attribute...) and so on, with an integer or a double.
#define OBSERVE_COUNTER_ADD(counter, ...)                                                          \
    OBSERVE_MEASURE_(observe_counter_add, counter, __VA_ARGS__)
#define OBSERVE_UP_DOWN_COUNTER_ADD(counter, ...)                                                  \
    OBSERVE_MEASURE_(observe_up_down_counter_add, counter, __VA_ARGS__)
#define OBSERVE_GAUGE_SET(gauge, ...) OBSERVE_MEASURE_(observe_gauge_set, gauge, __VA_ARGS__)
#define OBSERVE_HISTOGRAM_RECORD(histogram, ...)                                                   \
    OBSERVE_MEASURE_(observe_histogram_record, histogram, __VA_ARGS__)
#define OBSERVE_MEASURE_(function, instrument, ...)                                                \
    (observe_wants_metrics()                                                                       \
         ? _Generic((OBSERVE_FIRST_(__VA_ARGS__)), float: function##_f64, double: function##_f64,  \
                    default: function)(instrument, OBSERVE_FIRST_(__VA_ARGS__),                    \
                                       OBSERVE_REST_(__VA_ARGS__))                                 \
         : (void)0)

#endif // !__cplusplus

#endif // OBSERVE_H
