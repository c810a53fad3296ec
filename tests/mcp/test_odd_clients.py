"""Unusual servers beside ordinary ones, and slightly wrong clients: nothing is lost, and no tool runs without its arguments.

Run by `scripts/test mcp`.
"""

import http.client
import json
import re
import sys
import unittest

from world import World, main

# A server whose tools and results come from this file's constants.
SERVER = """
import json, sys

MODE = sys.argv[1]
PLAIN = {"name": "plain", "description": "Says", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}
TOOLS = {
    "healthy": [PLAIN],
    "odd": [
        PLAIN,
        {"name": "no_schema", "inputSchema": {}},
        {"name": "nulls", "inputSchema": {"type": "object", "properties": {"a": None, "b": True}, "required": None}},
        {"name": "a/very.long name " + "x" * 80, "inputSchema": {"type": "object"}},
    ],
}
CONTENT = [
    {"type": "text", "text": "a", "annotations": {"audience": ["system"]}},
    {"type": "resource_link", "uri": "shots://884", "title": "S"},
    {"type": "text", "text": "plain"},
]

def answer(message):
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        return {"protocolVersion": "2025-06-18", "serverInfo": {"name": MODE, "version": "1"}, "instructions": f"Use {MODE} well.",
                "capabilities": {"tools": {}, "resources": {}}}
    if method == "tools/list":
        return {"tools": TOOLS[MODE]}
    if method == "resources/list":
        return {"resources": [{"uri": "notes://shared/1", "name": "shared"}, {"uri": f"notes://{MODE}/1", "name": MODE}]}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": "n{x}", "name": "anything"}] if MODE == "odd" else []}
    if method == "resources/read":
        return {"contents": [{"uri": params["uri"], "text": f"from {MODE}"}]}
    if method == "tools/call":
        asked = {"arguments": params.get("arguments"), "meta": params.get("_meta"), "name": params["name"]}
        return {"content": CONTENT + [{"type": "text", "text": json.dumps(asked)}], "_meta": {"vendor.example/result": 1}}
    return {}

for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}), flush=True)
"""

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class Session:
    """One MCP session over raw HTTP."""

    def __init__(self, world, path, accept=HEADERS["Accept"]):
        self.world, self.path, self.headers, self.number = world, path, {**HEADERS, "Accept": accept}, 0
        self.opened = self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=20)
        try:
            connection.request("POST", self.path, body=json.dumps(message), headers=self.headers)
            answer = connection.getresponse()
            if session := answer.headers.get("mcp-session-id"):
                self.headers["mcp-session-id"] = session
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ask(self, method, params=None):
        self.number += 1
        status, text = self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params or {}})
        assert status == 200, (status, text)
        for line in text.splitlines():
            data = line[5:] if line.startswith("data:") else line
            if data.strip().startswith("{"):
                message = json.loads(data)
                if message.get("id") == self.number:
                    return message
        raise AssertionError(text)

    def call(self, name, arguments=None, **more):
        return self.ask("tools/call", {"name": name, "arguments": arguments or {}, **more})


