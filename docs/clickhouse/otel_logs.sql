CREATE TABLE IF NOT EXISTS otel.otel_logs (
    Timestamp          DateTime64(9) CODEC(Delta, ZSTD),
    TraceId            String CODEC(ZSTD),
    SpanId             String CODEC(ZSTD),
    TraceFlags         UInt8,
    SeverityText       LowCardinality(String),
    SeverityNumber     UInt8,
    ServiceName        LowCardinality(String),
    Body               String CODEC(ZSTD),
    ResourceSchemaUrl  LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD),
    ScopeSchemaUrl     LowCardinality(String),
    ScopeName          LowCardinality(String),
    ScopeVersion       LowCardinality(String),
    ScopeAttributes    Map(LowCardinality(String), String) CODEC(ZSTD),
    LogAttributes      Map(LowCardinality(String), String) CODEC(ZSTD),
    INDEX by_trace TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, Timestamp)
TTL toDateTime(Timestamp) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1
