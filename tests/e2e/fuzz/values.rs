//! Values: made for parameters, from a seed, and described so that those of two stores can
//! be compared.

use wasmtime::{
    AnyRef, AsContextMut, ExternRef, Func, FuncType, HeapType, I31, Ref, Result, V128, Val, ValType,
};

use super::guest::{Data, host_function};

/// A generator of numbers, SplitMix64: any seed will do.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True this often in a hundred.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Small numbers, those near a limit, and any.
    fn integer(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(16),
            1 => (self.below(4)).wrapping_neg(),
            2 => (1 << self.below(64)) - self.below(2),
            _ => self.next(),
        }
    }
}

/// A value of a type; `None` where the host cannot make one.
pub(super) fn make(
    mut store: impl AsContextMut<Data = Data>,
    ty: &ValType,
    random: &mut Random,
) -> Result<Option<Val>> {
    let number = random.integer();
    let ty = match ty {
        ValType::I32 => return Ok(Some(Val::I32(number as i32))),
        ValType::I64 => return Ok(Some(Val::I64(number as i64))),
        // Half of them numbers that programs use, half any bits.
        ValType::F32 if random.percent(50) => return Ok(Some((number as i32 as f32).into())),
        ValType::F32 => return Ok(Some(Val::F32(number as u32))),
        ValType::F64 if random.percent(50) => {
            return Ok(Some(f64::from(number as i32).into()));
        }
        ValType::F64 => return Ok(Some(Val::F64(number))),
        ValType::V128 => {
            let bits = u128::from(number) << 64 | u128::from(random.integer());
            return Ok(Some(Val::V128(V128::from(bits))));
        }
        ValType::Ref(ty) => ty,
    };
    if ty.is_nullable() && random.percent(25) {
        return Ok(Some(Val::null_ref(ty.heap_type())));
    }
    let value = match ty.heap_type() {
        HeapType::Extern => Val::ExternRef(Some(ExternRef::new(&mut store, number as u32)?)),
        HeapType::Any | HeapType::Eq | HeapType::I31 => {
            Val::AnyRef(Some(AnyRef::from_i31(&mut store, I31::wrapping_u32(number as u32))))
        }
        HeapType::Func => {
            let ty = FuncType::new(store.as_context().engine(), [], []);
            Val::FuncRef(Some(made_function(&mut store, ty)))
        }
        HeapType::ConcreteFunc(ty) => Val::FuncRef(Some(made_function(&mut store, ty.clone()))),
        other if ty.is_nullable() => Val::null_ref(other),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// A function of the host that was not imported.
fn made_function(store: impl AsContextMut<Data = Data>, ty: FuncType) -> Func {
    host_function(store, usize::MAX, ty)
}

/// What can be told of a value from outside, and compared with one of another store.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    I32(i32),
    I64(i64),
    /// The bits.
    F32(u32),
    F64(u64),
    V128(u128),
    Null,
    I31(u32),
    Struct,
    Array,
    Func,
    Exception,
    /// What the host gave, where that can be read.
    Host(Option<u32>),
    Other,
}

pub(super) fn see(store: impl AsContextMut, value: &Val) -> Seen {
    match value {
        Val::I32(value) => Seen::I32(*value),
        Val::I64(value) => Seen::I64(*value),
        Val::F32(bits) => Seen::F32(*bits),
        Val::F64(bits) => Seen::F64(*bits),
        Val::V128(value) => Seen::V128(value.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => {
            Seen::Null
        }
        Val::FuncRef(Some(_)) => Seen::Func,
        Val::ExnRef(Some(_)) => Seen::Exception,
        Val::ExternRef(Some(value)) => {
            let data = value.data(store.as_context()).ok().flatten();
            Seen::Host(data.and_then(|data| data.downcast_ref::<u32>()).copied())
        }
        Val::AnyRef(Some(value)) => {
            let store = store.as_context();
            if let Ok(Some(value)) = value.as_i31(&store) {
                Seen::I31(value.get_u32())
            } else if value.is_struct(&store).unwrap_or(false) {
                Seen::Struct
            } else if value.is_array(&store).unwrap_or(false) {
                Seen::Array
            } else {
                Seen::Host(None)
            }
        }
        Val::ContRef(_) => Seen::Other,
    }
}

/// As [`see`], for what is in a table.
pub(super) fn see_element(store: impl AsContextMut, element: Ref) -> Seen {
    see(store, &Val::from(element))
}
