#!/usr/bin/env python3
"""Decodes OTLP exports with the official protobuf classes, and prints them as JSON.

Usage: decode_otlp.py [traces|logs|metrics] FILE_OR_DIRECTORY...

Each file is the body of one ExportTraceServiceRequest, or of that of the signal that is named first;
in a directory, every *.bin file in the order of its number, but for those that capture.py got for
another signal. Runs with the Python of tests/setup. Shares no code with observe: this is the
independent opinion on what was sent. Exits with 1 and one line on anything that does not parse, and
on fields that the official definition does not have.
"""

import json
import math
import pathlib
import sys

from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value(any_value):
    """An AnyValue as {type: value}.

    Integers are strings, since JSON numbers lose 64-bit ones; so are NaN and the infinities.
    """
    kind = any_value.WhichOneof("value")
    if kind is None:
        return {"empty": None}
    inner = getattr(any_value, kind)
    if kind == "array_value":
        inner = [value(item) for item in inner.values]
    elif kind == "kvlist_value":
        inner = attributes(inner.values)
    elif kind == "bytes_value":
        inner = inner.hex()
    elif kind == "int_value":
        inner = str(inner)
    elif kind == "double_value":
        inner = double(inner)
    return {kind.removesuffix("_value"): inner}


def double(inner):
    return inner if math.isfinite(inner) else str(inner)


def attributes(pairs):
    """A list of pairs, not an object: a key that occurs twice must stay visible."""
    return [[pair.key, value(pair.value)] for pair in pairs]


def identifier(data):
    return {"hex": data.hex(), "bytes": len(data)}


def span(message):
    return {
        "trace_id": identifier(message.trace_id),
        "span_id": identifier(message.span_id),
        "parent_span_id": identifier(message.parent_span_id),
        "trace_state": message.trace_state,
        "flags": message.flags,
        "name": message.name,
        "kind": enum(Span.SpanKind, message.kind),
        "start_time_unix_nano": str(message.start_time_unix_nano),
        "end_time_unix_nano": str(message.end_time_unix_nano),
        "attributes": attributes(message.attributes),
        "dropped_attributes_count": message.dropped_attributes_count,
        "events": [
            {
                "time_unix_nano": str(event.time_unix_nano),
                "name": event.name,
                "attributes": attributes(event.attributes),
                "dropped_attributes_count": event.dropped_attributes_count,
            }
            for event in message.events
        ],
        "dropped_events_count": message.dropped_events_count,
        "links": [
            {
                "trace_id": identifier(link.trace_id),
                "span_id": identifier(link.span_id),
                "trace_state": link.trace_state,
                "attributes": attributes(link.attributes),
                "dropped_attributes_count": link.dropped_attributes_count,
                "flags": link.flags,
            }
            for link in message.links
        ],
        "dropped_links_count": message.dropped_links_count,
        "status": {
            "code": enum(Status.StatusCode, message.status.code),
            "message": message.status.message,
        },
    }


def log_record(message):
    return {
        "time_unix_nano": str(message.time_unix_nano),
        "observed_time_unix_nano": str(message.observed_time_unix_nano),
        "severity_number": enum(SeverityNumber, message.severity_number),
        "severity_text": message.severity_text,
        "body": value(message.body),
        "attributes": attributes(message.attributes),
        "dropped_attributes_count": message.dropped_attributes_count,
        "flags": message.flags,
        "trace_id": identifier(message.trace_id),
        "span_id": identifier(message.span_id),
    }


def metric(message):
    kind = message.WhichOneof("data")
    if kind not in POINTS:
        raise ValueError(f"{message.name} is of an unexpected kind: {kind}")
    data = getattr(message, kind)
    decoded = {
        "name": message.name,
        "description": message.description,
        "unit": message.unit,
        "metadata": attributes(message.metadata),
        "kind": kind,
        "points": [{**point(item), **POINTS[kind](item)} for item in data.data_points],
    }
    if kind != "gauge":
        decoded["temporality"] = enum(AggregationTemporality, data.aggregation_temporality)
    if kind == "sum":
        decoded["monotonic"] = data.is_monotonic
    return decoded


def point(message):
    """What points of all kinds have."""
    return {
        "start_time_unix_nano": str(message.start_time_unix_nano),
        "time_unix_nano": str(message.time_unix_nano),
        "attributes": attributes(message.attributes),
        "exemplars": [exemplar(item) for item in message.exemplars],
        "flags": message.flags,
    }


