#!/usr/bin/env python3
"""Decodes OTLP trace exports with the official protobuf classes, and prints them as JSON.

Usage: decode_otlp.py FILE_OR_DIRECTORY...

Each file is the body of one ExportTraceServiceRequest; in a directory, every *.bin file in the
order of its number. Runs with the Python of tests/setup. Shares no code with observe: this is the
independent opinion on what was sent. Exits with 1 and one line on anything that does not parse, and
on fields that the official definition does not have.
"""

import json
import math
import pathlib
import sys

from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
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
    elif kind == "double_value" and not math.isfinite(inner):
        inner = str(inner)
    return {kind.removesuffix("_value"): inner}


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


def decode(body):
    """The spans of one request, each with the resource and the scope that it came under."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    check_known(request, "request")
    return [
        {
            "resource": {
                "attributes": attributes(resource_spans.resource.attributes),
                "dropped_attributes_count": resource_spans.resource.dropped_attributes_count,
                "schema_url": resource_spans.schema_url,
            },
            "scope": {
                "name": scope_spans.scope.name,
                "version": scope_spans.scope.version,
                "attributes": attributes(scope_spans.scope.attributes),
                "schema_url": scope_spans.schema_url,
            },
            **span(message),
        }
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for message in scope_spans.spans
    ]


def bodies(argument):
    path = pathlib.Path(argument)
    if not path.is_dir():
        return [path]
    return sorted(path.glob("*.bin"), key=lambda file: (len(file.stem), file.stem))


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__.strip() if arguments else "usage: decode_otlp.py FILE_OR_DIRECTORY...")
    spans = []
    for file in (file for argument in arguments for file in bodies(argument)):
        try:
            spans += decode(file.read_bytes())
        except (DecodeError, OSError, ValueError) as error:
            sys.exit(f"decode_otlp: {file}: {error}")
    json.dump(spans, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
