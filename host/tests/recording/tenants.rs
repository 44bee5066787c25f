//! What the traces of all stores add up to, by tenant.

use std::thread;

use observe_collector::event::{Metric, MetricData, Number, Value};
use observe_host::{Observer, Report, TraceOptions};
use observe_instrumenter::Cells;
use wasmtime::Config;

use crate::guest::observer;
use crate::host::{Host, call};

/// The points of a metric: the value of the one attribute of each, if it has one, and the number.
fn points(metrics: &[Metric], name: &str) -> Vec<(Option<(String, Value)>, f64)> {
    let metric = metrics.iter().find(|metric| metric.name == name);
    let points = match &metric.unwrap_or_else(|| panic!("no {name}")).data {
        MetricData::Sum { points, monotonic: true, .. } | MetricData::Gauge(points) => points,
        other => panic!("{name} is {other:?}"),
    };
    let points = points.iter().map(|point| {
        let attribute = point.attributes.first();
        let value = match point.value {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        };
        (attribute.map(|said| (said.key.clone().into_owned(), said.value.clone())), value)
    });
    points.collect()
}

fn of_tenant(observer: &Observer, name: &str, tenant: Option<&str>) -> f64 {
    let metrics = observer.metrics();
    let wanted = tenant.map(|tenant| ("wasm.tenant".to_owned(), tenant.into()));
    let points = points(&metrics, name);
    let mut found = points.iter().filter(|(attribute, _)| *attribute == wanted);
    let (_, value) = found.next().unwrap_or_else(|| panic!("{name} of {tenant:?}: {points:?}"));
    assert!(found.next().is_none(), "one point each");
    *value
}

#[test]
fn what_concurrent_traces_take_adds_up_by_tenant() {
    let mut config = Config::new();
    config.consume_fuel(true);
    let mut host = Host::new(&config, observer());
    let sleeps = || thread::sleep(std::time::Duration::from_millis(1));
    host.linker.func_wrap("host", "sleep", sleeps).expect("not there yet");
    let wat = r#"(module
        (import "host" "sleep" (func $sleep))
        (memory 1)
        (table 1 funcref)
        (func (export "go")
          (drop (memory.grow (i32.const 2)))
          (drop (table.grow (ref.null func) (i32.const 3)))
          (call $sleep))
        (func (export "fail") unreachable))"#;
    let module = host.module(wat, Cells::Memory);
    let linked = host.linked(&module);
    let tenants = [None, Some("a"), Some("b")];
    let work = |thread: usize| -> Vec<(Option<&str>, bool, Report)> {
        let traces = (0..30).map(|n| {
            let (tenant, fails) = (tenants[(thread + n) % 3], n % 10 == 0);
            let mut options = TraceOptions::new("root");
            if let Some(tenant) = tenant {
                options = options.tenant(tenant);
            }
            let mut store = host.store(&module);
            store.set_fuel(1 << 30).expect("it counts");
            let traced = host.tracer.trace(&mut store, options, |store| {
                let instance = host.tracer.instantiate(store, &linked)?;
                call(store, instance, "go")?;
                if fails { call(store, instance, "fail") } else { Ok(()) }
            });
            assert_eq!(traced.result.is_err(), fails);
            (tenant, fails, traced.report.expect("a trace of its own"))
        });
        traces.collect()
    };
    let told: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    for tenant in tenants {
        let ours = || told.iter().filter(|(of, ..)| *of == tenant);
        let sum =
            |of: &dyn Fn(&Report) -> u64| ours().map(|(_, _, report)| of(report)).sum::<u64>();
        let metric = |name| of_tenant(&host.observer, name, tenant);
        let exact = [
            ("wasm.traces", ours().count() as u64),
            ("wasm.failures", ours().filter(|(_, fails, _)| *fails).count() as u64),
            ("wasm.spans", sum(&|report| report.spans)),
            ("wasm.fuel.consumed", sum(&|report| report.resources.fuel.unwrap_or(0))),
            ("wasm.memory.growth", sum(&|report| report.growth.memory_bytes)),
            ("wasm.table.growth", sum(&|report| report.growth.table_elements)),
            ("wasm.events.lost", 0),
            ("wasm.memory.peak", 3 << 16),
        ];
        for (name, expected) in exact {
            assert_eq!(metric(name), expected as f64, "{name} of {tenant:?}");
        }
        assert_eq!(metric("wasm.memory.growth"), (ours().count() << 17) as f64);
        type Of = fn(&Report) -> u64;
        let times: [(&str, Of); 6] = [
            ("wasm.wall.time", |report| report.resources.wall_nanos),
            ("wasm.cpu.time", |report| report.resources.cpu_nanos.unwrap_or(0)),
            ("wasm.host.time", |report| report.resources.host_nanos),
            ("wasm.suspended.time", |report| report.resources.suspended_nanos),
            ("wasm.instantiation.time", |report| report.resources.instantiation_nanos),
            ("wasm.hooks.time", |report| report.resources.hooks_nanos),
        ];
        for (name, of) in times {
            let (sum, metric) = (sum(&of) as f64 / 1e9, metric(name));
            assert!((sum - metric).abs() < 1e-6, "{name} of {tenant:?}: {metric}, not {sum}");
        }
        // It slept in a function of the host, which takes no processor.
        assert!(metric("wasm.host.time") >= ours().count() as f64 * 1e-3);
        assert!(metric("wasm.host.time") <= metric("wasm.wall.time"));
        assert!(metric("wasm.instantiation.time") > 0.0);
    }
}

#[test]
fn tenants_past_the_limit_are_one() {
    let host = Host::new(&Config::new(), observer());
    let module = host.module(r#"(module (func (export "go")))"#, Cells::Memory);
    let mut store = host.store(&module);
    let mut trace = |tenant: String| {
        let options = TraceOptions::new("root").tenant(tenant);
        let traced = host.tracer.trace(&mut store, options, |_| Ok(()));
        traced.result.expect("nothing to do");
    };
    for n in 0..2500 {
        trace(format!("{n}"));
    }
    // One that was there before the limit was reached is told apart still.
    trace("7".to_owned());
    let metrics = host.observer.metrics();
    let points = points(&metrics, "wasm.traces");
    assert_eq!(points.len(), 2001);
    let overflow: Vec<_> = points
        .iter()
        .filter(|(said, _)| *said == Some(("otel.metric.overflow".to_owned(), Value::Bool(true))))
        .collect();
    let [(_, others)] = overflow[..] else { panic!("{overflow:?}") };
    assert_eq!(*others, 500.0);
    assert_eq!(of_tenant(&host.observer, "wasm.traces", Some("7")), 2.0);
    assert_eq!(points.iter().map(|(_, traces)| traces).sum::<f64>(), 2501.0);
}
