"""The newest and oldest official clients, in TypeScript and Python, beside ten odd servers at once.

Run by `scripts/test mcp`.
"""

import json
import pathlib
import sys
import unittest

from world import PROJECT, McpOverHttp, World, main, serving, wait_for

HERE = pathlib.Path(__file__).parent
CLIENTS = {
    "newest TypeScript": ("node", HERE / "list_and_call.cjs", "@modelcontextprotocol/sdk"),
    "oldest TypeScript": ("node", HERE / "list_and_call.cjs", "sdk-of-2025-03"),
    "newest Python": (sys.executable, HERE / "list_and_call.py"),
    "oldest Python": (PROJECT / "target/tools/python-of-2025-05/bin/python", HERE / "list_and_call.py"),
}
# What the odd servers answer, over stdio and HTTP. `write` sends a message as text.
ANSWER = r'''
import json

PLAIN = {"name": "plain", "description": "Says plain", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
TEXT = {"content": [{"type": "text", "text": "plain"}]}

def tool(name, **more):
    return {**PLAIN, "name": name, **more}

TOOLS = {
    "schemas": [
        tool("none", inputSchema={}), tool("null", inputSchema=None), tool("boolean", inputSchema=True), tool("array", inputSchema=[]),
        tool("nulls", inputSchema={"type": "object", "properties": None, "required": None, "description": None}),
        tool("members", inputSchema={"type": "object", "properties": {"a": None, "b": True, "c": {"type": ["string", "null"], "default": None}}}),
        tool("union", inputSchema={"anyOf": [{"type": "object"}, {"type": "null"}]}),
        tool("types", inputSchema={"type": ["object", "null"], "properties": {}}),
        tool("text", inputSchema={"type": "string"}), tool("reference", inputSchema={"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}),
        tool("output", outputSchema={}), tool("outputs", outputSchema=None), tool("list", outputSchema={"type": "array", "items": {}}),
        tool("large", inputSchema={"type": "object", "properties": {"n": {"type": "number", "maximum": 1.5e300, "minimum": -0.0}}}),
    ],
    "names": [
        tool("a/long.name with spaces " + "x" * 200), tool("größe"), tool("雪"), tool("same"), tool("same"), tool("Same"),
        tool(""), tool("__"), tool("a__b"), tool("x" * 64), tool("\n"),
    ],
    "members": [
        tool("description", description=None), tool("number", description=7), tool("title", title=None), tool("annotations", annotations=None),
        tool("hints", annotations={"readOnlyHint": "yes", "title": None}), tool("icons", icons=[{"src": 7}]), tool("meta", _meta=None),
        tool("execution", execution={"taskSupport": "no"}), tool("unknown", vendor={"n": 1.50}), {"name": 7}, None, "tool", {},
    ],
}
CONTENT = {
    "annotations": {"content": [{"type": "text", "text": "plain", "annotations": {"audience": ["user"], "priority": 0.123456789, "vendor": 1.50}}]},
    "link": {"content": [{"type": "resource_link", "uri": "shots://884", "name": "S"}]},
    "numbers": {"content": [{"type": "text", "text": "plain"}], "structuredContent": {"n": [1.50, 2**64]}},
    "members": {"content": [{"type": "text", "text": "plain", "vendor": 1, "_meta": {"a": 1}}], "vendor": {"a": 1}},
    "nothing": {"content": []},
}

def answer(server, method, params):
    """Returns the result of a request."""
    if method == "initialize":
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
                "serverInfo": {"name": server, "version": "1"}, "instructions": "Use " + server}
    if method == "tools/list":
        if server == "pages":
            page = int((params or {}).get("cursor") or 0)
            return {"tools": [tool(f"page{page}"), PLAIN], "nextCursor": str(page + 1) if page < 3 else ("" if page == 3 else None)}
        if server == "content":
            return {"tools": [PLAIN, *map(tool, CONTENT)], "nextCursor": None}
        return {"tools": [PLAIN, *TOOLS.get(server, [])]}
    if method == "tools/call":
        return CONTENT.get(params["name"], TEXT) if server == "content" else TEXT
    if method == "prompts/list":
        return {"prompts": [{"name": "greet", "arguments": None, "title": None}, {"name": 7}, {"name": "gr\u00fc\u00df " + "x" * 80}]}
    if method == "resources/list":
        return {"resources": [{"uri": "notes://shared/1"}, {"uri": "not a uri", "name": "n", "size": -1, "mimeType": None}, {"uri": 7}],
                "nextCursor": ""}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": "n{", "name": None}]}
    return {}
'''
STDIO = ANSWER + r'''
import sys

SERVER = sys.argv[1]

def write(text):
    sys.stdout.buffer.write(text if isinstance(text, bytes) else text.encode())
    sys.stdout.buffer.flush()

if SERVER == "noise":
    write("Debugger attached.\n{ host: 'x' }\n\n[INFO] ready\n")
for line in sys.stdin:
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if id is None:
        continue
    result = answer(SERVER, method, message.get("params"))
    if SERVER == "ids":
        id = str(id)
    text = json.dumps({"jsonrpc": "2.0", "id": id, "result": result})
    if SERVER == "noise":
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/unknown"}) + json.dumps(json.loads(text), indent=2) + "\r\n")
    elif SERVER == "encoding":
        # In every response: half an emoji, Latin-1, a raw tab and what is not a number.
        odd = b'"vendor":["\\ud83d","caf\xe9","a\tb",NaN,-Infinity,1e400],'
        write(text.replace('"result": {', '"result": {ODD', 1).replace("ODD}", "ODD\"x\":1}", 1).encode().replace(b"ODD", odd) + b"\n")
    else:
        write(text + "\n")
'''
namespace = {}
exec(ANSWER, namespace)
STDIO_SERVERS = ("schemas", "names", "members", "content", "pages", "ids", "noise", "encoding")


