//! Work with annotations around it, or without them.
#![no_std]

#[cfg(feature = "all")]
mod all;

/// Should nothing that can panic be left, this is not either.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Work in four functions.
#[unsafe(no_mangle)]
pub extern "C" fn work(n: u32) -> u32 {
    #[cfg(feature = "spans")]
    let span = observe::span!(kind: observe::Kind::Server, "POST /orders", n, customer = "ada");
    #[cfg(feature = "all")]
    all::say(n);
    let sum = plain(n).wrapping_add(recorded(n, true)).wrapping_add(early(n));
    #[cfg(feature = "spans")]
    span.attribute("sum", sum);
    sum
}

#[inline(never)]
fn plain(n: u32) -> u32 {
    #[cfg(feature = "spans")]
    let _span = observe::span("plain");
    n.rotate_left(5) ^ 1
}

#[cfg_attr(feature = "spans", observe::instrument)]
#[inline(never)]
fn recorded(n: u32, express: bool) -> u32 {
    n.rotate_left(7) ^ u32::from(express)
}

#[inline(never)]
fn early(n: u32) -> u32 {
    #[cfg(feature = "spans")]
    let span = observe::span!("early", items = ["tea", "mug"]);
    if n == 3 {
        #[cfg(feature = "spans")]
        span.error("three");
        return 3;
    }
    #[cfg(feature = "spans")]
    span.event("went on", &[]);
    n.rotate_left(9) ^ 2
}
