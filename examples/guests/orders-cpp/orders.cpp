// Takes an order, and says all that a guest can say of it: what observe.hpp does, in C++.

#include "../../../guest-sdk/c/observe.hpp"

// Kept out of line, so that the trace shows it.
#define TRACED [[gnu::noinline]] static

static observe::counter orders{"orders", "{order}", "orders taken"};
static observe::up_down_counter open_carts{"carts.open"};
static observe::gauge stock{"stock"};
static observe::histogram prices{"price", "EUR"};

// Some hundred steps that the compiler keeps, so that it takes its time.
TRACED uint32_t price(uint32_t item) {
    uint32_t sum = item;
    for (uint32_t step = 0; step < 400; step++) {
        sum = (sum * 31) ^ step;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

TRACED bool charge() {
    observe::span span{"charge", observe::kind::client};
    bool declined = true;
    if (declined) {
        span.error("card declined");
        observe::error("card declined", {{"attempt", 1}});
        return false; // the span ends here
    }
    span.ok();
    return true;
}

// An object would end its span. One that is begun without, and lost sight of, ends with the
// function.
TRACED void forgetful(int32_t items) {
    observe_span span = observe_span_begin("left open");
    if (items > 0) {
        return;
    }
    observe_span_end(span);
}

extern "C" [[clang::export_name("checkout")]] int32_t checkout(int32_t items) {
    const uint8_t receipt[] = {0x00, 0xff, 0x10};
    observe::span request{"POST /orders",
                          observe::kind::server,
                          {{"order.id", 42},
                           {"customer", "ada"},
                           {"express", true},
                           {"discount", 0.25},
                           {"receipt", receipt},
                           {"items", observe::strings({"tea", "mug"})},
                           {"gifts", observe::bools({true, false})},
                           {"quantities", observe::i64s({1, 2})},
                           {"weights", observe::f64s({0.5, 1.5})}}};
    observe::info("order accepted", {{"order.id", 42}});
    request.event("validated", {{"rules", 3}});
    request.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", {{"why", "retry"}});

    char buffer[256];
    request.set({{"traceparent", observe::traceparent()}, {"baggage", observe::baggage(buffer)}});

    {
        observe::span adding{"add up"};
        for (int32_t item = 0; item < items; item++) {
            price(static_cast<uint32_t>(item));
        }
    }
    bool paid = charge();
    forgetful(items);
    {
        OBSERVE_SPAN("after");
    }
    {
        observe::detached_span delivery{"delivery", observe::kind::producer, {{"parcel", 7}}};
        auto entered = delivery.enter();
        observe::span pack{"pack"};
    }
    request.set({{"paid", paid}});

    orders.add(1, {{"express", true}});
    orders.add(2, {{"express", true}});
    open_carts.add(-1);
    stock.set(7);
    prices.record(9.5, {{"currency", "EUR"}});
    prices.record(20.0, {{"currency", "EUR"}});
    return items + 5;
}
