//! What `tracing`, `log` and panics say, as the host is told of it.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tracing::field::Empty;
use tracing::{Instrument, Level, error, info, info_span, span, warn};

/// What is said within, without where it is said.
fn said(function: impl FnOnce()) -> String {
    let said = observe::native::capture();
    observe::init();
    function();
    let lines = said.text();
    let lines = lines.lines().map(|line| {
        let place = line.find(" target=").unwrap_or(line.len());
        format!("{}\n", &line[..place])
    });
    lines.collect()
}

#[test]
fn fields_of_spans_are_attributes_of_their_type() {
    let said = said(|| {
        let span = info_span!(
            "order",
            id = 42_u64,
            huge = u64::MAX,
            least = i128::MIN,
            discount = 0.25,
            express = true,
            customer = "ada",
            items = ?["tea"],
            receipt = &b"\0\xff"[..],
            none = None::<u64>,
            total = Empty,
        );
        span.record("total", 9.5);
    });
    let expected = "open order id=42 huge=\"18446744073709551615\" \
        least=\"-170141183460469231731687303715884105728\" discount=0.25 express=true \
        customer=\"ada\" items=\"[\\\"tea\\\"]\" receipt=[0, 255]\norder: total=9.5\nclose order\n";
    assert_eq!(said, expected);
}

#[test]
fn fields_of_opentelemetry_are_what_they_say() {
    let said = said(|| {
        let span = info_span!(
            "request",
            otel.name = "GET /",
            otel.kind = "Server",
            otel.status_code = Empty,
            otel.status_message = Empty
        );
        span.record("otel.status_message", "no route");
        span.record("otel.status_code", "OK");
        info_span!("call", otel.kind = ?Level::INFO, otel.status_description = %"late");
    });
    let expected = "open GET / (server)
GET /: error: no route
GET /: ok
open call
call: error: late
close call
close GET /
";
    assert_eq!(said, expected);
}

#[test]
fn parents_are_those_that_spans_are_given() {
    let said = said(|| {
        let outer = info_span!("outer");
        let _outer = outer.enter();
        let _scoped = observe::span("scoped");
        info_span!("inner").in_scope(|| info!("within"));
        span!(parent: None, Level::INFO, "aside");
        let other = info_span!(parent: &outer, "other");
        info!(parent: &other, "said of other");
    });
    let expected = "open outer
in outer
  scoped
    open inner
    in inner
      INFO within
    close inner
    root: open aside
    close aside
    outer: open other
    other: INFO said of other
    close other
close outer
";
    assert_eq!(said, expected);
}

/// Says something while it is shown.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info_span!("show").in_scope(|| info!("shown"));
        f.write_str("talk")
    }
}

#[test]
fn a_value_may_say_something_while_it_is_shown() {
    let said = said(|| {
        info!(value = ?Talkative, "told");
    });
    let expected = "open show\nin show\n  INFO shown\nclose show\nINFO told value=\"talk\"\n";
    assert_eq!(said, expected);
}

/// An error with a cause.
#[derive(Debug)]
struct Late(fmt::Error);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too late")
    }
}

impl std::error::Error for Late {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tracing::instrument(err)]
fn charge(card: &str) -> Result<(), Late> {
    Err(Late(fmt::Error))
}

#[test]
fn errors_fail_their_spans() {
    let said = said(|| {
        error!("of no span");
        info_span!("a").in_scope(|| warn!("no failure"));
        info_span!("b").in_scope(|| error!(code = 7, "failed"));
        let late: &(dyn std::error::Error + 'static) = &Late(fmt::Error);
        info_span!("c").in_scope(|| error!(error = late, "failed"));
        charge("visa").expect_err("it fails");
    });
    let cause = "too late: an error occurred when formatting an argument";
    let expected = format!(
        "ERROR of no span
open a
in a
  WARN no failure
close a
open b
in b
  ERROR failed code=7
  error: failed
close b
open c
in c
  ERROR failed error=\"{cause}\"
  error: {cause}
close c
open charge card=\"visa\"
in charge
  ERROR too late error=\"too late\"
  error: too late
close charge
"
    );
    assert_eq!(said, expected);
}

/// Pending so many times.
async fn turns(number: u32) {
    for turn in 0..number {
        info!("turn {turn}");
        let mut had = false;
        let turn = |_: &mut Context<'_>| match std::mem::replace(&mut had, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        std::future::poll_fn(turn).await;
    }
}

#[test]
fn futures_that_take_turns_keep_their_parents() {
    let said = said(|| {
        let mut one = pin!(turns(2).instrument(info_span!("one")));
        let mut two = pin!(turns(1).instrument(info_span!("two")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut context).is_pending());
        assert!(two.as_mut().poll(&mut context).is_pending());
        assert!(one.as_mut().poll(&mut context).is_pending());
        assert!(two.as_mut().poll(&mut context).is_ready());
    });
    // What is left of a future is dropped within its span, too.
    let expected = "open one
open two
in one
  INFO turn 0
in two
  INFO turn 0
in one
  INFO turn 1
in two
in two
close two
in one
close one
";
    assert_eq!(said, expected);
}

#[test]
fn records_of_log_are_log_records() {
    let said = said(|| {
        let _span = observe::span("order");
        log::info!("took {}", 1);
        log::error!("failed");
    });
    assert_eq!(said, "order\n  INFO took 1\n  ERROR failed\n");
}

#[cfg(feature = "kv")]
#[test]
fn key_values_of_log_are_attributes_of_their_type() {
    let said = said(|| {
        log::info!(id = 42, customer = "ada", express = true, items:? = ["tea"], rate = 0.5; "took");
    });
    let expected = "INFO took id=42 customer=\"ada\" express=true \
        items=\"[\\\"tea\\\"]\" rate=0.5\n";
    assert_eq!(said, expected);
}

#[test]
fn a_panic_is_told_where_it_happens() {
    let capture = observe::native::capture();
    observe::init();
    let line = line!() + 3;
    let result = std::panic::catch_unwind(|| {
        let _span = observe::span("doomed");
        panic!("an order of {} items", 0);
    });
    result.expect_err("it panics");
    let expected = format!(
        "doomed
  error: an order of 0 items
  FATAL an order of 0 items exception.type=\"panic\" exception.message=\"an order of 0 items\" \
        code.file.path=\"{}\" code.line.number={line} code.column.number=9
",
        file!()
    );
    assert_eq!(capture.text(), expected);
}
