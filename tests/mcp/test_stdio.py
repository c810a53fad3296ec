"""`mcpproxy stdio`, as started by AI clients that only support stdio. Run by `scripts/test mcp`."""

import asyncio
import json
import pathlib
import subprocess
import unittest

import mcp
from mcp.client.stdio import StdioServerParameters

from world import CORE, World, everything, main, wait_for


def bridge(world):
    return StdioServerParameters(command=str(CORE), args=["stdio"], env=world.environment())


def hello(revision="2025-11-25"):
    client = {"name": "claude-code", "version": "1"}
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def start(world):
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    return subprocess.Popen([CORE, "stdio"], env=world.environment(), text=True, **pipes)


def say(process, message):
    print(json.dumps({"jsonrpc": "2.0", **message}), file=process.stdin, flush=True)


def hear(process, number):
    while True:
        message = json.loads(process.stdout.readline())
        if message.get("id") == number:
            return message


class StdioClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(config={"mcpServers": [everything()]})
        cls.core = cls.world.start_core()
        cls.world.wait_connected("everything")

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def python(self, mode):
        async def echoed():
            async with mcp.Client(bridge(self.world), mode=mode) as client:
                tools = await client.list_tools()
                echo = {"name": "everything:echo", "args": {"message": "good day"}}
                result = await client.call_tool("call_tool_read", echo)
                return client.protocol_version, {tool.name for tool in tools.tools}, result.content[0].text

        return asyncio.run(asyncio.wait_for(echoed(), 20))

    def test_python(self):
        """the official Python client calls an upstream's tool over stdio"""
        version, tools, text = self.python("legacy")
        self.assertEqual((version, text), ("2025-11-25", "Echo: good day"))
        self.assertIn("retrieve_tools", tools)

    def test_newest(self):
        """a client of the newest protocol version, which has no initialize, works too"""
        version, tools, text = self.python("auto")
        self.assertEqual((version, text), ("2026-07-28", "Echo: good day"))
        self.assertIn("retrieve_tools", tools)

    def test_typescript(self):
        """the official TypeScript client works over stdio, and the core records its name"""
        script = pathlib.Path(__file__).with_name("call_over_stdio.cjs")
        answer = self.world.run("node", script, CORE, "stdio")
        said = json.loads(answer.stdout)
        self.assertEqual((said["text"], said["server"]), ("Echo: from TypeScript", "mcpproxy"))
        self.assertIn("retrieve_tools", said["tools"])
        self.assertIn("cursor-vscode", self.world.status()["activation"]["mcp_clients_seen_ever"])

    def test_old_revisions(self):
        """clients of every older protocol version get responses in that version, and standard output contains only messages"""
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]:
            listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
            initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            said = "".join(json.dumps(one) + "\n" for one in [hello(revision), initialized, listing]) + "no JSON\n"
            answer = subprocess.run(
                [CORE, "stdio"], input=said, env=self.world.environment(), text=True, capture_output=True, timeout=20
            )
            self.assertEqual(answer.returncode, 0, answer.stderr)
            messages = {message["id"]: message for message in map(json.loads, answer.stdout.splitlines())}
            self.assertEqual(messages[1]["result"]["protocolVersion"], revision)
            self.assertTrue(messages[2]["result"]["tools"], messages)
            self.assertEqual(messages[None]["error"]["code"], -32700)


    def test_malformed(self):
        """invalid lines get JSON-RPC errors with an explanation, and later lines still work"""
        lines = ["{", "[]", "5", '{"jsonrpc": "1.0", "id": 4, "method": "ping"}', '{"jsonrpc": "2.0", "id": true, "method": "ping"}']
        call = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "retrieve_tools", "arguments": [1]}}
        said = "\n".join([json.dumps(hello()), *lines, json.dumps(call), json.dumps({"jsonrpc": "2.0", "id": 6, "method": "ping"})])
        answer = subprocess.run([CORE, "stdio"], input=said, env=self.world.environment(), text=True, capture_output=True, timeout=20)
        answers = [json.loads(line) for line in answer.stdout.splitlines()]
        codes = [(one["id"], one["error"]["code"]) for one in answers if "error" in one]
        self.assertEqual(sorted(codes, key=str), sorted([(None, -32700), *[(None, -32600)] * 3, (4, -32600), (5, -32602)], key=str), answers)
        self.assertTrue(all(one["error"]["message"] for one in answers if "error" in one))
        self.assertIn("result", next(one for one in answers if one["id"] == 6))


class Cores(unittest.TestCase):
    def test_none(self):
        """without a core it prints advice on standard error, and nothing on standard output"""
        with World(config={}, variables={"MCPPROXY_OUTPUT": "json"}) as world:
            answer = world.run(CORE, "stdio")
            self.assertNotEqual(answer.returncode, 0)
            self.assertEqual(answer.stdout, "")
            self.assertIn("no answer at", answer.stderr)
            self.assertIn("mcpproxy serve", answer.stderr)

    def test_restart(self):
        """a client stays connected while its core restarts; each request meanwhile gets an error with advice"""
        with World(config={}) as world:
            core = world.start_core()
            client = start(world)
            try:
                say(client, hello())
                self.assertIn("result", hear(client, 1))
                say(client, {"method": "notifications/initialized"})
                core.terminate()
                core.wait(15)
                say(client, {"id": 2, "method": "tools/list"})
                self.assertIn("no core answers", hear(client, 2)["error"]["message"])
                world.start_core()
                say(client, {"id": 3, "method": "tools/list"})
                self.assertTrue(hear(client, 3)["result"]["tools"])
                client.stdin.close()
                wait_for("the end of the bridge", lambda: client.poll() is not None, 5)
                self.assertEqual(client.returncode, 0)
            finally:
                client.kill()
                client.wait()
                for stream in (client.stdin, client.stdout, client.stderr):
                    stream.close()


if __name__ == "__main__":
    main()
