//! Takes an order, and says all of it that can be said: spans, attributes, events, links, logs and
//! metrics. The other folders `orders-…` do the same in other languages.

use std::hint::black_box;

use observe::{
    Attribute, Counter, DetachedSpan, Gauge, Histogram, Kind, Span, UpDownCounter, Value,
    attributes, detached_span, error, event, info, span,
};

static ORDERS: Counter = Counter::new("orders").unit("{order}").description("orders taken");
static CARTS: UpDownCounter = UpDownCounter::new("carts.open");
static STOCK: Gauge = Gauge::new("stock");
static PRICE: Histogram = Histogram::new("price").unit("EUR");

static EXPRESS: [Attribute<'_>; 1] = [Attribute::of("express", Value::bool(true))];

/// What an earlier attempt at the same order was.
const EARLIER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The price of so many items, with shipping.
#[unsafe(no_mangle)]
pub extern "C" fn checkout(items: i32) -> i32 {
    let order = span!(
        kind: Kind::Server,
        "POST /orders",
        order.id = 42,
        customer = "ada",
        express = true,
        discount = 0.25,
        receipt = b"\x00\xff\x10",
        items = ["tea", "mug"],
        gifts = [true, false],
        quantities = [1_i64, 2],
        weights = [0.5, 1.5],
    );
    info!(order.id = 42, "order accepted");
    event!("validated", rules = 3);
    order.link(EARLIER, &attributes![why = "retry"]);
    tell_context(&order);
    {
        let _span = observe::span("add up");
        (0..items).map(price).for_each(drop);
    }
    // The card is declined; the order stands all the same.
    let _ = charge();
    forgetful();
    drop(observe::span("after"));
    deliver();
    order.attribute("paid", false);
    measure();
    items + 5
}

/// What an outgoing request would carry.
fn tell_context(order: &Span) {
    let mut buffer = [0; 1024];
    let baggage = observe::baggage(&mut buffer).unwrap_or_default();
    match observe::traceparent() {
        Some(traceparent) => order.attributes(&attributes![traceparent, baggage]),
        None => order.attributes(&attributes![baggage]),
    }
}

/// A price that takes a while to find.
#[inline(never)]
fn price(item: i32) -> i32 {
    (0..300).fold(item, |price, n| black_box(price ^ n)) % 100
}

/// Fails, and leaves early.
#[inline(never)]
fn charge() -> Result<(), &'static str> {
    let charge = Span::client("charge");
    authorize().inspect_err(|reason| {
        charge.error(reason);
        error!(attempt = 1, "card declined");
    })?;
    charge.attribute("charged", true);
    Ok(())
}

fn authorize() -> Result<(), &'static str> {
    black_box(Err("card declined"))
}

/// Leaves a span open, which ends with it all the same.
#[inline(never)]
fn forgetful() {
    let span = observe::span("left open");
    // A function that never ends what it begins would be taken for a wrapper of `span-begin`, for
    // which its caller is to end it.
    if black_box(true) {
        core::mem::forget(span);
    }
}

/// What one function begins and another may end.
fn deliver() {
    let delivery: DetachedSpan = detached_span!(kind: Kind::Producer, "delivery", parcel = 7);
    let _entered = delivery.enter();
    let _span = observe::span("pack");
}

fn measure() {
    ORDERS.add_with(1, &EXPRESS);
    ORDERS.add_with(2, &EXPRESS);
    CARTS.add(-1);
    STOCK.set(7);
    PRICE.record_with(9.5, &attributes![currency = "EUR"]);
    PRICE.record_with(20.0, &attributes![currency = "EUR"]);
}
