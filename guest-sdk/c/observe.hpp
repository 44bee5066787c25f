// Spans, logs and metrics from a guest in C++17, for hosts with Observe: observe.h with scopes and
// types.
//
//     #include "observe.hpp"
//
//     static observe::counter orders{"orders", "{order}", "orders taken"};
//
//     int checkout(int items, std::string_view customer) {
//         observe::span span{"checkout", {{"items", items}, {"customer", customer}}};
//         if (items == 0) {
//             span.error("nothing in the cart");
//             observe::warn("empty cart");
//             return -1;                                     // ends the span, as an exception does
//         }
//         span.event("validated", {{"rules", 3}, {"prices", observe::f64s({9.5, 20})}});
//         orders.add(1, {{"express", true}});
//         return items + 5;
//     }
//
// Needs no C++ library, no exceptions and no RTTI, and allocates nothing. Text is a C string or has
// data() and size(), as std::string and std::string_view have, and is UTF-8. What is pointed to is
// read before a call returns, so that temporaries will do. What observe.h says of targets other
// than wasm32, of
// OBSERVE_STDERR and of OBSERVE_OFF holds here, too, and so does its observe_logf.

#ifndef OBSERVE_HPP
#define OBSERVE_HPP

#include "observe.h"

#define OBSERVE_IN_ [[gnu::always_inline]] inline

namespace observe {

// UTF-8 with a length. An array of these is an array of strings.
class text {
  public:
    OBSERVE_IN_ constexpr text() : string_{nullptr, 0} {}
    OBSERVE_IN_ text(const char *data) : text(data, observe_length_(data)) {}
    OBSERVE_IN_ constexpr text(const char *data, size_t size)
        : string_{data, static_cast<uint32_t>(size)} {}
    template <class Text, class = decltype(text(static_cast<const Text *>(nullptr)->data(),
                                                static_cast<const Text *>(nullptr)->size()))>
    OBSERVE_IN_ text(const Text &other) : text(other.data(), other.size()) {}

    OBSERVE_IN_ constexpr const char *data() const { return string_.data; }
    OBSERVE_IN_ constexpr size_t size() const { return string_.len; }

