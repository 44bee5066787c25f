//! What the host wants, as a filter of one layer.

use tracing_core::{Interest, LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use super::visit::severity;
use crate::{Severity, host};

/// Lets through what the host wants: spans of any level, if it wants spans, and events from the
/// least severity on of which it wants log records.
pub(super) struct HostInterest;

fn wants(metadata: &Metadata<'_>) -> bool {
    match metadata.is_span() {
        true => host::wants_spans(),
        false => host::wants_logs(severity(metadata.level())),
    }
}

impl<S> Filter<S> for HostInterest {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match wants(metadata) {
            // In native programs it may be captured later.
            _ if cfg!(not(target_arch = "wasm32")) => Interest::sometimes(),
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        if cfg!(not(target_arch = "wasm32")) {
            return None;
        }
        let levels = [
            (Severity::Trace, LevelFilter::TRACE),
            (Severity::Debug, LevelFilter::DEBUG),
            (Severity::Info, LevelFilter::INFO),
            (Severity::Warn, LevelFilter::WARN),
            (Severity::Error, LevelFilter::ERROR),
        ];
        let mut levels = levels.into_iter();
        let wanted = |severity| host::wants_spans() || host::wants_logs(severity);
        let least = levels.find(|(severity, _)| wanted(*severity));
        Some(least.map_or(LevelFilter::OFF, |(_, level)| level))
    }
}
