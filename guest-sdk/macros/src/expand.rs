//! What the compiler sees instead.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

use crate::parse::Arguments;

pub(crate) fn instrument(arguments: &Arguments, function: ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block } = function;
    let name = match &arguments.name {
        Some(name) => quote!(#name),
        None => {
            let ident = sig.ident.to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #ident))
        }
    };
    quote! {
        #(#attrs)*
        #vis #sig {
            let __observe_span = ::observe_guest::span(#name);
            #block
        }
    }
}
