"""Servers that violate the protocol: every call is answered immediately, and every failure is explained.

Run by `scripts/test mcp`.
"""

import json
import sys
import time
import unittest

from test_stays_up import Client
from world import McpOverHttp, World, main, serving, stdio_server, wait_for

# Lists one tool for each violation, with an empty cursor at the end, one malformed tool and one duplicate.
ODD = r"""
import json, sys

ODD = {
    "surrogate": br'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"cut \ud83d"}]}}',
    "latin": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"caf\xe9"}]}}',
    "tab": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"a\tb"}]}}',
    "nan": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"nan"}],"structuredContent":{"mean":NaN}}}',
    "huge": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"huge"}],"structuredContent":{"n":1e400}}}',
    "two": b'{"jsonrpc":"2.0","method":"notifications/x"}{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"two"}]}}',
    "lines": b'{\n "jsonrpc": "2.0",\n "id": ID,\n "result": {"content": [\n  {"type": "text", "text": "lines"}\n ]}\n}',
    "text-id": b'{"jsonrpc":"2.0","id":"ID","result":{"content":[{"type":"text","text":"text-id"}]}}',
    "null-id": b'{"jsonrpc":"2.0","id":null,"result":{"content":[{"type":"text","text":"null-id"}]}}',
    "prefix": b'[12:00] INFO {x} {"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"prefix"}]}}',
    "method": b'{"jsonrpc":"2.0","id":ID,"method":"tools/call","result":{"content":[{"type":"text","text":"method"}]}}',
    "block": b'{"jsonrpc":"2.0","id":ID,"result":{"content":{"type":"text","text":"block"}}}',
    "string": b'{"jsonrpc":"2.0","id":ID,"result":{"content":"string"}}',
    "wide": '{"jsonrpc":"2.0","id":null,"result":{"content":[{"type":"text","text":"wide"}]}}'.encode("utf-16"),
    "python": b"{'jsonrpc': '2.0', 'id': ID, 'result': {'content': []}}",
    "text-error": b'{"jsonrpc":"2.0","id":ID,"error":"it is full"}',
    "number-error": b'{"jsonrpc":"2.0","id":ID,"error":7}',
    "noise": b'Debugger attached.\n{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"noise"}]}}',
    "deep": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":' + b'{"a":' * 200 + b'1' + b'}' * 200 + b'}}',
    "cut": b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"cut',
    "empty": b'{"jsonrpc":"2.0","id":ID}',
    "html": b'<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>',
    "http": b'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n',
}

def write(data):
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()

for line in sys.stdin:
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
    elif method == "tools/list":
        tools = [{"name": name, "description": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}} for name in ODD]
        result = {"tools": tools + [{"name": 7}, tools[0]], "nextCursor": ""}
    elif method == "tools/call":
        write(ODD[message["params"]["name"]].replace(b"ID", str(id).encode()))
        continue
    elif id is None:
        continue
    else:
        result = {}
    answer = {"jsonrpc": "2.0", "id": str(id) if "text-ids" in sys.argv else id, "result": result}
    write(json.dumps(answer).encode())
"""

TEXTS = {
    "surrogate": "cut \ufffd", "latin": "caf\ufffd", "tab": "a\tb", "nan": "nan", "huge": "huge", "two": "two", "lines": "lines",
    "text-id": "text-id", "null-id": "null-id", "noise": "noise", "prefix": "prefix", "method": "method",
    "block": "block", "string": "string", "wide": "wide",
}
# Event streams of a response over HTTP, and a part of what the caller gets.
STREAMS = {
    "ends": ("", "the server's response is empty"),
    "comments": (": ping\n\n: ping\n\n", "the server's response is empty"),
    "html": ("data: <html>\n\n", "could not read the server's response: <html>"),
    "named": ("event: ping\ndata: 1\n\nevent: response\ndata: " + '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"named"}]}}' + "\n\n", "named"),
    "text-error": ('data: {"jsonrpc":"2.0","id":ID,"error":"it is full"}\n\n', "it is full"),
}
ERRORS = {"deep": "levels deep", "cut": "cut off", "empty": "neither a result nor an error", "python": "could not read", "html": "<!DOCTYPE html>", "http": "HTTP/1.1 502",
          "text-error": "it is full", "number-error": "7"}


