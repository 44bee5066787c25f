CREATE TABLE IF NOT EXISTS otel.otel_traces (
    Timestamp          DateTime64(9) CODEC(Delta, ZSTD),
    TraceId            String CODEC(ZSTD),
    SpanId             String CODEC(ZSTD),
    ParentSpanId       String CODEC(ZSTD),
    TraceState         String CODEC(ZSTD),
    SpanName           LowCardinality(String),
    SpanKind           LowCardinality(String),
    ServiceName        LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD),
    ScopeName          LowCardinality(String),
    ScopeVersion       LowCardinality(String),
    SpanAttributes     Map(LowCardinality(String), String) CODEC(ZSTD),
    Duration           UInt64 CODEC(ZSTD),
    StatusCode         LowCardinality(String),
    StatusMessage      String CODEC(ZSTD),
    Events             Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)) CODEC(ZSTD),
    Links              Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String)) CODEC(ZSTD),
    INDEX by_trace TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, Timestamp)
TTL toDateTime(Timestamp) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1
