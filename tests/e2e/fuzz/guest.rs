//! A module in a store of its own, with a host that always does the same.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use observe_abi::hooks::MODULE_PREFIX;
use wasmtime::{
    AsContextMut, Engine, ExnRef, ExnRefPre, ExnType, Extern, ExternType, Func, FuncType, Global,
    ImportType, Instance, Linker, Module, Result, Store, StoreLimits, StoreLimitsBuilder, Tag,
    ThrownException, Trap, Val, format_err,
};

use super::values::{Random, Seen, make, see};
use crate::hooks::{self, Balance};

/// What a module may take, so that any ends, and soon.
const MEMORY: usize = 1 << 20;
const TABLE_ELEMENTS: usize = 1000;

/// What a guest's store holds.
pub(super) struct Data {
    limits: StoreLimits,
    /// The calls that the guest made of the host, in order.
    pub(super) host_calls: Vec<HostCall>,
    /// A tag that the guest knows, for exceptions that the host throws.
    tag: Option<Tag>,
    /// A function that the guest exports, for the host to call back.
    callback: Option<Func>,
    /// Whether the host has called back.
    inside: bool,
    balance: Arc<Mutex<Balance>>,
}

/// A call of the host.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostCall {
    import: usize,
    args: Vec<Seen>,
}

/// What came of a call, or of an instantiation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Returned(Vec<Seen>),
    Trapped(Trap),
    Thrown {
        /// The place of the tag among the exports, where it is there.
        tag: Option<usize>,
        payload: Vec<Seen>,
    },
    /// The host gave up: it can make no value of the type asked for.
    Refused,
    /// A limit was met that instrumented code may meet sooner, or later.
    Exhausted(String),
}

/// Why a host function did not return.
#[derive(Debug)]
struct Unmakeable;

impl fmt::Display for Unmakeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host can make no such value")
    }
}

impl std::error::Error for Unmakeable {}

/// A module in a store.
pub(super) struct Guest {
    pub(super) store: Store<Data>,
    /// Missing where the instantiation failed.
    pub(super) instance: Option<Instance>,
    /// The names of the exports, the first of the original's.
    exports: Arc<[String]>,
}

impl Guest {
    /// Instantiates a module; `Err` where it cannot be linked, as some cannot.
    pub(super) fn new(
        engine: &Engine,
        module: &Module,
        exports: Arc<[String]>,
        every_call: bool,
        fuel: u64,
    ) -> Result<(Self, Outcome)> {
        let data = Data {
            limits: StoreLimitsBuilder::new()
                .memory_size(MEMORY)
                .table_elements(TABLE_ELEMENTS)
                .build(),
            host_calls: Vec::new(),
            tag: None,
            callback: None,
            inside: false,
            balance: Arc::new(Mutex::new(Balance::new())),
        };
        let mut store = Store::new(engine, data);
        store.limiter(|data| &mut data.limits);
        store.set_fuel(fuel)?;
        let mut linker = Linker::new(engine);
        hooks::provide(&mut linker, &store.data().balance, every_call);
        let mut imports = Vec::new();
        for (n, import) in module.imports().enumerate() {
            imports.push(match import.module().starts_with(MODULE_PREFIX) {
                true => linker
                    .get_by_import(&mut store, &import)
                    .ok_or_else(|| format_err!("no hook `{}`", import.name()))?,
                false => provide(&mut store, n, &import)?,
            });
        }
        let instance = Instance::new(&mut store, module, &imports);
        let mut guest = Guest { store, instance: None, exports };
        let outcome = match instance {
            Ok(instance) => {
                guest.learn(instance);
                guest.instance = Some(instance);
                Outcome::Returned(Vec::new())
            }
            Err(error) => guest.failure(&error),
        };
        Ok((guest, outcome))
    }

    /// Tells the host what the guest has for it.
    fn learn(&mut self, instance: Instance) {
        let store = &mut self.store;
        for name in &*self.exports {
            match instance.get_export(&mut *store, name) {
                Some(Extern::Tag(tag)) => _ = store.data_mut().tag.get_or_insert(tag),
                Some(Extern::Func(func)) => store.data_mut().callback = Some(func),
                _ => {}
            }
        }
    }

    pub(super) fn export(&mut self, n: usize) -> Option<Extern> {
        self.instance?.get_export(&mut self.store, &self.exports[n])
    }

    /// The `n`th export, here and in another guest; `None` where there are no more.
    pub(super) fn exports_at(&mut self, n: usize, other: &mut Guest) -> Option<(Extern, Extern)> {
        self.exports.get(n)?;
        Some((self.export(n)?, other.export(n)?))
    }

