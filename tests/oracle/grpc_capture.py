#!/usr/bin/env python3
"""An OTLP/gRPC endpoint that keeps what it receives.

Usage: grpc_capture.py PORT DIRECTORY

Listens on the loopback interface; port 0 takes a free one. Prints "listening on PORT" once it does.
The message of the Nth call, from 1, goes to DIRECTORY/N.bin; the call's name and its metadata go to
DIRECTORY/N.json, with the `path` that the same request has over HTTP. Every call of the three services
is answered with an empty message, which is a full success in OTLP. Ends on SIGTERM or SIGINT.

Runs with the Python of tests/setup: what speaks HTTP/2, and takes apart and unpacks messages, is
gRPC's own library.
"""

import itertools
import json
import pathlib
import signal
import sys
from concurrent import futures

import grpc

PATHS = {
    f"/opentelemetry.proto.collector.{package}.v1.{service}Service/Export": f"/v1/{path}"
    for package, service, path in (
        ("trace", "Trace", "traces"), ("logs", "Logs", "logs"), ("metrics", "Metrics", "metrics"))
}


class Keeper(grpc.GenericRpcHandler):
    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)

    def service(self, call):
        """Without serializers, messages are bytes. Any other method is UNIMPLEMENTED."""
        if call.method not in PATHS:
            return None
        headers = {key: str(value) for key, value in call.invocation_metadata}
        told = {"path": PATHS[call.method], "method": call.method, "headers": headers}
        return grpc.unary_unary_rpc_method_handler(lambda message, _: self.keep(told, message))

    def keep(self, told, message):
        """A reader that sees N.bin sees all of it, and N.json beside it."""
        number = next(self.numbers)
        for name, data in ((f"{number}.json", json.dumps(told).encode()),
                           (f"{number}.bin", message)):
            part = self.folder / f"{name}.part"
            part.write_bytes(data)
            part.replace(self.folder / name)
        return b""


def main(arguments):
    if len(arguments) != 2:
        sys.exit("usage: grpc_capture.py PORT DIRECTORY")
    folder = pathlib.Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(Keeper(folder),))
    port = server.add_insecure_port(f"127.0.0.1:{arguments[0]}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(None))
    print(f"listening on {port}", flush=True)
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
