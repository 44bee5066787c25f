//! What takes the place of the imports: the same functions, which read what they are given as the host
//! does, and write lines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::string::{String, ToString};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

use observe_abi::guest::{self, kind, record, status};

use super::lines;
use crate::host::Record;
use crate::value::Attribute;

/// An open span of this thread, or an entry of a detached one.
struct Open {
    id: i32,
    name: String,
}

std::thread_local! {
    static STACK: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// Names of detached spans, which any thread may enter.
static DETACHED: Mutex<Option<HashMap<i32, String>>> = Mutex::new(None);
/// Instruments, by what stands for them.
static INSTRUMENTS: Mutex<Vec<Instrument>> = Mutex::new(Vec::new());
static LAST_ID: AtomicI32 = AtomicI32::new(0);

#[derive(Clone, Copy)]
struct Instrument {
    kind: i32,
    name: &'static str,
    unit: &'static str,
}

/// # Safety
///
/// There must be a slice of so many at the address, for as long as the lifetime says.
unsafe fn slice<'a, T>(address: *const T, len: usize) -> &'a [T] {
    // SAFETY: the caller's.
    unsafe { core::slice::from_raw_parts(address, len) }
}

/// # Safety
///
/// As [`slice`], and it must be UTF-8.
unsafe fn text<'a>(address: *const u8, len: usize) -> &'a str {
    // SAFETY: the caller's.
    unsafe { core::str::from_utf8_unchecked(slice(address, len)) }
}

/// ` key=value` for each.
struct Shown<'a>(&'a [Attribute<'a>]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|attribute| write!(formatter, " {attribute:?}"))
    }
}

fn with_stack<R: Default>(function: impl FnOnce(&mut Vec<Open>) -> R) -> R {
    STACK.try_with(|stack| function(&mut stack.borrow_mut())).unwrap_or_default()
}

fn depth() -> usize {
    with_stack(|stack| stack.len())
}

fn with_detached<R>(function: impl FnOnce(&mut HashMap<i32, String>) -> R) -> R {
    let mut detached = DETACHED.lock().unwrap_or_else(PoisonError::into_inner);
    function(detached.get_or_insert_default())
}

/// `name: ` of a span that is not the innermost.
fn of(span: i32) -> String {
    let innermost = with_stack(|stack| stack.last().map(|open| open.id));
    if span == guest::CURRENT || Some(span) == innermost {
        return String::new();
    }
    let scoped =
        with_stack(|stack| stack.iter().find(|open| open.id == span).map(|open| open.name.clone()));
    let name = scoped.or_else(|| with_detached(|detached| detached.get(&span).cloned()));
    std::format!("{}: ", name.as_deref().unwrap_or("a span that ended"))
}

