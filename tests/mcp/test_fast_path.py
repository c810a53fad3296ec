"""Calls on the fast path look the same to a client, except that they are faster. Uses an official server.

Run by `scripts/test mcp`.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import stat
import sys
import threading
import time
import unittest

from world import CORE, World, main, wait_for

# `hold` waits for a file, and records when its call is cancelled.
SERVER = """
import pathlib, sys, warnings
import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations

warnings.simplefilter("ignore")
server = MCPServer("simple")
here = pathlib.Path(sys.argv[1])

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def say(text: str) -> str:
    return text

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def hold(name: str) -> str:
    (here / f"{name}.called").touch()
    try:
        while not (here / f"{name}.go").exists():
            await anyio.sleep(0.01)
    except anyio.get_cancelled_exc_class():
        (here / f"{name}.cancelled").touch()
        raise
    return "held"

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def step(ctx: Context) -> str:
    await ctx.report_progress(1, 2, "half")
    return "stepped"

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def picture() -> CallToolResult:
    image = ImageContent(type="image", mime_type="image/png", data="iVBORw0KGgo" * 50_000)
    return CallToolResult(content=[TextContent(type="text", text="a small picture"), image])

@server.tool(annotations=ToolAnnotations(destructiveHint=True, readOnlyHint=False))
async def remove() -> str:
    return "removed"

