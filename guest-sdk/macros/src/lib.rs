//! Attribute macros of [`observe-guest`](https://docs.rs/observe-guest), which exports
//! them again.

mod expand;
mod fields;
mod nearest;
mod parse;
mod tail;

use proc_macro::TokenStream;

/// `#[observe::instrument]`, where it is documented.
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
