#!/usr/bin/env python3
"""ClickHouse's engine behind the part of its HTTP interface that a collector and curl use.

Usage: clickhouse.py PORT

Listens on the loopback interface; port 0 takes a free one. Prints "listening on PORT" once it does.
A statement is the query parameter `query`, the body, or the one followed by the other, as ClickHouse
has it: of an INSERT in the query, the body is the rows. `database` is where tables without a database
are, and `decompress=1` says that the body is in ClickHouse's compressed blocks. All else in the
query, such as settings, is not looked at. Tables are lost at the end, which comes with SIGTERM or
SIGINT.

Runs with the Python of tests/setup: the engine is chdb, which is ClickHouse as a library. This
script only translates, so that what is stored and what is answered is ClickHouse's doing. One
request is served at a time.
"""

import http.server
import re
import signal
import struct
import sys
import tempfile
import urllib.parse

import lz4.block
from chdb import ChdbError, session

from capture import read_body

INSERT = re.compile(r"(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\s*", re.DOTALL | re.IGNORECASE)
IDENTIFIER = re.compile(r"\w+")

# The methods of a compressed block.
LZ4, NONE = 0x82, 0x02
CHECKSUM = 16
HEADER = struct.Struct("<BII")


def decompress(data):
    """What is in a sequence of ClickHouse's blocks. Their checksums are not verified."""
    plain = b""
    while data:
        method, size, plain_size = HEADER.unpack_from(data, CHECKSUM)
        block = data[CHECKSUM + HEADER.size:CHECKSUM + size]
        if method == LZ4:
            block = lz4.block.decompress(block, uncompressed_size=plain_size)
        elif method != NONE:
            raise ValueError(f"compression method {method:#x} is neither LZ4 nor none")
        plain += block
        data = data[CHECKSUM + size:]
    return plain


class Handler(http.server.BaseHTTPRequestHandler):
    # A connection is closed after each answer: while one is open, no other is served.
    protocol_version = "HTTP/1.0"
    timeout = 10
    engine = None

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(read_body(self))

    def answer(self, body):
        url = urllib.parse.urlsplit(self.path)
        parameters = dict(urllib.parse.parse_qsl(url.query))
        try:
            if parameters.get("decompress") == "1":
                body = decompress(body)
            status, text = 200, self.run(parameters, body)
        except (ChdbError, ValueError, struct.error) as error:
            status, text = 400, f"{error}\n".encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def run(self, parameters, body):
        database = parameters.get("database", "default")
        if not IDENTIFIER.fullmatch(database):
            raise ValueError(f"{database!r} is not the name of a database")
        self.engine.query(f"USE {database}")
        query = parameters.get("query", "")
        if insert := INSERT.fullmatch(query):
            return self.insert(*insert.groups(), body)
        return self.engine.query(query + body.decode(), "TabSeparated").bytes()

    def insert(self, into, form, rows):
        with tempfile.NamedTemporaryFile() as file:
            file.write(rows)
            file.flush()
            return self.engine.query(f"{into} FROM INFILE '{file.name}' FORMAT {form}").bytes()

    def log_message(self, *_):
        pass


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: clickhouse.py PORT")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(prefix="observe-clickhouse-") as folder:
        Handler.engine = session.Session(folder)
        with http.server.HTTPServer(("127.0.0.1", int(arguments[0])), Handler) as server:
            print(f"listening on {server.server_port}", flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                pass
        Handler.engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