server.run()
"""


class Session:
    """A client's session over raw HTTP, to examine how it is answered."""

    def __init__(self, port, path):
        self.port, self.path, self.id, self.calls = port, path, None, 0
        client = {"name": "test", "version": "1"}
        self.post("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.notify("notifications/initialized", {})

    def send(self, message, timeout=20, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
        if self.id:
            sent |= {"mcp-session-id": self.id, "mcp-protocol-version": "2025-06-18"}
        connection.request("POST", self.path, body=message if isinstance(message, str) else json.dumps(message), headers=sent)
        answer = connection.getresponse()
        self.id = answer.getheader("mcp-session-id") or self.id
        return connection, answer

    def notify(self, method, params):
        connection, answer = self.send({"jsonrpc": "2.0", "method": method, "params": params})
        with contextlib.closing(connection):
            assert answer.status == 202, answer.status

    def post(self, method, params, **headers):
        """Returns the kind of response, and its messages."""
        self.calls += 1
        message = {"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params}
        connection, answer = self.send(message, **headers)
        with contextlib.closing(connection):
            return self.read(answer)

    def read(self, answer):
        text = answer.read().decode()
        kind = answer.getheader("content-type") or ""
        if kind == "text/event-stream":
            data = [line[6:] for line in text.split("\n") if line.startswith("data: ") and line[6:]]
            return "stream", [json.loads(line) for line in data]
        return (kind, [json.loads(text)]) if kind == "application/json" else (answer.status, text)

    def call(self, tool, arguments=None, meta=None, **headers):
        params = {"name": tool, "arguments": {} if arguments is None else arguments}
        return self.post("tools/call", params | ({"_meta": meta} if meta else {}), **headers)


def said(answer):
    """Returns the content of a response: the text of the result, or the error."""
    _, messages = answer
    message = messages[-1]
    return message.get("error") or (message["result"].get("isError", False), message["result"]["content"][0]["text"])


class FastPath(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.here = cls.world.directory / "marks"
        cls.here.mkdir()
        script = cls.world.directory / "simple.py"
        script.write_text(SERVER)
        servers = [{"name": "simple", "command": sys.executable, "args": [str(script), str(cls.here)], "enabled": True}]
        cls.world.write_config({"mcpServers": servers, "tool_response_limit": 2000})
        cls.world.start_core()
        cls.world.wait_connected("simple")

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def session(self, path="/mcp/all"):
        """A session whose next call takes the fast path."""
        session = Session(self.world.port, path)
        name, arguments = ("call_tool_read", {"name": "simple:say", "args": {"text": "a"}})
        if path != "/mcp":
            name, arguments = ("simple__say" if path == "/mcp/all" else "say"), {"text": "a"}
        kind, _ = session.call(name, arguments)
        self.assertEqual(kind, "stream")
        return session

    def mark(self, name):
        return self.here / name

    def test_searched(self):
        """a search, a description and an invalid call return the same on both paths"""
        session = self.session("/mcp")
        for tool, arguments in (
            ("retrieve_tools", {"query": "say something", "limit": 2}),
            ("retrieve_tools", {"query": " "}),
            ("describe_tool", {"tool_ids": ["simple:say", "simple:sya"]}),
            ("read_cache", {"key": "nothing"}),
        ):
            with self.subTest(tool=tool, arguments=arguments):
                kind, short = session.call(tool, arguments)
                self.assertEqual(kind, "application/json")
                # The first request of a session takes the library path.
                other = Session(self.world.port, "/mcp")
                other.calls = session.calls - 1
                kind, long = other.call(tool, arguments)
                self.assertEqual(kind, "stream")
                self.assertEqual(short, long[-1:])
        self.assertEqual(session.call("retrieve_tools")[1][0]["result"]["isError"], True)

    def test_same(self):
        """in a known session, calls return the same content as one JSON message; unusual calls stay on the library path"""
        text = "ä\n\"\\ \u2028 \U0001f600" * 3
        for path, tool in (("/mcp/all", "simple__say"), ("/mcp/all/simple", "say")):
            session = Session(self.world.port, path)
            slow, fast = [session.call(tool, {"text": text}) for _ in range(2)]
            self.assertEqual((slow[0], fast[0]), ("stream", "application/json"), path)
            self.assertEqual(said(slow), (False, text))
            self.assertEqual(said(fast), (False, text))
            unknown = Session(self.world.port, path).call("nobody__x")
            self.assertEqual(said(session.call("nobody__x")), said(unknown))
            for arguments in ({}, {"text": 1}, {"text": "a", "more": [{}]}, [], "text"):
                first = Session(self.world.port, path).call(tool, arguments)
                self.assertEqual(session.call(tool, arguments)[1][0].get("error"), first[1][-1].get("error"), arguments)
        pretty = json.dumps({"jsonrpc": "2.0", "id": "x\n1", "method": "tools/call",
                             "params": {"name": "say", "arguments": {"text": "b"}}}, indent=3).replace("\n", "\r\n")
        connection, answer = session.send(pretty)
        with contextlib.closing(connection):
            kind, [message] = session.read(answer)
        self.assertEqual((kind, message["id"], message["result"]["content"][0]["text"]), ("application/json", "x\n1", "b"))

    def test_own(self):
        """the fast path of /mcp also checks intents and truncates long results"""
        session = self.session("/mcp")
        short = session.call("call_tool_read", {"name": "simple:say", "args": {"text": "b"}})
        self.assertEqual((short[0], said(short)), ("application/json", (False, "b")))
        as_text = session.call("call_tool_write", {"name": "simple:say", "args_json": '{"text": "c"}'})
        self.assertEqual(as_text[0], "application/json")
        refused = Session(self.world.port, "/mcp").call("call_tool_read", {"name": "simple:remove"})
        self.assertTrue(said(refused)[0])
        self.assertEqual(said(session.call("call_tool_read", {"name": "simple:remove"})), said(refused))
        self.assertEqual(said(session.call("call_tool_destructive", {"name": "simple:remove"})), (False, "removed"))
        long = said(session.call("call_tool_read", {"name": "simple:say", "args": {"text": "é" * 5000}}))[1]
        self.assertTrue(long.startswith("é" * 1500) and "read_cache" in long, long[:80])
        self.assertLess(len(long), 3000)

    def test_doors(self):
        """a known session refuses pages of other sites, other hosts, and invalid JSON"""
        for path in ("/mcp/all", "/mcp"):
            session = self.session(path)
            for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}, {"host": "127.0.0.1.evil.example"}):
                status, _ = session.call("simple__say", {"text": "a"}, **headers)
                self.assertEqual(status, 403, headers)
            self.assertEqual(session.call("simple__say", {"text": "a"}, **{"content-type": "text/plain"})[0], 415)
            self.assertEqual(session.call("simple__say", {"text": "a"}, accept="text/html")[0], 406)
            session.id = "0"
            self.assertEqual(session.call("simple__say", {"text": "a"})[0], 404)

    def test_long(self):
        """a slow call continues as a stream and can be cancelled, and so can a new call"""
        session = self.session()
        call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "simple__hold"}}
        connection, answer = session.send({**call, "id": "l", "params": {"name": "simple__hold", "arguments": {"name": "l"}}})
        with contextlib.closing(connection):
            self.assertEqual(answer.getheader("content-type"), "text/event-stream")
            self.mark("l.go").touch()
            self.assertEqual(said(session.read(answer)), (False, "held"))

        connection, answer = session.send({**call, "id": "m", "params": {"name": "simple__hold", "arguments": {"name": "m"}}})
        with contextlib.closing(connection):
            self.assertEqual(answer.getheader("content-type"), "text/event-stream")
            session.notify("notifications/cancelled", {"requestId": "m"})
            wait_for("the server receives the cancellation", self.mark("m.cancelled").exists)

        def begun():
            wait_for("the call", self.mark("n.called").exists)
            session.notify("notifications/cancelled", {"requestId": "n", "reason": "changed my mind"})

        canceller = threading.Thread(target=begun)
        canceller.start()
        started = time.monotonic()
        connection, answer = session.send({**call, "id": "n", "params": {"name": "simple__hold", "arguments": {"name": "n"}}})
        with contextlib.closing(connection):
            kind, [message] = session.read(answer)
        canceller.join()
        self.assertEqual((kind, "cancelled" in message["error"]["message"]), ("application/json", True))
        self.assertLess(time.monotonic() - started, 0.9, "the error arrived before the call became a stream")
        wait_for("the server receives the cancellation", self.mark("n.cancelled").exists)

    def test_progress(self):
        """progress is sent before the result to a client that requested it; others only get the result"""
        session = self.session()
        for _ in range(20):
            kind, messages = session.call("simple__step", meta={"progressToken": "mine"})
            self.assertEqual(kind, "stream")
            self.assertEqual([message.get("method") for message in messages], ["notifications/progress", None])
            self.assertEqual(messages[0]["params"]["progressToken"], "mine")
        self.assertEqual(session.call("simple__step")[0], "application/json")

    def test_killed(self):
        """if a server is killed during a call, the client gets an error within a second, and the next call reaches the restarted server"""
        for path in ("/mcp/all", "/mcp"):
            session = self.session(path)
            name = path.replace("/", "")
            arguments = {"name": name}
            tool, arguments = ("simple__hold", arguments) if path == "/mcp/all" else (
                "call_tool_read", {"name": "simple:hold", "args": arguments})
            answers = []
            caller = threading.Thread(target=lambda: answers.append(session.call(tool, arguments)))
            caller.start()
            wait_for("the call", self.mark(f"{name}.called").exists)
            server = next(p for p in self.world.processes() if str(self.here) in p.command)
            os.kill(server.pid, signal.SIGKILL)
            killed = time.monotonic()
            caller.join()
            self.assertLess(time.monotonic() - killed, 1)
            self.assertIn("ended during the", json.dumps(answers[0][1]))
            again = lambda: any(str(self.here) in p.command and p != server for p in self.world.processes())
            wait_for("the server again", lambda: again() and self.world.server("simple")["connected"], 30)
            tool, arguments = ("simple__say", {"text": "b"}) if path == "/mcp/all" else (
                "call_tool_read", {"name": "simple:say", "args": {"text": "b"}})
            answer = session.call(tool, arguments)
            self.assertEqual((answer[0], said(answer)), ("application/json", (False, "b")))

    def test_tokens(self):
        """the tokens of a long result are those of its text: an image beside it and its repetition do not count"""
        session = self.session("/mcp/all")
        session.call("simple__picture")
        text = "one line of a long answer, as a tool returns it\n" * 3_000
        session.call("simple__say", {"text": text})
        said_, shown = self.world.get("/api/v1/activity?type=tool_call&limit=2").data["activities"]
        self.assertEqual((shown["tool_name"], shown["response_tokens"]), ("picture", 3))
        self.assertGreater(shown["response_bytes"], 500_000)
        self.assertGreater(said_["response_bytes"], 2 * len(text), "the server repeats the text as structured content")
        # The arguments are JSON, in which a line break takes more.
        self.assertAlmostEqual(said_["response_tokens"] / said_["request_tokens"], 1, delta=0.1)

    def test_activity(self):
        """the latest calls of both paths are listed with their outcome, and without arguments and results"""
        before = self.world.get("/api/v1/activity/summary").data["total_count"]
        own, all_ = self.session("/mcp"), self.session("/mcp/all")
        own.call("call_tool_read", {"name": "simple:say", "args": {"text": "s3cret one"}})
        all_.call("simple__say", {"text": "s3cret two"})
        all_.call("simple__say", {"wrong": "s3cret three"})
        own.call("call_tool_read", {"name": "simple:remove"})
        own.call("call_tool_read", {"name": "unknown:x"})
        self.world.run(CORE, "call", "tool-read", "-t", "simple:say", "-j", '{"text": "s3cret four"}')
        listed = self.world.get("/api/v1/activity?type=tool_call&limit=8&exclude_payloads=true").data
        self.assertEqual(listed["total"], before + 8)
        told = [(call["source"], call["server_name"], call["tool_name"], call["status"]) for call in reversed(listed["activities"])]
        first = ("mcp", "simple", "say", "success")
        self.assertEqual(told, [first] * 4 + [("mcp", "simple", "say", "error"), ("mcp", "simple", "remove", "blocked"),
                                              ("mcp", "unknown", "x", "error"), ("api", "simple", "say", "success")])
        self.assertIn("no server is named", listed["activities"][1]["error_message"])
        only = self.world.get("/api/v1/activity?server=simple&status=blocked&limit=1").data["activities"][0]
        self.assertEqual(only["tool_name"], "remove")
        self.assertEqual(self.world.get(f"/api/v1/activity/{only['id']}").data["activity"], only)
        self.assertEqual(self.world.get("/api/v1/activity/none").status, 404)
        shown = self.world.run(CORE, "activity", "list", "-n", "8").stdout + self.world.run(CORE, "activity", "summary").stdout
        self.assertIn("simple:remove", shown)
        as_json = self.world.run(CORE, "activity", "list", "--status", "blocked", "-o", "json").stdout
        self.assertEqual(json.loads(as_json)[0], only)
        self.assertNotRegex(json.dumps(listed) + shown, "s3cret (one|two|four)")

    def test_restart(self):
        """a session continues when its client returns after a restart of the core, even after a crash; an ended session does not"""
        sessions = {path: self.session(path) for path in ("/mcp", "/mcp/all", "/mcp/all/simple")}
        ended = self.session()
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port)
        with contextlib.closing(connection):
            connection.request("DELETE", ended.path, headers={"mcp-session-id": ended.id})
            self.assertLess(connection.getresponse().status, 300)
        core = next(process for process in self.world.started if process.poll() is None)
        file = self.world.root / "mcp-sessions.json"
        kept = lambda: file.read_text() if file.exists() else ""
        wait_for("the sessions are written",
                 lambda: ended.id not in kept() and all(session.id in kept() for session in sessions.values()))
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        for end in (signal.SIGTERM, signal.SIGKILL):
            core.send_signal(end)
            core.wait()
            core = self.world.start_core()
            self.world.wait_connected("simple")
            for path, session in sessions.items():
                tool, arguments = ("call_tool_read", {"name": "simple:say", "args": {"text": "b"}}) if path == "/mcp" else (
                    "simple__say" if path == "/mcp/all" else "say", {"text": "b"})
                answers = [session.call(tool, arguments) for _ in range(2)]
                self.assertEqual([said(answer) for answer in answers], [(False, "b")] * 2, path)
                self.assertEqual(answers[1][0], "application/json")
            self.assertEqual(ended.call("simple__say", {"text": "b"})[0], 404)
            strange = Session(self.world.port, "/mcp")
            strange.path = "/mcp/all"
            self.assertEqual(strange.call("simple__say", {"text": "b"})[0], 404, "another endpoint has separate sessions")


if __name__ == "__main__":
    main()
