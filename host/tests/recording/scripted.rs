//! Guests that tell what no compiler would have them tell.

use std::time::Duration;

use observe_host::{Quotas, TraceOptions};

use crate::compat::IMPORTS;
use crate::guest::{Guest, module, observer, span, spans_of};

#[test]
fn beside_our_hooks_those_of_observe_sdk_do_nothing() {
    let mut guest = Guest::new(&format!(
        r#"(module {IMPORTS}
             (import "observe:hooks@1" "exit" (func (param i32)))
             (func (export "go")
               (call $enter (i32.const 9))
               (call $memory_grow (i32.const 1))
               (call $exit (i32.const 9))))"#
    ));
    let (report, spans) = spans_of(&mut guest, "go");
    assert_eq!(spans, [span("root", "", false)]);
    assert_eq!((report.lost.unknown_ids, report.lost.total()), (2, 2));
}

/// Does what a script in its memory says: each byte a call, of a function or with a text that the
/// byte chooses, too.
const SCRIPTED: &str = r#"
    (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
    (import "observe:guest@1" "span-end" (func $end (param i32)))
    (memory (export "memory") 1 2)
    (data (i32.const 0) "a,b:c,d:1|g")
    (func $f) (func $g) (func $h)
    (func (export "go") (local $at i32) (local $op i32) (local $with i32) (local $token i32)
      (local.set $at (i32.const 1024))
      (loop $next
        (local.set $op (i32.and (i32.load8_u (local.get $at)) (i32.const 15)))
        (local.set $with (i32.shr_u (i32.load8_u (local.get $at)) (i32.const 4)))
        (block $done
          (block $9 (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1
            (block $0
              (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $0 $1 $2 $3 $0 $1 (local.get $op)))
            (call $enter (i32.add (i32.const 10) (i32.and (local.get $with) (i32.const 3))))
            (br $done))
            (call $exit (i32.add (i32.const 10) (i32.and (local.get $with) (i32.const 3))))
            (br $done))
            (call $span_enter (local.get $with) (i32.const 3))
            (br $done))
            (call $span_exit)
            (br $done))
            (call $span_tags (local.get $with) (i32.const 5))
            (br $done))
            (call $log (local.get $with) (i32.const 0) (i32.const 3))
            (br $done))
            (call $metric (i32.const 1) (i32.const 6) (i32.const 5))
            (br $done))
            (call $memory_grow (local.get $with))
            (drop (memory.grow (i32.const 1)))
            (br $done))
            (local.set $token (call $begin (local.get $with) (i32.const 2)))
            (br $done))
          (call $end (local.get $token)))
        (br_if $next
          (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 1)))
            (i32.const 1324)))))"#;

#[test]
fn in_any_order_the_spans_fit_into_each_other() {
    let module = module(&format!("(module {IMPORTS} {SCRIPTED})")).expect("valid");
    let mut quotas = Quotas::default();
    (quotas.depth, quotas.open_spans) = (40, 20);
    let mut guest = Guest::of(module, observer().quotas(quotas));
    let memory = guest.instance.get_memory(&mut guest.store, "memory").expect("it has one");
    let mut seed = 1u32;
    let (mut most, mut loose) = (0, 0);
    for n in 0..300 {
        let script: Vec<u8> = (0..300)
            .map(|_| {
                // The constants are those of Numerical Recipes.
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        memory.write(&mut guest.store, 1024, &script).expect("in bounds");
        let duration = if n % 3 == 0 { Duration::from_micros(2) } else { Duration::ZERO };
        let options = TraceOptions::new("root").min_duration(duration);
        let report = guest.trace("go", options);
        let spans = guest.arrived().spans();
        assert_eq!(spans.len() as u64, report.spans);
        assert_eq!(spans.iter().filter(|span| span.parent.is_none()).count(), 1);
        for span in &spans {
            let Some(parent) = span.parent else { continue };
            let parent = spans.iter().find(|span| span.number == parent).expect("no orphan");
            let is_within = parent.start <= span.start && span.end <= parent.end;
            assert!(is_within && span.start <= span.end, "{} in {}", span.name, parent.name);
        }
        most = most.max(spans.len());
        loose += spans.iter().filter(|span| span.name.contains(',')).count();
    }
    assert!(most > 100 && loose > 1000, "{most} and {loose}");
}
