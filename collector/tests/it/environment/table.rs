//! The variables, by the sections of the specification.

/// A variable that the specification has.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) how: How,
    /// Whether the crates `opentelemetry_sdk` and `opentelemetry-otlp` 0.33 read it.
    pub(super) rust_sdk: bool,
    /// Tests of what it does, beyond that it is read.
    pub(super) tests: &'static [&'static str],
}

pub(super) enum How {
    Honoured {
        what: &'static str,
        /// Variables without which it means nothing.
        with: &'static [(&'static str, &'static str)],
        set: &'static str,
        /// What is there when it is set so, and not when it is not.
        shows: &'static str,
        /// Values that make no sense.
        bad: &'static [&'static str],
    },
    /// Names a file, which the further tests write.
    File {
        what: &'static str,
    },
    /// Read by the program `observe`; the further tests look for its effect.
    Program {
        what: &'static str,
    },
    Ignored {
        why: &'static str,
    },
    Refused {
        why: &'static str,
    },
}

pub(super) const HEAD: &str = "\
# Environment variables

<!-- Written by a test: BLESS=1 cargo nextest run --release -p observe-collector environment -->

All variables of OpenTelemetry's specification that concern an exporter, the resource, limits, sampling,
propagation or disabling, and what `observe-collector` does with them. `otlp::Config::from_env` reads where
to send and how, `Resource::from_env` who sends, and `Environment::from_env` the rest.

A test (`each_variable_does_what_the_page_says`) sets each of them and looks for its effect in what is read;
the tests named here see what that does. An empty variable is an unset one. A value that makes no sense is an error of one line that names
the variable and the value, where the specification would have a warning: a typing mistake that costs a day's
traces is worse than a program that says what is wrong when it starts.

`‹SIGNAL›` is `TRACES`, `LOGS` or `METRICS`; such a variable counts more than the one without. The column
\"Rust SDK\" says whether `opentelemetry_sdk` or `opentelemetry-otlp` 0.33 reads the variable.
";

pub(super) const COLUMNS: &str = "\
| variable | default | honoured | Rust SDK | further tests |
|---|---|---|---|---|
";

/// For brevity.
const fn honoured(
    what: &'static str,
    set: &'static str,
    shows: &'static str,
    bad: &'static [&'static str],
) -> How {
    How::Honoured { what, with: &[], set, shows, bad }
}

const fn given(
    with: &'static [(&'static str, &'static str)],
    what: &'static str,
    set: &'static str,
    shows: &'static str,
    bad: &'static [&'static str],
) -> How {
    How::Honoured { what, with, set, shows, bad }
}

const fn program(what: &'static str) -> How {
    How::Program { what }
}

const fn ignored(why: &'static str) -> How {
    How::Ignored { why }
}

macro_rules! variables {
    ($($name:literal, $default:literal, $rust_sdk:literal, $how:expr $(, [$($test:literal),*])?;)*) => {
        &[$(Variable {
            name: $name,
            default: $default,
            rust_sdk: $rust_sdk,
            how: $how,
            tests: &[$($($test),*)?],
        }),*]
    };
}

const NO_NUMBER: &[&str] = &["-1", "x", "1.5", "99999999999999999999999"];
const NOT_POSITIVE: &[&str] = &["0", "-1", "x"];

