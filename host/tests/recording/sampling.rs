//! Which traces are sent, and what the guest's callees are told of that.

use std::time::Duration;

use observe_collector::event::{SpanId, TraceId};
use observe_collector::sampling::{Ratio, Sampler};
use observe_host::{Overhead, TraceContext, TraceOptions};
use observe_instrumenter::{Cells, Selection};
use wasmtime::Config;

use crate::guest::{engine, observer, row};
use crate::host::{Host, call};

const WAT: &str = r#"(module (func $leaf) (func (export "go") (call $leaf)))"#;

/// Under a trace that a share of 0.5 keeps, by its last seven bytes, and one of 0.4 does not.
fn parent(sampled: bool) -> TraceContext {
    let mut id = [1; 16];
    id[9] = 0x80;
    TraceContext { trace_id: TraceId(id), span_id: SpanId([2; 8]), sampled }
}

#[test]
fn a_sampler_decides_what_is_sent_and_passed_on() {
    let half = || Sampler::TraceIdRatio(Ratio::new(0.5).expect("a share"));
    let less = || Sampler::TraceIdRatio(Ratio::new(0.4).expect("a share"));
    let under_parent = |root| Sampler::ParentBased(Box::new(root));
    let (sampled, unsampled) = (Some(parent(true)), Some(parent(false)));
    for (sampler, parent, is_sent) in [
        (Sampler::default(), None, true),
        (Sampler::default(), sampled, true),
        (Sampler::default(), unsampled, false),
        (Sampler::AlwaysOff, None, false),
        (Sampler::AlwaysOff, sampled, false),
        (Sampler::AlwaysOn, unsampled, true),
        (half(), unsampled, true),
        (less(), sampled, false),
        (under_parent(Sampler::AlwaysOff), None, false),
        (under_parent(Sampler::AlwaysOff), sampled, true),
    ] {
        let what = format!("{sampler:?} under {parent:?}");
        let host = Host::new(&Config::new(), observer().sampler(sampler));
        let (mut store, instance) = host.guest(WAT, Cells::Memory);
        let options = TraceOptions::new("root").parent(parent).min_duration(Duration::ZERO);
        let traced = host.tracer.trace(&mut store, options, |store| {
            call(store, instance, "go")?;
            Ok(store.data_mut().recorder.context().expect("in a trace"))
        });
        let told = traced.result.expect("it returns");
        let report = traced.report.expect("a trace of its own");
        assert_eq!(told.sampled, is_sent, "{what}");
        assert_eq!(told.trace_id, report.trace_id, "{what}");
        assert_eq!(host.arrived().spans().len(), if is_sent { 3 } else { 0 }, "{what}");
        assert_eq!(row(&report, "leaf").calls, 1, "{what}");
    }
}

#[test]
fn what_is_not_sent_is_not_timed_for_whoever_reads_it() {
    let observer = observer().overhead(Overhead::off()).when_sampled(Overhead::all());
    let host = Host::new(&Config::new(), observer.sampler(Sampler::AlwaysOff));
    let (mut store, instance) = host.guest(WAT, Cells::Memory);
    let options = TraceOptions::new("root").parent(parent(true));
    let traced = host.tracer.trace(&mut store, options, |store| call(store, instance, "go"));
    let report = traced.report.expect("a trace of its own");
    assert_eq!((row(&report, "leaf").calls, row(&report, "leaf").timed_calls), (1, 0));
}

#[test]
fn a_compilation_is_sampled_like_a_trace() {
    for (sampler, spans) in [(Sampler::AlwaysOn, 3), (Sampler::AlwaysOff, 0)] {
        let host = Host::new(&Config::new(), observer().sampler(sampler));
        let wasm = wat::parse_str(WAT).expect("valid");
        let options = TraceOptions::new("compile");
        let made = host.observer.compile(&engine(), &wasm, &Selection::all(), options);
        made.expect("it can be observed");
        assert_eq!(host.arrived().spans().len(), spans);
    }
}
