//! The messages of OTLP, field by field. A test compares them with the descriptors that belong to the
//! official definition.

use self::Kind::{
    Bool, Bytes, Double, Fixed32, Fixed64, Id, Int32, Int64, Nested, Sfixed64, Sint32, Text,
    Uint32, Uint64,
};

/// What is known of a message.
pub(super) struct Message {
    /// Without `opentelemetry.proto.`.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

pub(super) struct Field {
    pub(super) number: u32,
    /// As JSON has it, in lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether there may be several, which are an array.
    pub(super) is_repeated: bool,
}

/// What a field holds. Enumerations are [`Kind::Int32`], as OTLP's JSON has them as numbers.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bytes,
    /// The id of a trace or a span, which OTLP's JSON has in hex.
    Id,
    Bool,
    Int32,
    Uint32,
    Sint32,
    Int64,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    Nested(&'static Message),
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_repeated: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_repeated: true }
}

pub(super) static EXPORT_TRACE_SERVICE_REQUEST: Message = Message {
    name: "collector.trace.v1.ExportTraceServiceRequest",
    fields: &[many(1, "resourceSpans", Nested(&RESOURCE_SPANS))],
};

static RESOURCE_SPANS: Message = Message {
    name: "trace.v1.ResourceSpans",
    fields: &[
        one(1, "resource", Nested(&RESOURCE)),
        many(2, "scopeSpans", Nested(&SCOPE_SPANS)),
        one(3, "schemaUrl", Text),
    ],
};

static RESOURCE: Message = Message {
    name: "resource.v1.Resource",
    fields: &[
        many(1, "attributes", Nested(&KEY_VALUE)),
        one(2, "droppedAttributesCount", Uint32),
        many(3, "entityRefs", Nested(&ENTITY_REF)),
    ],
};

static KEY_VALUE: Message = Message {
    name: "common.v1.KeyValue",
    fields: &[
        one(1, "key", Text),
        one(2, "value", Nested(&ANY_VALUE)),
        one(3, "keyStrindex", Int32),
    ],
};

