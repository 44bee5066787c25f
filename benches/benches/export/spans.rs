//! The spans that all send: calls of 200 functions, with four attributes each, in traces of 256.

use std::sync::LazyLock;

/// How many spans a trace has, and a chunk: as many as the host hands over at once.
pub(crate) const TRACE: u64 = 256;

/// Spans in a request: what the specification has for `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
pub(crate) const BATCH: u64 = 512;

/// How many are sent before it is waited for their answers, so that no queue is full.
pub(crate) const WAVE: u64 = 131_072;

/// A function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) line: i64,
    /// The same, for who takes text only.
    pub(crate) line_text: &'static str,
}

/// Nobody is charged for making text: it is there for the whole life of the process.
pub(crate) static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let function = |line: i64| Function {
        name: format!("module::function_{line:03}").leak(),
        line,
        line_text: line.to_string().leak(),
    };
    (0..200).map(function).collect()
});

pub(crate) const FILE: &str = "src/module.rs";

/// Which function the span of this number is of.
pub(crate) fn index(number: u64) -> usize {
    (number.wrapping_mul(2_654_435_761) % 200) as usize
}

/// When it began, and ended, in nanoseconds since the Unix epoch.
pub(crate) fn times(number: u64) -> (u64, u64) {
    let start = 1_700_000_000_000_000_000 + number * 1_000;
    (start, start + 700)
}

/// Does something for so many, in parts of at most `size`.
pub(crate) fn in_parts<E>(
    total: u64,
    size: u64,
    mut part: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), E> {
    let mut left = total;
    while left > 0 {
        let number = left.min(size);
        part(number)?;
        left -= number;
    }
    Ok(())
}
