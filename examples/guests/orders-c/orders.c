// Takes an order, and says all that a guest can say of it: what observe.h does, in C.

#include "../../../guest-sdk/c/observe.h"

// Kept out of line, so that the trace shows it.
#define TRACED __attribute__((noinline)) static

static observe_counter orders = OBSERVE_COUNTER("orders", "{order}", "orders taken");
static observe_up_down_counter open_carts = OBSERVE_UP_DOWN_COUNTER("carts.open", "", "");
static observe_gauge stock = OBSERVE_GAUGE("stock", "", "");
static observe_histogram prices = OBSERVE_HISTOGRAM("price", "EUR", "");

// Some hundred steps that the compiler keeps, so that it takes its time.
TRACED uint32_t price(uint32_t item) {
    uint32_t sum = item;
    for (uint32_t step = 0; step < 400; step++) {
        sum = (sum * 31) ^ step;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

TRACED bool charge(void) {
    OBSERVE_SCOPED observe_span span = OBSERVE_BEGIN(OBSERVE_CLIENT, "charge");
    bool declined = true;
    if (declined) {
        observe_status_error(span, "card declined");
        OBSERVE_LOG(OBSERVE_ERROR, "card declined", observe_i64("attempt", 1));
        return false; // the span ends here
    }
    observe_status_ok(span);
    return true;
}

// Loses sight of its span, which ends with the function all the same.
TRACED void forgetful(int32_t items) {
    observe_span span = observe_span_begin("left open");
    if (items > 0) {
        return;
    }
    observe_span_end(span);
}

__attribute__((export_name("checkout"))) int32_t checkout(int32_t items) {
    OBSERVE_SCOPED observe_span request = OBSERVE_BEGIN(
        OBSERVE_SERVER, "POST /orders", observe_i64("order.id", 42), observe_str("customer", "ada"),
        observe_bool("express", true), observe_f64("discount", 0.25),
        OBSERVE_BYTES("receipt", 0x00, 0xff, 0x10), OBSERVE_STRS("items", "tea", "mug"),
        OBSERVE_BOOLS("gifts", true, false), OBSERVE_I64S("quantities", 1, 2),
        OBSERVE_F64S("weights", 0.5, 1.5));
    OBSERVE_LOG(OBSERVE_INFO, "order accepted", observe_i64("order.id", 42));
    OBSERVE_EVENT(request, "validated", observe_i64("rules", 3));
    OBSERVE_LINK(request, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                 observe_str("why", "retry"));

    char traceparent[OBSERVE_TRACEPARENT_LEN + 1];
    char baggage[256];
    observe_traceparent(traceparent);
    observe_baggage(baggage, sizeof baggage);
    OBSERVE_SET(request, observe_str("traceparent", traceparent), observe_str("baggage", baggage));

    {
        OBSERVE_SPAN("add up");
        for (int32_t item = 0; item < items; item++) {
            price((uint32_t)item);
        }
    }
    bool paid = charge();
    forgetful(items);
    {
        OBSERVE_SPAN("after");
    }

    observe_span delivery =
        OBSERVE_OPEN(OBSERVE_CURRENT, OBSERVE_PRODUCER, "delivery", observe_i64("parcel", 7));
    {
        OBSERVE_ENTER(delivery);
        OBSERVE_SPAN("pack");
    }
    observe_span_close(delivery);
    OBSERVE_SET(request, observe_bool("paid", paid));

    OBSERVE_COUNTER_ADD(&orders, 1, observe_bool("express", true));
    OBSERVE_COUNTER_ADD(&orders, 2, observe_bool("express", true));
    OBSERVE_UP_DOWN_COUNTER_ADD(&open_carts, -1);
    OBSERVE_GAUGE_SET(&stock, 7);
    OBSERVE_HISTOGRAM_RECORD(&prices, 9.5, observe_str("currency", "EUR"));
    OBSERVE_HISTOGRAM_RECORD(&prices, 20.0, observe_str("currency", "EUR"));
    return items + 5;
}
