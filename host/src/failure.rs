//! How a guest failed, in the module's own terms.

use std::fmt;

use observe_abi::map::index_name;
use observe_collector::event::{Attribute, SpanDetail};
use observe_instrumenter::demangle;
use wasmtime::{ThrownException, Trap, WasmBacktrace};

use crate::ObservedModule;
use crate::module::ModuleInfo;

/// A call of a guest that ended with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind, low in cardinality: the trap, such as `unreachable`, or `error`.
    pub error_type: String,
    /// What happened, in one line.
    pub message: String,
    /// The guest's calls that were open, the innermost first.
    ///
    /// An engine keeps 20 frames unless its
    /// [`wasm_backtrace_max_frames`](wasmtime::Config::wasm_backtrace_max_frames) says otherwise,
    /// and under a call that is timed one of them is the hooks', which is not among these.
    pub backtrace: Vec<BacktraceFrame>,
}

/// A guest call that was open when the guest failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BacktraceFrame {
    /// The function's name, demangled.
    pub function: String,
    /// The function's index in the module before instrumentation.
    pub index: u32,
    /// Where the function's source begins, as `file:line`, where that is known.
    pub source: Option<String>,
}

impl fmt::Display for BacktraceFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

impl Failure {
    /// Reads what a call of an instance of `module` gave.
    pub fn new(module: &ObservedModule, error: &wasmtime::Error) -> Self {
        Failure::of_guest(&module.info(), error)
    }

    /// The same.
    pub(crate) fn of_guest(module: &ModuleInfo, error: &wasmtime::Error) -> Self {
        let (error_type, message) = match error.downcast_ref::<Trap>() {
            Some(trap) => {
                let message = trap.to_string();
                let what = message.trim_start_matches("wasm trap: ");
                (trap_type(*trap).to_owned(), what.to_owned())
            }
            None if error.downcast_ref::<ThrownException>().is_some() => {
                ("exception".to_owned(), "an exception was thrown and not caught".to_owned())
            }
            None => {
                let root = error.root_cause().to_string().replace('\n', ": ");
                ("error".to_owned(), root)
            }
        };
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        let backtrace = backtrace.map_or_else(Vec::new, |trace| Failure::frames(module, trace));
        Failure { error_type, message, backtrace }
    }

    /// Why a trace ended without a word from the guest.
    pub(crate) fn of_host(error_type: &'static str, why: &str) -> Self {
        Failure {
            error_type: error_type.to_owned(),
            message: why.to_owned(),
            backtrace: Vec::new(),
        }
    }

    /// The calls of a backtrace, in the module's own terms.
    pub(crate) fn frames(module: &ModuleInfo, backtrace: &WasmBacktrace) -> Vec<BacktraceFrame> {
        let frames = backtrace.frames().iter();
        frames
            .filter_map(|frame| {
                // Another module of the store has other functions, and no hooks of ours.
                let ours = wasmtime::Module::same(frame.module(), &module.module);
                let index = match ours {
                    true => module.original_index(frame.func_index())?,
                    false => frame.func_index(),
                };
                let known = ours.then(|| module.functions.by_original_index(index)).flatten();
                let function = match (known, frame.func_name()) {
                    (Some(id), _) => module.functions.map.functions[id].name.clone(),
                    (None, Some(name)) => demangle(name),
                    (None, None) => index_name(index),
                };
                let source = known.and_then(|id| module.functions.source(id));
                Some(BacktraceFrame { function, index, source })
            })
            .collect()
    }

    /// What the span that failed says of it.
    pub(crate) fn detail(&self) -> SpanDetail {
        let mut attributes = vec![Attribute::new("error.type", self.error_type.as_str())];
        if let Some(stacktrace) = self.stacktrace() {
            // "Source code attributes" of the semantic conventions.
            attributes.push(Attribute::new("code.stacktrace", stacktrace));
        }
        let status_message = self.message.clone();
        SpanDetail { status_message, attributes, ..SpanDetail::default() }
    }

    /// What the log says of it: "Semantic conventions for exceptions in logs".
    pub(crate) fn log_attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![
            Attribute::new("exception.type", self.error_type.as_str()),
            Attribute::new("exception.message", self.message.as_str()),
        ];
        if let Some(stacktrace) = self.stacktrace() {
            attributes.push(Attribute::new("exception.stacktrace", stacktrace));
        }
        attributes
    }

    /// The backtrace, a line for each call.
    fn stacktrace(&self) -> Option<String> {
        let lines: Vec<_> = self.backtrace.iter().map(ToString::to_string).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The trap's name in the style of the semantic conventions.
fn trap_type(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack_overflow",
        Trap::MemoryOutOfBounds => "memory_out_of_bounds",
        Trap::HeapMisaligned => "heap_misaligned",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "bad_signature",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "integer_division_by_zero",
        Trap::BadConversionToInteger => "bad_conversion_to_integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::Interrupt => "interrupt",
        Trap::OutOfFuel => "out_of_fuel",
        Trap::NullReference => "null_reference",
        Trap::ArrayOutOfBounds => "array_out_of_bounds",
        Trap::AllocationTooLarge => "allocation_too_large",
        Trap::CastFailure => "cast_failure",
        _ => "trap",
    }
}
