//! The table of functions.

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use observe_host::FunctionRow;

use crate::view::units::{count, duration};

/// The functions shown; the rest is summed up in a line.
const ROWS: usize = 20;

/// The narrowest that names are cut to.
const MIN_NAME: usize = 24;

/// The functions in the order given. `width` is that of the terminal, if it is one;
/// `estimated` says that not all calls were timed, so that durations are estimates
/// and the time of a function's own is unknown.
pub(crate) fn render(rows: &[FunctionRow], width: Option<usize>, estimated: bool) -> String {
    let mut lines =
        vec![["calls", "total", "self", "p50", "p95", "max", "function"].map(String::from)];
    for row in rows.iter().take(ROWS) {
        let timed = |nanos| if row.timed_calls == 0 { "-".to_owned() } else { duration(nanos) };
        let about = |nanos| match estimated && row.timed_calls > 0 {
            true => format!("~{}", timed(nanos)),
            false => timed(nanos),
        };
        let name = match &row.source {
            Some(source) => format!("{} ({source})", row.name),
            None => row.name.clone(),
        };
        lines.push([
            count(row.calls),
            about(row.total_nanos),
            if estimated { "-".to_owned() } else { timed(row.self_nanos) },
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
    if rows.len() > ROWS {
        let rest = &rows[ROWS..];
        let own: u64 = rest.iter().map(|row| row.self_nanos).sum();
        text += &format!("… {} more functions", count(rest.len() as u64));
        if !estimated {
            text += &format!(", {} of their own", duration(own));
        }
        text += "\n";
    }
    text
}
