#!/usr/bin/env python3
"""ClickHouse's HTTP interface for embedded chdb, for tests: chdb_server.py DIRECTORY prints its port.

Supports only what the collector uses: a statement in `query` or in the body, `INSERT … FORMAT` with rows in the body, `database`,
and the output format. Runs one statement at a time, because chdb has one session.
"""
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from chdb import session

SESSION = session.Session(sys.argv[1])
ONE_AT_A_TIME = threading.Lock()
FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*$", re.I)


def run(statement, rows, database, form):
    """Runs one statement and returns the bytes of its answer."""
    with ONE_AT_A_TIME, tempfile.NamedTemporaryFile() as file:
        if database and not statement.lstrip().upper().startswith("CREATE DATABASE"):
            SESSION.query(f"USE {database}")
        if statement.lstrip()[:6].upper() == "INSERT":
            file.write(rows)
            file.flush()
            if not rows:
                return b""
            match = FORMAT.search(statement)
            statement = f"{statement[:match.start()]} FROM INFILE '{file.name}' FORMAT {match[1]}"
        else:
            statement += rows.decode()
            match = FORMAT.search(statement)
            if match:
                statement, form = statement[: match.start()], match[1]
        return SESSION.query(statement, form).bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise each answer waits 40 ms for the client to confirm its head.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = self.body()
        try:
            form = query.get("default_format", "TabSeparated")
            answer, status, code = run(query.get("query", ""), body, query.get("database"), form), 200, None
        except Exception as error:  # any error of chdb is the response
            answer, status = str(error).encode(), 500
            found = re.search(rb"Code: (\d+)", answer)
            code = found[1].decode() if found else "0"
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
