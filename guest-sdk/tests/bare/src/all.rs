//! All that the contract has.

use observe::{
    Batch, Counter, DetachedSpan, Gauge, Histogram, Kind, Severity, UpDownCounter, attributes,
    detached_span, event, info, span,
};

static ORDERS: Counter = Counter::new("orders").unit("{order}").description("orders taken");
static CARTS: UpDownCounter = UpDownCounter::new("carts.open");
static STOCK: Gauge = Gauge::new("stock");
static PRICE: Histogram = Histogram::new("price").unit("EUR");

#[cfg(feature = "off")]
const _: () = assert!(
    size_of::<observe::Span>() + size_of::<DetachedSpan>() + size_of::<observe::SpanRef>() == 0
        && size_of::<Counter>() + size_of::<UpDownCounter>() + size_of::<Gauge>() == 0
        && size_of::<Histogram>() == 0,
    "with `off` nothing is left"
);

pub(crate) fn say(n: u32) {
    let span = span!(kind: Kind::Client, "charge", n, discount = 0.25, receipt = b"\0\xff\x10");
    info!(order.id = n, "order accepted");
    event!("validated", rules = 3);
    span.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &attributes![n]);
    span.error("card declined");
    detach(n);
    count(n);
    pass_on();
}

fn detach(n: u32) {
    let delivery: DetachedSpan = detached_span!("delivery", parcel = n);
    delivery.within(|| drop(observe::span("pack")));
}

fn count(n: u32) {
    ORDERS.add_with(n, &attributes![express = true]);
    CARTS.add(-1);
    STOCK.set(n);
    PRICE.record(9.5);
    let attributes = attributes![n];
    let mut batch = Batch::<4>::new();
    for _ in 0..n {
        batch.record(&ORDERS, 1, &attributes);
        batch.record(&PRICE, 0.5, &[]);
    }
    batch.log(Severity::Info, "counted", &attributes);
    batch.attributes(&observe::current(), &attributes);
    batch.event(&observe::current(), "counted", &[]);
}

fn pass_on() {
    let mut buffer = [0; 256];
    if let Some(traceparent) = observe::traceparent() {
        observe::current().attribute("traceparent", &traceparent);
    }
    if let Some(baggage) = observe::baggage(&mut buffer) {
        observe::current().attribute("baggage", baggage);
    }
}
