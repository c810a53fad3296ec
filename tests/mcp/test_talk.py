"""Questions and messages from servers to clients through `/mcp/all/{server}`, with official clients and servers.

Run by `scripts/test mcp`.
"""

import asyncio
import contextlib
import pathlib
import sys
import unittest
import warnings

import mcp
from mcp.types import (
    CreateMessageResult,
    ElicitResult,
    ErrorData,
    ListRootsResult,
    Root,
    TextContent,
)

from world import World, free_port, main, wait_for

warnings.simplefilter("ignore")

# A server that asks its caller all kinds of questions. `hold` waits until `release` is called.
ASKING = """
import sys, warnings
import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

warnings.simplefilter("ignore")
server = MCPServer("asking")
released = anyio.Event()

class Name(BaseModel):
    name: str

@server.tool()
async def ask(ctx: Context) -> str:
    related = ctx.request_context.request_id
    for step in range(3):
        await ctx.report_progress(step, 3, f"step {step}")
    named = await ctx.elicit("What is your name?", Name)
    message = SamplingMessage(role="user", content=TextContent(type="text", text="Think"))
    thought = await ctx.session.create_message([message], max_tokens=9, related_request_id=related)
    return f"{named.data.name} thinks {thought.content.text}"

@server.tool()
async def roots(ctx: Context) -> str:
    return " ".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)

@server.tool()
async def hold(ctx: Context) -> str:
    await ctx.report_progress(0)
    await released.wait()
    return "held"

cancelled = False

@server.tool()
async def hold_on(ctx: Context) -> str:
    global cancelled
    await ctx.report_progress(0)
    try:
        await anyio.sleep_forever()
    finally:
        cancelled = True

@server.tool(name="cancelled")
async def was_cancelled() -> str:
    return str(cancelled)

@server.tool()
async def release() -> str:
    released.set()
    return "released"

@server.tool()
async def shout(ctx: Context) -> str:
    for number in range(1000):
        await ctx.log("warning", f"shout {number}")
    return "hoarse"

@server.tool()
async def forget(ctx: Context) -> str:
    with anyio.move_on_after(0.2):
        await ctx.elicit("Too late?", Name)
    return "forgotten"

if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
"""

FIXTURE = pathlib.Path(__file__).resolve().parent / "conformance/server.cjs"


def text_of(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


class Person:
    """The client's side: answers questions, and records them."""

    def __init__(self, name):
        self.name, self.asked, self.steps, self.heard, self.logs = name, [], [], [], []
        self.changed = asyncio.Condition()

    async def elicit(self, _context, params):
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"name": self.name})

    async def sample(self, _context, _params):
        self.asked.append("sample")
        return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text=f"of {self.name}"))

    async def roots(self, _context):
        self.asked.append("roots")
        return ListRootsResult(roots=[Root(uri=f"file:///{self.name}")])

    async def progress(self, progress, total, message):
        self.steps.append((progress, total, message))
        await self.note("progress")

    async def hear(self, message):
        await self.note(getattr(message, "method", repr(message)))

    async def note(self, what):
        async with self.changed:
            self.heard.append(what)
            self.changed.notify_all()

    async def log(self, params):
        self.logs.append((params.level, params.logger, params.data))
        await self.note("log")

    async def until(self, *methods):
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: set(methods) <= set(self.heard)), 10)

    @contextlib.asynccontextmanager
    async def at(self, world, server, through=None, **more):
        callbacks = {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.roots,
            "message_handler": self.hear,
            "logging_callback": self.log,
            "mode": "legacy",
            **more,
        }
        path = "/mcp" if through else f"/mcp/all/{server}" if server else "/mcp/all"
        async with mcp.Client(f"http://127.0.0.1:{world.port}{path}", **callbacks) as client:

            async def call(tool):
                """Returns the tool's text, or the error."""
                name, arguments = (through, {"name": f"{server}:{tool}"}) if through else (tool, {})
                try:
                    return text_of(await client.call_tool(name, arguments, progress_callback=self.progress))
                except mcp.MCPError as error:
                    return f"error: {error}"

            client.call = call
            yield client


