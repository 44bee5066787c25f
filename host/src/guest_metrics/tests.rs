use std::thread;

use observe_collector::event::{Array, Value};

use super::series::MAX_BYTES;
use super::*;
use crate::statsd::{self, Change, Line};

fn of<'m>(tenant: &'m str, name: &'m str, kind: Kind) -> Of<'m> {
    Of { tenant: Some(tenant), name, kind, unit: "", description: None }
}

/// Adds a line that is no histogram's; whether its series is within the quota.
fn add(metrics: &GuestMetrics, tenant: &str, line: &str, quota: u32) -> bool {
    let line = Line::parse(line).expect("a line");
    let tags = statsd::tags(line.tags).map(|(key, value)| match value {
        Some(value) => Attribute::new(key.to_owned(), value),
        None => Attribute::new(key.to_owned(), true),
    });
    let of = Of { unit: line.unit, ..of(tenant, line.name, line.kind) };
    metrics.change(&of, tags.collect(), quota, |data| {
        for change in &line.changes {
            match (&mut *data, change) {
                (Data::Sum(sum), Change::Add(more)) => sum.add(*more),
                (Data::Gauge(gauge), Change::Add(more)) => gauge.add(*more),
                (Data::Gauge(gauge), Change::Set(value)) => gauge.set(Number::Double(*value)),
                other => panic!("{other:?}"),
            }
        }
    })
}

/// Each number as `name tenant attributes = value`.
fn told(metrics: &GuestMetrics) -> Vec<String> {
    let metrics = metrics.metrics();
    let points = metrics.iter().flat_map(|metric| {
        metric.data.numbers().iter().map(|point| {
            let mut text = metric.name.to_string();
            for Attribute { key, value } in &point.attributes {
                text += &match value {
                    Value::String(value) => format!(" {key}={value}"),
                    Value::Int(value) => format!(" {key}={value}i"),
                    _ => format!(" {key}"),
                };
            }
            match point.value {
                Number::Double(value) => format!("{text} = {value}"),
                Number::Int(value) => format!("{text} = {value}i"),
            }
        })
    });
    points.collect()
}

#[test]
fn changes_are_added_up_by_name_tenant_and_tags() {
    let metrics = GuestMetrics::default();
    for line in ["a:1|c|#k:v,w", "a:2|c|#w,k:v", "a:5|c", "g:7|g", "g:-2|g", "t:1|c"] {
        assert!(add(&metrics, "one", line, 10));
    }
    assert!(add(&metrics, "two", "a:9|c", 10));
    let expected = [
        "a wasm.tenant=one = 5",
        "a wasm.tenant=one k=v w = 3",
        "a wasm.tenant=two = 9",
        "g wasm.tenant=one = 5",
        "t wasm.tenant=one = 1",
    ];
    assert_eq!(told(&metrics), expected);
}

