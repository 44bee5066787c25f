//! Attribute macros of [`observe-guest`](https://docs.rs/observe-guest), which exports
//! them again.

mod expand;
mod fields;
mod nearest;
mod parse;

use proc_macro::TokenStream;

/// Begins a span with each call of a function, and ends it when the call returns.
///
/// The span has the arguments as attributes, and is named after the function and its module. Much is
/// as `tracing` has it:
///
/// | argument | effect |
/// |---|---|
/// | `name = "…"` | another name |
/// | `kind = "server"` | `internal`, `server`, `client`, `producer` or `consumer` |
/// | `level = "debug"` | no span if the host wants log records only of a higher severity than `trace`, `debug`, `info`, `warn` or `error` |
/// | `skip(a, b)` | these arguments are not recorded |
/// | `skip_all` | none is, but those that `fields` names |
/// | `fields(a = x + 1, b = ?c, "d" = %e, f)` | more attributes, of expressions that may use the arguments; what has the name of an argument takes its place |
/// | `err` | an `Err` is the span's status and a log record of severity error, by `Display`; `err(Debug)` by `Debug` |
/// | `ret` | what is returned is the attribute `return`, of a `Result` with `err` only the `Ok`; `ret(Debug)`, `ret(Display)` |
///
/// ```ignore
/// #[observe::instrument(skip(image), fields(width = image.width), err)]
/// fn resize(image: &Image, factor: f64) -> Result<Image, TooLarge> { /* … */ }
///
/// #[observe::instrument(name = "cache lookup", kind = "client", ret)]
/// async fn get(key: &str) -> Option<Entry> { /* … */ }
/// ```
///
/// # What is recorded
///
/// An argument is recorded as what it is if its type implements `ToValue`; otherwise by `Debug`, of
/// which 256 bytes are kept, on the stack; otherwise not at all. An argument of a generic type
/// is recorded if a bound says that it can be. Arguments whose names begin with `_` are left out,
/// and so is `self`: what is worth to be told of it is named, as in `fields(self.id)`.
///
/// Nothing is looked at while the host does not listen.
///
/// # Asynchronous functions
///
/// The span of an `async fn` begins when it is first polled. It is detached, entered while
/// the function is polled, and ends when it returns or is dropped.
#[proc_macro_attribute]
pub fn instrument(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    let expanded = syn::parse(arguments).and_then(|arguments| {
        let function = parse::function(item.clone())?;
        parse::check(&arguments, &function)?;
        Ok(expand::instrument(&arguments, function))
    });
    match expanded {
        Ok(expanded) => expanded.into(),
        Err(error) => {
            // The item stays, or each use of it would be another error.
            let error = error.to_compile_error();
            quote::quote!(#error #item).into()
        }
    }
}
