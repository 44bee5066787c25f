// What observe.h says where there is no host, as lines on standard error: what is done, the number
// of the span or instrument, text, and attributes. Included by observe.h if OBSERVE_STDERR is
// defined.

#ifndef OBSERVE_STDERR_H
#define OBSERVE_STDERR_H

// Writes a line: what is done, to which span or instrument, a text, and attributes.
static inline void observe_print_(const char *what, int32_t subject, const char *text, size_t len,
                                  const observe_attribute *attributes, size_t count) {
    fprintf(stderr, "observe: %s %" PRId32 " %.*s", what, subject, (int)len, text ? text : "");
    for (size_t i = 0; i < count; i++) {
        const observe_attribute *a = &attributes[i];
        const void *data = (const void *)(uintptr_t)a->value.bits;
        bool array = a->type >= OBSERVE_TYPE_STRINGS_;
        fprintf(stderr, " %.*s=%s", (int)a->key_len, a->key, array ? "[" : "");
        for (uint32_t j = 0; j < (array || a->type == OBSERVE_TYPE_BYTES_ ? a->len : 1); j++) {
            const char *gap = array && j > 0 ? "," : "";
            switch (a->type) {
            case OBSERVE_TYPE_STRING_:
                fprintf(stderr, "%.*s", (int)a->len, data ? (const char *)data : "");
                break;
            case OBSERVE_TYPE_BOOL_:
                fputs(a->value.bits ? "true" : "false", stderr);
                break;
            case OBSERVE_TYPE_I64_:
                fprintf(stderr, "%" PRId64, a->value.i64);
                break;
            case OBSERVE_TYPE_F64_:
                fprintf(stderr, "%g", a->value.f64);
                break;
            case OBSERVE_TYPE_BYTES_:
                fprintf(stderr, "%02x", ((const uint8_t *)data)[j]);
                break;
            case OBSERVE_TYPE_STRINGS_: {
                const observe_string *string = (const observe_string *)data + j;
                fprintf(stderr, "%s%.*s", gap, (int)string->len, string->data);
                break;
            }
            case OBSERVE_TYPE_BOOLS_:
                fprintf(stderr, "%s%s", gap, ((const bool *)data)[j] ? "true" : "false");
                break;
            case OBSERVE_TYPE_I64S_:
                fprintf(stderr, "%s%" PRId64, gap, ((const int64_t *)data)[j]);
                break;
            default:
                fprintf(stderr, "%s%g", gap, ((const double *)data)[j]);
            }
        }
        fputs(array ? "]" : "", stderr);
    }
    fputc('\n', stderr);
}
static inline int32_t observe_import_interest(void) {
    return OBSERVE_WANTS_SPANS_ | OBSERVE_WANTS_LOGS_ | OBSERVE_WANTS_METRICS_ | INT32_MIN;
}
static inline int32_t observe_import_span_begin(int32_t kind, const char *name, size_t len,
                                                const observe_attribute *attributes,
                                                size_t count) {
    static int32_t token;
    (void)kind;
    observe_print_("begin", --token, name, len, attributes, count);
    return token;
}
static inline void observe_import_span_end(int32_t token) {
    observe_print_("end", token, "", 0, NULL, 0);
}
static inline int32_t observe_import_span_open(int32_t parent, int32_t kind, const char *name,
                                               size_t len, const observe_attribute *attributes,
                                               size_t count) {
    static int32_t handle;
    (void)parent, (void)kind;
    observe_print_("open", ++handle, name, len, attributes, count);
    return handle;
}
static inline void observe_import_span_enter(int32_t handle) {
    observe_print_("enter", handle, "", 0, NULL, 0);
}
static inline void observe_import_span_exit(int32_t handle) {
    observe_print_("exit", handle, "", 0, NULL, 0);
}
static inline void observe_import_span_close(int32_t handle) {
    observe_print_("close", handle, "", 0, NULL, 0);
}
static inline void observe_import_span_attributes(int32_t span, const observe_attribute *attributes,
                                                  size_t count) {
    observe_print_("set", span, "", 0, attributes, count);
}
static inline void observe_import_span_event(int32_t span, const char *name, size_t len,
                                             const observe_attribute *attributes, size_t count) {
    observe_print_("event", span, name, len, attributes, count);
}
static inline void observe_import_span_status(int32_t span, int32_t status, const char *message,
                                              size_t len) {
    observe_print_(status == 2 ? "error" : "ok", span, message, len, NULL, 0);
}
static inline void observe_import_span_link(int32_t span, const char *traceparent, size_t len,
                                            const observe_attribute *attributes, size_t count) {
    observe_print_("link", span, traceparent, len, attributes, count);
}
static inline void observe_import_log(int32_t span, int32_t severity, const char *body, size_t len,
                                      const observe_attribute *attributes, size_t count) {
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "fatal"};
    int32_t level = severity < 1 ? 0 : severity > 24 ? 5 : (severity - 1) / 4;
    observe_print_(names[level], span, body, len, attributes, count);
}
static inline int32_t observe_import_instrument(int32_t kind, const char *name, size_t len,
                                                const char *unit, size_t unit_len,
                                                const char *description, size_t description_len) {
    static int32_t instrument;
    (void)kind, (void)unit, (void)unit_len, (void)description, (void)description_len;
    observe_print_("instrument", ++instrument, name, len, NULL, 0);
    return instrument;
}
static inline void observe_import_record_i64(int32_t instrument, int64_t value,
                                             const observe_attribute *attributes, size_t count) {
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    observe_print_("measure", instrument, text, (size_t)len, attributes, count);
}
static inline void observe_import_record_f64(int32_t instrument, double value,
                                             const observe_attribute *attributes, size_t count) {
    char text[32];
    int len = snprintf(text, sizeof text, "%g", value);
    observe_print_("measure", instrument, text, (size_t)len, attributes, count);
}
static inline size_t observe_import_context(char *buffer, size_t size) {
    (void)buffer, (void)size;
    return 0;
}
static inline size_t observe_import_baggage(char *buffer, size_t size) {
    (void)buffer, (void)size;
    return 0;
}
static inline void observe_import_submit(const observe_record *records, size_t count) {
    static const char *const names[] = {"?", "set", "event", "log", "measure", "measure"};
    for (size_t i = 0; i < count; i++) {
        const observe_record *r = &records[i];
        observe_print_(names[r->what <= 5 ? r->what : 0], r->subject, r->text, r->text_len,
                       r->attributes, r->attributes_count);
    }
}

#endif // OBSERVE_STDERR_H
