#!/usr/bin/env python3
"""Shows that the oracle works: sends known spans through rotel and compares what comes out.

    this script --OTLP/HTTP--> rotel --OTLP/HTTP--> capture.py --files--> decode_otlp.py

Runs with any Python 3.10 or later once tests/setup has been run: it starts itself again with the
Python of the tests' environment. Takes seconds, on free loopback ports; gives up after a minute.
"""

import gzip
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "observe"
PYTHON = CACHE / "venv/bin/python"
SPANS = 500
REQUESTS = 5


def requests():
    """Requests that have, between them, every field that the decoder prints."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

    chance = random.Random(48)
    identifiers = (bytes([1 + n % 255]) + chance.randbytes(7) for n in range(SPANS))
    for _ in range(REQUESTS):
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add(schema_url="urn:observe:resource")
        add(resource_spans.resource.attributes, "service.name", string_value="selftest")
        add(resource_spans.resource.attributes, "process.pid", int_value=2**62 + 1)
        scope_spans = resource_spans.scope_spans.add(schema_url="urn:observe:scope")
        scope_spans.scope.name = "observe"
        scope_spans.scope.version = "0.1.0"
        trace, parent = chance.randbytes(16), b""
        for n in range(SPANS // REQUESTS):
            span = scope_spans.spans.add(
                trace_id=trace,
                span_id=next(identifiers),
                parent_span_id=parent,
                name=f"größe::f{n}",
                kind=Span.SPAN_KIND_INTERNAL if n else Span.SPAN_KIND_SERVER,
                start_time_unix_nano=1_800_000_000_000_000_000 + n,
                end_time_unix_nano=1_800_000_000_000_000_001 + 2 * n,
                flags=0x101,
                trace_state="observe=1",
            )
            parent = span.span_id
            add(span.attributes, "text", string_value="ä")
            add(span.attributes, "flag", bool_value=n % 2 == 0)
            add(span.attributes, "integer", int_value=-n)
            add(span.attributes, "real", double_value=n / 3)
            if n % 10 == 0:
                span.status.code = Status.STATUS_CODE_ERROR
                span.status.message = "trap: unreachable"
                event = span.events.add(name="exception", time_unix_nano=span.end_time_unix_nano)
                add(event.attributes, "exception.message", string_value="unreachable")
                span.links.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        yield request.SerializeToString()


def add(attributes, key, **value):
    attribute = attributes.add(key=key)
    for kind, inner in value.items():
        setattr(attribute.value, kind, inner)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, condition, process, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            sys.exit(f"selftest: {what}: ended early with status {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"selftest: {what}: not after {seconds} s")
        time.sleep(0.02)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def post(port, body, **headers):
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", data=body, headers={
        "content-type": "application/x-protobuf", **headers})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status


def decode(*paths):
    done = subprocess.run([PYTHON, HERE / "decode_otlp.py", *paths], check=True, timeout=30,
                          stdout=subprocess.PIPE)
    return {span["span_id"]["hex"]: span for span in json.loads(done.stdout)}


def selftest(folder, started):
    sent, received, log = folder / "sent", folder / "received", folder / "rotel.log"
    sent.mkdir()
    bodies = list(requests())
    for number, body in enumerate(bodies, 1):
        (sent / f"{number}.bin").write_bytes(body)
    expected = decode(sent)
    assert len(expected) == SPANS, len(expected)

    capture = subprocess.Popen([PYTHON, HERE / "capture.py", "0", received],
                               stdout=subprocess.PIPE, text=True)
    started.append(capture)
    capture_port = int(capture.stdout.readline().split()[-1])
    port = free_port()
    with log.open("wb") as output:
        rotel = subprocess.Popen([HERE / "rotel", str(port), "0",
                                  f"http://127.0.0.1:{capture_port}"], stdout=output, stderr=output)
    started.append(rotel)
    wait("rotel", lambda: accepts(port), rotel)

    for number, body in enumerate(bodies):
        if number % 2:
            assert post(port, gzip.compress(body), content_encoding="gzip") == 200
        else:
            assert post(port, body) == 200
    # Asked to end at once, rotel must still deliver what it has accepted.
    rotel.send_signal(signal.SIGTERM)
    try:
        rotel.wait(timeout=20)
    except subprocess.TimeoutExpired:
        sys.exit("selftest: rotel does not end")

    actual = decode(received)
    if actual != expected:
        wrong = [key for key in expected if actual.get(key) != expected[key]]
        missing, extra = expected.keys() - actual.keys(), actual.keys() - expected.keys()
        for key in wrong[:1]:
            print(json.dumps([expected[key], actual.get(key)], indent=1), file=sys.stderr)
        print(log.read_text(), file=sys.stderr)
        sys.exit(f"selftest: {len(wrong)} spans differ, {len(missing)} missing, {len(extra)} extra")

    # A body cut short, and one with a field that OTLP does not have, which protobuf would skip.
    for garbage in (bodies[0][:-1], b"\x7a\x01x" + bodies[0]):
        (folder / "garbage").write_bytes(garbage)
        done = subprocess.run([PYTHON, HERE / "decode_otlp.py", folder / "garbage"], timeout=30,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert done.returncode == 1, garbage[:8]
    print(f"selftest: {SPANS} spans in {REQUESTS} requests went through rotel, every field equal")


def main():
    if not PYTHON.exists():
        sys.exit("selftest: the Python environment is missing: tests/setup makes it")
    if pathlib.Path(sys.prefix).resolve() != PYTHON.parent.parent.resolve():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("selftest: not done after a minute"))
    signal.alarm(60)
    started = []
    with tempfile.TemporaryDirectory(prefix="observe-selftest-") as folder:
        try:
            selftest(pathlib.Path(folder), started)
        finally:
            for process in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
