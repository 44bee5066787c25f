//! Analysis, second part: one walk through each function body.
//!
//! The walk notes what the plan asks of a function (how many instructions, a loop,
//! a call of the host) and the places that a rewrite may touch, so that rewriting
//! copies the bytes between them and decodes nothing again.

use wasmparser::{
    BlockType, FunctionBody, OperatorsReader, OperatorsReaderAllocations, TryTable, ValType,
    VisitOperator, VisitSimdOperator,
};

use crate::Error;

/// How a module uses exceptions, and so how a hooked function must catch those
/// that pass through it. In ascending order of what the wrapper must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exceptions {
    /// The module names no tag, and neither throws nor catches anything.
    #[default]
    None,
    /// As in WebAssembly 3.0, with `try_table` and `exnref`.
    Exnref,
    /// As in the proposal before, with `try` and `catch`.
    Legacy,
}

/// A place in a function body that a rewrite may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// In bytes from the start of the body, which begins with its locals. The format gives
    /// lengths 32 bits, so it fits.
    pub(crate) offset: u32,
    pub(crate) kind: SiteKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    /// A function index, in LEB128.
    FunctionIndex,
    /// A `return` inside this many blocks.
    Return { depth: u32 },
    /// A `return_call`, `return_call_indirect` or `return_call_ref` before which this
    /// many labels were opened.
    TailCall { labels: u32 },
    /// A `memory.grow` of this memory.
    MemoryGrow { memory: u32 },
    /// A `table.grow` of this table.
    TableGrow { table: u32 },
}

/// What is known of a function body.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    /// From its locals to its final `end`.
    pub(crate) bytes: &'a [u8],
    /// Where the body begins in the module.
    pub(crate) offset: usize,
    /// How many locals it declares, parameters not counted.
    pub(crate) locals: u32,
    /// Where its last group of locals is, in bytes from the start of the body, if they are
    /// `i32`.
    pub(crate) last_group: Option<u32>,
    /// Where its first instruction is, in bytes from the start of the body.
    pub(crate) code_start: u32,
    /// How many instructions it has, `end` and `else` not counted.
    pub(crate) instructions: u32,
    pub(crate) has_loop: bool,
    /// Whether it calls an imported function by name.
    pub(crate) calls_import: bool,
    /// Whether it grows a memory or a table.
    pub(crate) grows: bool,
    /// Whether an exception may come out of one of its instructions.
    pub(crate) may_throw: bool,
    /// Whether it makes tail calls.
    pub(crate) tail_calls: bool,
    /// Its sites in [`Module::sites`](crate::Module).
    pub(crate) sites: std::ops::Range<usize>,
}

impl<'a> Body<'a> {
    /// A body without locals and sites, in which an exception may come out of a call.
    pub(crate) fn plain(bytes: &'a [u8], code_start: u32) -> Self {
        Body {
            bytes,
            offset: 0,
            locals: 0,
            last_group: None,
            code_start,
            instructions: 0,
            has_loop: false,
            calls_import: false,
            grows: false,
            may_throw: true,
            tail_calls: false,
            sites: 0..0,
        }
    }
}

/// Walks through function bodies.
#[derive(Default)]
pub(crate) struct Scanner {
    allocations: OperatorsReaderAllocations,
    /// What the bodies so far do with exceptions.
    pub(crate) exceptions: Exceptions,
}

impl Scanner {
    /// Walks through a body, and adds its sites to `sites`.
    pub(crate) fn scan<'a>(
        &mut self,
        body: &FunctionBody<'a>,
        imports: u32,
        sites: &mut Vec<Site>,
    ) -> Result<Body<'a>, Error> {
        let start = body.range().start;
        let first_site = sites.len();
        let mut locals = 0u32;
        let mut local_reader = body.get_locals_reader()?;
        let mut last_group = None;
        for _ in 0..local_reader.get_count() {
            let at = (local_reader.original_position() - start) as u32;
            let (count, ty) = local_reader.read()?;
            locals = locals.saturating_add(count);
            last_group = (ty == ValType::I32).then_some(at);
        }
        let reader = local_reader.get_binary_reader();
        let code_start = (reader.original_position() - start) as u32;

        let mut visitor = Visitor {
            imports,
            sites,
            offset: 0,
            depth: 0,
            labels: 0,
            instructions: 0,
            has_loop: false,
            calls_import: false,
            grows: false,
            may_throw: false,
            tail_calls: false,
            exceptions: Exceptions::None,
        };
        let allocations = std::mem::take(&mut self.allocations);
        let mut operators = OperatorsReader::new_with_allocs(reader, allocations);
        while !operators.eof() {
            visitor.offset = (operators.original_position() - start) as u32;
            operators.visit_operator(&mut visitor)?;
        }
        operators.finish()?;
        let Visitor {
            instructions,
            has_loop,
            calls_import,
            grows,
            may_throw,
            tail_calls,
            exceptions,
            ..
        } = visitor;
        self.exceptions = self.exceptions.max(exceptions);
        self.allocations = operators.into_allocations();
        Ok(Body {
            bytes: body.as_bytes(),
            offset: start,
            locals,
            last_group,
            code_start,
            instructions,
            has_loop,
            calls_import,
            grows,
            may_throw,
            tail_calls,
            sites: first_site..sites.len(),
        })
    }
}

/// Notes what a walk finds. The reader calls it for each instruction; to build an
/// [`Operator`](wasmparser::Operator) of each and match it takes twice as long.
struct Visitor<'s> {
    imports: u32,
    sites: &'s mut Vec<Site>,
    /// Where the instruction is, in bytes from the start of the body.
    offset: u32,
    depth: u32,
    labels: u32,
    instructions: u32,
    has_loop: bool,
    calls_import: bool,
    grows: bool,
    may_throw: bool,
    tail_calls: bool,
    exceptions: Exceptions,
}

