//! What the compiler sees instead.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{AttrStyle, ItemFn};

use crate::parse::Arguments;

pub(crate) fn instrument(arguments: &Arguments, function: ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block } = function;
    // Attributes that stood inside the body stay there. The statements go in without
    // their braces, which would be unnecessary around a single one.
    let (inner, outer): (Vec<_>, Vec<_>) =
        attrs.into_iter().partition(|attr| matches!(attr.style, AttrStyle::Inner(_)));
    let statements = block.stmts;
    let name = match &arguments.name {
        Some(name) => quote!(#name),
        None => {
            let ident = sig.ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #ident))
        }
    };
    quote! {
        #(#outer)*
        #vis #sig {
            #(#inner)*
            let __observe_span = ::observe::span(#name);
            #(#statements)*
        }
    }
}
