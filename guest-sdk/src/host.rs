//! The imports, as `observe-abi` describes them.

/// Opens a span in the host.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub(crate) fn span_begin(name: &str) -> i32 {
    // SAFETY: the host reads `len` bytes at the pointer, which the string has, before
    // it returns.
    unsafe { imports::span_begin(name.as_ptr(), name.len()) }
}

/// Closes a span in the host.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub(crate) fn span_end(token: i32) {
    // SAFETY: the host takes any token.
    unsafe { imports::span_end(token) }
}

#[cfg(target_arch = "wasm32")]
mod imports {
    // An attribute takes no constant; a test holds these against `observe-abi`.
    #[link(wasm_import_module = "observe:guest@1")]
    unsafe extern "C" {
        #[link_name = "span-begin"]
        pub(super) fn span_begin(name: *const u8, len: usize) -> i32;
        #[link_name = "span-end"]
        pub(super) fn span_end(token: i32);
    }
}

/// There is no host.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn span_begin(_name: &str) -> i32 {
    0
}

/// There is no host.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn span_end(_token: i32) {}
