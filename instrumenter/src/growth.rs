//! How much larger hooks make a module, and what to leave out where that is too much.

use crate::parse::Module;
use crate::scan::Body;
use crate::select::{Omission, Reason};

/// What the hooks add to a module for each function, in bytes: code, and the function's
/// part of the function map but for its name.
const HOOK_BYTES: usize = 60;

/// A growth that no limit forbids, in bytes: a page. Of a module of a few kilobytes a
/// small part is nothing, and its few functions are what there is to see.
const FREE: usize = 4096;

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
    let bodies = || module.functions.iter().map(|function| &function.body);
    let cost = |body: &Body<'_>, name: &str| cost(body) + name.len();
    let hooked = bodies().zip(&*verdicts).filter(|(_, (_, verdict))| verdict.is_ok());
    let mut growth: usize = hooked.map(|(body, (name, _))| cost(body, name)).sum();
    // What is not a number is more than any growth.
    let exceeds = |growth: usize| {
        growth > FREE && growth as f64 > module.bytes.len() as f64 * percent / 100.0
    };
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
        let (name, verdict) = &mut verdicts[place];
        growth -= cost(body, name);
        *verdict = Err(Omission::Growth);
    }
}

/// How many bytes the hooks of a function take, its name not counted.
fn cost(_: &Body<'_>) -> usize {
    HOOK_BYTES
}