  private:
    observe_string string_;
};
static_assert(sizeof(text) == sizeof(observe_string), "texts are the contract's strings");

namespace detail {
template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;
template <bool> struct require {};
template <> struct require<true> {
    using type = int;
};

// Elements that live as long as the expression in which they were written down.
template <class T, size_t N> struct list {
    T values[N];
    OBSERVE_IN_ const T *data() const { return values; }
    OBSERVE_IN_ size_t size() const { return N; }
};
} // namespace detail

// Arrays written down where they are used: {"items", observe::strings({"tea", "mug"})}.
template <size_t N> OBSERVE_IN_ detail::list<observe_string, N> strings(const text (&values)[N]) {
    detail::list<observe_string, N> list;
    for (size_t i = 0; i < N; i++) {
        list.values[i].data = values[i].data();
        list.values[i].len = static_cast<uint32_t>(values[i].size());
    }
    return list;
}
template <size_t N> OBSERVE_IN_ detail::list<bool, N> bools(const bool (&values)[N]) {
    detail::list<bool, N> list;
    for (size_t i = 0; i < N; i++) {
        list.values[i] = values[i];
    }
    return list;
}
template <size_t N> OBSERVE_IN_ detail::list<int64_t, N> i64s(const int64_t (&values)[N]) {
    detail::list<int64_t, N> list;
    for (size_t i = 0; i < N; i++) {
        list.values[i] = values[i];
    }
    return list;
}
template <size_t N> OBSERVE_IN_ detail::list<double, N> f64s(const double (&values)[N]) {
    detail::list<double, N> list;
    for (size_t i = 0; i < N; i++) {
        list.values[i] = values[i];
    }
    return list;
}
template <size_t N> OBSERVE_IN_ detail::list<uint8_t, N> bytes(const uint8_t (&values)[N]) {
    detail::list<uint8_t, N> list;
    for (size_t i = 0; i < N; i++) {
        list.values[i] = values[i];
    }
    return list;
}

// A key with a value, whose type is that of the attribute: text, bool, integers (as i64: larger
// ones wrap), doubles, and what has elements of one of these without gaps (arrays, std::vector,
// std::span). Elements of uint8_t are bytes, and integers in arrays are int64_t.
class attribute {
  public:
    OBSERVE_IN_ attribute(text key, text value)
        : attribute(key, OBSERVE_TYPE_STRING_, value.data(), value.size()) {}
    OBSERVE_IN_ attribute(text key, const char *value) : attribute(key, text(value)) {}
    // A template, as pointers would become bools otherwise.
    template <class B, typename detail::require<detail::same<B, bool>>::type = 0>
    OBSERVE_IN_ attribute(text key, B value) : attribute(key, OBSERVE_TYPE_BOOL_, nullptr, 0) {
        attribute_.value.bits = value;
    }
    OBSERVE_IN_ attribute(text key, int value) : attribute(key, static_cast<long long>(value)) {}
    OBSERVE_IN_ attribute(text key, unsigned value)
        : attribute(key, static_cast<long long>(value)) {}
    OBSERVE_IN_ attribute(text key, long value) : attribute(key, static_cast<long long>(value)) {}
    OBSERVE_IN_ attribute(text key, unsigned long value)
        : attribute(key, static_cast<long long>(value)) {}
    OBSERVE_IN_ attribute(text key, unsigned long long value)
        : attribute(key, static_cast<long long>(value)) {}
    OBSERVE_IN_ attribute(text key, long long value)
        : attribute(key, OBSERVE_TYPE_I64_, nullptr, 0) {
        attribute_.value.i64 = value;
    }
    OBSERVE_IN_ attribute(text key, double value) : attribute(key, OBSERVE_TYPE_F64_, nullptr, 0) {
        attribute_.value.f64 = value;
    }
    OBSERVE_IN_ attribute(text key, const text *values, size_t count)
        : attribute(key, OBSERVE_TYPE_STRINGS_, values, count) {}
    OBSERVE_IN_ attribute(text key, const observe_string *values, size_t count)
        : attribute(key, OBSERVE_TYPE_STRINGS_, values, count) {}
    OBSERVE_IN_ attribute(text key, const bool *values, size_t count)
        : attribute(key, OBSERVE_TYPE_BOOLS_, values, count) {}
    OBSERVE_IN_ attribute(text key, const int64_t *values, size_t count)
        : attribute(key, OBSERVE_TYPE_I64S_, values, count) {}
    OBSERVE_IN_ attribute(text key, const double *values, size_t count)
        : attribute(key, OBSERVE_TYPE_F64S_, values, count) {}
    OBSERVE_IN_ attribute(text key, const uint8_t *data, size_t size)
        : attribute(key, OBSERVE_TYPE_BYTES_, data, size) {}
    OBSERVE_IN_ attribute(text key, const char *data, size_t size)
        : attribute(key, OBSERVE_TYPE_STRING_, data, size) {}
    template <class T, size_t N>
    OBSERVE_IN_ attribute(text key, const T (&values)[N]) : attribute(key, values, N) {}
    // A buffer with a C string, as all other arrays of chars.
    template <size_t N>
    OBSERVE_IN_ attribute(text key, const char (&value)[N]) : attribute(key, text(value)) {}
    template <class Range, class = decltype(static_cast<const Range *>(nullptr)->data())>
    OBSERVE_IN_ attribute(text key, const Range &range)
        : attribute(key, range.data(), static_cast<size_t>(range.size())) {}

    OBSERVE_IN_ const observe_attribute *record() const { return &attribute_; }

  private:
    OBSERVE_IN_ attribute(text key, uint32_t type, const void *data, size_t len) {
        attribute_.key = key.data();
        attribute_.key_len = static_cast<uint32_t>(key.size());
        attribute_.type = type;
        attribute_.len = static_cast<uint32_t>(len);
        attribute_.value.bits = reinterpret_cast<uintptr_t>(data);
    }

    observe_attribute attribute_;
};
static_assert(sizeof(attribute) == sizeof(observe_attribute), "attributes are the contract's");

// What a span is to others.
enum class kind : int32_t {
    internal = OBSERVE_INTERNAL,
    server = OBSERVE_SERVER,
    client = OBSERVE_CLIENT,
    producer = OBSERVE_PRODUCER,
    consumer = OBSERVE_CONSUMER,
};

// Severities of log records.
enum class severity : int32_t {
    trace = OBSERVE_TRACE,
    debug = OBSERVE_DEBUG,
    info = OBSERVE_INFO,
    warn = OBSERVE_WARN,
    error = OBSERVE_ERROR,
    fatal = OBSERVE_FATAL,
};

// A span, to say something of it.
class span_ref {
  public:
    OBSERVE_IN_ explicit span_ref(observe_span id) : id_(id) {}

    // The span for the functions of observe.h; 0 if it is not recorded.
    OBSERVE_IN_ observe_span id() const { return id_; }

