//! Fields of `tracing` as attributes.

use core::error::Error;
use core::{fmt, iter};

use tracing_core::field::{Field, Visit};
use tracing_core::{Level, Metadata};

use crate::fields::Fields;
use crate::host::{self, Id};
use crate::{Attribute, Kind, Severity, Status};

/// A level as the host has it.
pub(super) fn severity(level: &Level) -> Severity {
    match *level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// Adds where it is said: "Source code attributes" of the semantic conventions, and what
/// `tracing-opentelemetry` adds to them.
pub(super) fn place(fields: &mut Fields<'_>, metadata: &Metadata<'static>) {
    fields.push(Attribute::new("target", metadata.target()));
    if let Some(module) = metadata.module_path().filter(|module| *module != metadata.target()) {
        fields.push(Attribute::new("code.module.name", module));
    }
    if let Some(file) = metadata.file() {
        fields.push(Attribute::new("code.file.path", file));
    }
    if let Some(line) = metadata.line() {
        fields.push(Attribute::new("code.line.number", i64::from(line)));
    }
}

/// Fields that are something else than attributes.
pub(super) trait Special<'a> {
    /// Takes the field, or gives it back.
    fn take(&mut self, name: &str, value: &dyn fmt::Display, fields: &mut Fields<'a>) -> bool;
}

/// What fields say: attributes, and what is special.
pub(super) struct Visitor<'a, T> {
    pub(super) fields: Fields<'a>,
    pub(super) special: T,
}

/// What the fields of a span say beside its attributes.
pub(super) struct SpanFields<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    status: Status,
    message: &'a str,
}

impl<'a> SpanFields<'a> {
    /// Before any field is seen.
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, kind: Kind::Internal, status: Status::Unset, message: "" }
    }

    /// Tells the status of the span, if there is one.
    pub(super) fn tell_status(&self, span: Id) {
        if self.status != Status::Unset {
            host::span_status(span, self.status, self.message);
        }
    }
}

impl<'a> Special<'a> for SpanFields<'a> {
    fn take(&mut self, name: &str, value: &dyn fmt::Display, fields: &mut Fields<'a>) -> bool {
        let mut text = || fields.format(format_args!("{value}"));
        match name {
            "otel.name" => self.name = text(),
            "otel.kind" => self.kind = kind_of(text()),
            "otel.status_code" => self.status = status_of(text()),
            "otel.status_description" | "otel.status_message" => {
                self.message = text();
                self.status = Status::Error;
            }
            _ => return false,
        }
        true
    }
}

/// What the fields of an event say beside its attributes.
#[derive(Default)]
pub(super) struct EventFields<'a> {
    pub(super) message: Option<&'a str>,
    pub(super) error: Option<&'a str>,
}

impl<'a> Special<'a> for EventFields<'a> {
    fn take(&mut self, name: &str, value: &dyn fmt::Display, fields: &mut Fields<'a>) -> bool {
        match name {
            "message" => self.message = Some(fields.format(format_args!("{value}"))),
            "error" => self.error = Some(fields.push_format("error", format_args!("{value}"))),
            _ => return false,
        }
        true
    }
}

fn kind_of(text: &str) -> Kind {
    let kinds = [
        ("server", Kind::Server),
        ("client", Kind::Client),
        ("producer", Kind::Producer),
        ("consumer", Kind::Consumer),
    ];
    let kind = kinds.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    kind.map_or(Kind::Internal, |(_, kind)| *kind)
}

fn status_of(text: &str) -> Status {
    let statuses = [("ok", Status::Ok), ("error", Status::Error)];
    let status = statuses.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    status.map_or(Status::Unset, |(_, status)| *status)
}

/// Shows what has `Debug` only.
struct Shown<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Shows an error and what caused it.
struct Causes<'a>(&'a (dyn Error + 'static));

/// An error may be its own source.
const MAX_CAUSES: usize = 16;

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let causes = iter::successors(self.0.source(), |&error| error.source());
        causes.take(MAX_CAUSES).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl<'a, T: Special<'a>> Visitor<'a, T> {
    fn text(&mut self, field: &Field, value: &dyn fmt::Display) {
        if !self.special.take(field.name(), value, &mut self.fields) {
            self.fields.push_format(field.name(), format_args!("{value}"));
        }
    }
}

impl<'a, T: Special<'a>> Visit for Visitor<'a, T> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push(Attribute::new(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push(Attribute::new(field.name(), value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push_integer(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.fields.push_integer(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.fields.push_integer(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push(Attribute::new(field.name(), value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.fields.push_bytes(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, &Causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &Shown(value));
    }
}
