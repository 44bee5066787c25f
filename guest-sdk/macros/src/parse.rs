//! What the author wrote.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, FnArg, Ident, Item, ItemFn, LitStr, Pat, ReturnType, Token, parenthesized};

use crate::fields::Field;
use crate::nearest;

/// The arguments of `#[instrument(…)]`.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<Expr>,
    /// A variant of `observe::Kind`.
    pub(crate) kind: Option<Ident>,
    /// A variant of `observe::Severity`.
    pub(crate) level: Option<Ident>,
    pub(crate) fields: Option<Vec<Field>>,
    pub(crate) skip: Option<Vec<Ident>>,
    pub(crate) skip_all: Option<Span>,
    pub(crate) err: Option<Report>,
    pub(crate) ret: Option<Report>,
}

/// That a result is to be recorded, and how.
#[derive(Clone, Copy)]
pub(crate) struct Report {
    pub(crate) span: Span,
    pub(crate) format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// What is usual: errors by `Display`, values as they are or by `Debug`.
    Usual,
    Debug,
    Display,
}

const KNOWN: [&str; 8] = ["name", "kind", "level", "fields", "skip", "skip_all", "err", "ret"];
const KINDS: [&str; 5] = ["Internal", "Server", "Client", "Producer", "Consumer"];
const LEVELS: [&str; 5] = ["Trace", "Debug", "Info", "Warn", "Error"];

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            arguments.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some(_), Some(skip_all)) = (&arguments.skip, arguments.skip_all) {
            let message = "`skip_all` skips what `skip(…)` does, too: remove one of them";
            return Err(Error::new(skip_all, message));
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<(), Error> {
        if input.peek(syn::Lit) {
            return Err(input.error("expected an argument; for a name, write `name = \"…\"`"));
        }
        let argument = input.call(Ident::parse_any)?;
        match argument.to_string().as_str() {
            "name" => once(&argument, &mut self.name, value(&argument, input, "name = \"…\"")?),
            "kind" => once(&argument, &mut self.kind, choice(&argument, input, &KINDS)?),
            "level" => once(&argument, &mut self.level, choice(&argument, input, &LEVELS)?),
            "fields" => once(&argument, &mut self.fields, fields(&argument, input)?),
            "skip" => once(&argument, &mut self.skip, skip(&argument, input)?),
            "skip_all" => once(&argument, &mut self.skip_all, argument.span()),
            "err" => once(&argument, &mut self.err, report(&argument, input)?),
            "ret" => once(&argument, &mut self.ret, report(&argument, input)?),
            unknown => {
                let message = match nearest::to(unknown, &KNOWN) {
                    Some(known) => format!("unknown argument `{unknown}`: did you mean `{known}`?"),
                    None => {
                        let known = KNOWN.join("`, `");
                        format!("unknown argument `{unknown}`: there are `{known}`")
                    }
                };
                Err(Error::new(argument.span(), message))
            }
        }
    }
}

fn once<T>(argument: &Ident, slot: &mut Option<T>, value: T) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => {
            let message = format!("`{argument}` is given twice: remove one of them");
            Err(Error::new(argument.span(), message))
        }
    }
}

fn value<T: Parse>(argument: &Ident, input: ParseStream<'_>, usage: &str) -> Result<T, Error> {
    if !input.peek(Token![=]) {
        let message = format!("`{argument}` needs a value: write `{usage}`");
        return Err(Error::new(argument.span(), message));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// The variant that a text names, whatever its case.
fn choice(argument: &Ident, input: ParseStream<'_>, variants: &[&str]) -> Result<Ident, Error> {
    let all = variants.join("\", \"").to_lowercase();
    let usage = format!("{argument} = \"{}\"", variants[0].to_lowercase());
    let text: LitStr = value(argument, input, &usage).map_err(|error| {
        let message = format!("{error}; `{argument}` is one of \"{all}\"");
        Error::new(error.span(), message)
    })?;
    match variants.iter().find(|variant| variant.eq_ignore_ascii_case(&text.value())) {
        Some(variant) => Ok(Ident::new(variant, text.span())),
        None => {
            let message =
                format!("unknown {argument} \"{}\": write one of \"{all}\"", text.value());
            Err(Error::new(text.span(), message))
        }
    }
}

fn fields(argument: &Ident, input: ParseStream<'_>) -> Result<Vec<Field>, Error> {
    let fields: Vec<Field> = list(argument, input, "fields(key = value)")?;
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].iter().any(|earlier| earlier.key == field.key) {
            let message = format!("a second field `{}`: remove one of them", field.key);
            return Err(Error::new(field.span, message));
        }
    }
    Ok(fields)
}

fn skip(argument: &Ident, input: ParseStream<'_>) -> Result<Vec<Ident>, Error> {
    let skipped = list(argument, input, "skip(argument)")?;
    let skipped: Vec<Ident> = skipped.into_iter().map(|AnyIdent(name)| name).collect();
    for (index, name) in skipped.iter().enumerate() {
        if skipped[..index].contains(name) {
            let message = format!("`{name}` is skipped twice: remove one of them");
            return Err(Error::new(name.span(), message));
        }
    }
    Ok(skipped)
}

/// A name that may be `self`.
struct AnyIdent(Ident);

impl Parse for AnyIdent {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        input.call(Ident::parse_any).map(Self)
    }
}

