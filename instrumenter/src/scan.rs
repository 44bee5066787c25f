//! Analysis, second part: one walk through each function body.
//!
//! The walk notes what the plan asks of a function (how many instructions, a loop,
//! a call of the host) and the places that a rewrite may touch, so that rewriting
//! copies the bytes between them and decodes nothing again.

use wasmparser::{FunctionBody, Operator, OperatorsReader, OperatorsReaderAllocations};

use crate::Error;

/// How a module uses exceptions, and so how a hooked function must catch those
/// that pass through it. In ascending order of what the wrapper must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exceptions {
    /// Nothing in the module can throw or catch.
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
    /// In bytes from the start of the body, which begins with its locals.
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
    /// How many groups of locals it declares.
    pub(crate) local_groups: u32,
    /// Where its first instruction is, in bytes from the start of the body.
    pub(crate) code_start: u32,
    /// How many instructions it has, `end` and `else` not counted.
    pub(crate) instructions: u32,
    pub(crate) has_loop: bool,
    /// Whether it calls an imported function by name.
    pub(crate) calls_import: bool,
    /// Its sites in [`Module::sites`](crate::Module).
    pub(crate) sites: std::ops::Range<usize>,
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
        let local_groups = local_reader.get_count();
        for _ in 0..local_groups {
            locals = locals.saturating_add(local_reader.read()?.0);
        }
        let reader = local_reader.get_binary_reader();
        let code_start = (reader.original_position() - start) as u32;

        let mut instructions = 0;
        let mut has_loop = false;
        let mut calls_import = false;
        let mut depth = 0u32;
        let mut labels = 0u32;
        let allocations = std::mem::take(&mut self.allocations);
        let mut operators = OperatorsReader::new_with_allocs(reader, allocations);
        while !operators.eof() {
            let offset = (operators.original_position() - start) as u32;
            let mut site = |offset, kind| sites.push(Site { offset, kind });
            instructions += 1;
            match operators.read()? {
                Operator::End => {
                    depth = depth.wrapping_sub(1);
                    instructions -= 1;
                }
                Operator::Else => instructions -= 1,
                Operator::Block { .. } | Operator::If { .. } => {
                    depth += 1;
                    labels += 1;
                }
                Operator::Loop { .. } => {
                    depth += 1;
                    labels += 1;
                    has_loop = true;
                }
                Operator::TryTable { .. } => {
                    depth += 1;
                    labels += 1;
                    self.exceptions = self.exceptions.max(Exceptions::Exnref);
                }
                Operator::Try { .. } => {
                    depth += 1;
                    labels += 1;
                    self.exceptions = Exceptions::Legacy;
                }
                // `delegate` closes the `try` that it belongs to.
                Operator::Delegate { .. } => depth = depth.wrapping_sub(1),
                // These opcodes are one byte long, the index follows.
                Operator::Call { function_index } => {
                    calls_import |= function_index < imports;
                    site(offset + 1, SiteKind::FunctionIndex);
                }
                Operator::RefFunc { .. } => site(offset + 1, SiteKind::FunctionIndex),
                Operator::ReturnCall { function_index } => {
                    calls_import |= function_index < imports;
                    site(offset, SiteKind::TailCall { labels });
                    site(offset + 1, SiteKind::FunctionIndex);
                }
                Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                    site(offset, SiteKind::TailCall { labels });
                }
                Operator::Return => site(offset, SiteKind::Return { depth }),
                _ => {}
            }
        }
        operators.finish()?;
        self.allocations = operators.into_allocations();
        Ok(Body {
            bytes: body.as_bytes(),
            offset: start,
            locals,
            local_groups,
            code_start,
            instructions,
            has_loop,
            calls_import,
            sites: first_site..sites.len(),
        })
    }
}
