#!/usr/bin/env python3
"""Writes what the official protobuf classes say of requests in which every field of OTLP occurs.

Usage: make.py, with the Python of tests/setup. For each signal NAME.bin is the request, and NAME.json
what google.protobuf.json_format makes of it, with what OTLP makes different: ids in hex.
"""

import base64
import json
import math
import pathlib

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = pathlib.Path(__file__).parent
# Repeated fields that occur twice; enough for every kind of value.
TWICE = {"attributes", "events", "exemplars", "links", "log_records", "spans", "values"}
IDS = {"traceId", "spanId", "parentSpanId"}

SAMPLES = {
    Field.TYPE_STRING: ["", "größe \"q\" \\ /", "\x00\x1f\x7f\u2028\U0001f980\n\t</script>", "x" * 130],
    Field.TYPE_BYTES: [b"", b"\x00\xff\xfe>", bytes(range(16)), b"8 bytes!"],
    Field.TYPE_BOOL: [True, False],
    Field.TYPE_INT32: [1, -1, 2**31 - 1, -(2**31)],
    Field.TYPE_SINT32: [1, -1, 2**31 - 1, -(2**31)],
    Field.TYPE_UINT32: [1, 2**32 - 1],
    Field.TYPE_FIXED32: [1, 2**32 - 1, 257],
    Field.TYPE_INT64: [1, -1, 2**63 - 1, -(2**63), 0],
    Field.TYPE_SFIXED64: [1, -1, 2**63 - 1, -(2**63), 0],
    Field.TYPE_UINT64: [1, 2**64 - 1, 2**53 + 1],
    Field.TYPE_FIXED64: [1, 2**64 - 1, 1_700_000_000_000_000_001],
    Field.TYPE_DOUBLE: [
        1.5, -0.0, 1e300, 5e-324, 0.1, math.nan, math.inf, -math.inf, 2.0**53, 1e16, -1e-7,
    ],
}


def fill(message, counter, depth):
    """Sets every field, of a oneof one after the other, of what is nested as deep as it makes sense."""
    oneofs = {}
    for field in message.DESCRIPTOR.fields:
        if field.name.endswith("strindex"):
            continue  # of profiles
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            oneofs.setdefault(oneof.name, []).append(field)
        else:
            put(message, field, counter, depth)
    for fields in oneofs.values():
        if depth > 8:
            fields = [field for field in fields if field.message_type is None]
        turn = counter.setdefault(fields[0].full_name, 0)
        counter[fields[0].full_name] += 1
        put(message, fields[turn % len(fields)], counter, depth)


def put(message, field, counter, depth):
    times = 5 if field.name == "metrics" else 2 if field.name in TWICE else 1
    if field.is_repeated and field.message_type is None:
        times = 3
    for _ in range(times):
        if field.message_type is not None:
            inner = getattr(message, field.name)
            inner = inner.add() if field.is_repeated else inner
            inner.SetInParent()
            fill(inner, counter, depth + 1)
            continue
        counter[field.type] = counter.get(field.type, 0) + 1
        if field.enum_type is not None:
            values = [value.number for value in field.enum_type.values]
            sample = values[counter[field.type] % len(values)]
        else:
            samples = SAMPLES[field.type]
            sample = samples[counter[field.type] % len(samples)]
        if field.is_repeated:
            getattr(message, field.name).append(sample)
        else:
            setattr(message, field.name, sample)


def with_ids_in_hex(value):
    if isinstance(value, list):
        return [with_ids_in_hex(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in IDS else with_ids_in_hex(item)
        for key, item in value.items()
    }


for name, kind in [
    ("traces", ExportTraceServiceRequest),
    ("logs", ExportLogsServiceRequest),
    ("metrics", ExportMetricsServiceRequest),
]:
    request = kind()
    fill(request, {}, 0)
    (HERE / f"{name}.bin").write_bytes(request.SerializeToString(deterministic=True))
    said = json_format.MessageToDict(request, use_integers_for_enums=True)
    (HERE / f"{name}.json").write_text(json.dumps(with_ids_in_hex(said)) + "\n")