fn list<T: Parse>(argument: &Ident, input: ParseStream<'_>, usage: &str) -> Result<Vec<T>, Error> {
    if !input.peek(syn::token::Paren) {
        let message = format!("`{argument}` needs a list: write `{usage}`");
        return Err(Error::new(argument.span(), message));
    }
    let content;
    parenthesized!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

fn report(argument: &Ident, input: ParseStream<'_>) -> Result<Report, Error> {
    let span = argument.span();
    if !input.peek(syn::token::Paren) {
        return Ok(Report { span, format: Format::Usual });
    }
    let content;
    parenthesized!(content in input);
    let format: Ident = content.parse()?;
    let format = match format.to_string().as_str() {
        "Debug" => Format::Debug,
        "Display" => Format::Display,
        _ => {
            let message = format!("write `{argument}(Debug)` or `{argument}(Display)`");
            return Err(Error::new(format.span(), message));
        }
    };
    if !content.is_empty() {
        return Err(content.error(format!("`{argument}` takes no more than one")));
    }
    Ok(Report { span, format })
}

/// The function, and the names that its arguments bind.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    /// Without `self`.
    pub(crate) arguments: Vec<Ident>,
    pub(crate) has_receiver: bool,
}

pub(crate) fn function(tokens: TokenStream) -> Result<Function, Error> {
    let item = match syn::parse2::<ItemFn>(tokens.clone()) {
        Ok(item) => item,
        Err(error) => return Err(no_function(tokens).unwrap_or(error)),
    };
    if let Some(constness) = item.sig.constness {
        let message = "a `const` function may run at compile time, when there is no host: remove \
                       `const`, or `#[instrument]`";
        return Err(Error::new_spanned(constness, message));
    }
    let mut arguments = Vec::new();
    let mut has_receiver = false;
    for input in &item.sig.inputs {
        match input {
            FnArg::Receiver(_) => has_receiver = true,
            FnArg::Typed(argument) => bound(&argument.pat, &mut arguments),
        }
    }
    Ok(Function { item, arguments, has_receiver })
}

/// Why something that does not parse as a function is none, if that is plain.
fn no_function(tokens: TokenStream) -> Option<Error> {
    if let Ok(function) = syn::parse2::<syn::TraitItemFn>(tokens.clone())
        && let Some(semicolon) = function.semi_token
    {
        let name = function.sig.ident;
        let message = format!(
            "`{name}` has no body here: put `#[instrument]` on the functions that implement it"
        );
        return Some(Error::new_spanned(semicolon, message));
    }
    let item: Item = syn::parse2(tokens).ok()?;
    let message = match &item {
        Item::Impl(_) | Item::Trait(_) | Item::Mod(_) => {
            "`#[instrument]` is for functions: put it on those in here"
        }
        Item::Struct(_) | Item::Enum(_) | Item::Union(_) => {
            "`#[instrument]` is for functions: put it on those of this type"
        }
        _ => "`#[instrument]` is for functions: remove it here",
    };
    Some(Error::new(item.span(), message))
}

/// The names that a pattern binds.
fn bound(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(name) => names.push(name.ident.clone()),
        Pat::Paren(pattern) => bound(&pattern.pat, names),
        Pat::Reference(pattern) => bound(&pattern.pat, names),
        Pat::Type(pattern) => bound(&pattern.pat, names),
        Pat::Tuple(pattern) => pattern.elems.iter().for_each(|element| bound(element, names)),
        Pat::Slice(pattern) => pattern.elems.iter().for_each(|element| bound(element, names)),
        Pat::TupleStruct(pattern) => {
            pattern.elems.iter().for_each(|element| bound(element, names));
        }
        Pat::Struct(pattern) => pattern.fields.iter().for_each(|field| bound(&field.pat, names)),
        _ => (),
    }
}

/// What can only be said of both together.
pub(crate) fn check(arguments: &Arguments, function: &Function) -> Result<(), Error> {
    for skipped in arguments.skip.iter().flatten() {
        if skipped != "self" && !function.arguments.contains(skipped) {
            return Err(no_argument(skipped, function, "remove it from `skip`"));
        }
        if skipped == "self" && !function.has_receiver {
            return Err(no_argument(skipped, function, "remove it from `skip`"));
        }
    }
    for field in arguments.fields.iter().flatten() {
        let Some(variable) = field.variable() else { continue };
        let there = if variable == "self" {
            function.has_receiver
        } else {
            function.arguments.contains(variable)
        };
        if !there {
            let fix = format!("give the field a value: `{} = …`", field.key);
            return Err(no_argument(variable, function, &fix));
        }
    }
    if let ReturnType::Default = function.item.sig.output {
        if let Some(err) = arguments.err {
            let message = "`err` is for functions that return a `Result`: remove it";
            return Err(Error::new(err.span, message));
        }
        if let Some(ret) = arguments.ret {
            let message = "`ret` is for functions that return something: remove it";
            return Err(Error::new(ret.span, message));
        }
    }
    Ok(())
}

fn no_argument(name: &Ident, function: &Function, fix: &str) -> Error {
    let known: Vec<String> =
        function.arguments.iter().map(|name| name.unraw().to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let of = &function.item.sig.ident;
    let message = match nearest::to(&name.to_string(), &known) {
        Some(near) => format!("`{name}` is no argument of `{of}`: did you mean `{near}`?"),
        None => format!("`{name}` is no argument of `{of}`: {fix}"),
    };
    Error::new(name.span(), message)
}
