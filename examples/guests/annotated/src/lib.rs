//! A library that says what its work is for: spans of its own among those of
//! instrumented functions.

use std::hint::black_box;

/// The price of so many items, with shipping.
#[unsafe(no_mangle)]
#[observe::instrument(name = "checkout")]
pub extern "C" fn checkout(items: u32) -> u32 {
    let sum = {
        let _span = observe::span("add up");
        (0..items).map(price).sum::<u32>()
    };
    sum + shipping(items)
}

/// A price that takes a while to find.
#[inline(never)]
fn price(item: u32) -> u32 {
    (0..100).fold(item, |price, n| black_box(price ^ n)) % 100
}

#[observe::instrument]
fn shipping(items: u32) -> u32 {
    if items > 10 { 0 } else { 5 }
}

/// Fails in the middle of a span.
#[unsafe(no_mangle)]
#[observe::instrument]
pub extern "C" fn fail() {
    let _span = observe::span("doomed");
    std::process::abort();
}
