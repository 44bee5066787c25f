//! The spans of a trace, as a tree in which calls of one function from one place
//! share a line.
//!
//! It is an [`Exporter`]: it takes the spans as they end, children first, and keeps
//! one node for each path of names, so that its size depends on the shape of the
//! program and not on how long it runs.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use observe_collector::event::{
    Attribute, Chunk, SpanNumber, SpanRecord, Status, SymbolId, TraceInfo,
};
use observe_collector::{Counts, Exporter};

use crate::view::attributes;
use crate::view::text::clean;
use crate::view::units::{count, duration, plural};

/// Levels that are kept below any span: deeper ones are cut off, as they are
/// first in deep recursion, which looks the same on every level.
const LEVELS: usize = 100;

/// Attributes of a node that are kept.
const ATTRIBUTES: usize = 12;

/// One in so many lines is kept for what is not of the guest's own.
const OTHERS: usize = 4;

/// The most of a failure's message that is kept, in characters.
const MESSAGE: usize = 80;

/// The tree of a trace that is being received.
#[derive(Clone, Default)]
pub(crate) struct CallTree(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Children of spans that have not ended.
    pending: HashMap<SpanNumber, Children>,
    root: Option<(Node, Arc<TraceInfo>)>,
    received: u64,
}

#[derive(Default)]
struct Children(Vec<Node>);

#[derive(PartialEq, Eq)]
enum Key {
    Symbol(SymbolId),
    Name(String),
}

struct Node {
    /// Of the first of its spans to end.
    number: u64,
    key: Key,
    spans: u64,
    errors: u64,
    /// Why the first of them failed that did, as the guest said.
    message: String,
    /// What the guest said of all of its spans.
    attributes: Vec<Attribute>,
    nanos: u64,
    first_start: u64,
    children: Children,
    /// The longest path below.
    height: usize,
    /// Spans that were cut off below.
    cut: u64,
}

impl Exporter for CallTree {
    fn name(&self) -> &str {
        "tree"
    }

