//! Rewriting, third part: functions that the hooks bring along. They stand behind those
//! of the module.

use wasm_encoder::{Encode, InstructionSink, MemArg, ValType};

/// A function that is added to the module.
pub(crate) struct Added {
    /// The index of its type.
    pub(crate) ty: u32,
    /// Its name, in the name section.
    pub(crate) name: String,
    pub(crate) what: What,
}

/// What an added function does.
pub(crate) enum What {
    /// `(id) -> (token)`: calls the hook `enter`, and stores the period in a cell in
    /// this memory.
    Enter { hook: u32, memory: u32 },
    /// `() -> (i32, …)`: reads the cells in these globals, and sets them to zero.
    Reader { first: u32, count: u32 },
}

impl Added {
    /// Writes its body, without its length.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.what {
            What::Enter { hook, memory } => {
                let cell = MemArg { offset: 0, align: 2, memory_index: memory };
                locals(out, &[(1, ValType::I32)]);
                InstructionSink::new(out)
                    // The address of the store: four bytes for each id.
                    .local_get(0)
                    .i32_const(2)
                    .i32_shl()
                    .local_get(0)
                    .call(hook)
                    .local_set(1)
                    .i32_const(1)
                    .i32_sub()
                    .i32_store(cell)
                    .local_get(1)
                    .end();
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
    }
}

fn locals(out: &mut Vec<u8>, groups: &[(u32, ValType)]) {
    (groups.len() as u32).encode(out);
    for (count, ty) in groups {
        count.encode(out);
        ty.encode(out);
    }
}
