"""Servers over the legacy HTTP+SSE transport: the official Python and TypeScript servers, and hostile ones.

Run by `scripts/test mcp`.
"""

import asyncio
import http.server
import json
import queue
import sys
import threading
import time
import unittest

import mcp

from test_own_tools import call, text_of
from test_stays_up import memory
from test_talk import ASKING, Person
from world import CORE, SERVER, World, free_port, main, wait_for

# A server that requires a header, and adds a tool on request.
GUARDED = """
import sys
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
server = MCPServer("guarded")
@server.tool()
def add(a: int, b: int) -> int:
    "Adds two numbers"
    return a + b
@server.tool()
async def grow(ctx: Context) -> str:
    "Adds a tool"
    server.add_tool(lambda: "grown", name="grown", description="Was not there before")
    await ctx.session.send_tool_list_changed()
    return "more"
app = server.sse_app()
async def guarded(scope, receive, send):
    if scope["type"] == "http" and dict(scope["headers"]).get(b"x-key") != b"of-the-test":
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who are you?"})
        return
    await app(scope, receive, send)
uvicorn.run(guarded, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


class Older(http.server.ThreadingHTTPServer):
    """A configurable server over HTTP+SSE: `endpoint` is the data of its first event, `refuses` the status for calls."""

    daemon_threads = True

    def __init__(self, endpoint="/message", refuses=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.endpoint, self.refuses = endpoint, refuses
        self.said, self.posted, self.left = queue.Queue(4), [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/sse"

    def __exit__(self, *_):
        self.said.put(None)
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        try:
            if self.server.endpoint is not None:
                self.wfile.write(f"event: endpoint\r\ndata: {self.server.endpoint}\r\n\r\n".encode())
            for piece in iter(self.server.said.get, None):
                self.wfile.write(piece)
        except OSError:
            pass  # the core has read enough

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, message))
        refused = self.server.refuses if message["method"] == "tools/call" else None
        self.send_response(refused or 202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if not refused and "id" in message:
            self.answer(message["id"], message["method"], message.get("params"))

    def answer(self, id, method, params):
        if method == "tools/call":
            {"long": self.long, "odd": self.odd}[params["name"]](id)
            return
        tools = [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in ("long", "odd")]
        results = {
            "initialize": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "older", "version": "1"}},
            "tools/list": {"tools": tools},
        }
        self.say({"jsonrpc": "2.0", "id": id, "result": results.get(method, {})})

    def say(self, message):
        self.server.said.put(f"data: {json.dumps(message)}\n\n".encode())

    def long(self, id):
        """Sends a result of 48 MiB."""
        self.server.said.put(b'event: message\ndata: {"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % id)
        for self.server.left in range(48, 0, -1):
            self.server.said.put(b"x" * (1 << 20))
        self.server.left = 0
        self.server.said.put(b'"}]}}\n\n')

    def odd(self, id):
        """Sends an invalid message, then the result."""
        self.server.said.put(b": a comment\n\nevent: strange\ndata: {}\n\ndata\ndata: {\n\ndata: \xff\xfe\n\nnothing known: x\nretry: soon\n\n")
        self.server.said.put(b"event: endpoint\ndata: http://evil.example/\n\n")
        self.say({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "after all"}]}})

    def log_message(self, *_):
        pass


def failed(world, name, words):
    def said():
        server = world.server(name)
        return server and words in (server.get("last_error") or "")

    wait_for(f"{name}: {words}", said, 20)


class OverSse(unittest.TestCase):
    def test_headers_and_changes(self):
        """a server that requires a header is added, called, and followed when its tools change; without the header the error says what to set"""
        with World(config={}) as world:
            port = free_port()
            script = world.directory / "guarded.py"
            script.write_text(GUARDED)
            world.start(sys.executable, script, port)
            world.start_core()
            words = ["upstream", "add", "--no-quarantine", "--transport", "sse"]
            for name, header in (("right", "X-Key: of-the-test"), ("wrong", "X-Key: other")):
                added = world.run(CORE, *words, name, f"http://127.0.0.1:{port}/sse", "--header", header, "--header", "Authorization: own")
                self.assertEqual(added.returncode, 0, added.stderr)
            wait_for("the first is connected", lambda: world.server("right")["connected"], 30)
            self.assertEqual(world.server("right")["protocol"], "sse")
            self.assertEqual(text_of(call(world, "call_tool_read", {"name": "right:add", "args": {"a": 1, "b": 2}})), "3")
            failed(world, "wrong", "requires authentication (401): set another `Authorization` in `headers`")
            self.assertEqual(text_of(call(world, "call_tool_write", {"name": "right:grow", "args": {}})), "more")

            def held():
                quarantine = world.server("right").get("quarantine") or {}
                return quarantine.get("pending_count") == 1

            wait_for("the new tool waits for approval", held)
            for refused in (["third", "--transport", "sse", "--", "x"], ["third", "http://127.0.0.1:1/", "--transport", "stdio"]):
                self.assertIn(world.run(CORE, "upstream", "add", *refused).returncode, (1, 2), refused)

    def test_sign_in(self):
        """a server that requires a sign-in, without a configured header, reports that as over the other transport"""
        with World(config={}) as world:
            port = free_port()
            script = world.directory / "guarded.py"
            script.write_text(GUARDED)
            world.start(sys.executable, script, port)
            world.write_config({"mcpServers": [{"name": "guarded", "protocol": "sse", "url": f"http://127.0.0.1:{port}/sse", "enabled": True}]})
            world.start_core()
            failed(world, "guarded", "run `mcpproxy upstream login guarded`")

    def test_gone_and_back(self):
        """a legacy server is detected; killed during a call, the call fails within a second; restarted, it is connected"""
        with World(config={}) as world:
            port = free_port()

            def start():
                server = world.start(SERVER, "sse", env={**world.environment(), "PORT": str(port)})
                wait_for("the server listens", lambda: f"port {port}" in world.output(server), 20)
                return server

            server = start()
            world.write_config({"mcpServers": [{"name": "everything", "url": f"http://127.0.0.1:{port}/sse?secret=1", "enabled": True}]})
            core = world.start_core()
            world.wait_connected("everything")
            self.assertEqual(world.server("everything")["protocol"], "sse")
            echo = {"name": "everything:echo", "args": {"message": "hello"}}
            self.assertIn("hello", text_of(call(world, "call_tool_read", echo)))
            ended = []

            async def during():
                progress = asyncio.Event()

                async def note(*_):
                    progress.set()

                async with mcp.Client(f"http://127.0.0.1:{world.port}/mcp/all", mode="legacy") as client:
                    name = "everything__trigger-long-running-operation"
                    running = asyncio.create_task(client.call_tool(name, {"duration": 60, "steps": 120}, progress_callback=note))
                    await asyncio.wait_for(progress.wait(), 20)
                    server.kill()
                    killed = time.monotonic()
                    answer = await asyncio.gather(running, return_exceptions=True)
                    ended.append(time.monotonic() - killed)
                    return answer[0]

            answer = asyncio.run(asyncio.wait_for(during(), 60))
            self.assertTrue(isinstance(answer, mcp.MCPError) or answer.is_error, answer)
            self.assertLess(ended[0], 1)
            server.wait()
            failed(world, "everything", "could not connect to")
            log = "".join(log.read_text() for log in (world.root / "logs").glob("*.log"))
            self.assertIn("is gone", log)
            self.assertNotIn("secret=1", log + world.output(core))
            start()
            wait_for("it is back", lambda: world.server("everything")["connected"], 30)
            self.assertIn("hello", text_of(call(world, "call_tool_read", echo)))


class AskedOverSse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        script = cls.world.directory / "asking.py"
        script.write_text(ASKING.replace('"streamable-http"', '"sse"'))
        port = free_port()
        cls.world.start(sys.executable, script, port)
        cls.world.write_config({"mcpServers": [{"name": "sse", "protocol": "sse", "url": f"http://127.0.0.1:{port}/sse", "enabled": True}]})
        cls.world.start_core()
        wait_for("the server", lambda: cls.world.server("sse")["connected"], 60)

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def test_only_the_caller(self):
        """only the client that made the call gets its questions (elicitation, sampling) and progress, in order, in every protocol version"""
        steps = [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]

        async def work(mode, through):
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, "sse", through, mode=mode) as first, ben.at(self.world, "sse", through, mode=mode) as second:
                self.assertEqual(await first.call("ask"), "Ann thinks of Ann")
                self.assertEqual((ann.asked, ann.steps), (["What is your name?", "sample"], steps))
                self.assertEqual((ben.asked, ben.steps), ([], []))
                self.assertEqual(await second.call("ask"), "Ben thinks of Ben")
                self.assertEqual(await second.call("roots"), "file:///Ben")

        for mode in ("legacy", "2026-07-28"):
            for through in (None, "call_tool_write"):
                asyncio.run(asyncio.wait_for(work(mode, through), 60))

    def test_two_at_once(self):
        """while two clients have calls in flight, a question cannot be attributed: no client is asked, and the server gets an error"""

        async def work():
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, "sse") as first, ben.at(self.world, "sse") as second:
                held = asyncio.create_task(first.call("hold"))
                await ann.until("progress")
                self.assertIn("2 clients have requests in flight", await second.call("ask"))
                self.assertEqual((ann.asked, ben.asked), ([], []))
                await second.call("release")
                self.assertEqual(await held, "held")

        asyncio.run(asyncio.wait_for(work(), 60))

    def test_cancelled(self):
        """a call that a client cancels is cancelled at the server"""

        async def work():
            ann = Person("Ann")
            async with ann.at(self.world, "sse") as client:
                held = asyncio.create_task(client.call("hold_on"))
                await ann.until("progress")
                held.cancel()
                async with asyncio.timeout(10):
                    while await client.call("cancelled") != "True":
                        await asyncio.sleep(0.05)

        asyncio.run(asyncio.wait_for(work(), 60))


class HostileOverSse(unittest.TestCase):
    def serve(self, world, *servers, **more):
        entries = [{"name": name, "protocol": "sse", "url": server.url, "enabled": True, **more} for name, server in servers]
        world.write_config({"mcpServers": entries})
        return world.start_core()

    def test_elsewhere(self):
        """a server whose message URL has another origin is refused, and gets no messages; a server without a message URL times out"""
        with Older() as other, Older(f"http://127.0.0.1:{other.server_port}/message") as elsewhere, Older(None) as nowhere, World() as world:
            self.serve(world, ("elsewhere", elsewhere), ("nowhere", nowhere), init_timeout="2s")
            failed(world, "elsewhere", f"its URL for messages has another origin (`http://127.0.0.1:{other.server_port}`), which is refused")
            failed(world, "nowhere", "no reply to `initialize` within 2 s")
            self.assertEqual((other.posted, elsewhere.posted, nowhere.posted), ([], [], []))

    def test_refused_calls(self):
        """a call that the server refuses by HTTP status fails with that status, and the session continues"""
        with Older(refuses=413) as server, World() as world:
            self.serve(world, ("older", server))
            world.wait_connected("older")
            refused = call(world, "call_tool_read", {"name": "older:odd", "args": {}})
            self.assertTrue(refused.is_error)
            self.assertIn("refused the request (413)", text_of(refused))
            server.refuses = None
            self.assertEqual(text_of(call(world, "call_tool_read", {"name": "older:odd", "args": {}})), "after all")
            self.assertEqual(world.server("older")["reconnect_count"], 0)

    def test_strange_events(self):
        """invalid messages are skipped, and the following result is used; a change of the endpoint is ignored"""
        with Older("?session=1") as server, World() as world:
            self.serve(world, ("older", server))
            world.wait_connected("older")
            for _ in range(2):
                self.assertEqual(text_of(call(world, "call_tool_read", {"name": "older:odd", "args": {}})), "after all")
            self.assertEqual({path for path, _ in server.posted}, {"/sse?session=1"})

    def test_long_answers(self):
        """a result of 48 MiB is refused with an error, uses little memory, and the session continues"""
        with Older() as server, World() as world:
            core = self.serve(world, ("older", server))
            world.wait_connected("older")
            before = memory(core)[0]
            told = world.run(CORE, "call", "tool-read", "-t", "older:long", "-j", "{}", seconds=90)
            self.assertEqual(told.returncode, 1)
            self.assertIn("exceeds 16 MiB", told.stdout + told.stderr)
            self.assertGreater(server.left, 16, "the error must arrive before the complete result")
            wait_for("all of it came", lambda: server.left == 0, 60)
            print(f"       {memory(core)[1] - before:.0f} MiB more at most", flush=True)
            self.assertLess(memory(core)[1] - before, 64)
            self.assertEqual(text_of(call(world, "call_tool_read", {"name": "older:odd", "args": {}})), "after all")
            self.assertEqual(world.server("older")["reconnect_count"], 0)


if __name__ == "__main__":
    main()