const GENERAL: &[Variable] = variables! {
    "OTEL_SDK_DISABLED", "`false`", false,
        honoured("`true`: nothing is sent", "True", "config: None", &[]),
        ["nothing_is_sent_without_an_endpoint_or_when_disabled"];
    "OTEL_RESOURCE_ATTRIBUTES", "none", true,
        honoured("attributes of the resource", "team=a%2Cb", "\"team\", value: String(\"a,b\")", &["x"]),
        ["a_request_says_who_sends_what"];
    "OTEL_SERVICE_NAME", "`unknown_service`", true,
        honoured("`service.name`", "shop", "\"service.name\", value: String(\"shop\")", &[]),
        ["service_name_wins_over_attributes_and_both_over_defaults", "a_service_without_a_name_is_unknown"];
    "OTEL_LOG_LEVEL", "`info`", false,
        ignored("nothing is logged; what goes wrong is returned, or told in reports and by `Collector::health`");
    "OTEL_PROPAGATORS", "`tracecontext,baggage`", false,
        honoured("`Propagators`: `tracecontext`, `baggage`, `none`", "baggage", "Propagators([Baggage])",
            &["b3", "b3multi", "jaeger", "xray", "ottrace"]),
        ["what_comes_in_goes_out"];
    "OTEL_TRACES_SAMPLER", "`parentbased_always_on`", true,
        honoured("`Sampler`: `always_on`, `always_off`, `traceidratio` and these after `parentbased_`",
            "always_off", "sampler: AlwaysOff", &["jaeger_remote", "parentbased_jaeger_remote", "xray"]),
        ["the_environment_names_a_sampler", "the_environment_reaches_the_collector"];
    "OTEL_TRACES_SAMPLER_ARG", "1", true,
        given(&[("OTEL_TRACES_SAMPLER", "traceidratio")], "the share of `traceidratio`", "0.5",
            "Ratio { threshold: 36028797018963968 }", &["2", "x"]),
        ["thresholds_are_those_of_the_specification"];
    "OTEL_ENTITIES", "none", false,
        ignored("entities are in development; their attributes may be given as those of the resource");
    "OTEL_CONFIG_FILE", "none", false,
        How::Refused { why: "no configuration file is read, and with one the other variables would not count" };
    "OTEL_EXPERIMENTAL_CONFIG_FILE", "none", false, How::Refused { why: "as above" };
};

/// "Environment Variables as Context Propagation Carriers".
const CONTEXT: &[Variable] = variables! {
    "TRACEPARENT", "none", false,
        program("by `observe run`: the span under which its trace stands. One that cannot be read is said and left \
            out, as with a request: whoever set it is another program. If it is not sampled, the trace is \
            shown and not sent"),
        ["a_run_stands_under_the_span_that_the_environment_names", "a_parent_that_is_none_is_said_and_left_out",
            "what_the_parent_leaves_out_is_shown_and_not_sent"];
    "TRACESTATE", "none", false, ignored("the host keeps none");
    "BAGGAGE", "none", false,
        program("by `observe run`: what a guest gets from `baggage`"),
        ["the_environment_tells_the_parent_and_the_baggage", "a_mistake_is_said_and_left_out"];
};

const BATCHES: &[Variable] = variables! {
    "OTEL_BSP_SCHEDULE_DELAY", "5000", true,
        honoured("milliseconds until a batch that is not full is sent", "4321", "delay: 4.321s", NO_NUMBER),
        ["a_batch_goes_out_after_the_delay_by_itself"];
    "OTEL_BSP_EXPORT_TIMEOUT", "300000 instead of 30000", true,
        honoured("milliseconds for which a batch is tried, again and again; 0 is for ever", "4321",
            "give_up_after: 4.321s", NO_NUMBER),
        ["a_batch_is_given_up_when_the_environment_says"];
    "OTEL_BSP_MAX_QUEUE_SIZE", "262144 instead of 2048", true,
        honoured("spans that wait for the receiver", "4321", "items: 4321", NOT_POSITIVE),
        ["a_full_queue_drops_the_newest"];
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", true,
        honoured("spans in a request", "321", "items: 321", NOT_POSITIVE),
        ["spans_arrive_in_batches_over_one_connection"];
    "OTEL_BLRP_SCHEDULE_DELAY", "1000", true,
        honoured("as above, of log records", "4321", "delay: 4.321s", NO_NUMBER),
        ["logs_go_out_after_their_delay_by_themselves"];
    "OTEL_BLRP_EXPORT_TIMEOUT", "300000 instead of 30000", true,
        honoured("as above", "4321", "give_up_after: 4.321s", NO_NUMBER);
    "OTEL_BLRP_MAX_QUEUE_SIZE", "262144 instead of 2048", true,
        honoured("as above", "4321", "items: 4321", NOT_POSITIVE),
        ["a_full_queue_of_logs_leaves_room_for_spans"];
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", true,
        honoured("as above", "321", "items: 321", NOT_POSITIVE);
};

