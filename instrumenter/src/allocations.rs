//! Which functions of a module allocate and free memory, found by name and type.

use wasmparser::{FuncType, ValType};

use crate::Module;
use crate::names::demangle;
use crate::parse::FuncIndex;

/// A function that allocates or frees memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocator {
    /// Which function.
    pub index: FuncIndex,
    /// Its name, demangled.
    pub name: String,
    pub(crate) shape: Shape,
}

/// What the parameters of an allocator mean, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Gives the address of so many bytes.
    Allocate { size: u32 },
    /// Gives the address of so many elements of so many bytes.
    AllocateArray { count: u32, size: u32 },
    /// Gives the address of so many bytes, to which it moves what the first parameter
    /// points to.
    Reallocate { size: u32 },
    /// Frees what the first parameter points to.
    Free,
}

/// Names, how many parameters they take, and what these mean.
///
/// C: ISO C11, 7.22.3, and `memalign` of most C libraries. Rust: the functions behind
/// `std::alloc`, and those of the default and of a global allocator, which these call. TinyGo:
/// `src/runtime/gc_*.go`. AssemblyScript: `std/assembly/rt`.
const ALLOCATORS: [(&str, usize, Shape); 29] = [
    ("malloc", 1, Shape::Allocate { size: 0 }),
    ("calloc", 2, Shape::AllocateArray { count: 0, size: 1 }),
    ("realloc", 2, Shape::Reallocate { size: 1 }),
    ("free", 1, Shape::Free),
    ("aligned_alloc", 2, Shape::Allocate { size: 1 }),
    ("memalign", 2, Shape::Allocate { size: 1 }),
    ("operator new", 1, Shape::Allocate { size: 0 }),
    ("operator new[]", 1, Shape::Allocate { size: 0 }),
    ("operator delete", 1, Shape::Free),
    ("operator delete[]", 1, Shape::Free),
    ("__rust_alloc", 2, Shape::Allocate { size: 0 }),
    ("__rust_alloc_zeroed", 2, Shape::Allocate { size: 0 }),
    ("__rust_realloc", 4, Shape::Reallocate { size: 3 }),
    ("__rust_dealloc", 3, Shape::Free),
    ("__rdl_alloc", 2, Shape::Allocate { size: 0 }),
    ("__rdl_alloc_zeroed", 2, Shape::Allocate { size: 0 }),
    ("__rdl_realloc", 4, Shape::Reallocate { size: 3 }),
    ("__rdl_dealloc", 3, Shape::Free),
    ("__rg_alloc", 2, Shape::Allocate { size: 0 }),
    ("__rg_alloc_zeroed", 2, Shape::Allocate { size: 0 }),
    ("__rg_realloc", 4, Shape::Reallocate { size: 3 }),
    ("__rg_dealloc", 3, Shape::Free),
    ("runtime.alloc", 2, Shape::Allocate { size: 0 }),
    // Where the optimizer found that nothing asks for the second.
    ("runtime.alloc", 1, Shape::Allocate { size: 0 }),
    ("runtime.free", 1, Shape::Free),
    ("~lib/rt/tlsf/__alloc", 1, Shape::Allocate { size: 0 }),
    ("~lib/rt/tlsf/__free", 1, Shape::Free),
    ("~lib/rt/itcms/__new", 2, Shape::Allocate { size: 0 }),
    ("~lib/rt/stub/__new", 2, Shape::Allocate { size: 0 }),
];

/// The allocators that a module defines, by index. Functions that bear the name of one and have
/// another type are none.
pub(crate) fn find(module: &Module<'_>) -> Vec<Allocator> {
    let address = match module.memories.first() {
        Some(memory) if memory.memory64 => ValType::I64,
        Some(_) => ValType::I32,
        None => return Vec::new(),
    };
    let functions = (module.first_defined()..).map(FuncIndex).zip(&module.functions);
    let allocators = functions.filter_map(|(index, function)| {
        let ty = module.function_type(function.type_index).filter(|ty| !ty.shared)?;
        let mut names = module.raw_name(index).into_iter().chain(module.export_names(index));
        let (name, shape) = names.find_map(|raw| {
            let name = demangle(raw);
            shape(&name, &ty.ty, address).map(|shape| (name, shape))
        })?;
        Some(Allocator { index, name, shape })
    });
    allocators.collect()
}

/// What so many parameters of an allocator may mean.
pub(crate) fn shapes(params: usize) -> impl Iterator<Item = Shape> {
    ALLOCATORS.into_iter().filter(move |known| known.1 == params).map(|(.., shape)| shape)
}

fn shape(name: &str, ty: &FuncType, address: ValType) -> Option<Shape> {
    // rustc has them in a crate of its own.
    let name = name.strip_prefix("__rustc::").unwrap_or(name);
    let count = ty.params().len();
    let mut known = ALLOCATORS.iter();
    let &(.., shape) = known.find(|(known, params, _)| *known == name && *params == count)?;
    let fits = ty.results().len() == usize::from(shape != Shape::Free)
        && ty.params().iter().chain(ty.results()).all(|ty| *ty == address);
    fits.then_some(shape)
}