#[test]
fn attributes_of_different_types_are_different() {
    let metrics = GuestMetrics::default();
    let array = |values| Value::Array(Array::new(values).expect("not deep"));
    let sets = [
        vec![Attribute::new("k", 1_i64)],
        vec![Attribute::new("k", "1")],
        vec![Attribute::new("k", true)],
        vec![Attribute::new("k", 1.0)],
        vec![Attribute::new("k", vec![1_u8])],
        vec![Attribute::new("k", array(vec![1_i64.into()]))],
        vec![Attribute::new("k", array(vec!["a".into(), "b".into()]))],
        vec![Attribute::new("k", array(vec!["ab".into(), "".into()]))],
        vec![Attribute::new("k1", "v"), Attribute::new("k2", "v")],
        vec![Attribute::new("k1", "vk2v")],
    ];
    for attributes in sets.iter().chain(&sets) {
        let (slot, _) = metrics.join(&of("one", "a", Kind::Counter), attributes.clone(), 99);
        let Some(Slot::Sum(part)) = slot else { panic!("{slot:?}") };
        part.add(Number::Int(1));
    }
    let told = metrics.metrics();
    let [Metric { data: MetricData::Sum { points, .. }, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(points.len(), sets.len());
    assert!(points.iter().all(|point| point.value == Number::Int(2)), "{points:?}");
}

#[test]
fn of_attributes_with_the_same_key_the_last_stays() {
    let metrics = GuestMetrics::default();
    let attributes = [("b", 1), ("a", 2), ("b", 3)];
    let attributes = attributes.map(|(key, value)| Attribute::new(key, value));
    metrics.change(&of("one", "a", Kind::Counter), attributes.into(), 9, |_| ());
    assert_eq!(told(&metrics), ["a wasm.tenant=one a=2i b=3i = 0i"]);
}

#[test]
fn a_sum_that_falls_is_not_monotonic_and_none_is_infinite() {
    let metrics = GuestMetrics::default();
    for line in ["up:1e308|c", "up:1e308|c", "down:1|c", "down:-1|c"] {
        add(&metrics, "one", line, 10);
    }
    metrics.change(&of("one", "never", Kind::UpDownCounter), Vec::new(), 10, |_| ());
    let sums = metrics.metrics().into_iter().map(|metric| match metric.data {
        MetricData::Sum { monotonic, .. } => (metric.name, monotonic),
        other => panic!("{other:?}"),
    });
    let monotonic: Vec<_> = sums.collect();
    assert_eq!(monotonic, [("down".into(), false), ("never".into(), false), ("up".into(), true)]);
    assert!(told(&metrics)[2].ends_with(&format!("= {}", f64::MAX)));
}

#[test]
fn kinds_and_units_tell_metrics_apart_and_descriptions_do_not() {
    let metrics = GuestMetrics::default();
    let texts = ["short", "longer", ""].map(|text| Some(Arc::from(text)));
    for (tenant, description) in ["one", "two", "three"].into_iter().zip(&texts) {
        let of = Of { description: description.as_ref(), ..of(tenant, "a", Kind::Counter) };
        metrics.change(&of, Vec::new(), 9, |_| ());
    }
    metrics.change(&of("one", "a", Kind::UpDownCounter), Vec::new(), 9, |_| ());
    metrics.change(&Of { unit: "s", ..of("one", "a", Kind::Counter) }, Vec::new(), 9, |_| ());
    let told = metrics.metrics();
    let told = told.iter().map(|metric| (&*metric.unit, &*metric.description, metric.data.len()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("", "longer", 3), ("s", "", 1), ("", "", 1)]);
}

#[test]
fn points_are_integers_unless_one_is_not() {
    let metrics = GuestMetrics::default();
    for (tenant, value) in [("one", Number::Int(i64::MAX)), ("two", Number::Double(0.5))] {
        for kind in [Kind::Counter, Kind::Gauge] {
            let name = format!("{kind:?}");
            let (slot, _) = metrics.join(&of(tenant, &name, kind), Vec::new(), 9);
            assert!(slot.expect("no set").record_quickly(value));
        }
        if tenant == "one" {
            let expected = ["Counter", "Gauge"];
            let expected = expected.map(|name| format!("{name} wasm.tenant=one = {}i", i64::MAX));
            assert_eq!(told(&metrics), expected);
        }
    }
    let told = told(&metrics);
    assert!(told.iter().all(|point| !point.ends_with('i')), "{told:?}");
}

#[test]
fn a_gauge_without_a_value_is_not_told() {
    let metrics = GuestMetrics::default();
    let (slot, _) = metrics.join(&of("one", "g", Kind::Gauge), Vec::new(), 9);
    let (histogram, _) = metrics.join(&of("one", "h", Kind::Histogram), Vec::new(), 9);
    assert_eq!(metrics.metrics(), []);
    assert!(slot.expect("no set").record_quickly(Number::Int(0)));
    assert_eq!(told(&metrics), ["g wasm.tenant=one = 0i"]);
    drop(histogram);
}

#[test]
fn series_past_the_quota_of_a_tenant_are_one_for_each_of_its_names() {
    let metrics = GuestMetrics::default();
    for n in 0..10 {
        assert_eq!(add(&metrics, "one", &format!("a:1|c|#n:{n}"), 3), n < 2);
        assert_eq!(add(&metrics, "one", &format!("b{n}:1|c"), 3), n < 1);
    }
    // Others have their own.
    assert!(add(&metrics, "two", "a:1|c", 3));
    let told = told(&metrics);
    assert!(told.contains(&"a wasm.tenant=one otel.metric.overflow = 8".to_owned()), "{told:?}");
    let rest = "(more names) wasm.tenant=one otel.metric.overflow = 9".to_owned();
    assert!(told.contains(&rest), "{told:?}");
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn memory_is_bounded_however_many_tenants_there_are() {
    let metrics = GuestMetrics::default();
    metrics.series().bytes = MAX_BYTES;
    for n in 0..10 {
        assert!(!add(&metrics, &n.to_string(), "a:1|c", 3));
    }
    assert_eq!(told(&metrics), ["(more names) otel.metric.overflow = 10"]);
}

#[test]
fn what_many_stores_add_is_exact_and_their_parts_do_not_pile_up() {
    const THREADS: i64 = 4;
    const TRACES: i64 = 500;
    const EACH: i64 = 100;
    let metrics = GuestMetrics::default();
    let sum = || match metrics.metrics().first().map(|metric| metric.data.numbers().to_vec()) {
        Some(points) => match points[..] {
            [Point { value: Number::Int(sum), .. }] => sum,
            ref other => panic!("{other:?}"),
        },
        None => 0,
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TRACES {
                    let (slot, _) = metrics.join(&of("one", "a", Kind::Counter), Vec::new(), 9);
                    let slot = slot.expect("no set");
                    for _ in 0..EACH {
                        slot.record_quickly(Number::Int(1));
                    }
                }
            });
        }
        let mut before = 0;
        while before < THREADS * TRACES * EACH {
            let now = sum();
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
    });
    assert_eq!(sum(), THREADS * TRACES * EACH);
    let all = metrics.series();
    let parts = all.of.values().map(|series| match &series.data {
        Data::Sum(sum) => sum.parts.len(),
        other => panic!("{other:?}"),
    });
    let parts: usize = parts.sum();
    assert!(parts <= 32, "{parts}");
}