    fn export(&mut self, chunk: &Chunk) {
        let mut state = self.lock();
        for span in &chunk.spans {
            state.add(span, &chunk.trace);
        }
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        let received = self.lock().received;
        Counts { accepted: received, delivered: received, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

impl State {
    fn add(&mut self, span: &SpanRecord, trace: &Arc<TraceInfo>) {
        self.received += 1;
        let key = match (span.symbol, &span.detail) {
            (Some(symbol), _) => Key::Symbol(symbol),
            (None, detail) => {
                let name = detail.as_ref().and_then(|detail| detail.name.clone());
                Key::Name(name.unwrap_or_default().into_owned())
            }
        };
        let children = self.pending.remove(&span.number).unwrap_or_default();
        let height = children.0.iter().map(|child| child.height + 1).max().unwrap_or(0);
        let detail = span.detail.as_deref();
        let said = detail.map_or(&[][..], |detail| &detail.attributes);
        let said = said.iter().filter(|said| attributes::is_from_guest(said));
        let message = detail.map_or("", |detail| &detail.status_message);
        let mut node = Node {
            number: self.received,
            key,
            spans: 1,
            errors: u64::from(span.status == Status::Error),
            message: message.chars().take(MESSAGE).collect(),
            attributes: said.take(ATTRIBUTES).cloned().collect(),
            nanos: span.end_unix_nanos.saturating_sub(span.start_unix_nanos),
            first_start: span.start_unix_nanos,
            children,
            height,
            cut: 0,
        };
        // Cutting at twice the levels makes it rare.
        if node.height > 2 * LEVELS {
            node.cut_below(LEVELS);
        }
        match span.parent {
            Some(parent) => self.pending.entry(parent).or_default().insert(node),
            None => self.root = Some((node, Arc::clone(trace))),
        }
    }
}

impl Children {
    /// Adds a node, to that of the same name if there is one.
    fn insert(&mut self, node: Node) {
        match self.0.iter_mut().find(|present| present.key == node.key) {
            Some(present) => present.merge(node),
            None => self.0.push(node),
        }
    }
}

impl Node {
    fn merge(&mut self, other: Node) {
        self.spans += other.spans;
        self.errors += other.errors;
        if self.message.is_empty() {
            self.message = other.message;
        }
        self.attributes.retain(|said| other.attributes.contains(said));
        self.nanos += other.nanos;
        self.first_start = self.first_start.min(other.first_start);
        self.height = self.height.max(other.height);
        self.cut += other.cut;
        // At most twice LEVELS deep.
        other.children.0.into_iter().for_each(|child| self.children.insert(child));
    }

    /// Cuts off what is more than so many levels below.
    fn cut_below(&mut self, levels: usize) {
        self.height = self.height.min(levels);
        if levels == 0 {
            let cut = std::mem::take(&mut self.children);
            self.cut += cut.0.iter().map(Node::count).sum::<u64>();
        } else {
            self.children.0.iter_mut().for_each(|child| child.cut_below(levels - 1));
        }
    }

    /// Whether the guest named it, and not a function's name; the host names a few, too.
    fn is_own(&self) -> bool {
        matches!(self.key, Key::Name(_))
    }

    /// The spans of a node and all below it.
    fn count(&self) -> u64 {
        self.spans + self.cut + self.children.0.iter().map(Node::count).sum::<u64>()
    }
}

impl CallTree {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Each span is added whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree as text, in so many lines at most, those with the most time; empty if the
    /// root has not ended. `width` is that of the terminal, if it is one.
    pub(crate) fn render(&self, lines: usize, width: Option<usize>) -> String {
        let state = self.lock();
        let Some((root, trace)) = &state.root else { return String::new() };
        let mut lines = Lines {
            trace,
            shown: choose(root, lines),
            whole: root.nanos,
            width: width.unwrap_or(usize::MAX),
            text: String::new(),
        };
        lines.node(root, "", "");
        lines.text
    }
}

/// A node that may have a line.
struct Place<'a> {
    node: &'a Node,
    /// Where the place is that it stands under.
    above: Option<usize>,
    /// How many of those that it stands under are spans of the guest's own.
    own_above: usize,
}

/// The nodes to be shown, by number. Spans of the guest's own come first, with all that they stand
/// under: they are what it wants to be seen, and a language's runtime may take more time. They leave
/// a part of the lines to the rest: always the one with the most time of those whose parent is shown.
fn choose(root: &Node, lines: usize) -> HashSet<u64> {
    let mut places = vec![Place { node: root, above: None, own_above: 0 }];
    let mut at = 0;
    while let Some(&Place { node, own_above, .. }) = places.get(at) {
        let own_above = own_above + usize::from(node.is_own());
        let children = Chain::of(node).last.children.0.iter();
        places.extend(children.map(|node| Place { node, above: Some(at), own_above }));
        at += 1;
    }
    let mut shown = choose_own(&places, lines - lines / OTHERS);
    let is_shown = |at: usize| shown.contains(&places[at].node.number);
    let mut candidates: Vec<_> = (0..places.len())
        .filter(|&at| !is_shown(at) && places[at].above.is_none_or(is_shown))
        .map(|at| places[at].node)
        .collect();
    while shown.len() < lines
        && let Some(most) = (0..candidates.len()).max_by_key(|&at| candidates[at].nanos)
    {
        let node = candidates.swap_remove(most);
        shown.insert(node.number);
        candidates.extend(&Chain::of(node).last.children.0);
    }
    shown
}

/// The spans of the guest's own to be shown, and what they stand under: the outermost first, and of
/// those the longest. One that would take more lines than are left is left out.
fn choose_own(places: &[Place<'_>], lines: usize) -> HashSet<u64> {
    let mut own: Vec<_> = places.iter().filter(|place| place.node.is_own()).collect();
    own.sort_by_key(|place| (place.own_above, Reverse(place.node.nanos)));
    let mut shown = HashSet::new();
    for place in own {
        let up = iter::successors(Some(place), |place| place.above.map(|at| &places[at]));
        let numbers = up.map(|place| place.node.number);
        let left = lines - shown.len();
        let path: Vec<_> =
            numbers.take_while(|number| !shown.contains(number)).take(left + 1).collect();
        if path.len() <= left {
            shown.extend(path);
        }
    }
    shown
}

/// Nodes that share a line: a function that calls itself and, for spans long enough to be
/// kept, nothing else.
struct Chain<'a> {
    last: &'a Node,
    levels: u64,
    spans: u64,
}

impl<'a> Chain<'a> {
    fn of(node: &'a Node) -> Self {
        let mut chain = Chain { last: node, levels: 1, spans: node.spans };
        while let [only] = &chain.last.children.0[..]
            && only.key == node.key
            && chain.last.cut == 0
        {
            chain = Chain { last: only, levels: chain.levels + 1, spans: chain.spans + only.spans };
        }
        chain
    }
}

/// Writes the lines of a tree.
struct Lines<'a> {
    trace: &'a TraceInfo,
    shown: HashSet<u64>,
    /// The duration that all are compared with.
    whole: u64,
    width: usize,
    text: String,
}

impl Lines<'_> {
    /// Writes a node and what is below it. `own` stands before the node's name, and
    /// `below` before those of its children.
    fn node(&mut self, node: &Node, own: &str, below: &str) {
        let name = match &node.key {
            Key::Symbol(id) => self.trace.symbols.get(*id).map_or("?", |symbol| &symbol.name),
            Key::Name(name) => name,
        };
        let name = clean(name);
        let chain = Chain::of(node);
        let percent = node.nanos as f64 * 100.0 / self.whole.max(1) as f64;
        let mut line = format!("{:>9} {percent:>5.1} %  {own}{name}", duration(node.nanos));
        if chain.spans > 1 {
            line += &format!(" ×{}", count(chain.spans));
        }
        if chain.levels > 1 {
            line += &format!(", {} levels deep", count(chain.levels));
        }
        if node.errors > 0 {
            line += "  ← error";
            if !node.message.is_empty() {
                line += &format!(": {}", clean(&node.message));
            }
        }
        self.line(&line, &attributes::render(&node.attributes));
        let node = chain.last;
        let mut children: Vec<_> = node.children.0.iter().collect();
        children.sort_by_key(|child| child.first_start);
        let (shown, hidden): (Vec<_>, Vec<_>) =
            children.into_iter().partition(|child| self.shown.contains(&child.number));
        let nanos: u64 = hidden.iter().map(|child| child.nanos).sum();
        let cut = node.cut + hidden.iter().map(|child| child.count()).sum::<u64>();
        for (at, child) in shown.iter().enumerate() {
            let last = at + 1 == shown.len() && cut == 0;
            let (branch, trunk) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.node(child, &format!("{below}{branch}"), &format!("{below}{trunk}"));
        }
        if cut > 0 {
            let more = format!("{below}└─ … {}", plural(cut, "more span"));
            self.line(&format!("{:>9} {:>7}  {more}", duration(nanos), ""), "");
        }
    }

