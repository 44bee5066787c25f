//! Whether a module imports what this host's contracts have. It is asked before the module is
//! compiled, which may take a while.

use std::fmt::Display;

use observe_abi::{guest, hooks, signature};
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef};
use wasmtime::ExternType;

use crate::Error;

/// The contracts, as what their import modules begin with and the versions that there are.
const CONTRACTS: [(&str, &[&str]); 2] =
    [(hooks::MODULE_PREFIX, &[hooks::MODULE]), (guest::MODULE_PREFIX, &guest::MODULES)];

/// Checks a module. What else is wrong with the bytes, the compiler will say.
pub(crate) fn check(wasm: &[u8]) -> Result<(), Error> {
    let mut types = Vec::new();
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::TypeSection(section) => {
                let groups = section.into_iter().map_while(Result::ok);
                types.extend(groups.flat_map(|group| {
                    group.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty),
                        _ => None,
                    })
                }));
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports().map_while(Result::ok) {
                    check_import(import.module, import.name, || {
                        let (TypeRef::Func(ty) | TypeRef::FuncExact(ty)) = import.ty else {
                            return None;
                        };
                        let ty = types.get(ty as usize)?.as_ref()?;
                        Some(shown(ty.params(), ty.results()))
                    })?;
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(())
}

/// Checks a module that comes compiled.
pub(crate) fn check_compiled(module: &wasmtime::Module) -> Result<(), Error> {
    module.imports().try_for_each(|import| {
        check_import(import.module(), import.name(), || match import.ty() {
            ExternType::Func(ty) => Some(shown(ty.params(), ty.results())),
            _ => None,
        })
    })
}

/// Checks an import, of which `ty` shows the type if it is that of a function.
fn check_import(
    module: &str,
    name: &str,
    ty: impl FnOnce() -> Option<String>,
) -> Result<(), Error> {
    let contract = CONTRACTS.iter().find(|(prefix, _)| module.starts_with(prefix));
    let Some(&(_, supported)) = contract else { return Ok(()) };
    let functions = signature::of(module).filter(|_| supported.contains(&module));
    let Some(functions) = functions else {
        return Err(Error::Version { found: module.to_owned(), supported });
    };
    let Some(function) = functions.iter().find(|function| function.name == name) else {
        return Err(Error::UnknownImport { module: module.to_owned(), name: name.to_owned() });
    };
    let found = ty();
    let expected = function.to_string();
    match found.as_ref() == Some(&expected) {
        true => Ok(()),
        false => Err(Error::ImportType {
            module: module.to_owned(),
            name: name.to_owned(),
            found: found.unwrap_or_else(|| "no function".to_owned()),
            expected,
        }),
    }
}

/// A function's type as [signatures](signature::Signature) are shown.
fn shown<T: Display>(
    params: impl IntoIterator<Item = T>,
    results: impl IntoIterator<Item = T>,
) -> String {
    fn list<T: Display>(types: impl IntoIterator<Item = T>) -> String {
        types.into_iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
    }
    format!("({}) -> ({})", list(params), list(results))
}
