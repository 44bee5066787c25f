//! What a module asks of its host and offers it, read before it is compiled, since
//! that takes a while and a wrong name should not.

use anyhow::{Result, anyhow, bail};
use observe_instrumenter::Error as InstrumentError;
use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wasmtime::Val;

use crate::input::Input;
use crate::view::units::plural;

/// How many exports a message names.
const SUGGESTIONS: usize = 10;

/// Imports and exported functions of a module.
#[derive(Default)]
pub(super) struct Interface {
    pub(super) imports: Vec<(String, String)>,
    /// Exported functions with their types.
    functions: Vec<(String, FuncType)>,
}

/// Reads the interface of a module.
pub(super) fn read(input: &Input) -> Result<Interface> {
    parse(&input.wasm).map_err(|error| input.error(&InstrumentError::from(error)))
}

fn parse(wasm: &[u8]) -> Result<Interface, wasmparser::Error> {
    let mut interface = Interface::default();
    let mut types = Vec::new();
    // The type index of each function, imports first.
    let mut functions: Vec<u32> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group?.into_types().map(|ty| ty.composite_type.inner));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty {
                        functions.push(ty);
                    }
                    interface.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    functions.push(ty?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind != ExternalKind::Func {
                        continue;
                    }
                    let ty = functions.get(export.index as usize).map(|&ty| ty as usize);
                    if let Some(CompositeInnerType::Func(ty)) = ty.and_then(|ty| types.get(ty)) {
                        interface.functions.push((export.name.to_owned(), ty.clone()));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(interface)
}

impl Interface {
    fn function(&self, export: &str) -> Option<&FuncType> {
        self.functions.iter().find(|(name, _)| name == export).map(|(_, ty)| ty)
    }

    /// Functions that a user may have meant.
    fn suggestions(&self) -> String {
        let ours = observe_abi::hooks::CELLS_READER_PREFIX;
        let names = self.functions.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<_> =
            names.filter(|name| !name.starts_with(ours)).take(SUGGESTIONS + 1).collect();
        if names.len() > SUGGESTIONS {
            names[SUGGESTIONS] = "…";
        }
        names.join(", ")
    }

    /// Checks that the module is a program.
    pub(super) fn require_start(&self, input: &Input) -> Result<()> {
        let name = &input.name;
        match self.function("_start") {
            Some(ty) if ty.params().is_empty() && ty.results().is_empty() => return Ok(()),
            Some(ty) => bail!(
                "{name}: `_start` is {ty}, and a program's has neither parameters nor results"
            ),
            None => {}
        }
        match self.suggestions() {
            names if names.is_empty() => bail!("{name}: exports no `_start`, nor another function"),
            names => bail!("{name}: exports no `_start`; name a function with --invoke: {names}"),
        }
    }

    /// Reads the arguments of an exported function by its parameters.
    pub(super) fn arguments(
        &self,
        input: &Input,
        export: &str,
        texts: &[String],
    ) -> Result<Vec<Val>> {
        let name = &input.name;
        let Some(ty) = self.function(export) else {
            bail!("{name}: exports no function `{export}`; it exports {}", self.suggestions());
        };
        let params = ty.params();
        if params.len() != texts.len() {
            let types: Vec<_> = params.iter().map(ToString::to_string).collect();
            let (takes, types) = (plural(params.len() as u64, "argument"), types.join(", "));
            let given = texts.len();
            bail!("{name}: `{export}` takes {takes} ({types}); given: {given}");
        }
        let values = params.iter().zip(texts).map(|(&ty, text)| {
            value(ty, text)
                .ok_or_else(|| anyhow!("--invoke {export}: `{text}` is not a value of type {ty}"))
        });
        values.collect()
    }
}

/// Reads a value; integers may be signed or unsigned.
fn value(ty: ValType, text: &str) -> Option<Val> {
    Some(match ty {
        ValType::I32 => {
            Val::I32(text.parse().or_else(|_| text.parse().map(u32::cast_signed)).ok()?)
        }
        ValType::I64 => {
            Val::I64(text.parse().or_else(|_| text.parse().map(u64::cast_signed)).ok()?)
        }
        ValType::F32 => Val::F32(text.parse::<f32>().ok()?.to_bits()),
        ValType::F64 => Val::F64(text.parse::<f64>().ok()?.to_bits()),
        ValType::V128 | ValType::Ref(_) => return None,
    })
}