class Http(McpOverHttp):
    """The same over HTTP: JSON with foreign ids and statuses at /ids, event streams with odd events at /events."""

    def do_POST(self):
        message = json.loads(self.body())
        if "id" not in message:
            self.reply(200, b"<html>", {"Content-Type": "text/html"})
            return
        server = self.path.strip("/")
        result = namespace["answer"]("members" if server == "ids" else "schemas", message["method"], message.get("params"))
        if server == "ids":
            text = json.dumps({"jsonrpc": "2.0", "id": None, "result": result})
            self.reply(200, text.encode(), {"Content-Type": "application/json; charset=latin-1"})
        else:
            text = json.dumps({"jsonrpc": "2.0", "id": str(message["id"]), "result": result})
            events = f": hello\n\nevent: ping\ndata: 1\n\nid: 1\ndata:\n\ndata: noise\n\ndata: {text}\n\n"
            self.reply(200, events.encode(), {"Content-Type": "text/event-stream"})


class TenOddServers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        url = cls.enterClassContext(serving(Http))
        cls.world = cls.enterClassContext(World())
        script = cls.world.directory / "odd.py"
        script.write_text(STDIO)
        entry = lambda name: {"name": name, "command": sys.executable, "args": [str(script), name]}
        servers = [*map(entry, STDIO_SERVERS), {"name": "http-ids", "url": f"{url}/ids"}, {"name": "http-events", "url": f"{url}/events"}]
        cls.servers = [server["name"] for server in servers]
        # And some that never start.
        failing = [{"name": "silent", "command": "cat"}, {"name": "missing", "command": "no-such-program"}]
        servers += [entry("healthy"), *failing]
        cls.world.write_config({"mcpServers": [{**server, "enabled": True} for server in servers], "direct_up_to_tokens": 0})
        cls.world.start_core()
        for name in [*cls.servers, "healthy"]:
            wait_for(f"{name} is connected", lambda name=name: (cls.world.server(name) or {}).get("connected"), 60)

    def use(self, client, path, calls):
        address = f"http://127.0.0.1:{self.world.port}{path}"
        done = self.world.run(*CLIENTS[client], address, calls, seconds=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["broken"], [])
        return told["tools"], told["said"]

    def link(self, client, said):
        # The protocol versions of the oldest clients have no links: they refuse this one result.
        if "newest" in client:
            self.assertEqual(said, ["resource_link"])

    def test_search(self):
        """four official clients call the tools of ten odd servers and a healthy one at /mcp"""
        servers = [*self.servers, "healthy"]
        calls = [("call_tool_read", {"name": f"{server}:plain"}) for server in servers] + [("retrieve_tools", {"query": "plain"})]
        for client in CLIENTS:
            with self.subTest(client=client):
                tools, said = self.use(client, "/mcp", json.dumps(calls))
                self.assertIn("call_tool_read", tools)
                self.assertEqual(dict(zip(servers, said)), {server: ["plain"] for server in servers})
                self.assertIn("plain", str(said[-1]))

    def test_all(self):
        """four official clients list and call every tool of ten odd servers and a healthy one at /mcp/all"""
        for client in CLIENTS:
            with self.subTest(client=client):
                tools, said = self.use(client, "/mcp/all", "all")
                for server in [*self.servers, "healthy"]:
                    self.assertIn(f"{server}__plain", tools)
                self.assertEqual(len(tools), len(set(tools)))
                odd = {tool: text for tool, text in zip(tools, said) if text != ["plain"]}
                self.assertEqual(odd.pop("content__nothing"), [])
                self.link(client, odd.pop("content__link"))
                self.assertEqual(odd, {})

    def test_one(self):
        """four official clients list and call every tool at the endpoint of each of ten odd servers"""
        for client in CLIENTS:
            for server in [*self.servers, "healthy"]:
                with self.subTest(client=client, server=server):
                    tools, said = self.use(client, f"/mcp/all/{server}", "all")
                    self.assertIn("plain", tools)
                    odd = {tool: text for tool, text in zip(tools, said) if text != ["plain"]}
                    if server == "content":
                        self.assertEqual(odd.pop("nothing"), [])
                        self.link(client, odd.pop("link"))
                    self.assertEqual(odd, {})

    def test_members(self):
        """an odd member or schema hides no tool, and a malformed tool hides no other"""
        for server, count in {"schemas": 15, "names": 11, "members": 10, "content": 6, "pages": 5}.items():
            self.assertEqual(self.world.server(server)["tool_count"], count, server)


if __name__ == "__main__":
    main()
