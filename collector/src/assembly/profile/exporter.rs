//! An exporter that makes a profile of spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::arena::{Arena, NodeId};
use super::{Profile, Weight};
use crate::event::{Chunk, SpanNumber, SpanRecord, TraceId, TraceInfo};
use crate::exporter::Exporter;
use crate::stats::Counts;

/// Under which paths stand whose outermost calls never came.
const UNFINISHED: &str = "[unfinished]";

/// Gathers a [`Profile`] from the spans of all traces. Where its parent is, a span's time is not
/// part of the parent's self time; what was folded into a span is. Calls of a function by itself
/// make no longer paths.
///
/// A span's path is known when its outermost call ends. Until then, spans of the same path are
/// held as one. If the paths held become too many, those of the trace that began first are given up
/// as they are, under `[unfinished]`, as at a shutdown all are. So each span weighs in sooner or
/// later, counts as delivered as soon as it came, and a flush does not wait for calls that are open.
///
/// ```
/// use std::time::Duration;
///
/// use observe_collector::Collector;
/// use observe_collector::assembly::ProfileExporter;
///
/// let exporter = ProfileExporter::new(10_000);
/// let profile = exporter.handle();
/// let collector = Collector::builder().exporter(Box::new(exporter)).start();
/// // … spans come …
/// collector.shutdown(Duration::from_secs(1));
/// let pprof = profile.take().to_pprof();
/// # assert!(!pprof.is_empty());
/// ```
#[derive(Debug)]
pub struct ProfileExporter {
    profile: ProfileHandle,
    arena: Arena,
    names: HashSet<Arc<str>>,
    traces: HashMap<Key, Pending>,
    /// The same, in the order in which they came.
    order: BTreeMap<u64, Key>,
    /// Traces that were seen.
    seen: u64,
    max_paths: usize,
    counts: Counts,
}

/// A trace as one host recorded it.
type Key = (TraceId, u64);

/// The calls of a trace that ended, by the call that is still open.
#[derive(Debug, Default)]
struct Pending {
    /// As the how manieth it came.
    order: u64,
    open: HashMap<SpanNumber, Open>,
}

/// What ended in a call that is still open.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: NodeId,
    /// What the calls directly in it took.
    nanos: u64,
}

/// A profile that is being gathered. Clones share it.
#[derive(Clone, Debug)]
pub struct ProfileHandle {
    profile: Arc<Mutex<Profile>>,
    max_paths: usize,
}

impl ProfileHandle {
    /// The profile so far.
    pub fn get(&self) -> Profile {
        self.with(|profile| profile.clone())
    }

    /// The profile so far, which begins anew.
    pub fn take(&self) -> Profile {
        self.with(|profile| std::mem::replace(profile, Profile::new(self.max_paths)))
    }

    fn with<T>(&self, run: impl FnOnce(&mut Profile) -> T) -> T {
        run(&mut self.profile.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ProfileExporter {
    /// An exporter of a profile of at most so many paths. It holds as many again.
    pub fn new(max_paths: usize) -> Self {
        let profile = Arc::new(Mutex::new(Profile::new(max_paths)));
        ProfileExporter {
            profile: ProfileHandle { profile, max_paths },
            arena: Arena::default(),
            names: HashSet::new(),
            traces: HashMap::new(),
            order: BTreeMap::new(),
            seen: 0,
            max_paths,
            counts: Counts::default(),
        }
    }

    /// A way to the profile, while the exporter is in use and after that.
    pub fn handle(&self) -> ProfileHandle {
        self.profile.clone()
    }

    fn add(&mut self, trace: &TraceInfo, span: &SpanRecord) {
        let name = self.name(trace, span);
        let key = (trace.trace_id, trace.seed);
        let pending = self.traces.entry(key).or_insert_with(|| {
            self.seen += 1;
            self.order.insert(self.seen, key);
            Pending { order: self.seen, open: HashMap::new() }
        });
        let nanos = span.end_unix_nanos.saturating_sub(span.start_unix_nanos);
        let (node, within) = match pending.open.remove(&span.number) {
            Some(Open { node, nanos }) => (node, nanos),
            None => (self.arena.add(), 0),
        };
        let weight = Weight { calls: 1, self_nanos: nanos.saturating_sub(within) };
        self.arena.name(node, &name, weight);
        match span.parent {
            Some(parent) => {
                let arena = &mut self.arena;
                let open = pending
                    .open
                    .entry(parent)
                    .or_insert_with(|| Open { node: arena.add(), nanos: 0 });
                open.nanos = open.nanos.saturating_add(nanos);
                arena.put_under(open.node, node);
            }
            None => {
                let arena = &mut self.arena;
                self.profile.with(|profile| arena.drain(node, &[], profile));
            }
        }
        if pending.open.is_empty() {
            self.order.remove(&pending.order);
            self.traces.remove(&key);
        }
        while self.arena.len() > self.max_paths && self.give_up_first() {}
    }

    fn name(&mut self, trace: &TraceInfo, span: &SpanRecord) -> Arc<str> {
        let name = trace.name_of(span).unwrap_or("unknown");
        if let Some(name) = self.names.get(name) {
            return Arc::clone(name);
        }
        if self.names.len() > 2 * self.max_paths {
            // Those of nodes stay.
            self.names.retain(|name| Arc::strong_count(name) > 1);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    /// Gives up the trace that began first, if there is one.
    fn give_up_first(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_first() else { return false };
        let Some(pending) = self.traces.remove(&key) else { return false };
        let arena = &mut self.arena;
        self.profile.with(|profile| {
            let open = pending.open.into_values();
            open.for_each(|open| arena.drain(open.node, &[UNFINISHED], profile));
        });
        true
    }
}

impl Exporter for ProfileExporter {
    fn name(&self) -> &str {
        "profile"
    }

    fn export(&mut self, chunk: &Chunk) {
        let spans = chunk.spans.len() as u64;
        self.counts.accepted += spans;
        self.counts.delivered += spans;
        chunk.spans.iter().for_each(|span| self.add(&chunk.trace, span));
    }

    /// Does nothing: calls that are open go on.
    fn flush(&mut self, _deadline: Instant) {}

    fn shutdown(&mut self, _deadline: Instant) {
        while self.give_up_first() {}
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}
