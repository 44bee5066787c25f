//! Attribute macros of [`observe-guest`](https://docs.rs/observe-guest), which exports
//! them again.

mod expand;
mod parse;

use proc_macro::TokenStream;

/// Opens a span for each call of a function, and closes it when the call returns.
///
/// The span is named after the function and its module; `name = "…"` gives another
/// name. It works on any function that is not `async` and not `const`.
///
/// ```ignore
/// #[observe::instrument]
/// fn resize(image: &Image) { /* … */ }
///
/// #[observe::instrument(name = "cache lookup")]
/// fn get(key: &str) -> Option<Entry> { /* … */ }
/// ```
#[proc_macro_attribute]
pub fn instrument(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = parse::arguments(arguments.into())
        .and_then(|arguments| Ok((arguments, parse::function(item.into())?)))
        .map(|(arguments, function)| expand::instrument(&arguments, function));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
