"""Servers that only support 2026-07-28, which has no `initialize`: the official Python server, restricted to that version.

Run by `scripts/test mcp`.
"""

import asyncio
import sys
import unittest

from test_talk import Person
from world import CORE, World, free_port, main, wait_for

SERVER = """
import sys, warnings
from typing import Annotated

import mcp.server.lowlevel.server as lowlevel
import mcp.server.streamable_http_manager as over_http
from mcp.server import MCPServer, runner
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent
from pydantic import BaseModel

warnings.simplefilter("ignore")

# Treats every client as one of 2026-07-28.
async def newest_only(server, read, write, *, lifespan_state, raise_exceptions=False, **_):
    await runner._serve_modern_stream(server, read, write, lifespan_state=lifespan_state, raise_exceptions=raise_exceptions)

async def newest_only_over_http(self, scope, receive, send):
    await over_http.handle_modern_request(
        self.app, self.security_settings, self.json_response, self._lifespan_state, scope, receive, send
    )

lowlevel.serve_dual_era_loop = newest_only
over_http.StreamableHTTPSessionManager._handle_request = newest_only_over_http

server = MCPServer("newest")

class Name(BaseModel):
    name: str

async def who() -> Name | Elicit[Name]:
    return Elicit("What is your name?", Name)

async def thought(named: Annotated[Name, Resolve(who)]) -> Sample:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=f"Think, {named.name}"))
    return Sample([message], max_tokens=9)

async def where() -> ListRoots:
    return ListRoots()

@server.tool()
async def ask(named: Annotated[Name, Resolve(who)], thinks: Annotated[CreateMessageResult, Resolve(thought)]) -> str:
    return f"{named.name} thinks {thinks.content.text}"

@server.tool()
async def roots(found: Annotated[ListRootsResult, Resolve(where)]) -> str:
    return " ".join(str(root.uri) for root in found.roots)

@server.tool()
async def walk(ctx: Context) -> str:
    for step in range(3):
        await ctx.report_progress(step, 3, f"step {step}")
    return "there"

@server.tool()
async def grow(ctx: Context) -> str:
    server.add_tool(lambda: "new", name="grown", description="Says that it is new")
    await ctx.notify_tools_changed()
    return "grown"

@server.prompt()
def greeting(name: str) -> str:
    return f"Good day, {name}"

@server.resource("newest://words")
def words() -> str:
    return "some words"

if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
"""


class Newest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        script = cls.world.directory / "newest.py"
        script.write_text(SERVER)
        port = free_port()
        cls.world.start(sys.executable, script, port)
        servers = [
            {"name": "stdio", "command": sys.executable, "args": [str(script)], "enabled": True},
            {"name": "http", "url": f"http://127.0.0.1:{port}/mcp", "enabled": True},
        ]
        cls.world.write_config({"mcpServers": [{**server, "auto_approve_tool_changes": True} for server in servers]})
        cls.world.start_core()
        for server in servers:
            wait_for(f"{server['name']} is connected", lambda name=server["name"]: (cls.world.server(name) or {}).get("connected"), 60)

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def each(self, work):
        for server in ("stdio", "http"):
            for mode in ("legacy", "2026-07-28"):
                with self.subTest(server=server, mode=mode):
                    asyncio.run(asyncio.wait_for(work(server, mode), 30))

    def test_asked(self):
        """a server without `initialize` can ask clients of every protocol version questions, and its progress reaches them"""

        async def work(server, mode):
            ann = Person("Ann")
            async with ann.at(self.world, server, mode=mode) as client:
                self.assertEqual(await client.call("ask"), "Ann thinks of Ann")
                self.assertEqual(ann.asked, ["What is your name?", "sample"])
                self.assertEqual(await client.call("roots"), "file:///Ann")
                self.assertEqual(await client.call("walk"), "there")
                self.assertEqual(ann.steps, [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")])
            async with ann.at(self.world, server, through="call_tool_write", mode=mode) as client:
                self.assertEqual(await client.call("ask"), "Ann thinks of Ann")

        self.each(work)

    def test_not_asked(self):
        """a client that cannot be asked, and `mcpproxy call`, get an error immediately"""

        async def work(server, mode):
            more = {"elicitation_callback": None, "sampling_callback": None, "list_roots_callback": None}
            async with Person("Ann").at(self.world, server, mode=mode, **more) as client:
                self.assertRegex(await client.call("ask"), "does not support|missing|cannot answer")

        self.each(work)
        called = self.world.run(CORE, "call", "tool-write", "-t", "stdio:ask", "-j", "{}")
        self.assertEqual(called.returncode, 1)
        self.assertIn("cannot answer server requests", called.stderr + called.stdout)

    def test_the_rest(self):
        """clients of every protocol version can use the server's prompts and resources"""

        async def work(server, mode):
            async with Person("Ann").at(self.world, server, mode=mode) as client:
                prompt = await client.get_prompt("greeting", {"name": "Ann"})
                self.assertEqual(prompt.messages[0].content.text, "Good day, Ann")
                read = await client.read_resource("newest://words")
                self.assertEqual(read.contents[0].text, "some words")

        self.each(work)

    def test_z_changed(self):
        """a tool that is added later is available, and clients are notified"""

        async def work(server):
            ann = Person("Ann")
            async with ann.at(self.world, server) as client:
                self.assertEqual(await client.call("grow"), "grown")
                await ann.until("notifications/tools/list_changed")
                self.assertEqual(await client.call("grown"), "new")

        for server in ("stdio", "http"):
            asyncio.run(asyncio.wait_for(work(server), 30))


if __name__ == "__main__":
    main()
