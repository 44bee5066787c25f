//! The variables of the exporter, which a test holds against what is read.

/// A variable, or three of them: `‹SIGNAL›` is `TRACES`, `LOGS` or `METRICS`.
struct Variable {
    name: &'static str,
    meaning: &'static str,
    default: &'static str,
}

macro_rules! variables {
    ($($name:literal, $meaning:literal, $default:literal;)*) => {
        /// Of two with the same end, that of the signal counts before that of all.
        const VARIABLES: &[Variable] = &[$(
            Variable {
                name: concat!("OTEL_EXPORTER_OTLP_", $name),
                meaning: $meaning,
                default: $default,
            },
            Variable {
                name: concat!("OTEL_EXPORTER_OTLP_‹SIGNAL›_", $name),
                meaning: $meaning,
                default: $default,
            },
        )*];
    };
}

variables! {
    "ENDPOINT", "URL of the receiver; that of a signal is used as it is", "nothing is sent";
    "PROTOCOL", "`http/protobuf`, `http/json` or `grpc`", "`http/protobuf`";
    "HEADERS", "`key=value,…`, percent-encoded", "none";
    "TIMEOUT", "milliseconds for one request; 0: as long as its batch is tried", "10,000";
    "COMPRESSION", "`gzip`, `zstd` or `none`", "`none`";
    "INSECURE", "`true`: a gRPC endpoint without a scheme is spoken to in clear", "`false`";
    "CERTIFICATE", "file of the authorities to trust, in PEM format", "those of the system";
    "CLIENT_CERTIFICATE", "file of a certificate to show, in PEM format", "none";
    "CLIENT_KEY", "file of its private key, in PEM format", "none";
}

mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::VARIABLES;
    use crate::otlp::Config;

    #[test]
    fn the_table_has_what_is_read() {
        let read = RefCell::new(BTreeSet::new());
        for own in [false, true] {
            let lookup = |name: &str| {
                read.borrow_mut().insert(name.to_owned());
                let value = match name {
                    _ if name.ends_with("_PROTOCOL") => "grpc",
                    _ if name.ends_with("S_ENDPOINT") && own => "h:1",
                    "OTEL_EXPORTER_OTLP_ENDPOINT" => "h:1",
                    _ => return None,
                };
                Some(value.to_owned())
            };
            Config::from_lookup(&lookup).expect("valid");
        }
        let mut told = BTreeSet::new();
        for variable in VARIABLES {
            assert!(!variable.meaning.is_empty() && !variable.default.is_empty());
            for signal in ["TRACES", "LOGS", "METRICS"] {
                told.insert(variable.name.replace("‹SIGNAL›", signal));
            }
        }
        // Metrics alone have it.
        read.borrow_mut().remove("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
        read.borrow_mut().retain(|name| name.starts_with("OTEL_EXPORTER_OTLP_"));
        // Of a protocol, that of the signal was enough.
        read.borrow_mut().insert("OTEL_EXPORTER_OTLP_PROTOCOL".to_owned());
        assert_eq!(*read.borrow(), told);
    }
}