def number(message):
    """The value of a point, or of an exemplar, as {type: value}."""
    kind = message.WhichOneof("value")
    inner = getattr(message, kind) if kind else None
    if kind == "as_int":
        inner = str(inner)
    elif kind == "as_double":
        inner = double(inner)
    return {"value": {(kind or "empty").removeprefix("as_"): inner}}


def histogram(message):
    return {
        **totals(message),
        "bucket_counts": [str(count) for count in message.bucket_counts],
        "explicit_bounds": [double(bound) for bound in message.explicit_bounds],
    }


def exponential_histogram(message):
    return {
        **totals(message),
        "scale": message.scale,
        "zero_count": str(message.zero_count),
        "zero_threshold": double(message.zero_threshold),
        "positive": buckets(message.positive),
        "negative": buckets(message.negative),
    }


def totals(message):
    """What histograms of both kinds have; null stands for what was not said."""
    said = {"count": str(message.count)}
    for field in ("sum", "min", "max"):
        said[field] = double(getattr(message, field)) if message.HasField(field) else None
    return said


def buckets(message):
    return {
        "offset": message.offset,
        "bucket_counts": [str(count) for count in message.bucket_counts],
    }


def exemplar(message):
    return {
        "time_unix_nano": str(message.time_unix_nano),
        **number(message),
        "trace_id": identifier(message.trace_id),
        "span_id": identifier(message.span_id),
        "filtered_attributes": attributes(message.filtered_attributes),
    }


# By kind of metric: what decodes a point, beside what all have.
POINTS = {
    "gauge": number,
    "sum": number,
    "histogram": histogram,
    "exponential_histogram": exponential_histogram,
}


# By signal: its request, the fields that lead to its items, and what decodes one.
SIGNALS = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans", span),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records", log_record),
    "metrics": (
        ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics", metric),
}


def enum(kind, number):
    """The name of an enumeration's value, or the bare number if it has none."""
    return kind.Name(number) if number in kind.values() else number


def check_known(message, path):
    """Refuses fields that the definition does not have: protobuf would skip them in silence."""
    for unknown in unknown_fields.UnknownFieldSet(message):
        raise ValueError(f"{path} has an unknown field {unknown.field_number}")
    for field, content in message.ListFields():
        if field.message_type is not None:
            for item in [content] if hasattr(content, "DESCRIPTOR") else content:
                check_known(item, f"{path}.{field.name}")


def decode(signal, body):
    """The items of one request, each with the resource and the scope that it came under."""
    kind, by_resource, by_scope, items, item = SIGNALS[signal]
    request = kind()
    request.ParseFromString(body)
    check_known(request, "request")
    return [
        {
            "resource": {
                "attributes": attributes(of_resource.resource.attributes),
                "dropped_attributes_count": of_resource.resource.dropped_attributes_count,
                "schema_url": of_resource.schema_url,
            },
            "scope": {
                "name": of_scope.scope.name,
                "version": of_scope.scope.version,
                "attributes": attributes(of_scope.scope.attributes),
                "schema_url": of_scope.schema_url,
            },
            **item(message),
        }
        for of_resource in getattr(request, by_resource)
        for of_scope in getattr(of_resource, by_scope)
        for message in getattr(of_scope, items)
    ]


def bodies(signal, argument):
    path = pathlib.Path(argument)
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.bin"), key=lambda file: (len(file.stem), file.stem))
    return [file for file in files if is_of(signal, file.with_suffix(".json"))]


def is_of(signal, beside):
    """Whether what capture.py wrote beside a body, if anything, says that it is of this signal."""
    return not beside.exists() or json.loads(beside.read_text())["path"].endswith(f"/{signal}")


def main(arguments):
    if arguments and arguments[0] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    signal = arguments.pop(0) if arguments and arguments[0] in SIGNALS else "traces"
    if not arguments:
        sys.exit("usage: decode_otlp.py [traces|logs|metrics] FILE_OR_DIRECTORY...")
    items = []
    for file in (file for argument in arguments for file in bodies(signal, argument)):
        try:
            items += decode(signal, file.read_bytes())
        except (DecodeError, OSError, ValueError) as error:
            sys.exit(f"decode_otlp: {file}: {error}")
    json.dump(items, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