def stdio(name, directory, text, *arguments, **more):
    script = directory / f"{name}.py"
    script.write_text(text)
    return {"name": name, "command": sys.executable, "args": [str(script), *arguments], "enabled": True, **more}


class OddHttp(McpOverHttp):
    """A server over HTTP whose tools answer with unusual statuses and IDs."""

    sessions, refusals, calls = [], 0, 0

    def do_DELETE(self):
        self.reply(200, b"")

    def do_POST(self):
        message = json.loads(self.body())
        id, method = message.get("id"), message.get("method")
        if method == "initialize":
            self.sessions.append(f"session-{len(self.sessions)}")
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
            self.reply(200, self.message(id, result=result), {"Mcp-Session-Id": self.sessions[-1]})
        elif id is None:
            self.reply(202, b"")
        elif self.headers["Mcp-Session-Id"] != self.sessions[-1]:
            error = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
            self.reply(400, self.message(None, error=error))
        elif method == "tools/list":
            names = ("plain", "null-error", "other-id", "sign-in", "wider-sign-in", "lose-session", "not-found", "accepted", *STREAMS)
            tools = [{"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}} for name in names]
            self.reply(200, self.message(id, result={"tools": [*tools, {"name": 7}], "nextCursor": ""}))
        elif method == "tools/call":
            type(self).calls += 1
            name = message["params"]["name"]
            if name in STREAMS:
                self.stream(name, id)
            else:
                getattr(self, name.replace("-", "_"))(id)
        else:
            self.reply(200, self.message(id, result={}))

    def text(self, id, text):
        self.reply(200, self.message(id, result={"content": [{"type": "text", "text": text}]}))

    def plain(self, id):
        self.text(id, f"plain in {self.headers['Mcp-Session-Id']}")

    def null_error(self, id):
        self.reply(400, self.message(None, error={"code": -32602, "message": "the arguments are wrong"}))

    def other_id(self, id):
        self.text("another", "other id")

    def sign_in(self, id):
        self.reply(401, b"", {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def wider_sign_in(self, id):
        self.reply(403, b"{}", {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="write"'})

    def not_found(self, id):
        self.reply(404, self.message(id, error={"code": -32602, "message": "no such record"}))

    def accepted(self, id):
        # Its response can come nowhere: there is no stream of the session.
        self.reply(202, b"")

    def stream(self, name, id):
        self.reply(200, STREAMS[name][0].replace("ID", str(id)).encode(), {"Content-Type": "text/event-stream"})

    def lose_session(self, id):
        self.sessions.append("lost")
        self.text(id, "lost")

    def message(self, id, **more):
        return json.dumps({"jsonrpc": "2.0", "id": id, **more}).encode()


class OddServers(unittest.TestCase):
    def timed(self, client, tool):
        began = time.monotonic()
        text = client.call(tool)
        took = time.monotonic() - began
        self.assertLess(took, 5, f"{tool} hung: {text}")
        self.took = [*getattr(self, "took", []), took]
        return text

    def tearDown(self):
        if took := getattr(self, "took", None):
            print(f"       {len(took)} calls with odd responses, the slowest after {1000 * max(took):.0f} ms", flush=True)

    def test_stdio(self):
        """invalid output of a stdio server reaches its caller, repaired or as an error, on both paths"""
        with World(config={}) as world:
            world.write_config({"mcpServers": [stdio("odd", world.directory, ODD), stdio("texts", world.directory, ODD, "text-ids")]})
            world.start_core()
            world.wait_connected("odd")
            world.wait_connected("texts")
            self.assertEqual(world.server("odd")["tool_count"], len(TEXTS) + len(ERRORS), "one tool is malformed and one is there twice")
            for tool, expected in {**TEXTS, **ERRORS}.items():
                client = Client(world.port)
                for call in ("first", "later"):
                    text = self.timed(client, f"odd:{tool}")
                    with self.subTest(tool=tool, call=call):
                        if tool in TEXTS:
                            self.assertEqual(text, expected)
                        else:
                            self.assertIn(expected, text)
            self.assertEqual(self.timed(Client(world.port), "texts:noise"), "noise")

    def test_text_only(self):
        """a call that a stdio server answers with text fails after `stray_output_timeout`, and text before an answer fails none"""
        server = stdio_server(answers="""
    if message["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}} for name in ("banner", "logs")]}
    if message["method"] == "tools/call":
        print("Server 1.0 is listening", flush=True)
        if message["params"]["name"] == "banner":
            continue
        time.sleep(float(message["params"]["arguments"]["seconds"]))
        print("done", flush=True)
        result = {"content": [{"type": "text", "text": "answered"}]}
""").replace("import json", "import json, time", 1)
        with World(config={"mcpServers": []}) as world:
            entries = [stdio(name, world.directory, "print('Welcome', flush=True)\n" + server, stray_output_timeout=limit) for name, limit in (("one", "1s"), ("two", "4s"))]
            world.write_config({"mcpServers": entries})
            world.start_core()
            world.wait_connected("one")
            world.wait_connected("two")
            for call in ("first", "later"):
                with self.subTest(call=call):
                    self.assertIn("Server 1.0 is listening", self.timed(Client(world.port), "one:banner"))
            client = Client(world.port)
            self.assertEqual(client.call("two:logs", seconds=0.2), "answered")
            self.assertEqual(client.call("two:logs", seconds=6), "answered", "it is known to log")

    def test_http(self):
        """a response over HTTP ends its call regardless of its ID or status; a lost session is reopened; a 401 requires a sign-in"""
        with serving(OddHttp) as url, World(config={"mcpServers": [{"name": "odd", "url": f"{url}/mcp", "enabled": True}]}) as world:
            world.start_core()
            world.wait_connected("odd")
            self.assertEqual(world.server("odd")["tool_count"], 8 + len(STREAMS), "the malformed tool hides no other")
            client = Client(world.port)
            self.assertIn("the arguments are wrong", self.timed(client, "odd:null-error"))
            self.assertEqual(self.timed(client, "odd:other-id"), "other id")
            self.assertIn("no such record", self.timed(client, "odd:not-found"))
            self.assertIn("the server's response is empty", self.timed(client, "odd:accepted"))
            for name, (_, expected) in STREAMS.items():
                self.assertIn(expected, self.timed(client, f"odd:{name}"), name)
            self.assertEqual(self.timed(client, "odd:lose-session"), "lost")
            before = OddHttp.calls
            self.assertRegex(self.timed(client, "odd:plain"), "plain in session-")
            self.assertEqual(OddHttp.calls - before, 1, "the call ran once")
            for tool in ("sign-in", "wider-sign-in"):
                self.assertIn("requires sign-in", self.timed(client, f"odd:{tool}"))
                wait_for("the sign-in is needed", lambda: world.server("odd")["health"].get("action") == "login")
                world.post("/api/v1/servers/odd/restart", body={})
                world.wait_connected("odd")

    def failed(self, world, name, *texts):
        def found():
            error = (world.server(name) or {}).get("last_error") or ""
            return all(text in error for text in texts)

        wait_for(f"{name}: {texts}, not {(world.server(name) or {}).get('last_error')}", found, 30)

    def test_failures_are_explained(self):
        """a server that fails to start is explained, also during retries"""
        with World(config={}) as world:
            home = world.directory
            crash = "import os, sys; os.environ['API_TOKEN']"
            plain = home / "plain.sh"
            plain.write_text("#!/bin/sh\n")
            script = home / "script.sh"
            script.write_text("#!/no/such/interpreter\n")
            script.chmod(0o755)
            servers = [
                stdio("crash", home, crash),
                {"name": "silent", "command": "cat", "enabled": True, "init_timeout": "2s"},
                {"name": "directory", "command": "cat", "working_dir": str(home / "gone"), "enabled": True},
                {"name": "plain", "command": str(plain), "enabled": True},
                {"name": "script", "command": str(script), "enabled": True},
                {"name": "missing", "command": "no-such-program", "enabled": True},
            ]
            world.write_config({"mcpServers": servers})
            world.start_core()
            self.failed(world, "crash", "the server exited during startup (exit status: 1): KeyError: 'API_TOKEN'", "attempts failed")
            self.failed(world, "silent", "no reply to `initialize` within 2 s (is this an MCP server?)")
            self.failed(world, "directory", "`working_dir` does not exist", "gone")
            self.failed(world, "plain", "is not executable. Run: chmod +x")
            self.failed(world, "script", "its interpreter `/no/such/interpreter`")
            self.failed(world, "missing", "`no-such-program` not found")
            findings = {error["server_name"] for error in world.get("/api/v1/diagnostics").data["upstream_errors"]}
            self.assertEqual(findings, {server["name"] for server in servers})


if __name__ == "__main__":
    main()