    // Sets attributes. Of those with the same key the last stays.
    template <size_t N> OBSERVE_IN_ void set(const attribute (&attributes)[N]) const {
        observe_set(id_, attributes[0].record(), N);
    }
    // Something that happened just now.
    OBSERVE_IN_ void event(text name) const { event(name, nullptr, 0); }
    template <size_t N> OBSERVE_IN_ void event(text name, const attribute (&attributes)[N]) const {
        event(name, attributes[0].record(), N);
    }
    OBSERVE_IN_ void ok() const { observe_status_ok(id_); }
    OBSERVE_IN_ void error(text message) const {
        if (id_ != 0 && observe_wants_spans()) {
            observe_import_span_status(id_, 2, message.data(), message.size());
        }
    }
    // A link to a span elsewhere, by its W3C `traceparent`.
    OBSERVE_IN_ void link(text traceparent) const { link(traceparent, nullptr, 0); }
    template <size_t N>
    OBSERVE_IN_ void link(text traceparent, const attribute (&attributes)[N]) const {
        link(traceparent, attributes[0].record(), N);
    }
    // A log record, tied to the span, or to the current one if that is not recorded.
    OBSERVE_IN_ void log(severity severity, text body) const {
        observe_logn(id_, static_cast<int32_t>(severity), body.data(), body.size(), nullptr, 0);
    }
    template <size_t N>
    OBSERVE_IN_ void log(severity severity, text body, const attribute (&attributes)[N]) const {
        observe_logn(id_, static_cast<int32_t>(severity), body.data(), body.size(),
                     attributes[0].record(), N);
    }

  protected:
    observe_span id_;

  private:
    OBSERVE_IN_ void event(text name, const observe_attribute *attributes, size_t count) const {
        if (id_ != 0 && observe_wants_spans()) {
            observe_import_span_event(id_, name.data(), name.size(), attributes, count);
        }
    }
    OBSERVE_IN_ void link(text traceparent, const observe_attribute *attributes,
                          size_t count) const {
        if (id_ != 0 && observe_wants_spans()) {
            observe_import_span_link(id_, traceparent.data(), traceparent.size(), attributes,
                                     count);
        }
    }
};

// The innermost open span, be it a function's, the host's or the guest's own.
OBSERVE_IN_ span_ref current() { return span_ref(OBSERVE_CURRENT); }
// In place of a parent: none but the root of the trace.
OBSERVE_IN_ span_ref root() { return span_ref(OBSERVE_ROOT); }

// A scoped span: lasts as long as the object, and ends with the function at the latest.
class span : public span_ref {
  public:
    OBSERVE_IN_ explicit span(text name, kind kind = kind::internal)
        : span_ref(begin(name, kind, nullptr, 0)) {}
    template <size_t N>
    OBSERVE_IN_ span(text name, const attribute (&attributes)[N])
        : span_ref(begin(name, kind::internal, attributes[0].record(), N)) {}
    template <size_t N>
    OBSERVE_IN_ span(text name, kind kind, const attribute (&attributes)[N])
        : span_ref(begin(name, kind, attributes[0].record(), N)) {}
    span(const span &) = delete;
    span &operator=(const span &) = delete;
    OBSERVE_IN_ ~span() { end(); }

    // Ends it, and whatever is still open inside it.
    OBSERVE_IN_ void end() {
        observe_span_end(id_);
        id_ = 0;
    }

  private:
    OBSERVE_IN_ static observe_span begin(text name, kind kind, const observe_attribute *attributes,
                                          size_t count) {
        return observe_wants_spans()
                   ? observe_import_span_begin(static_cast<int32_t>(kind), name.data(), name.size(),
                                               attributes, count)
                   : 0;
    }
};

// A span that belongs to no function, as asynchronous code needs it: lasts as long as the object.
class detached_span : public span_ref {
  public:
    // An entry of a detached span: while it lasts, what begins stands under the span.
    class entry {
      public:
        OBSERVE_IN_ explicit entry(observe_span handle) : handle_(handle) {
            observe_span_enter(handle);
        }
        entry(const entry &) = delete;
        entry &operator=(const entry &) = delete;
        OBSERVE_IN_ ~entry() { observe_span_exit(handle_); }

      private:
        observe_span handle_;
    };

    OBSERVE_IN_ explicit detached_span(text name, kind kind = kind::internal,
                                       span_ref parent = current())
        : span_ref(open(parent, name, kind, nullptr, 0)) {}
    template <size_t N>
    OBSERVE_IN_ detached_span(text name, kind kind, const attribute (&attributes)[N],
                              span_ref parent = current())
        : span_ref(open(parent, name, kind, attributes[0].record(), N)) {}
    template <size_t N>
    OBSERVE_IN_ detached_span(text name, const attribute (&attributes)[N],
                              span_ref parent = current())
        : span_ref(open(parent, name, kind::internal, attributes[0].record(), N)) {}
    OBSERVE_IN_ detached_span(detached_span &&other) noexcept : span_ref(other.id_) {
        other.id_ = 0;
    }
    OBSERVE_IN_ detached_span &operator=(detached_span &&other) noexcept {
        observe_span handle = other.id_;
        other.id_ = 0;
        close();
        id_ = handle;
        return *this;
    }
    OBSERVE_IN_ ~detached_span() { close(); }

