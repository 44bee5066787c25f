//! What came of a contest, to be printed or to be merged with that of other processes.

use std::fmt;

use observe_benches::Spread;
use serde::{Deserialize, Serialize};

/// What came of a contest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    pub rounds: usize,
    pub processes: usize,
    pub rows: Vec<Row>,
    /// What is said below the table.
    pub notes: Vec<String>,
}

/// What came of a contender.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// How many rounds it took part in.
    pub rounds: usize,
    pub ms: Option<Spread>,
    /// Of its time and that of the uninstrumented module.
    pub ratio: Option<Spread>,
    /// Calls of hooked functions, and how many of them were timed.
    pub calls: Option<(u64, u64)>,
    /// What each of them takes.
    pub nanos_a_call: Option<Spread>,
    /// The same, as a multiple of what hooks add that only read the clock.
    pub of_floor: Option<Spread>,
    /// Of its time and that of another contender, where it has one of its own to be
    /// compared with.
    pub of_own_baseline: Option<Spread>,
}

impl Table {
    /// One table whose spreads are those of the medians in others of the same contest.
    pub fn merged(tables: &[Table]) -> Option<Table> {
        let first = tables.first()?;
        let rows = first.rows.iter().enumerate().map(|(n, row)| {
            let others = || tables.iter().filter_map(|table| table.rows.get(n));
            let medians = |of: fn(&Row) -> Option<Spread>| {
                of(row)?;
                Some(Spread::of(others().filter_map(of).map(|spread| spread.median)))
            };
            Row {
                ms: medians(|row| row.ms),
                ratio: medians(|row| row.ratio),
                nanos_a_call: medians(|row| row.nanos_a_call),
                of_floor: medians(|row| row.of_floor),
                of_own_baseline: medians(|row| row.of_own_baseline),
                ..row.clone()
            }
        });
        let rows = rows.collect();
        Some(Table { rows, processes: tables.len(), ..first.clone() })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { title, rounds, processes, rows, notes } = self;
        writeln!(f, "### {title}\n")?;
        match processes {
            1 => writeln!(f, "Of {rounds} rounds.\n")?,
            _ => writeln!(f, "Of the medians of {processes} processes of {rounds} rounds each.\n")?,
        }
        // A column in which nobody has anything is left out.
        let columns: Vec<_> = COLUMNS
            .into_iter()
            .filter(|(_, cell)| rows.iter().any(|row| cell(row).is_some()))
            .collect();
        let line = |cells: &mut dyn Iterator<Item = String>| {
            cells.fold("|".to_owned(), |line, cell| line + " " + &cell + " |")
        };
        let heads = columns.iter().map(|(head, _)| (*head).to_owned());
        writeln!(f, "{}", line(&mut std::iter::once("contender".to_owned()).chain(heads)))?;
        writeln!(f, "|---|{}", "---|".repeat(columns.len()))?;
        for row in rows {
            let cells = columns.iter().map(|(_, cell)| cell(row).unwrap_or_default());
            writeln!(f, "{}", line(&mut std::iter::once(row.name.clone()).chain(cells)))?;
        }
        writeln!(f)?;
        let notes = rows.iter().flat_map(|row| row.notes(*rounds)).chain(notes.iter().cloned());
        let notes: Vec<_> = notes.map(|note| format!("- {note}\n")).collect();
        match notes.is_empty() {
            true => Ok(()),
            false => writeln!(f, "{}", notes.concat()),
        }
    }
}

impl Row {
    /// What is said of it below the table, where it did not take part in all rounds or is
    /// compared with another contender, too.
    fn notes(&self, rounds: usize) -> impl Iterator<Item = String> {
        let Row { name, .. } = self;
        let fewer = (self.rounds < rounds).then(|| format!("{name}: {} rounds", self.rounds));
        let own = self.of_own_baseline;
        let own = own.map(|ratio| format!("{name}: {ratio:.3} of its own engine's uninstrumented"));
        own.into_iter().chain(fewer)
    }
}

/// The head of a column, and what stands in it.
type Column = (&'static str, fn(&Row) -> Option<String>);

/// The columns behind the first.
const COLUMNS: [Column; 6] = [
    ("ms", |row| Some(format!("{:.1}", row.ms?.median))),
    ("ratio", |row| Some(format!("{:.3}", row.ratio?))),
    ("calls", |row| Some(grouped(row.calls?.0))),
    ("timed", |row| match row.calls? {
        (made, timed) if made == timed => Some("all".to_owned()),
        (_, timed) => Some(grouped(timed)),
    }),
    ("ns a call", |row| Some(format!("{:.1}", row.nanos_a_call?))),
    ("of the floor", |row| Some(format!("{:.2}", row.of_floor?))),
];

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