class Asked(unittest.TestCase):
    """The same server over stdio and over HTTP."""

    @classmethod
    def setUpClass(cls):
        cls.world = World()
        script = cls.world.directory / "asking.py"
        script.write_text(ASKING)
        port = free_port()
        cls.world.start(sys.executable, script, port)
        servers = [
            {"name": "stdio", "command": sys.executable, "args": [str(script)], "enabled": True},
            {"name": "http", "url": f"http://127.0.0.1:{port}/mcp", "enabled": True},
        ]
        cls.world.write_config({"mcpServers": servers})
        cls.world.start_core()
        cls.world.wait_connected("stdio")
        wait_for("the server over HTTP", lambda: cls.world.server("http")["connected"], 60)

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def run_with(self, work):
        return asyncio.run(asyncio.wait_for(work(), 60))

    def test_shouting(self):
        """only the first 200 log messages of a flood are passed on, the client is notified, and the result arrives"""

        async def work(server):
            ann = Person("Ann")
            async with ann.at(self.world, server) as client:
                self.assertEqual(await client.call("shout"), "hoarse")
                # Log messages use the session's own stream, so the result may arrive before them.
                async with ann.changed:
                    whole = lambda: any(logger == "mcpproxy" for _, logger, _ in ann.logs)
                    await asyncio.wait_for(ann.changed.wait_for(whole), 10)
                shouted = [data for level, logger, data in ann.logs if logger is None]
                self.assertEqual(shouted[:200], [f"shout {number}" for number in range(200)])
                self.assertLess(len(shouted), 400)
                said = [(level, data) for level, logger, data in ann.logs if logger == "mcpproxy"]
                self.assertEqual(said, [("warning", "MCPProxy drops log messages from here on: this server sends too many")])

        for server in ("stdio", "http"):
            self.run_with(lambda: work(server))

    def test_only_the_caller(self):
        """only the client that made the call gets its questions and progress, in order"""
        steps = [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]

        async def work(server):
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, server) as first, ben.at(self.world, server) as second:
                self.assertEqual(await first.call("ask"), "Ann thinks of Ann")
                self.assertEqual((ann.asked, ann.steps), (["What is your name?", "sample"], steps))
                self.assertEqual((ben.asked, ben.steps), ([], []))
                self.assertEqual(await second.call("ask"), "Ben thinks of Ben")
                self.assertEqual((len(ann.asked), len(ann.steps)), (2, 3))
                self.assertEqual(ben.steps, steps)

        for server in ("stdio", "http"):
            self.run_with(lambda: work(server))

    def test_two_at_once(self):
        """while two clients have calls in flight, HTTP attributes a question; over stdio it is refused, and the server gets an error"""

        async def work(server):
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, server) as first, ben.at(self.world, server) as second:
                held = asyncio.create_task(first.call("hold"))
                await ann.until("progress")
                said = await second.call("ask")
                await second.call("release")
                self.assertEqual(await held, "held")
                return said, ann.asked, ben.asked

        said, asked, others = self.run_with(lambda: work("http"))
        self.assertEqual((said, asked, len(others)), ("Ben thinks of Ben", [], 2))
        said, asked, others = self.run_with(lambda: work("stdio"))
        self.assertIn("2 clients have requests in flight", said)
        self.assertEqual((asked, others), ([], []))

    def test_without_a_session(self):
        """a client of 2026-07-28, which cannot be asked during a call, gets questions as results, and the call continues with its answers"""
        steps = [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]

        async def work(server):
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, server, mode="2026-07-28") as first, ben.at(self.world, server, mode="2026-07-28") as second:
                for person, client in ((ann, first), (ben, second)):
                    self.assertEqual(await client.call("ask"), f"{person.name} thinks of {person.name}")
                    self.assertEqual((person.asked, person.steps), (["What is your name?", "sample"], steps))
                self.assertEqual(await first.call("roots"), "file:///Ann")
                self.assertEqual(ben.asked, ["What is your name?", "sample"])

        for server in ("stdio", "http"):
            self.run_with(lambda: work(server))

    def test_through_our_tools(self):
        """questions and progress of calls through `/mcp` reach the right client, in every protocol version"""
        steps = [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]

        async def work(server, mode):
            ann, ben = Person("Ann"), Person("Ben")
            through = {"through": "call_tool_write", "mode": mode}
            async with ann.at(self.world, server, **through) as first, ben.at(self.world, server, **through) as second:
                for _ in range(2):  # the second call of a session takes the fast path
                    ann.asked.clear(), ann.steps.clear()
                    self.assertEqual(await first.call("ask"), "Ann thinks of Ann")
                    self.assertEqual((ann.asked, ann.steps), (["What is your name?", "sample"], steps))
                self.assertEqual(await second.call("roots"), "file:///Ben")
                self.assertEqual(ben.asked, ["roots"])

        for server in ("stdio", "http"):
            for mode in ("legacy", "2026-07-28"):
                self.run_with(lambda: work(server, mode))

    def test_cancelled(self):
        """a call that a client cancels is cancelled at the server, and does not affect other calls"""

        async def work():
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, "stdio") as first, ben.at(self.world, "stdio") as second:
                held = asyncio.create_task(first.call("hold_on"))
                await ann.until("progress")
                held.cancel()
                async with asyncio.timeout(10):
                    while await second.call("cancelled") != "True":
                        await asyncio.sleep(0.05)
                self.assertEqual(await second.call("ask"), "Ben thinks of Ben")

        self.run_with(work)

    def test_roots(self):
        """a server receives the caller's roots"""

        async def work():
            ann = Person("Ann")
            async with ann.at(self.world, "stdio") as client:
                return await client.call("roots")

        self.assertEqual(self.run_with(work), "file:///Ann")

    def test_cannot(self):
        """a client without elicitation is not asked, and the server gets an error; a client's refusal is passed on"""

        async def refuses(_context, _params):
            return ErrorData(code=-1, message="not today")

        async def work(callback):
            ann = Person("Ann")
            async with ann.at(self.world, "stdio", elicitation_callback=callback) as client:
                return await client.call("ask")

        self.assertRegex(self.run_with(lambda: work(None)), "`mcp` cannot be asked, because it does not support elicitation")
        self.assertIn("not today", self.run_with(lambda: work(refuses)))

    def test_withdrawn(self):
        """a question that the server withdraws is also withdrawn from the client"""

        async def work():
            ann, withdrawn = Person("Ann"), asyncio.Event()

            async def thinks(_context, _params):
                try:
                    await asyncio.sleep(3600)
                finally:
                    withdrawn.set()

            async with ann.at(self.world, "stdio", elicitation_callback=thinks) as client:
                said = await client.call("forget")
                await asyncio.wait_for(withdrawn.wait(), 10)
                return said

        self.assertEqual(self.run_with(work), "forgotten")


