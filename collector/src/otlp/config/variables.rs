//! What the variables of each signal are called.

use crate::stats::Signal;

/// Of two names, the first that is set counts.
pub(super) struct Variables {
    /// What is appended to a base URL.
    pub(super) path: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) headers: [&'static str; 2],
    pub(super) timeout: [&'static str; 2],
    pub(super) protocol: [&'static str; 2],
    pub(super) compression: [&'static str; 2],
    /// Whether a gRPC endpoint without a scheme is spoken to in clear.
    #[cfg(feature = "grpc")]
    pub(super) insecure: [&'static str; 2],
    /// Says whether the signal is sent at all.
    pub(super) exporter: &'static str,
    /// Metrics are not gathered over time.
    pub(super) batch: Option<BatchVariables>,
}

pub(super) struct BatchVariables {
    pub(super) batch_size: &'static str,
    pub(super) queue_size: &'static str,
    pub(super) delay: &'static str,
    /// What the sizes count.
    pub(super) unit: &'static str,
}

macro_rules! variables {
    ($signal:literal, $path:literal, $batch:expr) => {
        Variables {
            path: $path,
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $signal, "_ENDPOINT"),
            headers: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_HEADERS"),
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
            timeout: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_TIMEOUT"),
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            protocol: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_PROTOCOL"),
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            compression: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_COMPRESSION"),
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            #[cfg(feature = "grpc")]
            insecure: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_INSECURE"),
                "OTEL_EXPORTER_OTLP_INSECURE",
            ],
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            batch: $batch,
        }
    };
}

macro_rules! batch {
    ($processor:literal, $unit:literal) => {
        Some(BatchVariables {
            batch_size: concat!("OTEL_", $processor, "_MAX_EXPORT_BATCH_SIZE"),
            queue_size: concat!("OTEL_", $processor, "_MAX_QUEUE_SIZE"),
            delay: concat!("OTEL_", $processor, "_SCHEDULE_DELAY"),
            unit: $unit,
        })
    };
}

static TRACES: Variables = variables!("TRACES", "/v1/traces", batch!("BSP", "a number of spans"));
static LOGS: Variables = variables!("LOGS", "/v1/logs", batch!("BLRP", "a number of log records"));
static METRICS: Variables = variables!("METRICS", "/v1/metrics", None);

impl Variables {
    pub(super) fn of(signal: Signal) -> &'static Self {
        match signal {
            Signal::Traces => &TRACES,
            Signal::Logs => &LOGS,
            Signal::Metrics => &METRICS,
        }
    }
}
