//! Many records in one call of the host.

use core::mem::MaybeUninit;

use crate::host::{self, Id, Record};
use crate::{Attribute, Metric, Number, Severity, SpanRef};

/// Up to `N` records that cross to the host in one call: when there are `N`, and when this is
/// dropped.
///
/// Whatever has a time gets that of the call; what is said of the innermost open span is said of
/// that one which is the innermost then.
///
/// ```
/// use observe::{Attribute, Batch, Counter, Severity};
///
/// static LINES: Counter = Counter::new("lines");
///
/// let span = observe::span("parse");
/// let attributes = [Attribute::new("file", "orders.csv")];
/// let mut batch = Batch::<16>::new();
/// for _line in 0..100 {
///     batch.record(&LINES, 1, &attributes);
/// }
/// batch.log(Severity::Info, "parsed", &[]);
/// batch.attributes(&span, &attributes);
/// batch.event(&span, "end of file", &[]);
/// ```
pub struct Batch<'a, const N: usize> {
    records: [MaybeUninit<Record<'a>>; N],
    /// How many are initialized.
    len: usize,
}

impl<const N: usize> Default for Batch<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, const N: usize> Batch<'a, N> {
    /// An empty one. `N` must not be 0, or the program does not compile.
    ///
    /// ```
    /// let batch = observe::Batch::<32>::new();
    /// ```
    pub const fn new() -> Self {
        const { assert!(N > 0, "a batch needs room for a record") };
        Self { records: [const { MaybeUninit::uninit() }; N], len: 0 }
    }

    /// As [`SpanRef::attributes`].
    ///
    /// ```
    /// let attributes = observe::attributes![items = 3];
    /// let span = observe::span("add up");
    /// observe::Batch::<4>::new().attributes(&span, &attributes);
    /// ```
    pub fn attributes(&mut self, span: &SpanRef, attributes: &'a [Attribute<'a>]) {
        if host::wants_spans() {
            self.push(Record::span_attributes(span.id, attributes));
        }
    }

    /// As [`SpanRef::event`].
    ///
    /// ```
    /// observe::Batch::<4>::new().event(&observe::current(), "validated", &[]);
    /// ```
    pub fn event(&mut self, span: &SpanRef, name: &'a str, attributes: &'a [Attribute<'a>]) {
        if host::wants_spans() {
            self.push(Record::span_event(span.id, name, attributes));
        }
    }

    /// As [`log`](crate::log()).
    ///
    /// ```
    /// observe::Batch::<4>::new().log(observe::Severity::Debug, "one of many", &[]);
    /// ```
    pub fn log(&mut self, severity: Severity, body: &'a str, attributes: &'a [Attribute<'a>]) {
        if host::wants_logs(severity) {
            self.push(Record::log(Id::CURRENT, severity, body, attributes));
        }
    }

    /// A measurement: adds to a counter, sets a gauge, or gives a histogram a value.
    ///
    /// ```
    /// static SIZES: observe::Histogram = observe::Histogram::new("sizes").unit("By");
    ///
    /// let mut batch = observe::Batch::<4>::new();
    /// for size in [100, 200] {
    ///     batch.record(&SIZES, size, &[]);
    /// }
    /// ```
    pub fn record(
        &mut self,
        instrument: &impl Metric,
        value: impl Into<Number>,
        attributes: &'a [Attribute<'a>],
    ) {
        if host::wants_metrics() {
            instrument.record_in(self, value.into(), attributes);
        }
    }

    /// Hands over what there is.
    ///
    /// ```
    /// let mut batch = observe::Batch::<4>::new();
    /// batch.log(observe::Severity::Info, "at once", &[]);
    /// batch.submit();
    /// ```
    pub fn submit(&mut self) {
        let records = self.records.get(..self.len).unwrap_or_default();
        self.len = 0;
        if !records.is_empty() {
            // SAFETY: that many were written.
            host::submit(unsafe { records.assume_init_ref() });
        }
    }

    pub(crate) fn push(&mut self, record: Record<'a>) {
        if let Some(room) = self.records.get_mut(self.len) {
            room.write(record);
            self.len += 1;
        }
        if self.len == N {
            self.submit();
        }
    }
}

impl<const N: usize> Drop for Batch<'_, N> {
    fn drop(&mut self) {
        self.submit();
    }
}
