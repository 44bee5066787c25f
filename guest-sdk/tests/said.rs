//! What is said is what was written: each value of its type, each span under its parent.
//!
//! Natively the place of the host is taken by functions of the same shape, which read attributes and
//! records through their addresses; Miri runs this file to see that these are right.

use std::borrow::Cow;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use observe::native::capture;
use observe::{
    Attribute, Batch, Counter, DetachedSpan, Gauge, Histogram, Kind, Parent, Severity, Span,
    Status, Text, ToValue, UpDownCounter, Value, attributes, debug, detached_span, error, event,
    info, instrument, span, trace, warn,
};

#[test]
fn values_of_every_type() {
    struct OrderId(u32);

    impl ToValue for OrderId {
        fn to_value(&self) -> Value<'_> {
            Value::i64(self.0.into())
        }
    }

    let said = capture();
    let text = "text".to_owned();
    let _span = span!(
        "values",
        str = "text",
        empty = "",
        string = text,
        cow = Cow::Borrowed("text"),
        boxed = Box::<str>::from("text"),
        own = OrderId(42),
        yes = true,
        i8 = i8::MIN,
        i64 = i64::MIN,
        u32 = u32::MAX,
        u64 = i64::MAX as u64,
        beyond = u64::MAX,
        f32 = 0.5_f32,
        f64 = f64::NEG_INFINITY,
    );
    let of_run_time = vec![1.5, -0.0];
    observe::current().attributes(&attributes![
        bytes = [0_u8, 255],
        slice = b"\0\xff".as_slice(),
        none = <[i64; 0]>::default(),
        strs = ["a", "", "é"],
        bools = [true, false],
        i64s = [i64::MIN, 1],
        f64s = of_run_time,
        "a key" = ?Some(1),
        { "another" } = %'x',
    ]);
    assert_eq!(
        said.text(),
        "values str=\"text\" empty=\"\" string=\"text\" cow=\"text\" boxed=\"text\" own=42 yes=true \
         i8=-128 i64=-9223372036854775808 u32=4294967295 u64=9223372036854775807 \
         beyond=1.8446744073709552e19 f32=0.5 f64=-inf\n  \
         bytes=[0, 255] slice=[0, 255] none=[] strs=[\"a\", \"\", \"é\"] bools=[true, false] \
         i64s=[-9223372036854775808, 1] f64s=[1.5, -0.0] a key=\"Some(1)\" another=\"x\"\n"
    );
}

#[test]
fn attributes_made_by_hand_and_in_constants() {
    const CONSTANT: [Attribute<'_>; 3] = [
        Attribute::of("items", Value::strs(&["tea", "mug"])),
        Attribute::of("magic", Value::bytes(b"\0asm")),
        Attribute::of("half", Value::f64(0.5)),
    ];
    let said = capture();
    let numbers = [1_i64, 2];
    observe::log(Severity::Fatal, "by hand", &CONSTANT);
    observe::current().attribute("numbers", &numbers);
    let by_hand = Attribute::new("gifts", Value::bools(&[true]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(
                [by_hand, CONSTANT[2]].map(|each| format!("{each:?}")),
                ["gifts=[true]", "half=0.5"]
            );
        });
    });
    assert_eq!(
        said.text(),
        "FATAL by hand items=[\"tea\", \"mug\"] magic=[0, 97, 115, 109] half=0.5\nnumbers=[1, 2]\n"
    );
}

#[test]
fn all_that_can_be_said_of_a_span() {
    let said = capture();
    {
        let order = Span::server("POST /orders");
        let inner = Span::begin(Kind::Client, "charge", &attributes![attempt = 1]);
        inner.status(Status::Error, "declined");
        order.status(Status::Ok, "");
        order.event("validated", &attributes![rules = 3]);
        inner.link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &[]);
        order.log(Severity::Warn, "slow", &[]);
        drop(order);
        event!("none is open");
        inner.attribute("late", true);
    }
    assert_eq!(
        said.text(),
        "\
POST /orders (server)
  charge (client) attempt=1
    error: declined
    POST /orders: ok
    POST /orders: event: validated rules=3
    link: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
    POST /orders: WARN slow
event: none is open
a span that ended: late=true
"
    );
}

#[test]
fn a_span_that_is_none_says_nothing_but_logs() {
    let said = capture();
    let span = Span::none();
    span.attribute("lost", 1);
    span.event("lost", &[]);
    span.log(Severity::Info, "kept", &[]);
    let detached = DetachedSpan::none();
    detached.within(|| detached.error("lost"));
    assert_eq!(said.text(), "INFO kept\n");
}