const LIMITS: &[Variable] = variables! {
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "none", false,
        honoured("characters of a value on a span, event, link or log record", "77",
            "log_value_length: Some(77)", NO_NUMBER), ["values_are_cut_between_characters"];
    "OTEL_ATTRIBUTE_COUNT_LIMIT", "128", false,
        honoured("attributes of each", "77", "log_attributes: 77", NO_NUMBER), ["the_environment_sets_limits"];
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "none", false,
        honoured("counts more for spans, events and links", "77", "span_value_length: Some(77)", NO_NUMBER),
        ["values_are_cut_between_characters", "values_within_values_are_cut_too"];
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", true,
        honoured("counts more for spans", "77", "span_attributes: 77", NO_NUMBER),
        ["the_first_attributes_are_kept_and_the_others_counted"];
    "OTEL_SPAN_EVENT_COUNT_LIMIT", "128", true,
        honoured("events of a span", "77", "span_events: 77", NO_NUMBER), ["events_and_links_are_counted"];
    "OTEL_SPAN_LINK_COUNT_LIMIT", "128", true,
        honoured("links of a span", "77", "span_links: 77", NO_NUMBER), ["events_and_links_are_counted"];
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", false,
        honoured("counts more for events", "77", "event_attributes: 77", NO_NUMBER),
        ["events_and_links_are_counted"];
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "128", false,
        honoured("counts more for links", "77", "link_attributes: 77", NO_NUMBER),
        ["events_and_links_are_counted"];
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "none", false,
        honoured("counts more for log records", "77", "log_value_length: Some(77)", NO_NUMBER),
        ["values_are_cut_between_characters"];
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "128", false,
        honoured("counts more for log records", "77", "log_attributes: 77", NO_NUMBER),
        ["the_first_attributes_are_kept_and_the_others_counted"];
};

const EXPORTERS: &[Variable] = variables! {
    "OTEL_TRACES_EXPORTER", "`otlp`", false,
        honoured("`none`: not sent", "none", "traces: None", &["zipkin", "console", "otlp,console"]),
        ["each_signal_can_be_switched_off"];
    "OTEL_LOGS_EXPORTER", "`otlp`", false,
        honoured("as above", "none", "logs: None", &["console"]),
        ["a_signal_that_is_switched_off_is_not_sent_and_not_counted"];
    "OTEL_METRICS_EXPORTER", "`otlp`", false,
        honoured("as above", "none", "metrics: None", &["prometheus"]), ["each_signal_can_be_switched_off"];
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT", "none", false, ignored("Zipkin's own protocol is not spoken");
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT", "none", false, ignored("as above");
    "OTEL_EXPORTER_PROMETHEUS_HOST", "none", false, ignored("no port is opened for Prometheus");
    "OTEL_EXPORTER_PROMETHEUS_PORT", "none", false, ignored("as above");
};

const METRICS: &[Variable] = variables! {
    "OTEL_METRICS_EXEMPLAR_FILTER", "`trace_based`", false,
        honoured("`ExemplarFilter`: `always_on`, `always_off`, `trace_based`", "always_off",
            "exemplars: AlwaysOff", &["x"]),
        ["exemplars_of_every_kind_of_metric_are_filtered"];
    "OTEL_METRIC_EXPORT_INTERVAL", "60000", true,
        honoured("`Config::metric_interval`, in milliseconds", "4321", "metric_interval: 4.321s", NOT_POSITIVE);
    "OTEL_METRIC_EXPORT_TIMEOUT", "300000 instead of 30000", true,
        honoured("milliseconds for which a batch is tried; 0 is for ever", "4321", "give_up_after: 4.321s",
            NO_NUMBER);
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "`cumulative`", true,
        honoured("see `otlp::TemporalityPreference`; sums under `lowmemory` stay as they are, since they are asked for",
            "delta", "temporality: Delta", &["x"]),
        ["sums_become_what_came_since", "deltas_arrive_and_are_counted"];
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "`explicit_bucket_histogram`", false,
        ignored("who has values chooses between `ExplicitHistogram` and `ExponentialHistogram`");
};

const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