    [[nodiscard]] OBSERVE_IN_ entry enter() const { return entry(id_); }
    OBSERVE_IN_ void close() {
        observe_span_close(id_);
        id_ = 0;
    }

  private:
    OBSERVE_IN_ static observe_span open(span_ref parent, text name, kind kind,
                                         const observe_attribute *attributes, size_t count) {
        return observe_wants_spans()
                   ? observe_import_span_open(parent.id(), static_cast<int32_t>(kind), name.data(),
                                              name.size(), attributes, count)
                   : 0;
    }
};

// Log records, tied to the current span.
OBSERVE_IN_ void log(severity severity, text body) { current().log(severity, body); }
template <size_t N>
OBSERVE_IN_ void log(severity severity, text body, const attribute (&attributes)[N]) {
    current().log(severity, body, attributes);
}
#define OBSERVE_LEVEL_(name)                                                                       \
    OBSERVE_IN_ void name(text body) { log(severity::name, body); }                                \
    template <size_t N> OBSERVE_IN_ void name(text body, const attribute(&attributes)[N]) {        \
        log(severity::name, body, attributes);                                                     \
    }
OBSERVE_LEVEL_(trace)
OBSERVE_LEVEL_(debug)
OBSERVE_LEVEL_(info)
OBSERVE_LEVEL_(warn)
OBSERVE_LEVEL_(error)
OBSERVE_LEVEL_(fatal)
#undef OBSERVE_LEVEL_

namespace detail {
// An instrument, registered with the host when it is first used: make it static. Values are
// integers or doubles.
template <int32_t Kind> class instrument {
  public:
    constexpr explicit instrument(const char *name, const char *unit = "",
                                  const char *description = "")
        : instrument_{0, Kind, name, unit, description} {}
    instrument(const instrument &) = delete;
    instrument &operator=(const instrument &) = delete;

    // For the batches of observe.h.
    OBSERVE_IN_ observe_instrument *get() { return &instrument_; }

  protected:
    template <class Value>
    OBSERVE_IN_ void measure(Value value, const observe_attribute *attributes, size_t count) {
        if constexpr (same<Value, double> || same<Value, float>) {
            observe_record_f64_(&instrument_, value, attributes, count);
        } else {
            observe_record_i64_(&instrument_, static_cast<int64_t>(value), attributes, count);
        }
    }

  private:
    observe_instrument instrument_;
};
} // namespace detail

#define OBSERVE_INSTRUMENT_(class_name, number, verb)                                              \
    class class_name : public detail::instrument<number> {                                         \
      public:                                                                                      \
        using instrument::instrument;                                                              \
        template <class Value> OBSERVE_IN_ void verb(Value value) { measure(value, nullptr, 0); }  \
        template <class Value, size_t N>                                                           \
        OBSERVE_IN_ void verb(Value value, const attribute(&attributes)[N]) {                      \
            measure(value, attributes[0].record(), N);                                             \
        }                                                                                          \
    };
// A sum that never falls: static observe::counter orders{"orders", "{order}", "orders taken"};
OBSERVE_INSTRUMENT_(counter, 1, add)
// A sum that may fall.
OBSERVE_INSTRUMENT_(up_down_counter, 2, add)
// The last value.
OBSERVE_INSTRUMENT_(gauge, 3, set)
// A distribution.
OBSERVE_INSTRUMENT_(histogram, 4, record)
#undef OBSERVE_INSTRUMENT_

// The current span's W3C `traceparent`, for calls that go out; empty outside of a trace.
class traceparent {
  public:
    OBSERVE_IN_ traceparent() : size_(observe_traceparent(data_)) {}
    OBSERVE_IN_ const char *data() const { return data_; }
    OBSERVE_IN_ size_t size() const { return size_; }

  private:
    char data_[OBSERVE_TRACEPARENT_LEN + 1];
    size_t size_;
};

// Writes what came with the request, in the form of the W3C header `baggage`. It is empty if it is
// not shorter than the buffer.
template <size_t N> OBSERVE_IN_ text baggage(char (&buffer)[N]) {
    size_t len = observe_baggage(buffer, N);
    return text(buffer, len < N ? len : 0);
}

} // namespace observe

#define OBSERVE_JOINED_(a, b) OBSERVE_JOINED_NOW_(a, b)
#define OBSERVE_JOINED_NOW_(a, b) a##b
// OBSERVE_SPAN("name", {{"key", value}}); is a span from here to the end of the block.
#define OBSERVE_SPAN(...) ::observe::span OBSERVE_JOINED_(observe_span_, __LINE__)(__VA_ARGS__)

#endif // OBSERVE_HPP