fn begun(of: &str, detached: &str, name: &str, kind: i32, attributes: &[Attribute<'_>]) {
    let kind = match kind {
        kind::SERVER => " (server)",
        kind::CLIENT => " (client)",
        kind::PRODUCER => " (producer)",
        kind::CONSUMER => " (consumer)",
        _ => "",
    };
    let attributes = Shown(attributes);
    lines::write(depth(), format_args!("{of}{detached}{name}{kind}{attributes}"));
}

pub(crate) unsafe fn interest() -> u32 {
    use guest::interest::{ANSWERED, LOGS, METRICS, SPANS};
    if lines::are_wanted() { ANSWERED | SPANS | LOGS | METRICS } else { ANSWERED }
}

pub(crate) unsafe fn span_begin(
    kind: i32,
    name: *const u8,
    name_len: usize,
    attributes: *const Attribute<'_>,
    count: usize,
) -> i32 {
    // SAFETY: as in all these functions, `crate::host` has made the addresses of borrowed slices.
    let (name, attributes) = unsafe { (text(name, name_len), slice(attributes, count)) };
    begun("", "", name, kind, attributes);
    let id = -1 - LAST_ID.fetch_add(1, Ordering::Relaxed);
    with_stack(|stack| stack.push(Open { id, name: name.to_string() }));
    id
}

pub(crate) unsafe fn span_end(token: i32) {
    with_stack(|stack| {
        if let Some(place) = stack.iter().position(|open| open.id == token) {
            stack.truncate(place);
        }
    });
}

pub(crate) unsafe fn span_open(
    parent: i32,
    kind: i32,
    name: *const u8,
    name_len: usize,
    attributes: *const Attribute<'_>,
    count: usize,
) -> i32 {
    // SAFETY: see `span_begin`.
    let (name, attributes) = unsafe { (text(name, name_len), slice(attributes, count)) };
    let under = match parent {
        guest::ROOT => "root: ".to_string(),
        0 => String::new(),
        parent => of(parent),
    };
    begun(&under, "open ", name, kind, attributes);
    let id = 1 + LAST_ID.fetch_add(1, Ordering::Relaxed);
    with_detached(|detached| detached.insert(id, name.to_string()));
    id
}

pub(crate) unsafe fn span_enter(handle: i32) {
    let name = with_detached(|detached| detached.get(&handle).cloned()).unwrap_or_default();
    lines::write(depth(), format_args!("in {name}"));
    with_stack(|stack| stack.push(Open { id: handle, name }));
}

pub(crate) unsafe fn span_exit(handle: i32) {
    with_stack(|stack| {
        if let Some(place) = stack.iter().rposition(|open| open.id == handle) {
            stack.truncate(place);
        }
    });
}

pub(crate) unsafe fn span_close(handle: i32) {
    with_stack(|stack| stack.retain(|open| open.id != handle));
    if let Some(name) = with_detached(|detached| detached.remove(&handle)) {
        lines::write(depth(), format_args!("close {name}"));
    }
}

pub(crate) unsafe fn span_attributes(span: i32, attributes: *const Attribute<'_>, count: usize) {
    // SAFETY: see `span_begin`.
    let attributes = unsafe { slice(attributes, count) };
    let shown = Shown(attributes).to_string();
    lines::write(depth(), format_args!("{}{}", of(span), shown.trim_start()));
}

pub(crate) unsafe fn span_event(
    span: i32,
    name: *const u8,
    name_len: usize,
    attributes: *const Attribute<'_>,
    count: usize,
) {
    // SAFETY: see `span_begin`.
    let (name, attributes) = unsafe { (text(name, name_len), slice(attributes, count)) };
    lines::write(depth(), format_args!("{}event: {name}{}", of(span), Shown(attributes)));
}

pub(crate) unsafe fn span_status(span: i32, status: i32, message: *const u8, message_len: usize) {
    // SAFETY: see `span_begin`.
    let message = unsafe { text(message, message_len) };
    let of = of(span);
    match status {
        status::OK => lines::write(depth(), format_args!("{of}ok")),
        status::ERROR => lines::write(depth(), format_args!("{of}error: {message}")),
        _ => lines::write(depth(), format_args!("{of}unset")),
    }
}

pub(crate) unsafe fn span_link(
    span: i32,
    traceparent: *const u8,
    traceparent_len: usize,
    attributes: *const Attribute<'_>,
    count: usize,
) {
    // SAFETY: see `span_begin`.
    let (to, attributes) =
        unsafe { (text(traceparent, traceparent_len), slice(attributes, count)) };
    lines::write(depth(), format_args!("{}link: {to}{}", of(span), Shown(attributes)));
}

pub(crate) unsafe fn log(
    span: i32,
    severity: i32,
    body: *const u8,
    body_len: usize,
    attributes: *const Attribute<'_>,
    count: usize,
) {
    // SAFETY: see `span_begin`.
    let (body, attributes) = unsafe { (text(body, body_len), slice(attributes, count)) };
    // The short names of the logs data model, "Displaying Severity", without their numbers.
    let severity = match severity {
        ..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21.. => "FATAL",
    };
    lines::write(depth(), format_args!("{}{severity} {body}{}", of(span), Shown(attributes)));
}

pub(crate) unsafe fn instrument(
    kind: i32,
    name: *const u8,
    name_len: usize,
    unit: *const u8,
    unit_len: usize,
    _description: *const u8,
    _description_len: usize,
) -> i32 {
    // SAFETY: see `span_begin`; these are statics.
    let (name, unit) = unsafe { (text(name, name_len), text(unit, unit_len)) };
    let mut instruments = INSTRUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    instruments.push(Instrument { kind, name, unit });
    i32::try_from(instruments.len()).unwrap_or(0)
}

fn measured(instrument: i32, value: &dyn fmt::Display, attributes: &[Attribute<'_>]) {
    let place = usize::try_from(instrument).ok().and_then(|place| place.checked_sub(1));
    let instruments = INSTRUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(instrument) = place.and_then(|place| instruments.get(place).copied()) else { return };
    drop(instruments);
    let Instrument { kind, name, unit } = instrument;
    let attributes = Shown(attributes);
    let gap = if unit.is_empty() { "" } else { " " };
    let depth = depth();
    match kind {
        guest::instrument::COUNTER | guest::instrument::UP_DOWN_COUNTER => {
            lines::write(depth, format_args!("{name}: {value:+}{gap}{unit}{attributes}"));
        }
        _ => lines::write(depth, format_args!("{name}: {value}{gap}{unit}{attributes}")),
    }
}

pub(crate) unsafe fn record_i64(
    instrument: i32,
    value: i64,
    attributes: *const Attribute<'_>,
    count: usize,
) {
    // SAFETY: see `span_begin`.
    measured(instrument, &value, unsafe { slice(attributes, count) });
}

pub(crate) unsafe fn record_f64(
    instrument: i32,
    value: f64,
    attributes: *const Attribute<'_>,
    count: usize,
) {
    // SAFETY: see `span_begin`.
    measured(instrument, &value, unsafe { slice(attributes, count) });
}

pub(crate) unsafe fn context(_buffer: *mut u8, _size: usize) -> usize {
    0
}

pub(crate) unsafe fn baggage(_buffer: *mut u8, _size: usize) -> usize {
    0
}

pub(crate) unsafe fn submit(records: *const Record<'_>, count: usize) {
    // SAFETY: see `span_begin`.
    let records = unsafe { slice(records, count) };
    lines::write(depth(), format_args!("batch of {count}"));
    for each in records {
        let Record { what, subject, text, attributes, value, .. } = *each;
        let (text, text_len, attributes, count) =
            (text.address(), text.len(), attributes.address(), attributes.len());
        // SAFETY: the records hold what is borrowed for as long as they live.
        unsafe {
            match what {
                record::SPAN_ATTRIBUTES => span_attributes(subject, attributes, count),
                record::SPAN_EVENT => span_event(subject, text, text_len, attributes, count),
                record::LOG => {
                    log(subject, value as i32, text, text_len, attributes, count);
                }
                record::RECORD_I64 => {
                    record_i64(subject, value.cast_signed(), attributes, count);
                }
                _ => record_f64(subject, f64::from_bits(value), attributes, count),
            }
        }
    }
}