const OTLP: &[Variable] = variables! {
    "OTEL_EXPORTER_OTLP_ENDPOINT", "none instead of `http://localhost:4318`", true,
        honoured("where all signals go", "http://other:1", "http://other:1/v1/logs",
            &["other:1/x"]),
        ["endpoints_of_the_environment"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_ENDPOINT", "as above", true,
        honoured("where one goes", "http://other:1/x", "http://other:1/x", &["other:1/x"]),
        ["a_signal_may_have_an_endpoint_of_its_own"];
    "OTEL_EXPORTER_OTLP_INSECURE", "`false`", true,
        given(&[GRPC, ("OTEL_EXPORTER_OTLP_ENDPOINT", "base:4317")],
            "a gRPC endpoint without a scheme is spoken to in clear", "true", "http://base:4317", &["x"]),
        ["grpc_has_endpoints_without_paths"];
    "OTEL_EXPORTER_OTLP_HEADERS", "none", true,
        honoured("`key=value,…`, percent-encoded; `user-agent` counts instead of ours", "x-key=1", "\"x-key\"", &["x-key"]), ["headers"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_HEADERS", "none", true,
        honoured("as above", "x-key=1", "\"x-key\"", &["x-key"]), ["headers"];
    "OTEL_EXPORTER_OTLP_TIMEOUT", "10000", true,
        honoured("milliseconds for one request; 0: as long as its batch is tried", "4321", "timeout: 4.321s", &["-1", "x"]),
        ["a_request_that_takes_too_long_is_retried", "a_request_without_a_limit_ends_with_the_shutdown"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_TIMEOUT", "10000", true,
        honoured("as above", "4321", "timeout: 4.321s", &["-1", "x"]);
    "OTEL_EXPORTER_OTLP_PROTOCOL", "`http/protobuf`", true,
        honoured("see `otlp::Protocol`", "grpc", "protocol: Grpc", &["smoke"]),
        ["protocols", "all_signals_arrive_as_they_do_over_http"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_PROTOCOL", "`http/protobuf`", true,
        given(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base")], "as above", "grpc", "protocol: Grpc",
            &["smoke"]);
    "OTEL_EXPORTER_OTLP_COMPRESSION", "`none`", true,
        honoured("see `otlp::Compression`", "gzip", "compression: Gzip", &["lzma"]),
        ["requests_are_compressed_where_that_is_asked_for"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_COMPRESSION", "`none`", true,
        honoured("as above", "gzip", "compression: Gzip", &["lzma"]);
    "OTEL_EXPORTER_OTLP_CERTIFICATE", "the system's", false, How::File { what: "file of the authorities to trust, in PEM format" },
        ["an_authority_of_ones_own_is_trusted_and_no_other", "files_that_cannot_be_used_are_named_at_the_start"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_CERTIFICATE", "the system's", false, How::File { what: "as above" },
        ["an_authority_of_ones_own_is_trusted_and_no_other", "files_that_cannot_be_used_are_named_at_the_start"];
    "OTEL_EXPORTER_OTLP_CLIENT_KEY", "none", false, How::File { what: "file of the key of the client's certificate" },
        ["a_client_shows_its_certificate_where_it_is_asked_to", "files_that_cannot_be_used_are_named_at_the_start"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_CLIENT_KEY", "none", false, How::File { what: "as above" },
        ["a_client_shows_its_certificate_where_it_is_asked_to", "files_that_cannot_be_used_are_named_at_the_start"];
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "none", false, How::File { what: "file of a certificate to show" },
        ["a_client_shows_its_certificate_where_it_is_asked_to", "files_that_cannot_be_used_are_named_at_the_start"];
    "OTEL_EXPORTER_OTLP_‹SIGNAL›_CLIENT_CERTIFICATE", "none", false, How::File { what: "as above" },
        ["a_client_shows_its_certificate_where_it_is_asked_to", "files_that_cannot_be_used_are_named_at_the_start"];
};

/// All of them.
pub(super) const SECTIONS: &[(&str, &[Variable])] = &[
    ("General", GENERAL),
    ("The context of a run", CONTEXT),
    ("Batches of spans and log records", BATCHES),
    ("Limits", LIMITS),
    ("Which exporters", EXPORTERS),
    ("Metrics", METRICS),
    ("OTLP", OTLP),
];
