//! What the author wrote.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{Error, ItemFn, LitStr};

/// The arguments of `#[instrument(…)]`.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
}

pub(crate) fn arguments(tokens: TokenStream) -> Result<Arguments, Error> {
    let mut arguments = Arguments::default();
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("unknown argument; `name = \"…\"` is the only one"));
        }
        if arguments.name.replace(meta.value()?.parse()?).is_some() {
            return Err(meta.error("a second name"));
        }
        Ok(())
    });
    parser.parse2(tokens)?;
    Ok(arguments)
}

pub(crate) fn function(tokens: TokenStream) -> Result<ItemFn, Error> {
    let function: ItemFn = syn::parse2(tokens)?;
    if let Some(asyncness) = function.sig.asyncness {
        let message =
            "an `async` function cannot be instrumented: it would hold its span while suspended";
        return Err(Error::new_spanned(asyncness, message));
    }
    if let Some(constness) = function.sig.constness {
        let message = "a `const` function cannot be instrumented: it may run at compile time";
        return Err(Error::new_spanned(constness, message));
    }
    Ok(function)
}