    fn line(&mut self, line: &str, attributes: &str) {
        self.text += &attributes::line(line, attributes, self.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64, key: Key, nanos: u64, children: Vec<Node>) -> Node {
        let height = children.iter().map(|child| child.height + 1).max().unwrap_or(0);
        Node {
            number,
            key,
            spans: 1,
            errors: 0,
            message: String::new(),
            attributes: Vec::new(),
            nanos,
            first_start: 0,
            children: Children(children),
            height,
            cut: 0,
        }
    }

    fn function(number: u64, nanos: u64, children: Vec<Node>) -> Node {
        let symbol = SymbolId(u32::try_from(number).expect("small"));
        node(number, Key::Symbol(symbol), nanos, children)
    }

    fn own(number: u64, nanos: u64, children: Vec<Node>) -> Node {
        node(number, Key::Name(number.to_string()), nanos, children)
    }

    fn sorted(shown: HashSet<u64>) -> Vec<u64> {
        let mut shown: Vec<_> = shown.into_iter().collect();
        shown.sort_unstable();
        shown
    }

    #[test]
    fn spans_of_the_guest_s_own_come_before_what_takes_longer() {
        let runtime = (100..200).rev().fold(Vec::new(), |below, n| vec![function(n, 900, below)]);
        let payment = function(4, 5, vec![own(5, 3, vec![])]);
        let request = own(3, 6, vec![payment, function(6, 1, vec![])]);
        let main = function(1, 50, vec![function(2, 20, vec![request]), function(7, 30, vec![])]);
        let root = own(0, 1000, vec![function(10, 900, runtime), main]);
        assert_eq!(sorted(choose(&root, 8)), [0, 1, 2, 3, 4, 5, 10, 100]);
        // With room for the outer one only.
        assert_eq!(sorted(choose(&root, 6)), [0, 1, 2, 3, 10, 100]);
        for lines in 0..200 {
            assert_eq!(choose(&root, lines).len(), lines.min(109), "{lines}");
        }
    }

    #[test]
    fn however_many_they_are_the_rest_has_its_lines() {
        let many = (100..200).map(|n| own(n, n, vec![])).collect();
        let slow = function(2, 500, vec![function(3, 400, vec![])]);
        let root = own(0, 1000, vec![own(1, 300, many), slow]);
        // 9 of the guest's own, and then by time.
        let expected = [0, 1, 2, 3, 192, 193, 194, 195, 196, 197, 198, 199];
        assert_eq!(sorted(choose(&root, 12)), expected);
    }
}
