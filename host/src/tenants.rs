//! What all traces of a host took, by tenant.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use observe_collector::event::{Attribute, Metric, MetricData, Number, Point};

use crate::report::Report;

/// Tenants past this number are one: the limit on attribute sets of a metric that the
/// OpenTelemetry metrics SDK specification gives, under "Cardinality limits".
const MAX_TENANTS: usize = 2000;

/// A trace that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) report: &'a Report,
    pub(crate) failed: bool,
}

/// What the traces of each tenant took.
#[derive(Debug)]
pub(crate) struct Tenants {
    since_unix_nanos: u64,
    totals: Mutex<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    /// By tenant; traces that are nobody's come first.
    of: BTreeMap<Option<Box<str>>, Total>,
    /// Of tenants past the limit.
    overflow: Option<Total>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    traces: u64,
    failures: u64,
    spans: u64,
    wall: u64,
    cpu: u64,
    suspended: u64,
    host: u64,
    instantiation: u64,
    hooks: u64,
    fuel: u64,
    memory_growth: u64,
    memory_peak: u64,
    table_growth: u64,
    lost: u64,
}

impl Default for Tenants {
    fn default() -> Self {
        Tenants { since_unix_nanos: now(), totals: Mutex::default() }
    }
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

impl Total {
    fn add(&mut self, Ended { report, failed }: &Ended<'_>) {
        let resources = &report.resources;
        self.traces += 1;
        self.failures += u64::from(*failed);
        for (total, more) in [
            (&mut self.spans, report.spans),
            (&mut self.wall, resources.wall_nanos),
            (&mut self.cpu, resources.cpu_nanos.unwrap_or(0)),
            (&mut self.suspended, resources.suspended_nanos),
            (&mut self.host, resources.host_nanos),
            (&mut self.instantiation, resources.instantiation_nanos),
            (&mut self.hooks, resources.hooks_nanos),
            (&mut self.fuel, resources.fuel.unwrap_or(0)),
            (&mut self.memory_growth, report.growth.memory_bytes),
            (&mut self.table_growth, report.growth.table_elements),
            (&mut self.lost, report.lost.total()),
        ] {
            *total = total.saturating_add(more);
        }
        self.memory_peak = self.memory_peak.max(resources.memory_bytes.unwrap_or(0));
    }
}

/// A metric that is a number of a [`Total`].
struct Column {
    name: &'static str,
    description: &'static str,
    unit: &'static str,
    of: fn(&Total) -> Number,
}

fn count(value: u64) -> Number {
    Number::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn seconds(nanos: u64) -> Number {
    Number::Double(nanos as f64 / 1e9)
}

const SUMS: [Column; 13] = [
    Column {
        name: "wasm.traces",
        description: "Traces that have ended",
        unit: "{trace}",
        of: |total| count(total.traces),
    },
    Column {
        name: "wasm.failures",
        description: "Traces that ended with a failure",
        unit: "{trace}",
        of: |total| count(total.failures),
    },
    Column {
        name: "wasm.spans",
        description: "Spans that were made",
        unit: "{span}",
        of: |total| count(total.spans),
    },
    Column {
        name: "wasm.wall.time",
        description: "Time from the start of traces to their ends",
        unit: "s",
        of: |total| seconds(total.wall),
    },
    Column {
        name: "wasm.cpu.time",
        description: "Time for which threads worked on traces",
        unit: "s",
        of: |total| seconds(total.cpu),
    },
    Column {
        name: "wasm.suspended.time",
        description: "Time in which asynchronous calls waited",
        unit: "s",
        of: |total| seconds(total.suspended),
    },
    Column {
        name: "wasm.host.time",
        description: "Time in functions of the host",
        unit: "s",
        of: |total| seconds(total.host),
    },
    Column {
        name: "wasm.instantiation.time",
        description: "Time that instantiation took",
        unit: "s",
        of: |total| seconds(total.instantiation),
    },
    Column {
        name: "wasm.hooks.time",
        description: "Time that observing took, as estimated",
        unit: "s",
        of: |total| seconds(total.hooks),
    },
    Column {
        name: "wasm.fuel.consumed",
        description: "Fuel that was consumed",
        unit: "{fuel}",
        of: |total| count(total.fuel),
    },
    Column {
        name: "wasm.memory.growth",
        description: "Bytes that memories grew by",
        unit: "By",
        of: |total| count(total.memory_growth),
    },
    Column {
        name: "wasm.table.growth",
        description: "Elements that tables grew by",
        unit: "{element}",
        of: |total| count(total.table_growth),
    },
    Column {
        name: "wasm.events.lost",
        description: "What was not recorded",
        unit: "{event}",
        of: |total| count(total.lost),
    },
];

const MEMORY_PEAK: Column = Column {
    name: "wasm.memory.peak",
    description: "The most bytes that a store's memories had",
    unit: "By",
    of: |total| count(total.memory_peak),
};

impl Tenants {
    /// Adds a trace to what its tenant took.
    pub(crate) fn add(&self, tenant: Option<&str>, ended: &Ended<'_>) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant: Option<Box<str>> = tenant.map(Into::into);
        let Totals { of, overflow } = &mut *totals;
        let is_room = of.len() < MAX_TENANTS || of.contains_key(&tenant);
        let total = match is_room {
            true => of.entry(tenant).or_default(),
            false => overflow.get_or_insert_default(),
        };
        total.add(ended);
    }

    /// All of it, as metrics.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let points: Vec<(Vec<Attribute>, Total)> = {
            let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            let of = totals.of.iter().map(|(tenant, total)| {
                let tenant = tenant.iter();
                (tenant.map(|tenant| Attribute::new("wasm.tenant", &**tenant)).collect(), *total)
            });
            // The attribute is the specification's.
            let overflow = || vec![Attribute::new("otel.metric.overflow", true)];
            of.chain(totals.overflow.map(|total| (overflow(), total))).collect()
        };
        let time_unix_nanos = now();
        let points = |of: fn(&Total) -> Number| {
            let points = points.iter().map(|(attributes, total)| {
                Point::new(attributes.clone(), time_unix_nanos, of(total))
            });
            points.collect()
        };
        let metric = |column: &Column, data| Metric {
            name: column.name.into(),
            description: column.description.into(),
            unit: column.unit.into(),
            data,
        };
        let sums = SUMS.iter().map(|column| {
            let start_unix_nanos = self.since_unix_nanos;
            let points = points(column.of);
            metric(column, MetricData::sum(true, start_unix_nanos, points))
        });
        let peak = metric(&MEMORY_PEAK, MetricData::Gauge(points(MEMORY_PEAK.of)));
        sums.chain([peak]).collect()
    }
}
