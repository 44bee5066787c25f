//! What the compiler sees instead.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{AttrStyle, Expr, Ident, ItemFn, ReturnType, Stmt, Type, parse_quote};

use crate::fields::{Field, Value};
use crate::parse::{Arguments, Format, Function};
use crate::tail;

pub(crate) fn instrument(arguments: &Arguments, mut function: Function) -> TokenStream {
    let returned = tail::future(&mut function.item.block).map(std::mem::take);
    let future = function.item.sig.asyncness.is_some() || returned.is_some();
    let begin = begin(arguments, &function, future);
    let ItemFn { attrs, vis, sig, mut block } = function.item;
    let report = report(arguments);
    let body = if let Some(statements) = returned {
        let body = awaited(None, &statements, report);
        if let Some(block) = tail::future(&mut block) {
            *block = parse_quote! {
                let __observe_span = #begin;
                #body
            };
        }
        let statements = block.stmts;
        quote!(#(#statements)*)
    } else {
        let statements = block.stmts;
        let body = if future {
            awaited(Some(&sig.output), &statements, report)
        } else if report.is_some() {
            called(&sig.output, &statements, report)
        } else {
            quote!(#(#statements)*)
        };
        quote! {
            let __observe_span = #begin;
            #body
        }
    };
    // Attributes that stood inside the body stay there. The statements go in without
    // their braces, which would be unnecessary around a single one.
    let (inner, outer): (Vec<_>, Vec<_>) =
        attrs.into_iter().partition(|attr| matches!(attr.style, AttrStyle::Inner(_)));
    quote! {
        #(#outer)*
        #vis #sig {
            #(#inner)*
            #body
        }
    }
}

/// The body of something asynchronous, within the span.
fn awaited(
    output: Option<&ReturnType>,
    statements: &[Stmt],
    report: Option<TokenStream>,
) -> TokenStream {
    let expected = match output {
        Some(ReturnType::Type(_, output)) if !matches!(**output, Type::Never(_)) => {
            let output = named(output);
            // Tells the compiler what the block returns, as a signature would.
            Some(quote! {
                if let ::core::option::Option::Some(__observe_value) =
                    ::observe::__private::returns::<#output>()
                {
                    return __observe_value;
                }
            })
        }
        _ => None,
    };
    let call = quote! {
        ::observe::__private::within(&__observe_span, async move {
            #expected
            #(#statements)*
        })
        .await
    };
    reported(&call, report)
}

/// A body that returns to what reports its result.
fn called(output: &ReturnType, statements: &[Stmt], report: Option<TokenStream>) -> TokenStream {
    let output = match output {
        ReturnType::Default => None,
        ReturnType::Type(arrow, output) => {
            let output = named(output);
            Some(quote!(#arrow #output))
        }
    };
    // The closure is where early returns go.
    let call = quote! {
        ::observe::__private::call(move || #output { #(#statements)* })
    };
    reported(&call, report)
}

/// The span, begun with its fields.
fn begin(arguments: &Arguments, function: &Function, future: bool) -> TokenStream {
    let signature = &function.item.sig;
    let span = if future { quote!(::observe::DetachedSpan) } else { quote!(::observe::Span) };
    let parent = future.then(|| quote!(::observe::Parent::CURRENT,));
    let kind = arguments.kind.clone().unwrap_or_else(|| format_ident!("Internal"));
    let name = match &arguments.name {
        Some(name) => quote!(#name),
        None => {
            let ident = signature.ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #ident))
        }
    };
    let wanted = match &arguments.level {
        Some(level) => {
            quote!(::observe::__private::spans_wanted_of(::observe::Severity::#level))
        }
        None => quote!(::observe::spans_wanted()),
    };
    let begin = |fields: TokenStream| quote!(#span::begin_unasked(#parent ::observe::Kind::#kind, #name, #fields));
    let fields = fields(arguments, function);
    let begin = if fields.is_empty() {
        begin(quote!(&[]))
    } else {
        let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let held: Vec<Ident> = (0..keys.len()).map(|n| format_ident!("__observe_{n}")).collect();
        let count = keys.len();
        let begin = begin(quote!(__observe_fields.as_slice()));
        // Temporaries in a scrutinee live as long as the arms.
        quote! {{
            use ::observe::__private::hold::*;
            match (#(#values,)*) {
                (#(#held,)*) => {
                    let mut __observe_fields = ::observe::__private::Fields::<#count>::new();
                    #(__observe_fields.push(#keys, &#held);)*
                    #begin
                }
            }
        }}
    };
    quote! {
        if #wanted { #begin } else { #span::none() }
    }
}

/// Keys, and what holds the values.
fn fields(arguments: &Arguments, function: &Function) -> Vec<(String, TokenStream)> {
    let given = arguments.fields.as_deref().unwrap_or_default();
    let mut fields = Vec::new();
    if arguments.skip_all.is_none() {
        let skipped = arguments.skip.as_deref().unwrap_or_default();
        for argument in &function.arguments {
            let key = argument.unraw().to_string();
            let again = given.iter().any(|field| field.key == key);
            if !again && !skipped.contains(argument) && !key.starts_with('_') {
                fields.push((key, usual(&quote!(#argument))));
            }
        }
    }
    fields.extend(given.iter().map(|field| (field.key.clone(), held(field))));
    fields
}

fn held(field: &Field) -> TokenStream {
    let value = &field.value;
    match (field.format, value) {
        (Format::Usual, Value::Path(_)) => usual(&quote!(#value)),
        (Format::Usual, Value::Given(given)) => {
            let span = here(given.span());
            quote_spanned!(span=> ::observe::ToValue::to_value(&#value))
        }
        (Format::Debug, _) => quote!(::observe::__private::debug(&#value)),
        (Format::Display, _) => quote!(::observe::__private::display(&#value)),
    }
}

/// Where errors in what is written for the author are shown.
fn here(span: Span) -> Span {
    Span::call_site().located_at(span)
}

/// What is chosen by the type of the value: see `observe::__private::hold`.
fn usual(value: &TokenStream) -> TokenStream {
    quote!((&&&Wrap(&#value)).__observe_hold())
}

/// What is done with a reference to the result, `__observe_result`.
fn report(arguments: &Arguments) -> Option<TokenStream> {
    let failed = arguments.err.map(|err| {
        let show = match err.format {
            Format::Debug => "{:?}",
            Format::Usual | Format::Display => "{}",
        };
        let shown = quote_spanned!(here(err.span)=> ::core::format_args!(#show, __observe_error));
        quote!(::observe::__private::failed(&__observe_span, #shown))
    });
    let returned = arguments.ret.map(|ret| {
        let span = here(ret.span);
        let value = match ret.format {
            Format::Usual => quote_spanned!(span=> (&&Wrap(__observe_value)).__observe_hold()),
            Format::Debug => quote_spanned!(span=> ::observe::__private::debug(__observe_value)),
            Format::Display => {
                quote_spanned!(span=> ::observe::__private::display(__observe_value))
            }
        };
        quote! {
            if ::observe::spans_wanted() {
                use ::observe::__private::hold_returned::*;
                ::observe::__private::returned(&__observe_span, &#value);
            }
        }
    });
    match (failed, returned) {
        (None, None) => None,
        (None, Some(returned)) => Some(quote! {{
            let __observe_value = &__observe_result;
            #returned
        }}),
        (Some(failed), returned) => Some(quote! {
            match &__observe_result {
                ::core::result::Result::Ok(__observe_value) => { #returned }
                ::core::result::Result::Err(__observe_error) => #failed,
            }
        }),
    }
}

fn reported(call: &TokenStream, report: Option<TokenStream>) -> TokenStream {
    match report {
        None => call.clone(),
        Some(report) => quote! {
            let __observe_result = #call;
            #report
            __observe_result
        },
    }
}

/// A type as it can be written within a body, where `impl Trait` cannot.
fn named(output: &Type) -> Type {
    struct Erase;

    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, node: &mut Type) {
            if let Type::ImplTrait(_) = node {
                *node = parse_quote!(_);
            } else {
                visit_mut::visit_type_mut(self, node);
            }
        }

        // What stands in a type as an expression, the length of an array, has no such type.
        fn visit_expr_mut(&mut self, _: &mut Expr) {}
    }

    let mut output = output.clone();
    Erase.visit_type_mut(&mut output);
    output
}
