use super::Deltas;
use crate::event::{
    Attribute, Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData,
    Number, Point, Temporality,
};
use crate::otlp::TemporalityPreference;

fn deltas() -> Deltas {
    Deltas::new(TemporalityPreference::Delta)
}

fn metric(data: MetricData) -> Metric {
    Metric { name: "m".into(), description: "d".into(), unit: "s".into(), data }
}

fn point(key: &'static str, time: u64, value: Number) -> Point {
    Point::new(vec![Attribute::new("key", key)], time, value)
}

/// A sum that began at `start`.
fn sum(start: u64, points: &[(&'static str, u64, i64)]) -> Metric {
    let points = points.iter().map(|(key, time, value)| point(key, *time, Number::Int(*value)));
    metric(MetricData::sum(true, start, points.collect()))
}

/// Temporality, start and values of each metric.
fn told(metrics: &[Metric]) -> Vec<(Temporality, u64, Vec<Number>)> {
    let of = |metric: &Metric| match &metric.data {
        MetricData::Sum { temporality, start_unix_nanos, points, .. } => {
            (*temporality, *start_unix_nanos, points.iter().map(|point| point.value).collect())
        }
        other => panic!("{other:?}"),
    };
    metrics.iter().map(of).collect()
}

const DELTA: Temporality = Temporality::Delta;

#[test]
fn sums_become_what_came_since() {
    let mut deltas = deltas();
    let first = deltas.apply(&[sum(1, &[("a", 10, 5)])]).into_owned();
    assert_eq!(told(&first), [(DELTA, 1, vec![Number::Int(5)])]);
    assert_eq!((&*first[0].name, &*first[0].description, &*first[0].unit), ("m", "d", "s"));
    // A series that is new began with the others.
    let second = deltas.apply(&[sum(1, &[("a", 20, 12), ("b", 20, 3)])]).into_owned();
    let expected = [(DELTA, 1, vec![Number::Int(3)]), (DELTA, 10, vec![Number::Int(7)])];
    assert_eq!(told(&second), expected);
    let third = deltas.apply(&[sum(1, &[("b", 30, 3), ("a", 30, 12)])]).into_owned();
    assert_eq!(told(&third), [(DELTA, 20, vec![Number::Int(0); 2])]);
}

#[test]
fn what_began_anew_is_told_whole() {
    let mut deltas = deltas();
    deltas.apply(&[sum(1, &[("a", 10, 5)])]);
    // Its start says so.
    let again = deltas.apply(&[sum(15, &[("a", 20, 7)])]).into_owned();
    assert_eq!(told(&again), [(DELTA, 15, vec![Number::Int(7)])]);
    // It fell, at a time that is not known.
    let fell = deltas.apply(&[sum(15, &[("a", 30, 2)])]).into_owned();
    assert_eq!(told(&fell), [(DELTA, 20, vec![Number::Int(2)])]);
    let after = deltas.apply(&[sum(15, &[("a", 40, 6)])]).into_owned();
    assert_eq!(told(&after), [(DELTA, 30, vec![Number::Int(4)])]);
    // Another kind of number.
    let double = metric(MetricData::sum(true, 15, vec![point("a", 50, Number::Double(9.5))]));
    let double = deltas.apply(&[double]).into_owned();
    assert_eq!(told(&double), [(DELTA, 40, vec![Number::Double(9.5)])]);
    // A clock that was set back makes no time that ends before it begins.
    let back = deltas.apply(&[sum(15, &[("a", 45, 10)])]).into_owned();
    assert_eq!(told(&back), [(DELTA, 45, vec![Number::Int(10)])]);
}

#[test]
fn what_may_fall_and_what_is_delta_stay_as_they_are() {
    let points = || vec![point("a", 10, Number::Int(5))];
    let (temporality, start_unix_nanos) = (Temporality::Delta, 1);
    let whole = [
        metric(MetricData::sum(false, 1, points())),
        metric(MetricData::Gauge(points())),
        metric(MetricData::Sum {
            monotonic: true,
            temporality,
            start_unix_nanos,
            points: points(),
        }),
        metric(MetricData::Histogram { temporality, start_unix_nanos, points: Vec::new() }),
    ];
    let mut deltas = deltas();
    for _ in 0..2 {
        assert_eq!(*deltas.apply(&whole), whole);
    }
}

#[test]
fn series_beyond_the_bound_go_out_since_the_start() {
    let mut deltas = Deltas { most: 1, ..deltas() };
    for (time, of_a) in [(10, (1, 5)), (20, (10, 0))] {
        let out = deltas.apply(&[sum(1, &[("a", time, 5), ("b", time, 3)])]).into_owned();
        let (since, value) = of_a;
        let expected = [
            (DELTA, since, vec![Number::Int(value)]),
            (Temporality::Cumulative, 1, vec![Number::Int(3)]),
        ];
        assert_eq!(told(&out), expected);
    }
}

fn exemplar(time: u64) -> Exemplar {
    Exemplar {
        time_unix_nanos: time,
        value: Number::Double(1.0),
        trace_id: None,
        span_id: None,
        filtered_attributes: Vec::new(),
    }
}

fn histogram(time: u64, counts: &[u64], sum: Option<f64>) -> Metric {
    let point = HistogramPoint {
        time_unix_nanos: time,
        count: counts.iter().sum(),
        sum,
        min: Some(0.5),
        max: Some(2.5),
        bounds: vec![1.0, 2.0],
        counts: counts.to_vec(),
        exemplars: vec![exemplar(5), exemplar(15)],
        ..HistogramPoint::default()
    };
    let temporality = Temporality::Cumulative;
    metric(MetricData::Histogram { temporality, start_unix_nanos: 1, points: vec![point] })
}

fn histogram_point(metrics: &[Metric]) -> (u64, HistogramPoint) {
    match metrics {
        [
            Metric {
                data: MetricData::Histogram { temporality: DELTA, start_unix_nanos, points },
                ..
            },
        ] => (*start_unix_nanos, points[0].clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn histograms_become_what_came_since() {
    // Also where only histograms are to be.
    for preference in [TemporalityPreference::Delta, TemporalityPreference::LowMemory] {
        let mut deltas = Deltas::new(preference);
        let (since, first) =
            histogram_point(&deltas.apply(&[histogram(10, &[1, 2, 3], Some(9.0))]));
        assert_eq!((since, first.count, first.min), (1, 6, Some(0.5)));
        let (since, next) =
            histogram_point(&deltas.apply(&[histogram(20, &[1, 4, 6], Some(19.5))]));
        assert_eq!((since, next.count, next.counts), (10, 5, vec![0, 2, 3]));
        assert_eq!((next.sum, next.min, next.max), (Some(10.5), None, None));
        assert_eq!(next.exemplars, [exemplar(15)]);
        // One bucket fell.
        let (since, fell) = histogram_point(&deltas.apply(&[histogram(30, &[9, 3, 6], None)]));
        assert_eq!((since, fell.count, fell.counts), (20, 18, vec![9, 3, 6]));
        assert_eq!((fell.max, fell.exemplars.len()), (Some(2.5), 2));
        let (_, after) = histogram_point(&deltas.apply(&[histogram(40, &[9, 4, 6], Some(1.0))]));
        assert_eq!((after.counts, after.sum), (vec![0, 1, 0], None));
    }
}

#[test]
fn sums_stay_where_only_histograms_change() {
    let mut deltas = Deltas::new(TemporalityPreference::LowMemory);
    let whole = [sum(1, &[("a", 10, 5)])];
    assert_eq!(*deltas.apply(&whole), whole);
    let mut deltas = Deltas::new(TemporalityPreference::Cumulative);
    let whole = [sum(1, &[("a", 10, 5)]), histogram(10, &[1, 2, 3], None)];
    for _ in 0..2 {
        assert_eq!(*deltas.apply(&whole), whole);
    }
}

fn exponential(time: u64, scale: i32, zero: u64, positive: (i32, &[u64])) -> Metric {
    let (offset, counts) = positive;
    let point = ExponentialHistogramPoint {
        time_unix_nanos: time,
        count: zero + counts.iter().sum::<u64>(),
        sum: Some(time as f64),
        scale,
        zero_count: zero,
        positive: Buckets { offset, counts: counts.to_vec() },
        ..ExponentialHistogramPoint::default()
    };
    let (temporality, start_unix_nanos) = (Temporality::Cumulative, 1);
    let points = vec![point];
    metric(MetricData::ExponentialHistogram { temporality, start_unix_nanos, points })
}

#[test]
fn exponential_histograms_become_what_came_since() {
    let mut deltas = deltas();
    let mut next = |metric| match &deltas.apply(&[metric])[..] {
        [
            Metric {
                data:
                    MetricData::ExponentialHistogram { temporality: DELTA, start_unix_nanos, points },
                ..
            },
        ] => (*start_unix_nanos, points[0].clone()),
        other => panic!("{other:?}"),
    };
    let (since, first) = next(exponential(10, 1, 1, (-3, &[1, 2, 4, 8])));
    assert_eq!((since, first.count), (1, 16));
    // Indices -3, -2, -1, 0 became -2, -1, -1, 0, and each bucket but the first got more.
    let (since, second) = next(exponential(20, 0, 3, (-2, &[1, 7, 10, 5])));
    assert_eq!((since, second.count, second.zero_count, second.scale), (10, 10, 2, 0));
    assert_eq!(second.positive, Buckets { offset: -2, counts: vec![0, 1, 2, 5] });
    assert_eq!(second.sum, Some(10.0));
    // A finer one, and one whose buckets are elsewhere, began anew.
    let (since, finer) = next(exponential(30, 1, 3, (-2, &[1, 7, 10, 5])));
    assert_eq!((since, finer.count), (20, 26));
    let (since, elsewhere) = next(exponential(40, 1, 30, (i32::MAX, &[1])));
    assert_eq!((since, elsewhere.count), (30, 31));
}