    /// Calls an export with arguments that follow from the seed; `None` where there are
    /// none such.
    pub(super) fn call(&mut self, func: Func, seed: u64, fuel: u64) -> Option<Outcome> {
        self.store.set_fuel(fuel).expect("the engine counts it");
        self.store.data_mut().inside = false;
        self.store.data_mut().host_calls.clear();
        self.balance().outermost = None;
        let ty = func.ty(&self.store);
        let mut random = Random::new(seed);
        let mut args = Vec::new();
        for ty in ty.params() {
            args.push(make(&mut self.store, &ty, &mut random).ok()??);
        }
        let mut results = vec![Val::I32(0); ty.results().len()];
        Some(match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => {
                Outcome::Returned(results.iter().map(|value| see(&mut self.store, value)).collect())
            }
            Err(error) => self.failure(&error),
        })
    }

    fn failure(&mut self, error: &wasmtime::Error) -> Outcome {
        if error.is::<ThrownException>() {
            let Some(exception) = self.store.take_pending_exception() else {
                return Outcome::Exhausted("an exception that is not there".to_owned());
            };
            let tag = exception.tag(&mut self.store).expect("it has one");
            let place = (0..self.exports.len()).find(|&n| match self.export(n) {
                Some(Extern::Tag(other)) => Tag::eq(&tag, &other, &self.store),
                _ => false,
            });
            let fields = exception.fields(&mut self.store).expect("it has fields");
            let fields: Vec<_> = fields.collect();
            let payload = fields.iter().map(|value| see(&mut self.store, value)).collect();
            return Outcome::Thrown { tag: place, payload };
        }
        if error.is::<Unmakeable>() {
            return Outcome::Refused;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow | Trap::OutOfFuel) | None => {
                Outcome::Exhausted(format!("{error:#}"))
            }
            Some(&trap) => Outcome::Trapped(trap),
        }
    }

    pub(super) fn fuel(&self) -> u64 {
        self.store.get_fuel().expect("the engine counts it")
    }

    pub(super) fn balance(&self) -> MutexGuard<'_, Balance> {
        self.store.data().balance.lock().expect("whole")
    }

    /// How often each hooked function was called, by id.
    pub(super) fn calls(&mut self) -> Option<Vec<u64>> {
        let instance = self.instance?;
        self.store.set_fuel(u64::MAX).expect("the engine counts it");
        let cells = hooks::take_cells(&mut self.store, instance);
        Some(self.balance().calls(&cells))
    }
}

/// Something to import.
fn provide(store: &mut Store<Data>, n: usize, import: &ImportType<'_>) -> Result<Extern> {
    let mut random = Random::new(n as u64);
    Ok(match import.ty() {
        ExternType::Func(ty) => host_function(&mut *store, n, ty).into(),
        ExternType::Global(ty) => {
            let value = make(&mut *store, ty.content(), &mut random)?.ok_or(Unmakeable)?;
            Global::new(store, ty, value)?.into()
        }
        ExternType::Tag(ty) => {
            let tag = Tag::new(&mut *store, &ty)?;
            store.data_mut().tag.get_or_insert(tag);
            tag.into()
        }
        other => other.default_value(store)?,
    })
}

/// A host function that answers by its type and by how many calls there were before; now
/// and then it throws, or calls the guest back.
pub(super) fn host_function(
    mut store: impl AsContextMut<Data = Data>,
    import: usize,
    ty: FuncType,
) -> Func {
    Func::new(&mut store, ty.clone(), move |mut caller, args, results| {
        let args = args.iter().map(|value| see(&mut caller, value)).collect();
        let data = caller.data_mut();
        data.host_calls.push(HostCall { import, args });
        let (n, tag) = (data.host_calls.len() as u64, data.tag);
        let callback = data.callback.filter(|_| !std::mem::replace(&mut data.inside, true));
        let mut random = Random::new(n);
        if let Some(callback) = callback {
            let ty = callback.ty(&caller);
            let mut args = Vec::new();
            for ty in ty.params() {
                args.push(make(&mut caller, &ty, &mut random)?.ok_or(Unmakeable)?);
            }
            let mut results = vec![Val::I32(0); ty.results().len()];
            callback.call(&mut caller, &args, &mut results)?;
        }
        if let Some(tag) = tag
            && n % 6 == 5
        {
            // What may have been called back has nothing to do with it.
            caller.data().balance.lock().expect("whole").outermost = None;
            return throw(caller.as_context_mut(), tag, &mut random);
        }
        for (result, ty) in results.iter_mut().zip(ty.results()) {
            *result = make(&mut caller, &ty, &mut random)?.ok_or(Unmakeable)?;
        }
        Ok(())
    })
}

fn throw(
    mut store: wasmtime::StoreContextMut<'_, Data>,
    tag: Tag,
    random: &mut Random,
) -> Result<()> {
    let ty = tag.ty(&store);
    let mut fields = Vec::new();
    for ty in ty.ty().params() {
        fields.push(make(&mut store, &ty, random)?.ok_or(Unmakeable)?);
    }
    let allocator = ExnRefPre::new(&mut store, ExnType::from_tag_type(&ty)?);
    let exception = ExnRef::new(&mut store, &allocator, &tag, &fields)?;
    store.throw(exception)
}
