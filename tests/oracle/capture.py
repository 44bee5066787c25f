#!/usr/bin/env python3
"""A minimal OTLP/HTTP endpoint that keeps what it receives.

Usage: capture.py PORT DIRECTORY

Listens on the loopback interface; port 0 takes a free one. Prints "listening on PORT" once it
does. The body of the Nth POST, from 1, goes to DIRECTORY/N.bin, gunzipped where the sender says it
is gzipped; its path and headers go to DIRECTORY/N.json. Every request is answered with 200 and an
empty body, which is a full success in OTLP. Ends on SIGTERM or SIGINT.
"""

import gzip
import http.server
import itertools
import json
import pathlib
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    numbers = itertools.count(1)
    folder = None

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return data

    def do_POST(self):
        body = self.body()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        number = next(self.numbers)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.write(f"{number}.json", json.dumps({"path": self.path, "headers": headers}).encode())
        self.write(f"{number}.bin", body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def write(self, name, data):
        """A reader that sees N.bin sees all of it, and N.json beside it."""
        part = self.folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(self.folder / name)

    def log_message(self, *_):
        pass


def main(arguments):
    if len(arguments) != 2:
        sys.exit("usage: capture.py PORT DIRECTORY")
    Handler.folder = pathlib.Path(arguments[1])
    Handler.folder.mkdir(parents=True, exist_ok=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(arguments[0])), Handler) as server:
        server.daemon_threads = True
        print(f"listening on {server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
