//! Records of [`log`](https://docs.rs/log) become log records of the host, tied to the innermost open
//! span.
//!
//! ```
//! observe::log::init();
//! log::info!("ready");
//! ```
//!
//! The message is the body, up to 4 KiB, after which it is cut and ends with `…`. Attributes are the
//! record's target (`target`), its module where that is another (`code.module.name`), its file
//! (`code.file.path`), its line (`code.line.number`) and, with the feature `kv`, its key-values, each of
//! its type. Nothing is allocated.
//!
//! # Overhead
//!
//! [`init`] asks the host for the least severity that it wants, and sets `log`'s maximal level to
//! it: what is below costs a load and a comparison. A record costs one call of the host.

use core::sync::atomic::{AtomicBool, Ordering};

use ::log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};

use crate::fields::{self, Fields};
use crate::host::{self, Id};
use crate::{Attribute, Severity};

#[cfg(feature = "kv")]
#[path = "logger/key_values.rs"]
mod key_values;

/// Sends what is logged to the host, from now on.
///
/// Call it at the start of `main`, or of each function that the module exports: from the second time
/// on it does nothing. If the program has set another logger before, that one stays, and a warning in
/// the host's log says so.
pub fn init() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) && try_init().is_err() {
        let body = "observe::log::init came after another logger, which stays";
        host::log(Id::CURRENT, Severity::Warn, body, &[]);
    }
}

/// The same, for those who want to know whether it worked.
///
/// # Errors
///
/// There is a logger already.
pub fn try_init() -> Result<(), SetLoggerError> {
    if cfg!(feature = "off") {
        return Ok(());
    }
    ::log::set_logger(&HostLogger)?;
    ::log::set_max_level(max_level());
    Ok(())
}

/// A logger that sends to the host, for those who combine loggers.
///
/// It tells the host whatever it wants; the maximal level of `log` is the caller's to set.
///
/// ```
/// use log::Log;
///
/// let record = log::Record::builder().args(format_args!("ready")).level(log::Level::Info).build();
/// observe::log::logger().log(&record);
/// ```
pub fn logger() -> &'static dyn Log {
    &HostLogger
}

/// The level from which on the host wants records.
fn max_level() -> LevelFilter {
    // In native programs it may be captured later.
    if cfg!(not(target_arch = "wasm32")) {
        return LevelFilter::Trace;
    }
    let levels = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    let least = levels.into_iter().find(|level| host::wants_logs(severity(*level)));
    least.map_or(LevelFilter::Off, |level| level.to_level_filter())
}

/// A level as the host has it.
fn severity(level: Level) -> Severity {
    match level {
        Level::Trace => Severity::Trace,
        Level::Debug => Severity::Debug,
        Level::Info => Severity::Info,
        Level::Warn => Severity::Warn,
        Level::Error => Severity::Error,
    }
}

struct HostLogger;

impl Log for HostLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        host::wants_logs(severity(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut buffer = fields::buffer();
        let mut fields = Fields::new(&mut buffer);
        let body = match record.args().as_str() {
            Some(body) => body,
            None => fields.format(*record.args()),
        };
        #[cfg(feature = "kv")]
        key_values::add(record, &mut fields);
        fields.push(Attribute::new("target", record.target()));
        if let Some(module) = record.module_path().filter(|module| *module != record.target()) {
            fields.push(Attribute::new("code.module.name", module));
        }
        if let Some(file) = record.file() {
            fields.push(Attribute::new("code.file.path", file));
        }
        if let Some(line) = record.line() {
            fields.push(Attribute::new("code.line.number", i64::from(line)));
        }
        host::log(Id::CURRENT, severity(record.level()), body, fields.attributes());
    }

    fn flush(&self) {}
}