class Told(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = {"name": "told", "command": "node", "args": [str(FIXTURE)], "enabled": True}
        cls.world = World(config={"mcpServers": [server]})
        cls.world.start_core()
        cls.world.wait_connected("told")

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def test_told(self):
        """all clients are notified of changed lists, subscribers of a changed resource, and each client of log messages from its level"""

        async def work():
            ann, ben = Person("Ann"), Person("Ben")
            async with ann.at(self.world, "told") as first, ben.at(self.world, "") as second:
                await first.subscribe_resource("test://watched-resource")
                await first.set_logging_level("debug")
                said = await first.call("touch")
                lists = ["notifications/prompts/list_changed", "notifications/resources/list_changed"]
                await ann.until(*lists, "notifications/resources/updated", "notifications/message")
                await ben.until(*lists)
                self.assertEqual(said, "subscribed: test://watched-resource; level: debug")
                self.assertEqual(ann.logs, [("debug", "depths", "touched")])
                self.assertEqual(ben.logs, [])
                self.assertNotIn("notifications/resources/updated", ben.heard)
                # Two clients subscribe; the server is notified when the last one unsubscribes.
                await second.subscribe_resource("test://watched-resource")
                await first.unsubscribe_resource("test://watched-resource")
                self.assertIn("test://watched-resource", await first.call("touch"))
                await ben.until("notifications/resources/updated")
                await second.unsubscribe_resource("test://watched-resource")
                self.assertIn("subscribed: ;", await first.call("touch"))

        asyncio.run(asyncio.wait_for(work(), 60))

    def test_again(self):
        """a restarted server receives its clients' subscriptions again"""

        async def work():
            ann = Person("Ann")
            async with ann.at(self.world, "told") as client:
                await client.set_logging_level("warning")
                await client.subscribe_resource("test://watched-resource")
                before = self.world.server("told")["reconnect_count"]
                await asyncio.to_thread(self.world.post, "/api/v1/servers/told/restart")

                def told():
                    server = self.world.server("told")
                    return server["connected"] and server["reconnect_count"] > before

                await asyncio.to_thread(wait_for, "it is there again", told, 30)
                wanted = "subscribed: test://watched-resource; level: warning"
                async with asyncio.timeout(10):
                    while await client.call("touch") != wanted:
                        await asyncio.sleep(0.05)

        asyncio.run(asyncio.wait_for(work(), 60))


if __name__ == "__main__":
    main()
