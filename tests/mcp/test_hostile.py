"""Hostile bodies, connections, hosts and servers must not stop the core, delay other clients or bypass access control.

Run by `scripts/test mcp`.
"""

import http.client
import json
import pathlib
import re
import socket
import sys
import time
import unittest

from world import CORE, World, main, wait_for

NEWEST = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip
FLOOD = """
import sys
from mcp.server import MCPServer
server = MCPServer("flood")
server.add_tool(lambda megabytes: "ü" * (int(megabytes) << 19), name="flood", description="Returns much")
server.run()
"""

# A server with an endless list of tools (`tools`) or of resources. One of its tools is malformed.
ENDLESS = """
import json, sys
large = "x" * (4 << 20)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    cursor = int((asked.get("params") or {}).get("cursor") or 0)
    further = {"nextCursor": str(cursor + 1)}
    tool = {"name": f"tool{cursor}", "description": large, "inputSchema": {"type": "object"}}
    tools = {"tools": [tool], **further} if "tools" in sys.argv else {"tools": [{**tool, "description": "one"}, {"name": 1}]}
    listed = {"uri": f"of:{cursor}", "name": "one", "description": large}
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "resources": {}}, "serverInfo": {"name": "endless", "version": "1"}},
        "tools/list": tools,
        "resources/list": {"resources": [listed], **further},
        "resources/templates/list": {"resourceTemplates": []},
    }
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": results.get(asked["method"], {})}), flush=True)
"""


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.here = World()
        (cls.here.directory / "flood.py").write_text(FLOOD)
        words = {"command": sys.executable, "args": [str(cls.here.directory / "flood.py")]}
        cls.here.write_config({"mcpServers": [{"name": "flood", **words}]})
        cls.core = cls.here.start_core()

    @classmethod
    def tearDownClass(cls):
        cls.here.end()

    def tearDown(self):
        self.assertIsNone(self.core.poll(), "the core has exited")
        self.assertEqual(self.answer(json.dumps(INITIALIZE).encode())[0], 200, "the core must answer the next request")

    def answer(self, body, path="/mcp", method="POST", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.here.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers={**NEWEST, **headers})
            got = connection.getresponse()
            return got.status, got.read().decode(errors="replace"), got.headers
        finally:
            connection.close()

    def memory(self):
        status = pathlib.Path(f"/proc/{self.core.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def test_bodies(self):
        """invalid bodies (not JSON, not UTF-8, 100,000 nested arrays, invalid IDs) are refused with a JSON-RPC error and an explanation"""
        deep = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        bodies = [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe\x00", b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}', deep]
        bodies += [json.dumps({**INITIALIZE, "id": id}).encode() for id in (None, [1], {"a": 1}, True)]
        for body in bodies:
            for path in ("/mcp", "/mcp/all", "/mcp/all/flood"):
                status, text, _ = self.answer(body, path)
                self.assertEqual(status, 400, (body[:60], text[:200]))
                refusal = json.loads(text)
                self.assertEqual((refusal["jsonrpc"], refusal["id"]), ("2.0", None), body[:60])
                self.assertIn(refusal["error"]["code"], (-32700, -32600), body[:60])
                self.assertTrue(refusal["error"]["message"].strip(), body[:60])
            status, text, _ = self.answer(body, "/api/v1/tools/call", **{"X-API-Key": "key-of-the-test"})
            self.assertEqual(status, 400, (body[:60], text[:200]))

    def test_wrong_parameters(self):
        """invalid parameters of a known method are explained; an unknown method is reported as unknown"""
        wrong = [
            ("tools/call", {"name": "flood__flood", "arguments": [1]}, -32602, "expected a map"),
            ("tools/call", {"name": "flood__flood", "arguments": "{}"}, -32602, "expected a map"),
            ("tools/call", {"arguments": {}}, -32602, "`name`"),
            ("tools/call", {"name": 5}, -32602, "a string"),
            ("tools/nothing", {}, -32601, "tools/nothing"),
        ]
        for path in ("/mcp", "/mcp/all"):
            session = self.answer(json.dumps(INITIALIZE).encode(), path)[2]["mcp-session-id"]
            started = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            self.assertEqual(self.answer(json.dumps(started).encode(), path, **{"mcp-session-id": session})[0], 202)
            for method, params, code, said in wrong:
                request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
                _, text, _ = self.answer(json.dumps(request).encode(), path, **{"mcp-session-id": session})
                answer = json.loads(re.search(r"\{.*\}", text)[0])
                self.assertEqual((answer["id"], answer.get("error", {}).get("code")), (7, code), (params, answer))
                self.assertIn(said, answer["error"]["message"])

    def test_too_long(self):
        """a request of 64 MiB is refused before it is read completely, and its memory is released"""
        before = self.memory()
        for path in ("/mcp", "/mcp/all", "/api/v1/servers"):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: key-of-the-test\r\nContent-Type: application/json\r\n"
            head += f"Accept: application/json, text/event-stream\r\nContent-Length: {64 << 20}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", self.here.port), timeout=20) as connection:
                connection.sendall(head.encode() + b'{"a":"')
                try:
                    for _ in range(64):
                        connection.sendall(b"x" * (1 << 20))
                except OSError:
                    pass  # the core has read enough
                try:
                    said = connection.recv(4096).decode(errors="replace")
                    self.assertRegex(said.split("\r\n")[0], " 4(00|13) ", path)
                except OSError:
                    pass
        self.assertLess(self.memory() - before, 24)

    def test_strange_requests(self):
        """hosts of other sites, keys in URLs and pages of other origins are refused, without inviting them to sign in"""
        initialize = json.dumps(INITIALIZE).encode()
        self.assertEqual(self.answer(initialize, Host="evil.example")[0], 403)
        self.assertEqual(self.answer(initialize, Origin="https://evil.example")[0], 403)
        for path in ("/api/v1/status?apikey=key-of-the-test", "/api/v1/status?api_key=key-of-the-test", "/events?apikey=key-of-the-test"):
            self.assertEqual(self.answer(None, path, "GET")[0], 401)
        for method, path, origin in (("OPTIONS", "/mcp", "https://evil.example"), ("OPTIONS", "/api/v1/servers", "null"), ("POST", "/mcp", "http://localhost")):
            headers = self.answer(initialize, path, method, Origin=origin)[2]
            self.assertEqual([name for name in headers if name.lower().startswith("access-control")], [])

    def test_half_open(self):
        """300 connections with half a request do not delay others"""
        waiting = []
        try:
            for _ in range(300):
                connection = socket.create_connection(("127.0.0.1", self.here.port), timeout=20)
                connection.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
                waiting.append(connection)
            self.assertEqual(self.answer(json.dumps(INITIALIZE).encode())[0], 200)
            self.assertEqual(self.here.get("/ready").status, 200)
        finally:
            for connection in waiting:
                connection.close()

    def test_half_closed(self):
        """connections whose client closes its sending half, during or after a request, are closed"""
        def descriptors():
            return len(list(pathlib.Path(f"/proc/{self.core.pid}/fd").iterdir()))

        body = json.dumps(INITIALIZE).encode()
        head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        before = descriptors()
        for said in [b"", whole[:40], whole[:-20], whole] * 25:
            with socket.create_connection(("127.0.0.1", self.here.port), timeout=5) as connection:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        wait_for("the connections are closed", lambda: descriptors() <= before + 2)

    def test_slow_readers(self):
        """clients that do not read long responses, streams and events delay no others, and use bounded memory"""
        self.here.wait_connected("flood")
        waiting, before = [], self.memory()

        def unread(request, body=b"", headers=""):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", self.here.port))
            head = f"{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: key-of-the-test\r\nAccept: application/json, text/event-stream\r\n{headers}"
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            waiting.append(connection)

        try:
            session = self.answer(json.dumps(INITIALIZE).encode(), "/mcp/all")[2]["mcp-session-id"]

            def call(megabytes):
                params = {"name": "flood__flood", "arguments": {"megabytes": str(megabytes)}}
                return json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}).encode()

            def answered():
                return len(self.answer(call(1), "/mcp/all", **{"mcp-session-id": session})[1])

            for _ in range(100):
                unread("GET /events")
            ours = f"mcp-session-id: {session}\r\n"
            unread("GET /mcp/all", headers=ours)
            for _ in range(8):
                unread("POST /mcp/all", call(4), ours)
            began = time.monotonic()
            for _ in range(100):
                self.assertEqual(self.here.get("/ready").status, 200)
            self.assertGreater(answered(), 1 << 18)
            self.assertLess(time.monotonic() - began, 10)
            print(f"       {self.memory() - before:.0f} MiB more", flush=True)
            # Eight responses of 4 MiB, each of which is in memory twice while it is created.
            self.assertLess(self.memory() - before, 8 * 4 * 2 + 64)
        finally:
            for connection in waiting:
                connection.close()
        wait_for("the memory is released", lambda: self.memory() - before < 64, 20)

    def test_flood(self):
        """a server's result of 8 MiB is truncated at a character for the client, and its memory is released"""
        self.here.wait_connected("flood")
        before = self.memory()
        words = ["call", "tool-read", "-t", "flood:flood", "-j", '{"megabytes": "8"}', "-o", "json"]
        done = self.here.run(CORE, *words, seconds=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = json.loads(done.stdout)["content"][0]["text"]
        self.assertTrue(text.startswith("üüü"))
        self.assertLess(len(text), 30_000)
        # The cache for read_cache is limited to 32 MiB.
        wait_for("the memory is released", lambda: self.memory() - before < 64, 20)

    def test_too_long_an_answer(self):
        """a server's response of 64 MiB is refused, and the caller gets an error immediately"""
        self.here.wait_connected("flood")
        before = self.memory()
        began = time.monotonic()
        done = self.here.run(CORE, "call", "tool-read", "-t", "flood:flood", "-j", '{"megabytes": "64"}', seconds=120)
        self.assertEqual(done.returncode, 1)
        self.assertIn("exceeds 16 MiB", done.stdout + done.stderr)
        self.assertLess(time.monotonic() - began, 100, "only the timeout ended the call")
        self.assertTrue(self.here.server("flood")["connected"])
        wait_for("the memory is released", lambda: self.memory() - before < 64, 20)

    def test_lists_without_end(self):
        """an endless list of tools or resources is refused at 64 MiB with an error; a malformed tool hides no other tool"""
        (self.here.directory / "endless.py").write_text(ENDLESS)
        before = self.memory()
        for name, words in (("endless", []), ("endless-tools", ["tools"])):
            added = self.here.run(CORE, "upstream", "add", name, "--no-quarantine", "--", sys.executable, self.here.directory / "endless.py", *words)
            self.assertEqual(added.returncode, 0, added.stderr)
        self.here.wait_connected("endless")
        listed = self.here.run(CORE, "tools", "list", "--server", "endless", "-o", "json")
        self.assertEqual([tool["name"] for tool in json.loads(listed.stdout)], ["tool0"], listed.stdout[:500])
        said = lambda: "exceed 64 MiB" in (self.here.server("endless-tools").get("last_error") or "")
        wait_for("the list is refused", said, 60)
        status, _, headers = self.answer(json.dumps(INITIALIZE).encode(), path="/mcp/all/endless")
        request = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "resources/list"}).encode()
        status, text, _ = self.answer(request, path="/mcp/all/endless", **{"Mcp-Session-Id": headers["Mcp-Session-Id"]})
        self.assertEqual(status, 200, text)
        self.assertIn('"resources":[]', text[:500])
        peak = int(pathlib.Path(f"/proc/{self.core.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
        print(f"       at most {peak:.0f} MiB")
        self.here.run(CORE, "upstream", "remove", "-y", "endless")
        self.here.run(CORE, "upstream", "remove", "-y", "endless-tools")
        wait_for("the memory is released", lambda: self.memory() - before < 64, 20)


if __name__ == "__main__":
    main()