static ANY_VALUE: Message = Message {
    name: "common.v1.AnyValue",
    fields: &[
        one(1, "stringValue", Text),
        one(2, "boolValue", Bool),
        one(3, "intValue", Int64),
        one(4, "doubleValue", Double),
        one(5, "arrayValue", Nested(&ARRAY_VALUE)),
        one(6, "kvlistValue", Nested(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Bytes),
        one(8, "stringValueStrindex", Int32),
    ],
};

static ARRAY_VALUE: Message =
    Message { name: "common.v1.ArrayValue", fields: &[many(1, "values", Nested(&ANY_VALUE))] };

static KEY_VALUE_LIST: Message =
    Message { name: "common.v1.KeyValueList", fields: &[many(1, "values", Nested(&KEY_VALUE))] };

static ENTITY_REF: Message = Message {
    name: "common.v1.EntityRef",
    fields: &[
        one(1, "schemaUrl", Text),
        one(2, "type", Text),
        many(3, "idKeys", Text),
        many(4, "descriptionKeys", Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    name: "trace.v1.ScopeSpans",
    fields: &[
        one(1, "scope", Nested(&INSTRUMENTATION_SCOPE)),
        many(2, "spans", Nested(&SPAN)),
        one(3, "schemaUrl", Text),
    ],
};

static INSTRUMENTATION_SCOPE: Message = Message {
    name: "common.v1.InstrumentationScope",
    fields: &[
        one(1, "name", Text),
        one(2, "version", Text),
        many(3, "attributes", Nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
};

static SPAN: Message = Message {
    name: "trace.v1.Span",
    fields: &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", Text),
        one(4, "parentSpanId", Id),
        one(5, "name", Text),
        one(6, "kind", Int32),
        one(7, "startTimeUnixNano", Fixed64),
        one(8, "endTimeUnixNano", Fixed64),
        many(9, "attributes", Nested(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Uint32),
        many(11, "events", Nested(&SPAN_EVENT)),
        one(12, "droppedEventsCount", Uint32),
        many(13, "links", Nested(&SPAN_LINK)),
        one(14, "droppedLinksCount", Uint32),
        one(15, "status", Nested(&STATUS)),
        one(16, "flags", Fixed32),
    ],
};

static SPAN_EVENT: Message = Message {
    name: "trace.v1.Span.Event",
    fields: &[
        one(1, "timeUnixNano", Fixed64),
        one(2, "name", Text),
        many(3, "attributes", Nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
};

static SPAN_LINK: Message = Message {
    name: "trace.v1.Span.Link",
    fields: &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", Text),
        many(4, "attributes", Nested(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Uint32),
        one(6, "flags", Fixed32),
    ],
};

static STATUS: Message =
    Message { name: "trace.v1.Status", fields: &[one(2, "message", Text), one(3, "code", Int32)] };

pub(super) static EXPORT_LOGS_SERVICE_REQUEST: Message = Message {
    name: "collector.logs.v1.ExportLogsServiceRequest",
    fields: &[many(1, "resourceLogs", Nested(&RESOURCE_LOGS))],
};

static RESOURCE_LOGS: Message = Message {
    name: "logs.v1.ResourceLogs",
    fields: &[
        one(1, "resource", Nested(&RESOURCE)),
        many(2, "scopeLogs", Nested(&SCOPE_LOGS)),
        one(3, "schemaUrl", Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    name: "logs.v1.ScopeLogs",
    fields: &[
        one(1, "scope", Nested(&INSTRUMENTATION_SCOPE)),
        many(2, "logRecords", Nested(&LOG_RECORD)),
        one(3, "schemaUrl", Text),
    ],
};

static LOG_RECORD: Message = Message {
    name: "logs.v1.LogRecord",
    fields: &[
        one(1, "timeUnixNano", Fixed64),
        one(2, "severityNumber", Int32),
        one(3, "severityText", Text),
        one(5, "body", Nested(&ANY_VALUE)),
        many(6, "attributes", Nested(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Uint32),
        one(8, "flags", Fixed32),
        one(9, "traceId", Id),
        one(10, "spanId", Id),
        one(11, "observedTimeUnixNano", Fixed64),
        one(12, "eventName", Text),
    ],
};

pub(super) static EXPORT_METRICS_SERVICE_REQUEST: Message = Message {
    name: "collector.metrics.v1.ExportMetricsServiceRequest",
    fields: &[many(1, "resourceMetrics", Nested(&RESOURCE_METRICS))],
};

static RESOURCE_METRICS: Message = Message {
    name: "metrics.v1.ResourceMetrics",
    fields: &[
        one(1, "resource", Nested(&RESOURCE)),
        many(2, "scopeMetrics", Nested(&SCOPE_METRICS)),
        one(3, "schemaUrl", Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    name: "metrics.v1.ScopeMetrics",
    fields: &[
        one(1, "scope", Nested(&INSTRUMENTATION_SCOPE)),
        many(2, "metrics", Nested(&METRIC)),
        one(3, "schemaUrl", Text),
    ],
};

static METRIC: Message = Message {
    name: "metrics.v1.Metric",
    fields: &[
        one(1, "name", Text),
        one(2, "description", Text),
        one(3, "unit", Text),
        one(5, "gauge", Nested(&GAUGE)),
        one(7, "sum", Nested(&SUM)),
        one(9, "histogram", Nested(&HISTOGRAM)),
        one(10, "exponentialHistogram", Nested(&EXPONENTIAL_HISTOGRAM)),
        one(11, "summary", Nested(&SUMMARY)),
        many(12, "metadata", Nested(&KEY_VALUE)),
    ],
};

static GAUGE: Message = Message {
    name: "metrics.v1.Gauge",
    fields: &[many(1, "dataPoints", Nested(&NUMBER_DATA_POINT))],
};

static NUMBER_DATA_POINT: Message = Message {
    name: "metrics.v1.NumberDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "asDouble", Double),
        many(5, "exemplars", Nested(&EXEMPLAR)),
        one(6, "asInt", Sfixed64),
        many(7, "attributes", Nested(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ],
};

static EXEMPLAR: Message = Message {
    name: "metrics.v1.Exemplar",
    fields: &[
        one(2, "timeUnixNano", Fixed64),
        one(3, "asDouble", Double),
        one(4, "spanId", Id),
        one(5, "traceId", Id),
        one(6, "asInt", Sfixed64),
        many(7, "filteredAttributes", Nested(&KEY_VALUE)),
    ],
};

static SUM: Message = Message {
    name: "metrics.v1.Sum",
    fields: &[
        many(1, "dataPoints", Nested(&NUMBER_DATA_POINT)),
        one(2, "aggregationTemporality", Int32),
        one(3, "isMonotonic", Bool),
    ],
};

static HISTOGRAM: Message = Message {
    name: "metrics.v1.Histogram",
    fields: &[
        many(1, "dataPoints", Nested(&HISTOGRAM_DATA_POINT)),
        one(2, "aggregationTemporality", Int32),
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    name: "metrics.v1.HistogramDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "bucketCounts", Fixed64),
        many(7, "explicitBounds", Double),
        many(8, "exemplars", Nested(&EXEMPLAR)),
        many(9, "attributes", Nested(&KEY_VALUE)),
        one(10, "flags", Uint32),
        one(11, "min", Double),
        one(12, "max", Double),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "metrics.v1.ExponentialHistogram",
    fields: &[
        many(1, "dataPoints", Nested(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one(2, "aggregationTemporality", Int32),
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "metrics.v1.ExponentialHistogramDataPoint",
    fields: &[
        many(1, "attributes", Nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        one(6, "scale", Sint32),
        one(7, "zeroCount", Fixed64),
        one(8, "positive", Nested(&BUCKETS)),
        one(9, "negative", Nested(&BUCKETS)),
        one(10, "flags", Uint32),
        many(11, "exemplars", Nested(&EXEMPLAR)),
        one(12, "min", Double),
        one(13, "max", Double),
        one(14, "zeroThreshold", Double),
    ],
};

static BUCKETS: Message = Message {
    name: "metrics.v1.ExponentialHistogramDataPoint.Buckets",
    fields: &[one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)],
};

static SUMMARY: Message = Message {
    name: "metrics.v1.Summary",
    fields: &[many(1, "dataPoints", Nested(&SUMMARY_DATA_POINT))],
};

static SUMMARY_DATA_POINT: Message = Message {
    name: "metrics.v1.SummaryDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "quantileValues", Nested(&VALUE_AT_QUANTILE)),
        many(7, "attributes", Nested(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ],
};

static VALUE_AT_QUANTILE: Message = Message {
    name: "metrics.v1.SummaryDataPoint.ValueAtQuantile",
    fields: &[one(1, "quantile", Double), one(2, "value", Double)],
};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use prost::Message as _;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FileDescriptorSet};

    use super::*;

    /// The messages in a file or a message, by their full names.
    fn index(prefix: &str, of: &[DescriptorProto], into: &mut BTreeMap<String, DescriptorProto>) {
        for message in of {
            let name = format!("{prefix}.{}", message.name());
            index(&name, &message.nested_type, into);
            into.insert(name, message.clone());
        }
    }

    #[test]
    fn the_tables_are_the_official_definition() {
        let bytes = opentelemetry_proto::DESCRIPTORS;
        let files = FileDescriptorSet::decode(bytes).expect("descriptors");
        let mut official = BTreeMap::new();
        for file in &files.file {
            index(file.package(), &file.message_type, &mut official);
        }
        let mut seen = BTreeSet::new();
        let mut next = vec![
            &EXPORT_TRACE_SERVICE_REQUEST,
            &EXPORT_LOGS_SERVICE_REQUEST,
            &EXPORT_METRICS_SERVICE_REQUEST,
        ];
        while let Some(message) = next.pop() {
            if !seen.insert(message.name) {
                continue;
            }
            let descriptor = &official[&format!("opentelemetry.proto.{}", message.name)];
            let mut theirs: Vec<_> = descriptor.field.iter().collect();
            theirs.sort_by_key(|field| field.number());
            let numbers = |number: i32| u32::try_from(number).expect("positive");
            // Newer fields are those of profiles, and no other signal has them.
            let ours = message.fields.iter().filter(|field| !field.name.ends_with("Strindex"));
            let theirs = theirs.iter().filter(|field| !field.name().ends_with("strindex"));
            let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
            assert_eq!(ours.len(), theirs.len(), "{}", message.name);
            for (ours, theirs) in ours.iter().zip(theirs) {
                let at = format!("{}.{}", message.name, ours.name);
                assert_eq!(ours.number, numbers(theirs.number()), "{at}");
                assert_eq!(ours.name, theirs.json_name(), "{at}");
                assert_eq!(ours.is_repeated, theirs.label() == Label::Repeated, "{at}");
                let expected = match ours.kind {
                    Text => Type::String,
                    Bytes => Type::Bytes,
                    Id => {
                        assert!(ours.name.ends_with("Id"), "{at}");
                        Type::Bytes
                    }
                    Bool => Type::Bool,
                    Int32 if theirs.r#type() == Type::Enum => Type::Enum,
                    Int32 => Type::Int32,
                    Uint32 => Type::Uint32,
                    Sint32 => Type::Sint32,
                    Int64 => Type::Int64,
                    Uint64 => Type::Uint64,
                    Fixed32 => Type::Fixed32,
                    Fixed64 => Type::Fixed64,
                    Sfixed64 => Type::Sfixed64,
                    Double => Type::Double,
                    Nested(nested) => {
                        let name = format!(".opentelemetry.proto.{}", nested.name);
                        assert_eq!(theirs.type_name(), name, "{at}");
                        next.push(nested);
                        Type::Message
                    }
                };
                assert_eq!(theirs.r#type(), expected, "{at}");
                assert!(
                    expected != Type::Bytes || !matches!(ours.kind, Bytes) || !at.ends_with("Id")
                );
            }
        }
        assert_eq!(seen.len(), 34);
    }
}
