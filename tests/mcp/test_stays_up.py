"""One bad server, client or message must not take the others down, nor grow the core. Run by `scripts/test mcp`."""

import http.client
import http.server
import json
import pathlib
import threading
import time
import unittest

from world import World, main

TOOLS = [{"name": name, "description": f"Answers by {name}", "inputSchema": {"type": "object"}} for name in ("json", "chunks", "stream", "resumable", "short")]
MIB = b"x" * (1 << 20)


class Endless(http.server.BaseHTTPRequestHandler):
    """A server over streamable HTTP whose tools answer with a gigabyte, each in another way of HTTP."""

    protocol_version = "HTTP/1.1"
    megabytes = 1024

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self.reply(202, b"")
        elif message["method"] == "initialize":
            capabilities = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "endless", "version": "1"}}
            self.result(message, capabilities)
        elif message["method"] == "tools/list":
            self.result(message, {"tools": TOOLS})
        elif message["method"] == "tools/call" and message["params"]["name"] != "short":
            self.flood(message["id"], message["params"]["name"])
        elif message["method"] == "tools/call":
            self.result(message, {"content": [{"type": "text", "text": "short"}]})
        elif message["method"] == "ping":
            self.result(message, {})
        else:
            self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "?"}}).encode())

    def do_GET(self):
        self.reply(405, b"")

    do_DELETE = do_GET

    def result(self, message, result):
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def flood(self, id, way):
        begin = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % id
        end = b'"}]}}'
        self.send_response(200)
        streams = way in ("stream", "resumable")
        if streams:
            begin, end = (b"id: 7\n" if way == "resumable" else b"") + b"data: " + begin, end + b"\n\n"
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        if way == "json":
            self.send_header("Content-Length", str(len(begin) + len(end) + (self.megabytes << 20)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        frame = (lambda piece: piece) if way == "json" else (lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece))
        try:
            self.wfile.write(frame(begin))
            for _ in range(self.megabytes):
                self.wfile.write(frame(MIB))
            self.wfile.write(frame(end) + (b"" if way == "json" else b"0\r\n\r\n"))
        except OSError:
            pass  # the core has heard enough

    def log_message(self, *_):
        pass


def memory(core):
    """Resident memory of a process and its highest so far, in MiB."""
    status = pathlib.Path(f"/proc/{core.pid}/status").read_text()
    return tuple(int(status.split(f"{word}:")[1].split()[0]) / 1024 for word in ("VmRSS", "VmHWM"))


class Client:
    """A session over HTTP as the protocol says it, and nothing more: quick enough to measure with."""

    HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}

    def __init__(self, port, path="/mcp", seconds=60):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self.path, self.number, self.headers = path, 0, dict(self.HEADERS)
        who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.ask("initialize", who)
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message):
        self.connection.request("POST", self.path, body=json.dumps(message), headers=self.headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 202), (answer.status, text)
        if session := answer.headers.get("Mcp-Session-Id"):
            self.headers["Mcp-Session-Id"] = session
        return text

    def ask(self, method, params):
        """The answer as it came, with its `result` or `error`."""
        self.number += 1
        text = self.post({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        said = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
        return next(message for message in map(json.loads, filter(str.strip, said)) if message.get("id") == self.number)

    def call(self, tool, **arguments):
        """Calls an upstream's tool through `call_tool_read`; gives its text, or what the error says."""
        answer = self.ask("tools/call", {"name": "call_tool_read", "arguments": {"name": tool, "args": arguments}})
        if "error" in answer:
            return answer["error"]["message"]
        return answer["result"]["content"][0]["text"]


class LongAnswers(unittest.TestCase):
    def test_over_http(self):
        """a gigabyte from a server over HTTP, as JSON or as a stream, is an error at once that says so, and the core does not grow"""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/mcp"
        try:
            with World(config={"mcpServers": [{"name": "endless", "url": url, "enabled": True}]}) as world:
                core = world.start_core()
                world.wait_connected("endless")
                client = Client(world.port)
                self.assertEqual(client.call("endless:short"), "short")
                before = memory(core)[0]
                for way in ("json", "chunks", "stream", "resumable"):
                    began = time.monotonic()
                    said = client.call(f"endless:{way}")
                    took = time.monotonic() - began
                    print(f"       {way}: {took:.1f} s, {memory(core)[1] - before:.0f} MiB more at most", flush=True)
                    self.assertIn("longer than 16 MiB", said, way)
                    self.assertLess(took, 15, way)
                    self.assertLess(memory(core)[1] - before, 80, way)
                self.assertEqual(client.call("endless:short"), "short")
                self.assertEqual(world.server("endless")["reconnect_count"], 0, "it was connected anew")
        finally:
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    main()
