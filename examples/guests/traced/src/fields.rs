//! What spans and events of `tracing` may have.

use std::fmt;

use tracing::field::Empty;
use tracing::{Level, Span, debug, error, info, info_span, span, trace, warn};

/// An error with a cause.
#[derive(Debug)]
struct Late(fmt::Error);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too late")
    }
}

impl std::error::Error for Late {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn tell() {
    let order = info_span!(
        "order",
        otel.name = "POST /orders",
        otel.kind = "server",
        id = 42_u64,
        huge = u64::MAX,
        small = i128::MIN,
        discount = 0.25,
        express = true,
        customer = "ada",
        items = ?["tea", "mug"],
        total = Empty,
        otel.status_code = Empty,
    );
    let _order = order.enter();
    for level in 0..5 {
        match level {
            0 => trace!(level, "looked"),
            1 => debug!(level, "counted"),
            2 => info!(level, "took {} items", 2),
            3 => warn!(level, bytes = &b"\0\xff"[..], "odd"),
            _ => info!(name: "nameless", level),
        }
    }

    let picked = info_span!("pick");
    picked.in_scope(|| info!("picked"));
    let packed = info_span!("pack");
    packed.follows_from(&picked);
    packed.in_scope(|| {
        let late: &(dyn std::error::Error + 'static) = &Late(fmt::Error);
        error!(error = late, "not packed");
    });
    drop((picked, packed));

    span!(parent: None, Level::INFO, "aside").in_scope(|| info!("said aside"));
    let bill = info_span!("bill");
    info_span!(parent: &bill, "line", otel.status_description = "no price");
    info!(parent: &bill, "billed");

    order.record("total", 9.5);
    order.record("otel.status_code", "ok");
    info_span!("nothing", note = Empty).in_scope(|| {
        let current = Span::current();
        current.record("note", "told");
    });
}