#[test]
fn log_records_have_a_severity_a_message_and_fields() {
    let said = capture();
    let (id, name) = (42, "ada");
    trace!("plain");
    debug!(id, "{name} has {}", 3);
    info!(order.id = id, %name, ?name);
    warn!("key" = 1, { name } = 2, "braces {{}} and a trailing comma",);
    error!("{:>4}", id);
    assert_eq!(
        said.text(),
        "\
TRACE plain
DEBUG ada has 3 id=42
INFO  order.id=42 name=\"ada\" name=\"\\\"ada\\\"\"
WARN braces {} and a trailing comma key=1 ada=2
ERROR   42
"
    );
}

#[test]
fn a_message_is_cut_at_a_character_and_that_is_said() {
    let said = capture();
    let long = "é".repeat(600);
    info!("{long}");
    info!(a = 1, "x{long}");
    // What needs no formatting is as long as it is.
    observe::log(Severity::Info, &long, &[]);
    let lines: Vec<String> = said.text().lines().map(str::to_owned).collect();
    let fitted = "é".repeat(512);
    assert_eq!(lines[0], format!("INFO {fitted} log.cut_bytes=176"));
    let fitted = "é".repeat(511);
    assert_eq!(lines[1], format!("INFO x{fitted} a=1 log.cut_bytes=178"));
    assert_eq!(lines[2], format!("INFO {long}"));
}

#[test]
fn text_is_cut_once_and_for_all() {
    let text = Text::<4>::format(format_args!("{}{}{}", "abc", "dé", "f"));
    assert_eq!((text.as_str(), text.cut()), ("abcd", 3));
    // A later part that would fit must not stand where an earlier one is missing.
    let text = Text::<4>::format(format_args!("{}{}", "abcé", "d"));
    assert_eq!((text.as_str(), text.cut()), ("abc", 3));
    let text = Text::<0>::display("x");
    assert_eq!((text.as_str(), text.cut()), ("", 1));
}

#[test]
fn detached_spans_stand_where_they_were_opened() {
    let said = capture();
    let order = span!("order");
    let delivery = detached_span!(kind: Kind::Producer, "delivery", parcel = 7);
    let job = DetachedSpan::begin_under(Parent::ROOT, Kind::Internal, "job", &[]);
    let step = detached_span!(parent: &*job, "step", n = 1);
    {
        let _entered = delivery.enter();
        let _span = observe::span("pack");
        step.within(|| info!("within both"));
    }
    drop(order);
    delivery.event("packed", &[]);
    drop((step, job));
    std::thread::spawn(move || drop(delivery)).join().expect("no panic");
    assert_eq!(
        said.text(),
        "\
order
  open delivery (producer) parcel=7
  root: open job
  job: open step n=1
  in delivery
    pack
      in step
        INFO within both
delivery: event: packed
close step
close job
"
    );
}

#[test]
fn measurements_have_the_number_and_the_attributes() {
    static ORDERS: Counter = Counter::new("orders").unit("{order}").description("orders taken");
    static CARTS: UpDownCounter = UpDownCounter::new("carts.open");
    static STOCK: Gauge = Gauge::new("stock");
    static PRICE: Histogram = Histogram::new("price").unit("EUR");
    let said = capture();
    ORDERS.add(1);
    ORDERS.add_with(2_u64, &attributes![express = true]);
    ORDERS.add(u64::MAX);
    CARTS.add(-1);
    STOCK.set(7);
    PRICE.record(9.5);
    PRICE.record_with(20.0_f32, &attributes![currency = "EUR"]);
    assert_eq!(
        said.text(),
        "\
orders: +1 {order}
orders: +2 {order} express=true
orders: +9223372036854775807 {order}
carts.open: -1
stock: 7
price: 9.5 EUR
price: 20 EUR currency=\"EUR\"
"
    );
}

