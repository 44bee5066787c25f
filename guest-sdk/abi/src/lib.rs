//! The contract between an observed WebAssembly guest and its host.
//!
//! Three parties share these names and shapes: the instrumenter, which writes
//! calls of the [`hooks`] and a function map into a module; the guest SDK, whose
//! annotations import the functions in [`guest`]; and the host, which provides
//! both. Each import module carries the version of its contract after an `@`, so
//! that a guest and a host of different versions fail at link time by name,
//! before a call is misread.
//!
//! The crate needs neither `std` nor, without the feature `map`, an allocator.
#![no_std]

#[cfg(feature = "map")]
extern crate alloc;

pub mod guest;

#[cfg(feature = "map")]
pub mod map;

pub mod signature;

/// What instrumented code calls.
///
/// Each hooked function has a *cell*, an `i32` that starts at zero: the number of calls to
/// let pass. A call that finds zero there first calls [`ENTER`](hooks::ENTER), which gives the
/// period, the number of calls until the next such call, and this is stored. Then each call
/// counts itself down, so that after the entry of that one the cell holds one less than the
/// period. The second result, the token, says what to do on the way out: a negative token is
/// handed to [`EXIT`](hooks::EXIT), any other means that this call is not timed.
///
/// The function need not do all this itself: one that finds zero may leave the call to another
/// function, which stores the period and calls it again. So a host that gave a period of zero
/// would let it call itself without end.
pub mod hooks {
    /// The import module of this version of the hooks.
    pub const MODULE: &str = "observe:hooks@1";

    /// What the import module of every version of the hooks begins with.
    pub const MODULE_PREFIX: &str = "observe:hooks@";

    /// `enter: (id: i32) -> (period: i32, token: i32)`.
    ///
    /// `id` is the function's place in the function map. `period` is at least 1.
    pub const ENTER: &str = "enter";

    /// `exit: (token: i32) -> ()`, with the negative token that `enter` gave.
    pub const EXIT: &str = "exit";

    /// `unwind: (token: i32) -> ()`, in place of `exit` where an exception leaves the
    /// function. Called for every such call; a token that is not negative says that
    /// this one is not timed. Imported only by modules that use exceptions.
    pub const UNWIND: &str = "unwind";

    /// `memory-grow: (id: i32, memory: i32, bytes: i64) -> ()`, after a hooked function grew
    /// a memory by so many bytes; -1 says that it tried to and could not. Imported only by
    /// modules in which one may.
    pub const MEMORY_GROW: &str = "memory-grow";

    /// `table-grow: (id: i32, table: i32, elements: i64) -> ()`, the same of a table.
    pub const TABLE_GROW: &str = "table-grow";

    /// `allocation: (freed: i64, size: i64, pointer: i64) -> ()`, after memory of so many bytes
    /// was allocated, at an address that is not 0 unless that failed, and before or while
    /// other memory is given back, if `freed` is not 0. Imported only by modules that
    /// were asked to tell of their heap.
    ///
    /// Allocators call one another, and then the same is told more than once: what is
    /// allocated at an address that is taken is the same memory, and what is freed at an
    /// address that is not taken was freed already.
    pub const ALLOCATION: &str = "allocation";

    /// The exported memory that holds the cells, an `i32` in little-endian order
    /// for each id in turn, where the module keeps them in a memory.
    pub const CELLS_MEMORY: &str = "observe:cells";

    /// The exported functions `() -> (i32, …)` that read the cells of
    /// [`CELLS_PER_READER`] ids each and set them to zero, where the module keeps them in
    /// globals. The number of the reader follows the prefix in decimal, from 0.
    pub const CELLS_READER_PREFIX: &str = "observe:cells/";

    /// How many cells one reader returns at most: the limit on results in the
    /// [WebAssembly JavaScript Interface, "Implementation-defined Limits"](https://webassembly.github.io/spec/js-api/#limits).
    pub const CELLS_PER_READER: usize = 1000;
}

/// What modules made for observe-sdk import, as its hosts in Rust, Go and JavaScript provide it.
///
/// Each call of a hooked function is told, by the function's index in the instrumented module; the
/// hosts read its name from there. They want a module to export the version that its hooks are of,
/// in two constant globals, and look these up as if no global were imported.
///
/// What guests say of themselves are texts in the memory that they export as `memory`. In the
/// import modules of today their addresses are `i32`, in the old one `i64`.
pub mod dylibso {
    /// The import module of the hooks.
    pub const MODULE: &str = "dylibso:observe/instrument";

    /// The import module of the guest's own words.
    pub const API_MODULE: &str = "dylibso:observe/api";

    /// The import module of both before they had these names.
    pub const OLD_MODULE: &str = "dylibso_observe";

    /// `enter: (function: i32) -> ()`.
    pub const ENTER: &str = "enter";

    /// `exit: (function: i32) -> ()`, however the call ends.
    pub const EXIT: &str = "exit";

    /// `memory-grow: (pages: i32) -> ()`, after a memory grew by so many. Modules of Dylibso's
    /// instrumenter tell what was asked for, whether it was given or not.
    pub const MEMORY_GROW: &str = "memory-grow";

    /// The names of [`ENTER`], [`EXIT`] and [`MEMORY_GROW`] in [`OLD_MODULE`].
    pub const OLD_HOOKS: [&str; 3] =
        ["instrument_enter", "instrument_exit", "instrument_memory_grow"];

    /// `span-enter: (name: i32, len: i32) -> ()`: a span begins. It lasts until `span-exit`,
    /// also in another function.
    pub const SPAN_ENTER: &str = "span-enter";

    /// `span-exit: () -> ()`: the innermost such span ends.
    pub const SPAN_EXIT: &str = "span-exit";

    /// `span-tags: (tags: i32, len: i32) -> ()`: tags of the innermost span, `key:value` with
    /// commas between them.
    pub const SPAN_TAGS: &str = "span-tags";

    /// `metric: (format: i32, text: i32, len: i32) -> ()`, of which the one format is
    /// [`STATSD`].
    pub const METRIC: &str = "metric";

    /// `log: (level: i32, text: i32, len: i32) -> ()`; 1 is an error, 2 a warning, 3
    /// information, 4 debugging and 5 finer debugging.
    pub const LOG: &str = "log";

    /// The names of [`SPAN_ENTER`], [`SPAN_EXIT`], [`SPAN_TAGS`], [`METRIC`] and [`LOG`] in
    /// [`OLD_MODULE`].
    pub const OLD_API: [&str; 5] = ["span_enter", "span_exit", "span_tags", "metric", "log"];

    /// The format of a metric in lines as statsd takes them, with tags as DogStatsD does.
    pub const STATSD: u32 = 1;

    /// The exported globals that tell the version, and what they are: hosts accept the
    /// same major version and any minor one from their own on. 0.4 is the highest that one
    /// was seen to ask for.
    pub const VERSION: [(&str, i32); 2] =
        [("wasm_instr_version_major", 0), ("wasm_instr_version_minor", 4)];
}