impl Visitor<'_> {
    fn site(&mut self, offset: u32, kind: SiteKind) {
        self.instructions += 1;
        self.sites.push(Site { offset, kind });
    }

    fn open(&mut self) {
        self.instructions += 1;
        self.depth += 1;
        self.labels += 1;
    }

    fn tail_call(&mut self) {
        let labels = self.labels;
        self.tail_calls = true;
        self.site(self.offset, SiteKind::TailCall { labels });
    }
}

/// Defines the methods of a visitor: each instruction that is not in the list below
/// is counted and no more.
macro_rules! visit {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        $( visit!(@method $visit ($($($arg: $ty),*)?)); )*
    };
    (@method visit_end $args:tt) => {
        fn visit_end(&mut self) {
            self.depth = self.depth.wrapping_sub(1);
        }
    };
    (@method visit_else $args:tt) => {
        fn visit_else(&mut self) {}
    };
    (@method visit_block $args:tt) => {
        fn visit_block(&mut self, _: BlockType) {
            self.open();
        }
    };
    (@method visit_if $args:tt) => {
        fn visit_if(&mut self, _: BlockType) {
            self.open();
        }
    };
    (@method visit_loop $args:tt) => {
        fn visit_loop(&mut self, _: BlockType) {
            self.open();
            self.has_loop = true;
        }
    };
    (@method visit_try_table $args:tt) => {
        fn visit_try_table(&mut self, _: TryTable) {
            self.open();
            self.exceptions = self.exceptions.max(Exceptions::Exnref);
        }
    };
    (@method visit_try $args:tt) => {
        fn visit_try(&mut self, _: BlockType) {
            self.open();
            self.exceptions = Exceptions::Legacy;
        }
    };
    (@method visit_throw_ref $args:tt) => {
        fn visit_throw_ref(&mut self) {
            self.instructions += 1;
            self.may_throw = true;
            self.exceptions = self.exceptions.max(Exceptions::Exnref);
        }
    };
    (@method visit_delegate $args:tt) => {
        // It closes the `try` that it belongs to.
        fn visit_delegate(&mut self, _: u32) {
            self.instructions += 1;
            self.depth = self.depth.wrapping_sub(1);
        }
    };
    // The opcodes of the next three are one byte long, and the index follows.
    (@method visit_call $args:tt) => {
        fn visit_call(&mut self, function: u32) {
            self.calls_import |= function < self.imports;
            self.may_throw = true;
            self.site(self.offset + 1, SiteKind::FunctionIndex);
        }
    };
    (@method visit_ref_func $args:tt) => {
        fn visit_ref_func(&mut self, _: u32) {
            self.site(self.offset + 1, SiteKind::FunctionIndex);
        }
    };
    (@method visit_return_call $args:tt) => {
        fn visit_return_call(&mut self, function: u32) {
            self.calls_import |= function < self.imports;
            self.tail_call();
            let offset = self.offset + 1;
            self.sites.push(Site { offset, kind: SiteKind::FunctionIndex });
        }
    };
    (@method visit_return_call_indirect $args:tt) => {
        fn visit_return_call_indirect(&mut self, _: u32, _: u32) {
            self.tail_call();
        }
    };
    (@method visit_return_call_ref $args:tt) => {
        fn visit_return_call_ref(&mut self, _: u32) {
            self.tail_call();
        }
    };
    (@method visit_memory_grow $args:tt) => {
        fn visit_memory_grow(&mut self, memory: u32) {
            self.grows = true;
            self.site(self.offset, SiteKind::MemoryGrow { memory });
        }
    };
    (@method visit_table_grow $args:tt) => {
        fn visit_table_grow(&mut self, table: u32) {
            self.grows = true;
            self.site(self.offset, SiteKind::TableGrow { table });
        }
    };
    (@method visit_return $args:tt) => {
        fn visit_return(&mut self) {
            let depth = self.depth;
            self.site(self.offset, SiteKind::Return { depth });
        }
    };
    (@method visit_call_indirect $args:tt) => { visit!(@throws visit_call_indirect $args); };
    (@method visit_call_ref $args:tt) => { visit!(@throws visit_call_ref $args); };
    (@method visit_throw $args:tt) => { visit!(@throws visit_throw $args); };
    (@method visit_rethrow $args:tt) => { visit!(@throws visit_rethrow $args); };
    (@method visit_suspend $args:tt) => { visit!(@throws visit_suspend $args); };
    (@method visit_resume $args:tt) => { visit!(@throws visit_resume $args); };
    (@method visit_resume_throw $args:tt) => { visit!(@throws visit_resume_throw $args); };
    (@method visit_resume_throw_ref $args:tt) => { visit!(@throws visit_resume_throw_ref $args); };
    (@method visit_switch $args:tt) => { visit!(@throws visit_switch $args); };
    (@throws $visit:ident ($($arg:ident: $ty:ty),*)) => {
        fn $visit(&mut self, $(_: $ty),*) {
            self.instructions += 1;
            self.may_throw = true;
        }
    };
    (@method $visit:ident ($($arg:ident: $ty:ty),*)) => {
        fn $visit(&mut self, $(_: $ty),*) {
            self.instructions += 1;
        }
    };
}

impl<'a> VisitOperator<'a> for Visitor<'_> {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = ()>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(visit);
}

impl VisitSimdOperator<'_> for Visitor<'_> {
    wasmparser::for_each_visit_simd_operator!(visit);
}
