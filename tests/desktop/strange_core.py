"""A simulated core that sends whatever a test needs over the local socket.

Only for behaviour that a real core never shows. It supports the part of the interface that a tray needs to connect.
"""

import json
import os
import re
import socket
import threading


class StrangeCore:
    """Serves on `socket_path` until closed. `answers` maps a path to bytes, or to a function that gets the
    connection after the request was read. `requests` and `bodies` record the requests."""

    def __init__(self, socket_path, answers=None):
        self.answers = {
            "/ready": {"ready": True},
            "/api/v1/info": envelope({"version": "v0.20.0", "listen_addr": "127.0.0.1:1", "pid": os.getpid()}),
            "/api/v1/servers": envelope({"servers": None}),
            "/api/v1/connect": envelope(None),
            "/events": events(),
            **(answers or {}),
        }
        self.seen, self.requests, self.bodies = [], [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(socket_path))
        self.listener.listen(32)
        self.path = socket_path
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        request = b""
        with connection:
            try:
                while b"\r\n\r\n" not in request:
                    if not (more := connection.recv(4096)):
                        return
                    request += more
                method, path = request.decode().split(" ")[:2]
                self.seen.append(path)
                self.requests.append(f"{method} {path}")
                head, _, body = request.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.I)
                while length and len(body) < int(length[1]):
                    body += connection.recv(4096)
                if body:
                    self.bodies.append((f"{method} {path}", json.loads(body)))
                answer = self.answers.get(path, envelope(None))
                status, answer = answer if isinstance(answer, tuple) else (200, answer)
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer if isinstance(answer, bytes) else http(json.dumps(answer).encode(), status=status))
            except OSError:
                return  # the tray has read enough

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        os.unlink(self.path)


def envelope(data):
    return {"success": True, "data": data}


def http(body, kind="application/json", status=200):
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def events(*told, then=lambda connection: connection.recv(1)):
    """Returns a stream of these events that then calls `then` (by default, waits)."""

    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for name, data in told:
            connection.sendall(f"event: {name}\ndata: {data}\n\n".encode())
        then(connection)

    return answer
