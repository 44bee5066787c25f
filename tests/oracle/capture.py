#!/usr/bin/env python3
"""A minimal OTLP/HTTP endpoint that keeps what it receives.

Usage: capture.py [--forward URL] [--only PATH] PORT DIRECTORY

Listens on the loopback interface; port 0 takes a free one. Prints "listening on PORT" once it
does. The body of the Nth POST, from 1, goes to DIRECTORY/N.bin, gunzipped where the sender says it
is gzipped; its path and headers go to DIRECTORY/N.json. Every request is answered with 200 and an
empty body, which is a full success in OTLP. With --forward and a URL without a path, each request
is passed on as it came, and answered with what is answered there. With --only, requests for any other
path are answered with 404, and not kept. Ends on SIGTERM or SIGINT.
"""

import argparse
import gzip
import http.server
import itertools
import json
import pathlib
import urllib.error
import urllib.request

# Headers that belong to one connection, or that urllib sets.
OF_THE_HOP = {"connection", "content-length", "host", "transfer-encoding"}


def read_body(request):
    """The body of a request, whichever way its length is told."""
    if request.headers.get("transfer-encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("content-length", 0)))
    data = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        data += request.rfile.read(size)
        request.rfile.readline()
    while request.rfile.readline().strip():
        pass
    return data


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    numbers = itertools.count(1)
    folder = None
    forward_url = None
    only = None

    def do_POST(self):
        sent = body = read_body(self)
        if self.only not in (None, self.path):
            return self.answer(404, b"")
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        number = next(self.numbers)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.write(f"{number}.json", json.dumps({"path": self.path, "headers": headers}).encode())
        self.write(f"{number}.bin", body)
        self.answer(*(self.forward(sent, headers) if self.forward_url else (200, b"")))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", self.headers.get("content-type", "text/plain"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, body, headers):
        headers = {name: text for name, text in headers.items() if name not in OF_THE_HOP}
        request = urllib.request.Request(self.forward_url + self.path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()
        except OSError as error:
            return 503, str(error).encode()

    def write(self, name, data):
        """A reader that sees N.bin sees all of it, and N.json beside it."""
        part = self.folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(self.folder / name)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--forward", metavar="URL")
    parser.add_argument("--only", metavar="PATH")
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=pathlib.Path)
    options = parser.parse_args()
    Handler.forward_url, Handler.only = options.forward, options.only
    Handler.folder = options.directory
    Handler.folder.mkdir(parents=True, exist_ok=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler) as server:
        server.daemon_threads = True
        print(f"listening on {server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
