//! What memories and tables grew by, and what was allocated.

use std::cmp::Reverse;

use console::truncate_str;
use observe_host::{FunctionRow, Growth, Heap, Report};

use crate::view::text::clean;
use crate::view::units::{bytes, plural};

/// Functions that are named.
const FUNCTIONS: usize = 3;

/// The widest that their names are shown.
const NAME: usize = 60;

/// Some lines, or none where nothing grew and nothing was told of the heap.
pub(crate) fn render(told: &Report) -> String {
    let mut text = String::new();
    if !told.growth.is_none() {
        text += &format!("\ngrowth: {}\n", growth(&told.growth));
        let by = |row: &FunctionRow| {
            let Growth { memory_bytes, table_elements, failures, .. } = row.growth;
            (memory_bytes, table_elements, failures)
        };
        text += &top(told, "by", by, |row| growth(&row.growth));
    }
    let heap = &told.heap;
    if *heap != Heap::default() {
        text += &format!(
            "\nheap: {} of {}, at most {} at a time; {} of {} left",
            plural(heap.allocations, "block"),
            bytes(heap.allocated_bytes),
            bytes(heap.peak_bytes),
            plural(heap.live_blocks, "block"),
            bytes(heap.live_bytes),
        );
        if heap.failures > 0 {
            text += &format!("; {} failed", plural(heap.failures, "allocation"));
        }
        text += "\n";
        let allocated = |row: &FunctionRow| row.heap.allocated_bytes;
        text += &top(told, "allocated by", allocated, |row| bytes(allocated(row)));
        let live = |row: &FunctionRow| row.heap.live_bytes;
        text += &top(told, "left by", live, |row| bytes(live(row)));
    }
    text
}

fn growth(growth: &Growth) -> String {
    let mut parts = Vec::new();
    if growth.memory_bytes > 0 {
        parts.push(format!("memory +{}", bytes(growth.memory_bytes)));
    }
    if growth.table_elements > 0 {
        parts.push(format!("tables +{}", plural(growth.table_elements, "element")));
    }
    if growth.failures > 0 {
        parts.push(format!("{} failed", plural(growth.failures, "attempt")));
    }
    parts.join(", ")
}

/// The functions with the most of something, in a line; empty where none has any.
fn top<Most: Ord + Default>(
    told: &Report,
    what: &str,
    most: impl Fn(&FunctionRow) -> Most,
    say: impl Fn(&FunctionRow) -> String,
) -> String {
    let mut rows: Vec<_> =
        told.functions.iter().filter(|row| most(row) > Most::default()).collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|row| Reverse(most(row)));
    let name = |row: &FunctionRow| truncate_str(&clean(&row.name), NAME, "…").into_owned();
    let named: Vec<_> =
        rows.iter().take(FUNCTIONS).map(|row| format!("{} ({})", name(row), say(row))).collect();
    let rest = if rows.len() > FUNCTIONS { ", …" } else { "" };
    format!("  {what} {}{rest}\n", named.join(", "))
}