class Odd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        script = cls.world.directory / "odd.py"
        script.write_text(SERVER)
        entry = lambda mode: {"name": mode, "command": sys.executable, "args": [str(script), mode]}
        cls.world.write_config({"mcpServers": [entry("healthy"), entry("odd")], "direct_up_to_tokens": 0})
        cls.world.start_core()
        cls.world.wait_connected("healthy")
        cls.world.wait_connected("odd")

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def test_other_keys(self):
        """a tool never runs without the arguments that a model put under another key, on both paths"""
        session = Session(self.world, "/mcp")
        for arguments in [
            {"name": "healthy:plain", "arguments": {"text": "x"}},
            {"name": "healthy:plain", "text": "x"},
            {"name": "healthy:plain", "args_json": {"text": "x"}},
            {"name": "healthy:plain", "args": '{"text": "x"}'},
            {"name": "healthy:plain", "parameters": {"text": "x"}, "args": {}},
        ] * 2:
            result = session.call("call_tool_read", arguments)["result"]
            self.assertTrue(result["isError"], arguments)
            refusal = json.loads(result["content"][0]["text"])
            self.assertEqual(refusal["input_schema"]["properties"], {"text": {"type": "string"}})
        result = session.call("call_tool_read", {"name": "healthy:plain", "args": {"text": "x"}})["result"]
        self.assertEqual(json.loads(result["content"][-1]["text"])["arguments"], {"text": "x"})

    def test_content(self):
        """content that the library does not know reaches the client unchanged, on both paths and over REST"""
        for path, name, arguments in [
            ("/mcp/all", "odd__plain", {}),
            ("/mcp/all/odd", "plain", {}),
            ("/mcp", "call_tool_read", {"name": "odd:plain"}),
        ]:
            session = Session(self.world, path)
            for _ in range(3):
                result = session.call(name, arguments)["result"]
                self.assertEqual(result["content"][1], {"type": "resource_link", "uri": "shots://884", "title": "S"}, path)
                self.assertEqual(result["content"][0]["annotations"], {"audience": ["system"]}, path)
                self.assertEqual(result["_meta"], {"vendor.example/result": 1}, path)
                self.assertNotIn("resultType", result)
        body = {"tool_name": "call_tool_read", "arguments": {"name": "odd:plain"}}
        self.assertEqual(self.world.post("/api/v1/tools/call", body=body).data["content"][1]["uri"], "shots://884")

    def test_meta(self):
        """`_meta` of a request reaches the server, except for what belongs to the connection"""
        for path, name, arguments in [
            ("/mcp/all", "odd__plain", {}),
            ("/mcp", "call_tool_read", {"name": "odd:plain"}),
        ]:
            session = Session(self.world, path)
            for _ in range(2):
                meta = {"traceparent": "00-1-2-01", "vendor.example/key": {"a": [1]}, "progressToken": "mine"}
                result = session.call(name, arguments, _meta=meta)["result"]
                arrived = json.loads(result["content"][-1]["text"])["meta"]
                self.assertEqual(arrived.pop("traceparent"), "00-1-2-01", path)
                self.assertEqual(arrived.pop("vendor.example/key"), {"a": [1]}, path)
                self.assertNotEqual(arrived.pop("progressToken"), "mine", path)
                self.assertEqual(arrived, {}, path)

    def test_schemas_and_names(self):
        """every tool at /mcp/all has a name and a schema that model APIs accept, and can be called by that name"""
        session = Session(self.world, "/mcp/all")
        tools = {tool["name"]: tool for tool in session.ask("tools/list")["result"]["tools"]}
        self.assertEqual(len(tools), 5)
        for name, tool in tools.items():
            self.assertRegex(name, r"\A[a-zA-Z0-9_-]{1,64}\Z")
            schema = tool["inputSchema"]
            self.assertEqual(schema["type"], "object")
            self.assertTrue(all(isinstance(value, dict) for value in schema["properties"].values()), schema)
            self.assertNotIn("null", json.dumps(schema))
        (long,) = [name for name in tools if name.startswith("odd__a_very")]
        result = session.call(long)["result"]
        self.assertEqual(json.loads(result["content"][-1]["text"])["name"], "a/very.long name " + "x" * 80)

    def test_resources(self):
        """a URI of two servers is listed once and read from neither; one server's endpoint reads it"""
        session = Session(self.world, "/mcp/all")
        resources = {one["uri"]: one for one in session.ask("resources/list")["result"]["resources"]}
        self.assertEqual(sorted(resources), ["notes://healthy/1", "notes://odd/1", "notes://shared/1"])
        error = session.ask("resources/read", {"uri": "notes://shared/1"})["error"]
        self.assertIn("ambiguous", error["message"])
        self.assertIn("/mcp/all/odd", error["message"])
        read = session.ask("resources/read", {"uri": "notes://healthy/1"})["result"]
        self.assertEqual(read["contents"][0]["text"], "from healthy")
        self.assertIn("error", session.ask("resources/read", {"uri": "notes://other/1"}), "a template of one letter owns nothing")
        read = Session(self.world, "/mcp/all/odd").ask("resources/read", {"uri": "notes://shared/1"})["result"]
        self.assertEqual(read["contents"][0]["text"], "from odd")

    def test_instructions(self):
        """the instructions of servers reach clients: in full at a server's own endpoint, as labelled excerpts at /mcp/all"""
        of = lambda path: Session(self.world, path).opened["result"].get("instructions", "")
        self.assertEqual(of("/mcp/all/odd"), "Use odd well.")
        self.assertIn("- healthy: Use healthy well.", of("/mcp/all"))
        self.assertIn("- odd: Use odd well.", of("/mcp/all"))

    def test_http(self):
        """unknown paths return 404 with JSON and never 401; /mcp/ equals /mcp; Bearer is case-insensitive; 405 lists methods; DELETE returns 200"""
        for path in ["/mcp/nothing", "/mcp/all/odd/nothing", "/.well-known/oauth-protected-resource", "/nothing", "/api/v1/nothing"]:
            for method in ["GET", "POST"]:
                answer = self.world.request(method, path, over="tcp")
                self.assertEqual(answer.status, 404, (method, path))
                self.assertFalse(answer.json["success"])
        self.assertEqual(self.world.get("/api/v1/status", over="tcp").status, 401)
        for scheme in ["Bearer", "bearer", "BEARER"]:
            headers = {"Authorization": f"{scheme} key-of-the-test"}
            self.assertEqual(self.world.get("/api/v1/status", over="tcp", headers=headers).status, 200)
        for path in ["/mcp/", "/mcp/all/", "/mcp/all/odd/"]:
            self.assertIn("tools", Session(self.world, path).ask("tools/list")["result"])
        for accept in ["*/*", "text/html, */*;q=0.5"]:
            self.assertIn("tools", Session(self.world, "/mcp", accept=accept).ask("tools/list")["result"])
        for path, method in [("/mcp", "PUT"), ("/mcp/all", "PATCH"), ("/api/v1/status", "DELETE")]:
            connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=20)
            connection.request(method, path, headers={"X-API-Key": "key-of-the-test"})
            answer = connection.getresponse()
            self.assertEqual((answer.status, "GET" in answer.headers.get("Allow", "")), (405, True), path)
            connection.close()
        session = Session(self.world, "/mcp/all")
        headers = {key: value for key, value in session.headers.items() if key != "Content-Type"}
        ended = self.world.request("DELETE", "/mcp/all", over="tcp", headers=headers)
        self.assertEqual((ended.status, ended.text), (200, ""))

    def test_ids(self):
        """an ID that is neither a string nor an integer is refused on both paths"""
        session = Session(self.world, "/mcp/all")
        for _ in range(2):
            self.assertIn("result", session.call("healthy__plain"))
            status, text = session.send({"jsonrpc": "2.0", "id": 1.5, "method": "tools/call", "params": {"name": "healthy__plain"}})
            self.assertEqual(status, 400, text)
            self.assertTrue(re.search(r'"id":\s*null', text), text)


if __name__ == "__main__":
    main()
