// Spans through functions of the guest's own, none of which is inlined.
#include "observe.h"

#define TRACED __attribute__((noinline))

struct guard {
    observe_span span;
    int number;
};

TRACED observe_span begin(const char *name) { return observe_span_begin(name); }
TRACED void end(observe_span span) { observe_span_end(span); }

TRACED void guard_open(struct guard *guard, const char *name) {
    guard->span = begin(name);
    guard->number = 7;
}
TRACED void guard_close(struct guard *guard) { end(guard->span); }

TRACED int work(int turns) {
    volatile int sum = 0;
    for (int turn = 0; turn < turns; turn++) {
        sum += turn;
    }
    return sum;
}

TRACED int wrapped(int turns) {
    observe_span span = begin("wrapped twice");
    int sum = work(turns);
    end(span);
    return sum;
}

TRACED int guarded(int turns) {
    struct guard guard;
    guard_open(&guard, "guarded by another");
    int sum = work(turns);
    guard_close(&guard);
    return sum;
}

TRACED void forgetful(void) { (void)observe_span_begin("left open"); }

__attribute__((export_name("checkout"))) int checkout(int turns) {
    int sum = wrapped(turns);
    sum += guarded(turns);
    forgetful();
    return sum + work(turns);
}
