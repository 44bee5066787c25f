// Everything that observe.h has: tests/e2e/c_headers.rs compiles it in every way, and looks at the
// imports.

#include "../observe.h"

static observe_counter counter = OBSERVE_COUNTER("counter", "{call}", "calls");
static observe_up_down_counter up_down_counter = OBSERVE_UP_DOWN_COUNTER("up.down.counter", "", "");
static observe_gauge gauge = OBSERVE_GAUGE("gauge", "", "");
static observe_histogram histogram = OBSERVE_HISTOGRAM("histogram", "s", "");

static void say(observe_span span, const char *text, bool flag) {
    const int64_t i64s[] = {INT64_MIN, 0, INT64_MAX};
    const double f64s[] = {0.5};
    const bool bools[] = {true, false};
    const observe_string strings[] = {{"tea", 3}, {"", 0}};
    const observe_attribute attributes[] = {
        observe_str("str", text),           observe_strn("strn", text, 1),
        observe_bool("bool", flag),         observe_i64("i64", -1),
        observe_f64("f64", 0.25),           observe_bytes("bytes", "\0\xff", 2),
        observe_strs("strs", strings, 2),   observe_bools("bools", bools, 2),
        observe_i64s("i64s", i64s, 3),      observe_f64s("f64s", f64s, 1),
        observe_str("none", NULL),
    };
    size_t count = sizeof attributes / sizeof attributes[0];
    observe_set(span, attributes, count);
    observe_event(span, "event", attributes, count);
    observe_event(span, "event", NULL, 0);
    observe_link(span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", attributes, 1);
    observe_status_ok(span);
    observe_status_error(span, "failed");
    observe_log(OBSERVE_INFO, "log", attributes, count);
    observe_logn(span, OBSERVE_FATAL + 3, text, 1, NULL, 0);

    const observe_record records[] = {
        observe_batch_set(span, attributes, count),
        observe_batch_event(span, "batched", NULL, 0),
        observe_batch_log(OBSERVE_CURRENT, OBSERVE_DEBUG, "batched", attributes, 1),
        observe_batch_i64(&counter.instrument, 1, NULL, 0),
        observe_batch_f64(&histogram.instrument, 0.5, attributes, 2),
    };
    observe_submit(records, sizeof records / sizeof records[0]);
}

static void measure(void) {
    const observe_attribute attribute = observe_bool("express", true);
    observe_counter_add(&counter, 1, &attribute, 1);
    observe_counter_add_f64(&counter, 0.5, NULL, 0);
    observe_up_down_counter_add(&up_down_counter, -1, NULL, 0);
    observe_up_down_counter_add_f64(&up_down_counter, -0.5, NULL, 0);
    observe_gauge_set(&gauge, 7, NULL, 0);
    observe_gauge_set_f64(&gauge, 7.5, NULL, 0);
    observe_histogram_record(&histogram, 3, NULL, 0);
    observe_histogram_record_f64(&histogram, 3.5, NULL, 0);
}

#ifdef OBSERVE_PRINTF_
__attribute__((format(printf, 1, 2))) static void report(const char *format, ...) {
    va_list list;
    va_start(list, format);
    observe_vlogf(OBSERVE_INFO, format, list);
    va_end(list);
}
#endif

#ifndef __cplusplus
static void by_macros(observe_span parent) {
    OBSERVE_SPAN("no attributes");
    OBSERVE_SPAN("attributes of each type", OBSERVE_ATTR("str", "value"), OBSERVE_ATTR("i64", 42u),
                 OBSERVE_ATTR("f64", 0.5f), OBSERVE_ATTR("bool", (bool)true),
                 OBSERVE_BYTES("bytes", 1, 2), OBSERVE_STRS("strs", "tea", "mug"),
                 OBSERVE_BOOLS("bools", true), OBSERVE_I64S("i64s", 1, 2),
                 OBSERVE_F64S("f64s", 1, 2.5));
    OBSERVE_SCOPED observe_span span = OBSERVE_BEGIN(OBSERVE_CLIENT, "named");
    OBSERVE_SET(span, observe_i64("a", 1), observe_i64("b", 2));
    OBSERVE_EVENT(span, "event");
    OBSERVE_EVENT(span, "event", observe_i64("a", 1));
    OBSERVE_LINK(span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    OBSERVE_LOG(OBSERVE_WARN, "log");
    OBSERVE_LOG(OBSERVE_WARN, "log", observe_i64("a", 1));
    observe_span handle = OBSERVE_OPEN(parent, OBSERVE_CONSUMER, "detached", observe_i64("a", 1));
    {
        OBSERVE_ENTER(handle);
    }
    observe_span_close(handle);
    OBSERVE_COUNTER_ADD(&counter, 1);
    OBSERVE_COUNTER_ADD(&counter, 0.5, observe_i64("a", 1));
    OBSERVE_UP_DOWN_COUNTER_ADD(&up_down_counter, -1);
    OBSERVE_GAUGE_SET(&gauge, 7, observe_i64("a", 1), observe_i64("b", 2));
    OBSERVE_HISTOGRAM_RECORD(&histogram, 3.5f);
}
#endif

#ifdef __cplusplus
extern "C"
#endif
__attribute__((visibility("default"))) int all(int argument);
int all(int argument) {
    observe_span span = observe_span_begin("scoped");
    say(span, "text", argument > 0);
    observe_span_end(span);
    observe_span inner = observe_span_begin_with(OBSERVE_SERVER, "scoped", NULL, 0);
    observe_span handle = observe_span_open(OBSERVE_ROOT, OBSERVE_PRODUCER, "detached", NULL, 0);
    observe_span_enter(handle);
    observe_span_exit(handle);
    observe_span_close(handle);
    measure();
#ifndef __cplusplus
    by_macros(OBSERVE_ROOT);
#endif
    char traceparent[OBSERVE_TRACEPARENT_LEN + 1];
    char baggage[16];
    size_t len = observe_traceparent(traceparent) + observe_baggage(baggage, sizeof baggage);
#ifdef OBSERVE_PRINTF_
    observe_logf(OBSERVE_INFO, "%d of %s", argument, "all");
    report("%d again", argument);
#endif
    observe_span_end(inner);
    return (int)len;
}

#ifndef __wasm32__
int main(void) { return all(1); }
#endif
