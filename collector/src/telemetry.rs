//! What the collector tells of itself, as metrics.
//!
//! Names and attributes are those of the [semantic conventions for SDK metrics] where they have one;
//! all others begin with `observe.`. `docs/TELEMETRY.md` has the table.
//!
//! [semantic conventions for SDK metrics]: https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/

use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::{
    Attribute, HistogramPoint, Metric, MetricData, Number, Point, Temporality, Value,
};
use crate::stats::{Counts, Cut, Dropped, ExporterReport, Flow, Passage, Report, Signal};
use crate::transfers::{Latency, Transfers};

/// `otel.component.type` of the channel and what stands between it and the exporters.
const COLLECTOR: &str = "observe_collector";

impl Report {
    /// The report as metrics, cumulative since `started`.
    ///
    /// What sampling, caps and each exporter did is told only where there is something of the kind.
    /// The conventions count what an exporter could not deliver as exported, with the reason in
    /// `error.type`.
    pub fn metrics(&self, started: SystemTime, now: SystemTime) -> Vec<Metric> {
        let mut page = Page { metrics: Vec::new(), started: nanos(started), now: nanos(now) };
        let collector = component(COLLECTOR, 0);
        let spans = (&self.channel.spans, &self.stage.spans);
        let logs = (&self.channel.logs, &self.stage.logs);
        for (noun, unit, (channel, stage)) in
            [("span", "{span}", spans), ("log", "{log_record}", logs)]
        {
            page.processed(noun, unit, channel, &collector);
            page.waiting(noun, unit, channel.waiting + stage.held, &collector);
        }
        page.stage("observe.stage.spans", "{span}", &self.stage.spans);
        page.stage("observe.stage.log_records", "{log_record}", &self.stage.logs);
        page.traces(self);
        page.cut(&self.stage.cut);
        for (index, exporter) in self.exporters.iter().enumerate() {
            page.exporter(self, index, exporter);
        }
        page.metrics
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The attributes of a component: of what type, and which of them.
fn component(kind: &str, index: usize) -> [Attribute; 2] {
    [
        Attribute::new("otel.component.type", kind),
        Attribute::new("otel.component.name", format!("{kind}/{index}")),
    ]
}

/// The words that the conventions have for a signal, and the unit of what is counted of it.
fn words(signal: Signal) -> (&'static str, &'static str, &'static str) {
    match signal {
        Signal::Traces => ("span", "span", "{span}"),
        Signal::Logs => ("log", "log", "{log_record}"),
        Signal::Metrics => ("metric", "metric_data_point", "{data_point}"),
    }
}

/// Metrics in the making. Points of one name are gathered under it.
struct Page {
    metrics: Vec<Metric>,
    started: u64,
    now: u64,
}

impl Page {
    fn add(
        &mut self,
        name: String,
        description: &'static str,
        unit: &'static str,
        data: MetricData,
    ) {
        let known = self.metrics.iter_mut().find(|metric| metric.name == *name);
        match (known.map(|metric| &mut metric.data), data) {
            (Some(MetricData::Sum { points, .. }), MetricData::Sum { points: mut more, .. })
            | (Some(MetricData::Gauge(points)), MetricData::Gauge(mut more)) => {
                points.append(&mut more);
            }
            (
                Some(MetricData::Histogram { points, .. }),
                MetricData::Histogram { points: mut more, .. },
            ) => points.append(&mut more),
            (_, data) => {
                let (name, description) = (name.into(), description.into());
                self.metrics.push(Metric { name, description, unit: unit.into(), data });
            }
        }
    }

    fn point(&self, value: u64, attributes: &[Attribute], more: Option<Attribute>) -> Point {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let attributes = attributes.iter().cloned().chain(more).collect();
        Point::new(attributes, self.now, Number::Int(value))
    }

    fn sum(&self, monotonic: bool, points: Vec<Point>) -> MetricData {
        MetricData::sum(monotonic, self.started, points)
    }

    /// What the collector's thread took, and what it did not get.
    fn processed(&mut self, noun: &str, unit: &'static str, way: &Passage, of: &[Attribute]) {
        let failed = |reason, number| self.point(number, of, Some(error(reason)));
        let points = vec![
            self.point(way.taken, of, None),
            failed("queue_full", way.full),
            failed("already_shutdown", way.closed),
        ];
        let description = "What was taken from hosts, or failed to enter";
        let data = self.sum(true, points);
        self.add(format!("otel.sdk.processor.{noun}.processed"), description, unit, data);
    }

    fn waiting(&mut self, noun: &str, unit: &'static str, number: u64, of: &[Attribute]) {
        let data = self.sum(false, vec![self.point(number, of, None)]);
        let description = "What waits for the exporters, in the channel or for its trace";
        self.add(format!("otel.sdk.processor.{noun}.queue.size"), description, unit, data);
    }

    fn stage(&mut self, name: &'static str, unit: &'static str, flow: &Flow) {
        if *flow == Flow::default() {
            return;
        }
        let by_outcome =
            [("passed", flow.passed), ("sampled_out", flow.sampled_out), ("folded", flow.folded)];
        let data = self.by_outcome(&by_outcome);
        self.add(name.to_owned(), "What sampling and caps on traces decided", unit, data);
    }

    fn traces(&mut self, report: &Report) {
        let (kept, out) = (report.stage.traces_kept, report.stage.traces_sampled_out);
        if (kept, out) == (0, 0) {
            return;
        }
        let data = self.by_outcome(&[("passed", kept), ("sampled_out", out)]);
        let description = "What was decided on whole traces";
        self.add("observe.stage.traces".to_owned(), description, "{trace}", data);
    }

    fn cut(&mut self, cut: &Cut) {
        if *cut == Cut::default() {
            return;
        }
        let kinds = [
            ("values", cut.values),
            ("attributes", cut.attributes),
            ("events", cut.events),
            ("links", cut.links),
        ];
        let points = kinds.map(|(kind, number)| {
            self.point(number, &[], Some(Attribute::new("observe.stage.kind", kind)))
        });
        let data = self.sum(true, points.into());
        let description = "What went beyond the limits of attributes, events and links";
        self.add("observe.stage.cut".to_owned(), description, "{item}", data);
    }

    fn by_outcome(&self, outcomes: &[(&'static str, u64)]) -> MetricData {
        let point = |(outcome, number): &(&'static str, u64)| {
            self.point(*number, &[], Some(Attribute::new("observe.stage.outcome", *outcome)))
        };
        self.sum(true, outcomes.iter().map(point).collect())
    }

    fn exporter(&mut self, report: &Report, index: usize, exporter: &ExporterReport) {
        for signal in Signal::ALL {
            let (counts, before) = match signal {
                Signal::Traces => {
                    (&exporter.counts, before(&report.channel.spans, &report.stage.spans))
                }
                Signal::Logs => (&exporter.logs, before(&report.channel.logs, &report.stage.logs)),
                Signal::Metrics => (&exporter.metrics, (Dropped::default(), 0)),
            };
            let transfers = exporter.transfers.iter().find(|(of, _)| *of == signal);
            // One that takes no notice of a signal has no counts of it.
            if transfers.is_none() && *counts == Counts::default() {
                continue;
            }
            let (word, items, unit) = words(signal);
            let of = component(&format!("{}_{word}_exporter", exporter.name), index);
            self.exported(items, unit, counts, before, &of);
            if let Some((_, transfers)) = transfers {
                self.transfers(transfers, &of);
            }
        }
    }

    /// What became of what the exporter was given: without what happened before.
    fn exported(
        &mut self,
        items: &str,
        unit: &'static str,
        counts: &Counts,
        (dropped, queued): (Dropped, u64),
        of: &[Attribute],
    ) {
        let mut points = vec![
            self.point(counts.delivered, of, None),
            self.point(counts.rejected, of, Some(error("rejected"))),
        ];
        for ((reason, all), (_, before)) in
            counts.dropped.by_reason().into_iter().zip(dropped.by_reason())
        {
            let number = all.saturating_sub(before);
            // Exporters have no channel.
            if number > 0 || reason != "channel full" {
                points.push(self.point(number, of, Some(error(&reason.replace(' ', "_")))));
            }
        }
        let data = self.sum(true, points);
        let description = "What was delivered, or will not be";
        self.add(format!("otel.sdk.exporter.{items}.exported"), description, unit, data);
        let inflight = counts.queued.saturating_sub(queued);
        let data = self.sum(false, vec![self.point(inflight, of, None)]);
        let description = "What an exporter has and is not done with";
        self.add(format!("otel.sdk.exporter.{items}.inflight"), description, unit, data);
    }

    fn transfers(&mut self, transfers: &Transfers, of: &[Attribute]) {
        let counters = [
            ("observe.exporter.requests", "Requests that ended", "{request}", transfers.requests),
            (
                "observe.exporter.retries",
                "Requests of a batch that had been sent before",
                "{request}",
                transfers.retries,
            ),
            ("observe.exporter.io", "Bytes of requests, before compression", "By", transfers.bytes),
        ];
        for (name, description, unit, number) in counters {
            let data = self.sum(true, vec![self.point(number, of, None)]);
            self.add(name.to_owned(), description, unit, data);
        }
        let queue = &transfers.queue;
        let sizes = [
            ("observe.exporter.queue.size", "Encoded bytes that wait to be sent", queue.bytes),
            (
                "observe.exporter.queue.capacity",
                "Encoded bytes that may wait",
                queue.capacity_bytes,
            ),
        ];
        for (name, description, number) in sizes {
            let data = self.sum(false, vec![self.point(number, of, None)]);
            self.add(name.to_owned(), description, "By", data);
        }
        if let Some(disk) = &transfers.disk {
            let data = self.sum(true, vec![self.point(disk.recovered, of, None)]);
            let description = "What earlier processes left on disk, and this one took up";
            self.add("observe.exporter.disk.recovered".to_owned(), description, "{item}", data);
            let data = self.sum(false, vec![self.point(disk.segments, of, None)]);
            let description = "Files that are written or wait to be sent";
            self.add("observe.exporter.disk.segments".to_owned(), description, "{file}", data);
        }
        let latency = &transfers.latency;
        let point = HistogramPoint {
            attributes: of.to_vec(),
            time_unix_nanos: self.now,
            count: latency.count(),
            sum: Some(latency.total.as_secs_f64()),
            bounds: Latency::BOUNDS.to_vec(),
            counts: latency.buckets.to_vec(),
            ..HistogramPoint::default()
        };
        let (temporality, start_unix_nanos) = (Temporality::Cumulative, self.started);
        let points = vec![point];
        let data = MetricData::Histogram { temporality, start_unix_nanos, points };
        let name = "otel.sdk.exporter.operation.duration".to_owned();
        self.add(name, "How long requests took", "s", data);
    }
}

/// What an exporter's counts have of what happened before it.
fn before(channel: &Passage, stage: &Flow) -> (Dropped, u64) {
    let dropped =
        Dropped { channel_full: channel.full, closed: channel.closed, ..Dropped::default() };
    (dropped, channel.waiting + stage.held)
}

fn error(reason: &str) -> Attribute {
    Attribute::new("error.type", Value::from(reason))
}
