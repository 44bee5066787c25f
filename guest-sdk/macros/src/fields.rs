//! The fields of `fields(…)`.

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, LitStr, Token};

use crate::parse::Format;

/// `key = value`, or a variable that is both.
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) value: Value,
    pub(crate) format: Format,
}

pub(crate) enum Value {
    /// Anything.
    Given(Expr),
    /// A variable, or what can be reached from it by dots.
    Path(Vec<Ident>),
}

impl Field {
    /// The variable that a field without a value names.
    pub(crate) fn variable(&self) -> Option<&Ident> {
        match &self.value {
            Value::Given(_) => None,
            Value::Path(path) => path.first(),
        }
    }
}

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let format = format(input)?;
        if input.peek(LitStr) {
            let key: LitStr = input.parse()?;
            if format != Format::Usual || !input.peek(Token![=]) {
                let message =
                    format!("a field with a text as key needs a value: {} = …", key.token());
                return Err(Error::new(key.span(), message));
            }
            let (format, value) = given(input)?;
            return Ok(Self { key: key.value(), span: key.span(), value, format });
        }
        let mut path = vec![input.call(Ident::parse_any)?];
        while input.peek(Token![.]) {
            input.parse::<Token![.]>()?;
            path.push(input.call(Ident::parse_any)?);
        }
        let span = path[0].span();
        let key: Vec<String> = path.iter().map(|name| name.unraw().to_string()).collect();
        let key = key.join(".");
        if format == Format::Usual && input.peek(Token![=]) {
            let (format, value) = given(input)?;
            return Ok(Self { key, span, value, format });
        }
        Ok(Self { key, span, value: Value::Path(path), format })
    }
}

fn given(input: ParseStream<'_>) -> Result<(Format, Value), Error> {
    input.parse::<Token![=]>()?;
    Ok((format(input)?, Value::Given(input.parse()?)))
}

fn format(input: ParseStream<'_>) -> Result<Format, Error> {
    if input.peek(Token![?]) {
        input.parse::<Token![?]>()?;
        Ok(Format::Debug)
    } else if input.peek(Token![%]) {
        input.parse::<Token![%]>()?;
        Ok(Format::Display)
    } else {
        Ok(Format::Usual)
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Given(value) => tokens.extend(quote::quote!((#value))),
            Self::Path(path) => tokens.extend(quote::quote!(#(#path).*)),
        }
    }
}
