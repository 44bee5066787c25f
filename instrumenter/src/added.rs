//! Rewriting, fourth part: functions that the hooks bring along. They stand behind those
//! of the module, and first of all those that are called in place of imports.

use wasm_encoder::{BlockType, Encode, InstructionSink, MemArg, ValType};

use crate::Error;
use crate::allocations::Shape;
use crate::body::{BodyWriter, Hooked, Wrap};
use crate::scan::Body;

/// A function that is added to the module.
pub(crate) struct Added {
    /// The index of its type.
    pub(crate) ty: u32,
    /// Its name in the name section, if it gets one there.
    pub(crate) name: Option<String>,
    pub(crate) what: What,
}

/// What an added function does.
pub(crate) enum What {
    /// Calls an imported function of so many parameters, between hooks.
    Import { import: u32, params: u32, wrap: Wrap },
    /// Calls a function of the module, of so many parameters, between hooks.
    Timer { function: u32, params: u32, wrap: Wrap },
    /// `(id) -> (token or rest)`: counts down the cell in this memory, and calls the hook
    /// where it is used up.
    Count { hook: u32, memory: u32 },
    /// `(delta, id) -> (size)`: does what `memory.grow` does, and tells a hook how many
    /// bytes it was.
    MemoryGrow { hook: u32, memory: u32, address: ValType, page_size_log2: u32 },
    /// The same, for a hook that wants the number of pages and no id.
    MemoryGrowPages { hook: u32, memory: u32, address: ValType },
    /// `(value, delta, id) -> (size)`: does what `table.grow` does, and tells a hook how
    /// many elements it was.
    TableGrow { hook: u32, table: u32, address: ValType },
    /// Calls a function of the module that allocates or frees, and tells a hook.
    Allocator { hook: u32, function: u32, params: u32, address: ValType, shape: Shape },
    /// `() -> (i32, …)`: reads the cells in these globals, and sets them to zero.
    Reader { first: u32, count: u32 },
}

impl Added {
    /// Writes its body, without its length.
    pub(crate) fn write(&self, out: &mut Vec<u8>, writer: &BodyWriter<'_>) -> Result<(), Error> {
        match self.what {
            What::Import { import, params, wrap } => {
                let mut bytes = Vec::new();
                locals(&mut bytes, &[]);
                let code_start = bytes.len() as u32;
                let mut code = InstructionSink::new(&mut bytes);
                (0..params).for_each(|param| _ = code.local_get(param));
                code.call(import).end();
                let hooked = Hooked::Wrapped(wrap);
                writer.write(out, &Body::plain(&bytes, code_start), &[], Some(&hooked), None)?;
            }
            What::Timer { function, params, ref wrap } => {
                locals(out, &[ValType::I32]);
                writer.hooks.time(out, wrap, function, params);
            }
            What::Count { hook, memory } => {
                locals(out, &[ValType::I32, ValType::I32]);
                let cell = MemArg { offset: 0, align: 2, memory_index: memory };
                let (id, address, live) = (0, 1, 2);
                let mut code = InstructionSink::new(out);
                code.local_get(id).i32_const(2).i32_shl().local_tee(address);
                code.local_get(address).i32_load(cell).local_tee(live);
                code.i32_const(1).i32_sub().i32_store(cell);
                code.local_get(live).i32_eqz().if_(BlockType::Empty);
                code.local_get(address).local_get(id).call(hook).local_set(live);
                code.i32_const(1).i32_sub().i32_store(cell).end();
                code.local_get(live).end();
            }
            What::MemoryGrow { hook, memory, address, page_size_log2 } => {
                locals(out, &[address]);
                let mut code = InstructionSink::new(out);
                code.local_get(1).i32_const(memory as i32);
                code.local_get(0).memory_grow(memory).local_tee(2);
                if_failed(&mut code, address);
                code.i64_const(-1).else_();
                extended(&mut code, 0, address);
                code.i64_const(page_size_log2.into()).i64_shl().end();
                code.call(hook).local_get(2).end();
            }
            What::MemoryGrowPages { hook, memory, address } => {
                locals(out, &[address]);
                let mut code = InstructionSink::new(out);
                code.local_get(0).memory_grow(memory).local_tee(2);
                match address {
                    ValType::I64 => code.i64_const(-1).i64_ne(),
                    _ => code.i32_const(-1).i32_ne(),
                };
                code.if_(BlockType::Empty).local_get(0);
                if address == ValType::I64 {
                    code.i32_wrap_i64();
                }
                code.call(hook).end().local_get(2).end();
            }
            What::TableGrow { hook, table, address } => {
                locals(out, &[address]);
                let mut code = InstructionSink::new(out);
                code.local_get(2).i32_const(table as i32);
                code.local_get(0).local_get(1).table_grow(table).local_tee(3);
                if_failed(&mut code, address);
                code.i64_const(-1).else_();
                extended(&mut code, 1, address);
                code.end().call(hook).local_get(3).end();
            }
            What::Allocator { hook, function, params, address, shape } => {
                let result = params;
                let gives = shape != Shape::Free;
                match gives {
                    true => locals(out, &[address]),
                    false => locals(out, &[]),
                }
                let mut code = InstructionSink::new(out);
                let call = |code: &mut InstructionSink<'_>| {
                    (0..params).for_each(|param| _ = code.local_get(param));
                    code.call(function);
                };
                if gives {
                    call(&mut code);
                    code.local_set(result);
                }
                match shape {
                    Shape::Free | Shape::Reallocate { .. } => extended(&mut code, 0, address),
                    _ => _ = code.i64_const(0),
                }
                match shape {
                    Shape::Allocate { size } | Shape::Reallocate { size } => {
                        extended(&mut code, size, address);
                    }
                    Shape::AllocateArray { count, size } => {
                        extended(&mut code, count, address);
                        extended(&mut code, size, address);
                        code.i64_mul();
                    }
                    Shape::Free => _ = code.i64_const(0),
                }
                if gives {
                    extended(&mut code, result, address);
                    code.call(hook).local_get(result);
                } else {
                    code.i64_const(0).call(hook);
                    call(&mut code);
                }
                code.end();
            }
            What::Reader { first, count } => {
                locals(out, &[]);
                let mut code = InstructionSink::new(out);
                (first..first + count).for_each(|global| _ = code.global_get(global));
                for global in first..first + count {
                    code.i32_const(0).global_set(global);
                }
                code.end();
            }
        }
        Ok(())
    }
}

/// Declares locals.
fn locals(out: &mut Vec<u8>, types: &[ValType]) {
    types.len().encode(out);
    for ty in types {
        1u32.encode(out);
        ty.encode(out);
    }
}

/// Opens an `if` for a size of -1, which gives an `i64`.
fn if_failed(code: &mut InstructionSink<'_>, address: ValType) {
    match address {
        ValType::I64 => code.i64_const(-1).i64_eq(),
        _ => code.i32_const(-1).i32_eq(),
    };
    code.if_(BlockType::Result(ValType::I64));
}

/// Pushes a local as an unsigned `i64`.
fn extended(code: &mut InstructionSink<'_>, local: u32, address: ValType) {
    code.local_get(local);
    if address == ValType::I32 {
        code.i64_extend_i32_u();
    }
}
