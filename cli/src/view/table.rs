//! The table of functions.

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use observe_host::FunctionRow;

use crate::view::text::clean;
use crate::view::units::{count, duration, plural};

/// The narrowest that names are cut to.
const MIN_NAME: usize = 24;

/// The first `top` functions in the order given; the rest is summed up in a line. `width`
/// is that of the terminal, if it is one; `estimated` says that not all calls were
/// timed, so that durations are estimates.
pub(crate) fn render(
    rows: &[FunctionRow],
    top: usize,
    width: Option<usize>,
    estimated: bool,
) -> String {
    let mut lines =
        vec![["calls", "total", "self", "p50", "p95", "max", "function"].map(String::from)];
    for row in rows.iter().take(top) {
        let timed = |nanos| if row.timed_calls == 0 { "-".to_owned() } else { duration(nanos) };
        let known = |nanos: Option<u64>| match nanos {
            Some(nanos) if estimated && row.timed_calls > 0 => format!("~{}", timed(nanos)),
            Some(nanos) => timed(nanos),
            None => "-".to_owned(),
        };
        let name = match &row.source {
            Some(source) => format!("{} ({})", clean(&row.name), clean(short(source))),
            None => clean(&row.name).into_owned(),
        };
        lines.push([
            count(row.calls),
            known(row.total_nanos),
            known(row.self_nanos),
            timed(row.p50_nanos),
            timed(row.p95_nanos),
            timed(row.max_nanos),
            name,
        ]);
    }
    let widths: Vec<_> = (0..6)
        .map(|column| lines.iter().map(|line| measure_text_width(&line[column])).max().unwrap_or(0))
        .collect();
    let taken: usize = widths.iter().map(|width| width + 2).sum();
    let name_width = width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(MIN_NAME));
    let mut text = String::new();
    for line in &lines {
        let (name, numbers) =
            line.split_last().map_or(("", &[][..]), |(n, rest)| (n.as_str(), rest));
        for (number, &width) in numbers.iter().zip(&widths) {
            text += &pad_str(number, width, Alignment::Right, None);
            text += "  ";
        }
        text += &truncate_str(name, name_width, "…");
        text += "\n";
    }
    if let Some(rest @ [_, ..]) = rows.get(top..) {
        let own: Option<u64> = rest.iter().map(|row| row.self_nanos).sum();
        text += &format!("… {}", plural(rest.len() as u64, "more function"));
        if let Some(own) = own {
            text += &format!(", {} of their own", duration(own));
        }
        text += "\n";
    }
    text
}

/// The last two parts of a path, which is what tells files apart.
fn short(source: &str) -> &str {
    let mut separators = source.rmatch_indices(['/', '\\']);
    separators.nth(1).map_or(source, |(at, _)| &source[at + 1..])
}