#[test]
fn a_batch_crosses_when_it_is_full_and_at_its_end() {
    static LINES: Counter = Counter::new("lines");
    static RATIO: Histogram = Histogram::new("ratio");
    let said = capture();
    let attributes = attributes![file = "orders.csv"];
    let span = observe::span("parse");
    let inner = observe::span("inner");
    let mut batch = Batch::<2>::new();
    batch.record(&LINES, 1, &attributes);
    info!("before");
    batch.record(&RATIO, 0.5, &[]);
    batch.log(Severity::Info, "parsed", &attributes);
    batch.attributes(&span, &attributes);
    batch.event(&inner, "end of file", &[]);
    drop(batch);
    drop(Batch::<1>::default());
    assert_eq!(
        said.text(),
        "\
parse
  inner
    INFO before
    batch of 2
    lines: +1 file=\"orders.csv\"
    ratio: 0.5
    batch of 2
    INFO parsed file=\"orders.csv\"
    parse: file=\"orders.csv\"
    batch of 1
    event: end of file
"
    );
}

#[test]
fn functions_record_their_arguments_errors_and_results() {
    #[derive(Debug)]
    struct Point(#[expect(dead_code, reason = "shown")] u8);
    struct Hidden;

    #[instrument(name = "all")]
    fn all(
        n: u8,
        point: Point,
        hidden: Hidden,
        _unused: u8,
        (left, right): (&str, bool),
        r#type: &[f64],
    ) -> usize {
        let _ = (n, point, hidden, left, right);
        r#type.len()
    }

    #[instrument(name = "chosen", kind = "server", skip(a), fields(b = a + b, "c d" = ?b, c.d), ret)]
    fn chosen(a: u8, b: u8, c: &Point2) -> Point {
        Point(a + b + c.d)
    }

    struct Point2 {
        d: u8,
    }

    #[instrument(name = "fallible", skip_all, err, ret)]
    fn fallible(text: &str) -> Result<u32, std::num::ParseIntError> {
        let _inner = observe::span("inner");
        text.parse()
    }

    let said = capture();
    all(1, Point(2), Hidden, 3, ("l", true), &[0.5]);
    chosen(1, 2, &Point2 { d: 3 });
    let _ = (fallible("7"), fallible("seven"));
    assert_eq!(
        said.text(),
        "\
all n=1 point=\"Point(2)\" left=\"l\" right=true type=[0.5]
chosen (server) b=3 c d=\"2\" c.d=3
  return=\"Point(6)\"
fallible
  inner
  return=7
fallible
  inner
  error: invalid digit found in string
  ERROR invalid digit found in string
"
    );
}

#[test]
fn a_name_is_that_of_the_module_and_the_function() {
    #[instrument]
    fn r#loop() {}

    let said = capture();
    r#loop();
    assert_eq!(said.text(), "said::loop\n");
}

#[test]
fn futures_are_within_their_span_while_they_are_polled() {
    struct SaysGoodbye;

    impl Drop for SaysGoodbye {
        fn drop(&mut self) {
            info!("goodbye");
        }
    }

    #[instrument(name = "twice", err)]
    async fn twice(n: u32) -> Result<u32, String> {
        let _dropped = SaysGoodbye;
        info!("first");
        let mut waited = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        info!("second");
        Err("no".to_owned())
    }

    #[instrument(name = "dropped")]
    async fn dropped() {
        let _dropped = SaysGoodbye;
        pending::<()>().await;
    }

    #[instrument(name = "boxed", ret)]
    fn boxed(n: u32) -> std::pin::Pin<Box<dyn Future<Output = u32> + Send>> {
        info!("not yet");
        Box::pin(async move { n + 1 })
    }

    #[instrument(name = "returned", err)]
    fn returned(text: &str) -> impl Future<Output = Result<u8, std::num::ParseIntError>> {
        async move {
            let number = text.parse()?;
            Ok(number)
        }
    }

    let said = capture();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(boxed(1).as_mut().poll(&mut context), Poll::Ready(2));
    assert_eq!(pin!(returned("7")).poll(&mut context), Poll::Ready(Ok(7)));
    {
        let mut future = pin!(twice(1));
        assert!(future.as_mut().poll(&mut context).is_pending());
        info!("between");
        assert!(future.as_mut().poll(&mut context).is_ready());
    }
    {
        let mut future = Box::pin(dropped());
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    let followed = detached_span!("followed").follow(ready(1));
    assert!(pin!(followed).poll(&mut context).is_ready());
    assert_eq!(
        said.text(),
        "\
INFO not yet
open boxed n=1
in boxed
boxed: return=2
close boxed
open returned text=\"7\"
in returned
close returned
open twice n=1
in twice
  INFO first
INFO between
in twice
  INFO second
  INFO goodbye
twice: error: no
twice: ERROR no
close twice
open dropped
in dropped
in dropped
  INFO goodbye
close dropped
open followed
in followed
close followed
"
    );
}
