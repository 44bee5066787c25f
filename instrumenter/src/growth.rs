//! How much larger hooks make a module, and what to leave out where that is too much.

use crate::parse::Module;
use crate::scan::{Body, Exceptions};
use crate::select::{Omission, Reason};

/// About what the hooks add to a module for each function, in bytes: code, and the function's
/// part of the function map, where its name is mostly that of the one before.
const HOOK_BYTES: usize = 80;

/// What is added to that where an exception may leave the function.
const UNWIND_BYTES: usize = 12;

/// Leaves functions out until the hooks are expected to make the module at most `percent`
/// percent larger.
///
/// Only what is hooked for its size alone is left out, the smallest first; of those of
/// one size, the last first. Exported functions, callers of the host and loops stay
/// even where they alone are too much: without them a trace has no shape.
pub(crate) fn limit(
    module: &Module<'_>,
    percent: f64,
    verdicts: &mut [(String, Result<Reason, Omission>)],
) {
    let unwind = if module.exceptions == Exceptions::None { 0 } else { UNWIND_BYTES };
    let cost = |body: &Body<'_>| HOOK_BYTES + if body.may_throw { unwind } else { 0 };
    let bodies = || module.functions.iter().map(|function| &function.body);
    let hooked = bodies().zip(&*verdicts).filter(|(_, (_, verdict))| verdict.is_ok());
    let mut growth: usize = hooked.map(|(body, _)| cost(body)).sum();
    // What is not a number is more than any growth.
    let exceeds = |growth: usize| growth as f64 > module.bytes.len() as f64 * percent / 100.0;
    if !exceeds(growth) {
        return;
    }
    let mut for_size: Vec<_> = bodies()
        .enumerate()
        .filter(|&(place, _)| verdicts[place].1 == Ok(Reason::Size))
        .map(|(place, body)| (body, place))
        .collect();
    for_size.sort_by_key(|&(body, place)| (body.instructions, std::cmp::Reverse(place)));
    for (body, place) in for_size {
        if !exceeds(growth) {
            return;
        }
        growth -= cost(body);
        verdicts[place].1 = Err(Omission::Growth);
    }
}
