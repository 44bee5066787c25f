CREATE TABLE IF NOT EXISTS otel.otel_metrics_exponential_histogram (
    ResourceAttributes     Map(LowCardinality(String), String) CODEC(ZSTD),
    ResourceSchemaUrl      LowCardinality(String),
    ScopeName              LowCardinality(String),
    ScopeVersion           LowCardinality(String),
    ScopeAttributes        Map(LowCardinality(String), String) CODEC(ZSTD),
    ScopeDroppedAttrCount  UInt32,
    ScopeSchemaUrl         LowCardinality(String),
    ServiceName            LowCardinality(String),
    MetricName             LowCardinality(String),
    MetricDescription      LowCardinality(String),
    MetricUnit             LowCardinality(String),
    Attributes             Map(LowCardinality(String), String) CODEC(ZSTD),
    StartTimeUnix          DateTime64(9) CODEC(Delta, ZSTD),
    TimeUnix               DateTime64(9) CODEC(Delta, ZSTD),
    Count                  UInt64,
    Sum                    Float64 CODEC(ZSTD),
    Scale                  Int32,
    ZeroCount              UInt64,
    PositiveOffset         Int32,
    PositiveBucketCounts   Array(UInt64) CODEC(ZSTD),
    NegativeOffset         Int32,
    NegativeBucketCounts   Array(UInt64) CODEC(ZSTD),
    Exemplars              Nested (FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD),
    Flags                  UInt32,
    Min                    Float64 CODEC(ZSTD),
    Max                    Float64 CODEC(ZSTD),
    AggregationTemporality Int32
) ENGINE = MergeTree
PARTITION BY toDate(TimeUnix)
ORDER BY (ServiceName, MetricName, Attributes, TimeUnix)
TTL toDateTime(TimeUnix) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1
