// Everything that observe.hpp has: tests/e2e/c_headers.rs compiles it in every way, and looks at
// the imports.

#include "../observe.hpp"

// Has what std::string_view and std::vector have.
template <class T> struct view {
    const T *first;
    size_t count;
    const T *data() const { return first; }
    size_t size() const { return count; }
};

static observe::counter counter{"counter", "{call}", "calls"};
static observe::up_down_counter up_down_counter{"up.down.counter"};
static observe::gauge gauge{"gauge", ""};
static observe::histogram histogram{"histogram", "s"};

static void say(observe::span_ref span, const char *text, bool flag) {
    const int64_t i64s[] = {INT64_MIN, 0, INT64_MAX};
    const double f64s[] = {0.5};
    const bool bools[] = {true, false};
    const uint8_t bytes[] = {0, 0xff};
    const observe::text strings[] = {"tea", ""};
    char buffer[] = "buffer";
    view<char> name{"name", 4};
    span.set({{"str", text},
              {"view", name},
              {"buffer", buffer},
              {"bool", flag},
              {"int", 1},
              {"unsigned", 1u},
              {"long", 1l},
              {"unsigned long", 1ul},
              {"long long", 1ll},
              {"unsigned long long", 1ull},
              {"short", short{1}},
              {"float", 0.5f},
              {"double", 0.5},
              {"bytes", bytes},
              {"strings", strings},
              {"bools", bools},
              {"i64s", i64s},
              {"f64s", f64s},
              {"span", view<int64_t>{i64s, 3}},
              {"bytes here", observe::bytes({1, 2})},
              {"strings here", observe::strings({"tea", name})},
              {"bools here", observe::bools({true})},
              {"i64s here", observe::i64s({1, 2})},
              {"f64s here", observe::f64s({1, 2.5})}});
    span.event("event");
    span.event(name, {{"rules", 3}});
    span.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    span.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", {{"why", "retry"}});
    span.ok();
    span.error("failed");
    span.log(observe::severity::info, "log");
    span.log(observe::severity::info, "log", {{"a", 1}});
    observe::log(observe::severity::debug, "log");
    observe::trace("trace", {{"a", 1}});
    observe::debug("debug");
    observe::info("info");
    observe::warn("warn");
    observe::error("error");
    observe::fatal("fatal");
}

static void measure() {
    counter.add(1);
    counter.add(1u, {{"express", true}});
    counter.add(0.5f);
    up_down_counter.add(-1);
    gauge.set(7);
    histogram.record(3.5, {{"currency", "EUR"}});
    const observe_record record = observe_batch_i64(counter.get(), 1, nullptr, 0);
    observe_submit(&record, 1);
}

extern "C" __attribute__((visibility("default"))) int all(int argument);
int all(int argument) {
    OBSERVE_SPAN("no attributes");
    OBSERVE_SPAN("attributes", {{"a", 1}, {"b", "two"}});
    observe::span span{"kind", observe::kind::server};
    say(span, "text", argument > 0);
    say(observe::current(), "text", false);
    span.end();

    observe::detached_span first{"detached"};
    observe::detached_span second{"detached", observe::kind::producer, {{"a", 1}}, observe::root()};
    observe::detached_span third{"detached", {{"a", 1}}, first};
    {
        auto entered = second.enter();
    }
    second.close();
    first = static_cast<observe::detached_span &&>(third);
    measure();

    char buffer[16];
    size_t len = observe::traceparent().size() + observe::baggage(buffer).size();
#ifdef OBSERVE_PRINTF_
    observe_logf(OBSERVE_INFO, "%d of %s", argument, "all");
#endif
    return static_cast<int>(len);
}

#ifndef __wasm32__
int main() { return all(1); }
#endif
