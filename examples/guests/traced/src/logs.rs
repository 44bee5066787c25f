//! What records of `log` may have, and how a panic ends.

use log::{debug, error, info, trace, warn};

pub(crate) fn tell() {
    let _span = tracing::info_span!("logs").entered();
    trace!("looked");
    debug!("counted {}", 2);
    info!(order = 42, customer = "ada", express = true, discount = 0.25, items:? = ["tea", "mug"]; "took");
    warn!(target: "stock", huge = u64::MAX; "low");
    error!("{}", "long ".repeat(1000));
}

pub(crate) fn fail() {
    let _span = tracing::info_span!("doomed").entered();
    info!("before");
    charge(0);
}

#[inline(never)]
fn charge(items: usize) {
    assert!(items > 0, "an order of {items} items");
}
